"""Write a report, in each of the formats that are asked for, in one pass over its rows."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscreen.errors import UsageError
from cxrscreen.output import is_report, new_file
from cxrscreen.reports.table import COLUMNS, Cell, Column
from cxrscreen.reports.writers import (
    EXCEL_ROWS,
    CsvWriter,
    ExcelWriter,
    JsonLinesWriter,
    ParquetWriter,
    Writer,
    too_many_rows,
)


@dataclass(frozen=True, slots=True)
class _Format:
    """How an ending is written, and the extra and the module that it takes."""

    writer: Callable[[Path, Sequence[Column]], Writer]
    extra: str = ""
    module: str = ""


_FORMATS: Final[dict[str, _Format]] = {
    ".csv": _Format(CsvWriter),
    ".jsonl": _Format(JsonLinesWriter),
    ".parquet": _Format(ParquetWriter, "parquet", "pyarrow"),
    ".xlsx": _Format(ExcelWriter, "excel", "xlsxwriter"),
}


def check_formats(outs: Iterable[Path]) -> None:
    """Refuse names of reports that cannot be written as they say, before any work.

    Raises
    ------
    UsageError
        An ending is none of those that are known, or needs an extra that is not installed, or
        a name is given twice.
    """
    seen: set[str] = set()
    for out in outs:
        known = _FORMATS.get(out.suffix.lower())
        if known is None:
            message = f"{out}: its ending says no format of a report"
            raise UsageError(message, hint=f"Let it end in {', '.join(_FORMATS)}.")
        if known.module and importlib.util.find_spec(known.module) is None:
            message = f"{out}: writing {out.suffix} needs {known.module}"
            hint = (
                f"Install it with: pip install 'cxrscreen[{known.extra}]'. Or let it end in .csv."
            )
            raise UsageError(message, hint=hint)
        place = os.path.realpath(out)
        if place in seen:
            message = f"{out}: is given twice as a report"
            raise UsageError(message, hint="Give each report a name of its own.")
        seen.add(place)


def check_rows(outs: Iterable[Path], rows: int) -> None:
    """Refuse reports that do not hold so many rows, before any work.

    Parameters
    ----------
    outs
        The reports.
    rows
        At least so many there will be: objects of several frames have more.

    Raises
    ------
    OutputError
        A sheet of Excel ends before.
    """
    for out in outs:
        if out.suffix.lower() == ".xlsx" and rows > EXCEL_ROWS:
            raise too_many_rows(out, rows)


def write_reports(
    outs: Sequence[Path],
    rows: Iterable[Mapping[str, Cell]],
    columns: Sequence[Column] = COLUMNS,
    *,
    may_replace: Callable[[Path], bool] = lambda _: False,
) -> dict[Path, str]:
    """Write the rows to every file, beside their names, and rename them all at the end.

    Parameters
    ----------
    outs
        The reports; what each ends in says its format.
    rows
        Cells as :func:`cxrscreen.reports.table.report_cells` returns them, with their rank. They
        are taken one after the other and not kept.
    columns
        The columns, in order.
    may_replace
        Whether an earlier report under a name may be replaced.

    Returns
    -------
    dict of Path to str
        SHA-256 of each report.

    Raises
    ------
    UsageError
        As :func:`check_formats`.
    OutputError
        A file exists or cannot be written, or a sheet of Excel is full.
    """
    check_formats(outs)
    with contextlib.ExitStack() as files:
        temporary = [
            files.enter_context(new_file(out, force=may_replace(out), replaceable=is_report))
            for out in outs
        ]
        with contextlib.ExitStack() as open_writers:
            writers = []
            for out, path in zip(outs, temporary, strict=True):
                writer = _FORMATS[out.suffix.lower()].writer(path, columns)
                open_writers.callback(writer.close)
                writers.append(writer)
            for cells in rows:
                for writer in writers:
                    writer.add(cells)
        return {out: _sha256(path) for out, path in zip(outs, temporary, strict=True)}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
