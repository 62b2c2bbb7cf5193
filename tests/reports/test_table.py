from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.records import Admission, ImageRecord, OperatingPoint, Prediction, ScreenRow, Source
from cxrscreen.reports.privacy import Privacy
from cxrscreen.reports.table import COLUMNS, RunFacts, report_cells
from cxrscreen.reports.write import write_reports
from cxrscreen.study.calibrate import uncalibrated
from cxrscreen.vocabulary import Decision, Phi, RejectCode, SourceKind

MODEL, PREPROCESSING = "a" * 64, "b" * 64
CALIBRATION = uncalibrated("bundle", model=MODEL, preprocessing=PREPROCESSING)
POINT = OperatingPoint("p", -1.0986, 0.25, MODEL, PREPROCESSING, "torch-float32")
PRIVACY = Privacy(Phi.PSEUDONYM, bytes(32))
FACTS = RunFacts("bundle", "0" * 64, CALIBRATION, POINT, "1.0", PRIVACY)


def written(path: Path, *rows: ScreenRow) -> list[dict[str, str]]:
    write_reports([path], (report_cells(row, FACTS) for row in rows))
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def judged(**fields: object) -> ScreenRow:
    record = ImageRecord(**{"source": Source(Path("a.png")), "kind": SourceKind.PNG, **fields})
    prediction = Prediction(logit=-1.5, probability=0.182426)
    return ScreenRow(record, Admission.accept(("w1", "w2")), prediction, Decision.NEGATIVE, 0.25)


def test_a_judged_row(tmp_path):
    (row,) = written(tmp_path / "r.csv", judged(age_years=3.0))
    assert row["status"] == "SCREENED"
    assert (row["decision"], row["probability"], row["raw_score"]) == (
        "NEGATIVE",
        "0.182426",
        "-1.500000",
    )
    assert (row["threshold"], row["operating_point"]) == ("0.250000", "p")
    assert row["warnings"] == "w1; w2"
    assert row["age_years"] == "3.00"


def test_a_refused_row_has_no_number_that_could_be_taken_for_an_answer(tmp_path):
    record = ImageRecord(source=Source(Path("a")), kind=SourceKind.OTHER)
    refusal = Admission.refuse(RejectCode.BLANK, "flat")
    row = ScreenRow(record, refusal, None, Decision.NOT_SCREENED, 0.0)
    (cells,) = written(tmp_path / "r.csv", row)
    assert cells["decision"] == cells["status"] == "NOT_SCREENED"
    assert (cells["reject_code"], cells["reject_reason"]) == ("BLANK", "flat")
    for name in ("probability", "raw_score", "threshold", "operating_point"):
        assert cells[name] == ""


@given(st.sampled_from("=+-@\t\r"), st.text(st.characters(codec="utf-8", exclude_characters="\0/")))
@settings(deadline=None)
def test_no_cell_starts_like_a_formula(tmp_path_factory, start, rest):
    path = tmp_path_factory.mktemp("t") / "r.csv"
    (row,) = written(path, judged(body_part=f"{start}X{rest}"))
    assert not row["body_part"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["raw_score"] == "-1.500000"


def test_column_names_are_unique_and_explained():
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert all(column.meaning.endswith(".") for column in COLUMNS)


@pytest.mark.parametrize("name", [b"\xff\xfe.png", b'quote",\n.png'])
def test_any_file_name_can_be_written(tmp_path, name):
    (row,) = written(tmp_path / "r.csv", judged(source=Source(Path(os.fsdecode(name)))))
    assert row["source"]


@given(
    st.floats(-50, 50),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(0, 199)),
    st.binary(max_size=6).filter(lambda name: b"\0" not in name and b"/" not in name),
)
@settings(deadline=None)
def test_cells_survive_json_and_hold_text_that_every_format_takes(logit, probability, age, name):
    record = ImageRecord(Source(Path(os.fsdecode(b"n" + name))), SourceKind.PNG, age_years=age)
    row = ScreenRow(
        record, Admission.accept(), Prediction(logit, probability), Decision.NEGATIVE, 0.1
    )
    cells = report_cells(row, FACTS)
    assert json.loads(json.dumps(cells)) == cells
    assert list(cells) == [column.name for column in COLUMNS]
    for cell in cells.values():
        assert cell != ""
        if isinstance(cell, str):
            cell.encode()
    assert cells["raw_score"] == pytest.approx(logit, abs=1e-6)


def test_bytes_that_are_no_text_are_spelled_out():
    record = ImageRecord(Source(Path(os.fsdecode(b"\xff\xc3\xa4.png"))), SourceKind.PNG)
    row = ScreenRow(
        record, Admission.refuse(RejectCode.BLANK, "flat"), None, Decision.NOT_SCREENED, 0
    )
    assert report_cells(row, FACTS)["source"] == "\\xffä.png"
