from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from cxrscreen.errors import OutputError, UsageError
from cxrscreen.output import is_report
from cxrscreen.reports import write, writers
from cxrscreen.reports.table import COLUMNS, Cell
from cxrscreen.reports.write import check_formats, check_rows, write_reports

ENDINGS = (".csv", ".jsonl", ".parquet", ".xlsx")
HOSTILE = (
    "=1+1",
    "+a",
    "-b",
    "@c",
    "\tx",
    "<r><t>x</t></r>",
    "{=A1}",
    "http://x.org",
    "007",
    "1e5",
)


def cells_of(number: int, **cells: Cell) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        column.name: number + 1
        if column.is_integer
        else f"{column.name} {number}"
        if column.digits is None
        else round(number / 7, column.digits)
        for column in COLUMNS
    }
    return row | {"status": "SCREENED", "decision": "POSITIVE"} | cells


def read_csv(path: Path) -> Iterator[dict[str, Cell]]:
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield {column.name: from_text(column, row[column.name]) for column in COLUMNS}


def from_text(column, text: str) -> Cell:
    if not text:
        return None
    if column.is_integer:
        return int(text)
    if column.digits is not None:
        assert len(text.partition(".")[2]) == column.digits
        return float(text)
    return text.removeprefix("'")


def read_xlsx(path: Path) -> Iterator[dict[str, Cell]]:
    book = openpyxl.load_workbook(path)
    head, *rows = book.worksheets[0].iter_rows()
    assert not any(cell.data_type == "f" for row in rows for cell in row)
    names = [cell.value for cell in head]
    for row in rows:
        yield dict(zip(names, (cell.value for cell in row), strict=True))
    book.close()


def read_back(path: Path) -> list[dict[str, Cell]]:
    match path.suffix:
        case ".csv":
            return list(read_csv(path))
        case ".jsonl":
            return [json.loads(line) for line in path.read_bytes().decode().splitlines()]
        case ".parquet":
            return parquet.read_table(path).to_pylist()
        case _:
            return list(read_xlsx(path))


def outs(folder: Path) -> list[Path]:
    return [folder / f"report{ending}" for ending in ENDINGS]


def test_every_format_has_the_same_content(tmp_path):
    rows = [cells_of(n) for n in range(3)] + [
        cells_of(3, source='ä\u2028b\x85c,"d"\n e ', view=None, age_years=None, priority_rank=None),
        *(cells_of(4 + n, source=text, reject_reason=text[::-1]) for n, text in enumerate(HOSTILE)),
        cells_of(90, raw_score=-1.5, probability=1e-6, seconds=0.0),
    ]
    hashes = write_reports(outs(tmp_path), iter(rows))
    for path in outs(tmp_path):
        expected = rows
        if path.suffix == ".xlsx":
            # What the library would take for its own markup.
            expected = [
                {k: f"'{v}" if str(v).startswith("<r>") else v for k, v in row.items()}
                for row in rows
            ]
        assert read_back(path) == expected, path.suffix
        assert is_report(path)
        assert len(hashes[path]) == 64
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in outs(tmp_path))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_text_can_be_written_and_read(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("w")
    write_reports(outs(folder), [cells_of(0, source=text)])
    for path in outs(folder)[1:3]:
        assert read_back(path)[0]["source"] == text
    assert read_back(folder / "report.xlsx")[0]["view"] == "view 0"


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        write_reports(outs(folder), [cells_of(n) for n in range(5)])
    for one, other in zip(outs(first), outs(second), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.suffix


def test_a_workbook_is_ready_to_be_read(tmp_path):
    path = tmp_path / "r.xlsx"
    write_reports([path], [cells_of(0), cells_of(1, probability=0.5)])
    sheet = openpyxl.load_workbook(path).worksheets[0]
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(3, len(COLUMNS)).coordinate}"
    names = [column.name for column in COLUMNS]
    cell = sheet.cell(3, names.index("probability") + 1)
    assert (cell.value, cell.number_format) == (0.5, "0.000000")
    assert sheet.column_dimensions["A"].width > 40
    with zipfile.ZipFile(path) as parts:
        assert not [name for name in parts.namelist() if "calc" in name or "rels/sheet" in name]


def test_what_is_no_report_of_ours_is_never_taken_for_one(tmp_path):
    others = {
        "a.csv": b"source;status\n",
        "b.jsonl": b'{"name": "cxrscreen report"}\n',
        "c.jsonl": b'{"source": "x"}\n{"source": "x", "status": "S", "decision": "P"}\n',
        "d.parquet": b"PAR1" + b"cxrscreen report" + b"\0" * 8 + b"PAR1",
        "e.parquet": b"PAR1\xff\xff\xff\xff",
        "f.xlsx": b"PK\x03\x04 damaged cxrscreen report",
        "g.csv": b"",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert not is_report(tmp_path / name), name
    book = openpyxl.Workbook()
    book.properties.title = "my cxrscreen report notes"
    book.save(tmp_path / "h.xlsx")
    assert not is_report(tmp_path / "h.xlsx")
    table = parquet.read_table(_parquet(tmp_path / "i.parquet"))
    parquet.write_table(table.replace_schema_metadata({"title": "x"}), tmp_path / "j.parquet")
    assert is_report(tmp_path / "i.parquet")
    assert not is_report(tmp_path / "j.parquet")


def _parquet(path: Path) -> Path:
    write_reports([path], [cells_of(0)])
    return path


def test_names_that_say_no_format_are_refused(tmp_path):
    for name in ("r.txt", "r", ".csv", "r.csv.gz"):
        with pytest.raises(UsageError, match=r"its ending says no format.*"):
            check_formats([tmp_path / name])
    with pytest.raises(UsageError, match="given twice"):
        check_formats([tmp_path / "r.csv", tmp_path / "x" / ".." / "r.csv"])
    check_formats([tmp_path / "R.CSV", tmp_path / "r.xlsx", tmp_path / "r.Parquet"])


@pytest.mark.parametrize(("ending", "extra"), [(".parquet", "parquet"), (".xlsx", "excel")])
def test_a_missing_extra_is_named(monkeypatch, tmp_path, ending, extra):
    monkeypatch.setattr(write.importlib.util, "find_spec", lambda _name: None)
    check_formats([tmp_path / "r.csv", tmp_path / "r.jsonl"])
    with pytest.raises(UsageError) as caught:
        check_formats([tmp_path / f"r{ending}"])
    assert f"pip install 'cxrscreen[{extra}]'" in caught.value.one_line()


def test_a_sheet_that_would_be_too_long_is_refused_before_and_while_it_is_written(
    tmp_path, monkeypatch
):
    check_rows([tmp_path / "r.csv", tmp_path / "r.xlsx"], 1_048_575)
    check_rows([tmp_path / "r.csv"], 2_000_000)
    with pytest.raises(OutputError, match=r"1,048,576 rows are more than the 1,048,575"):
        check_rows([tmp_path / "r.csv", tmp_path / "r.xlsx"], 1_048_576)
    monkeypatch.setattr(writers, "EXCEL_ROWS", 2)
    with pytest.raises(OutputError, match="more than the 2 that a sheet"):
        write_reports(outs(tmp_path), (cells_of(n) for n in range(3)))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_rows_that_end_in_an_error_leave_nothing_behind(tmp_path, error):
    def rows() -> Iterator[dict[str, Cell]]:
        yield cells_of(0)
        raise error

    with pytest.raises(error):
        write_reports(outs(tmp_path), rows())
    assert os.listdir(tmp_path) == []


def test_an_earlier_report_is_replaced_only_by_force(tmp_path):
    write_reports(outs(tmp_path), [cells_of(0)])
    with pytest.raises(OutputError, match="exists already"):
        write_reports(outs(tmp_path), [cells_of(1)])
    write_reports(outs(tmp_path), [cells_of(1)], may_replace=lambda _: True)
    assert all(read_back(path)[0]["source"] == "source 1" for path in outs(tmp_path))
