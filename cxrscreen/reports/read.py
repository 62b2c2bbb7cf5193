"""Read a report back: rows with their types, and what made them."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscreen.errors import InputNotFoundError, PredictionsError
from cxrscreen.reports.read_typed import FORMATS, read_typed
from cxrscreen.reports.table import FORMULA_STARTS
from cxrscreen.vocabulary import Decision, RejectCode

#: Columns without which a file is no report.
REQUIRED: Final = (
    "source",
    "status",
    "decision",
    "raw_score",
    "reject_code",
    "bundle_sha256",
    "preprocessing",
    "engine",
)
_SCREENED, _NOT_SCREENED = "SCREENED", "NOT_SCREENED"
_NOT_A_REPORT: Final = "Give a report that cxrscreen screen has written."
_CHANGED: Final = "The report has been changed since it was written: screen again."
_RECALL: Final = re.compile(r"recall at least (0?\.\d+)")
_OLDEST_YEARS: Final = 200


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of a report.

    Attributes
    ----------
    line
        Number of the row in the file: the header is 1.
    source, frame
        Where the image was.
    decision
        What was decided; ``NOT_SCREENED`` has a ``reject_code`` and no ``score``.
    score
        Raw logit, finite; ``None`` if not screened.
    reject_code
        Empty if screened.
    age_years
        ``None`` if not known.
    cells
        Every cell by its column, without the apostrophe that keeps spreadsheets from running
        it. Columns differ between versions: ``cells.get(name, "")``.
    """

    line: int
    source: str
    frame: str
    decision: Decision
    score: float | None
    reject_code: str
    age_years: float | None
    cells: Mapping[str, str]

    @property
    def is_duplicate(self) -> bool:
        """Whether it is a copy of an image that another row has the decision of."""
        return self.reject_code == RejectCode.DUPLICATE.value


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it was read.

    Attributes
    ----------
    path
        Where it is.
    sha256
        Hash of the file.
    columns
        Their names, in order.
    rows
        In the order of the file; at least one.
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]

    def the_only(self, column: str) -> str:
        """Return the value of a column that is the same for a whole run; empty if it is missing.

        Raises
        ------
        PredictionsError
            The rows differ: reports of several runs were put into one file.
        """
        values = {row.cells.get(column, "") for row in self.rows}
        if len(values) > 1:
            message = f"{self.path}: {column} is not the same in all rows"
            raise PredictionsError(message, hint="Give the reports of several runs one by one.")
        return values.pop()


def has_unscreened(path: Path) -> bool:
    """Return whether a report has a row that is ``NOT_SCREENED``, without keeping its rows.

    Raises
    ------
    PredictionsError
        It cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="backslashreplace", newline="") as stream:
            return any(row["status"] == _NOT_SCREENED for row in csv.DictReader(stream))
    except (OSError, KeyError, csv.Error) as error:
        message = f"{path}: cannot be read"
        raise PredictionsError(message, hint=_NOT_A_REPORT) from error


def read_report(path: Path) -> Report:
    """Read and check a report.

    Parameters
    ----------
    path
        CSV that ``screen`` has written, of this version or an earlier one; JSON Lines or Parquet,
        by the ending.

    Returns
    -------
    Report
        All rows.

    Raises
    ------
    InputNotFoundError
        The file is not there or cannot be read.
    PredictionsError
        It is no report, is empty, or a row contradicts itself or has a score that is no number.
    """
    if path.suffix.lower() in FORMATS:
        columns, records, sha256 = read_typed(path, needs=REQUIRED, hint=_NOT_A_REPORT)
    else:
        columns, records, sha256 = read_table(
            path, needs=REQUIRED, hint=_NOT_A_REPORT, what="report"
        )
    rows = tuple(_row(path, line, cells) for line, cells in records)
    if not rows:
        message = f"{path}: the report has no row"
        raise PredictionsError(message, hint="Give the report of a run that found images.")
    return Report(path=path, sha256=sha256, columns=columns, rows=rows)


def read_table(
    path: Path, *, needs: Iterable[str], hint: str, what: str
) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]], str]:
    """Read a CSV file with a header line.

    Parameters
    ----------
    path
        UTF-8, with or without a byte order mark.
    needs
        Columns that must be there.
    hint
        Of the error if they are not.
    what
        What the file should be, for messages.

    Returns
    -------
    columns, records, sha256
        Names, the line and the cells of each row, and the hash of the file.

    Raises
    ------
    InputNotFoundError
        The file is not there or cannot be read.
    PredictionsError
        It is no such table. Messages name lines and columns, never what a cell holds.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        message = f"{path}: no such file"
        raise InputNotFoundError(message, hint=hint) from None
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise InputNotFoundError(message, hint=hint) from error
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(_lines(text), strict=True)
        columns = tuple(next(reader, ()))
        missing = [name for name in needs if name not in columns]
        if missing or len(set(columns)) != len(columns):
            lacking = f"lacks the column {missing[0]}" if missing else "has a column twice"
            message = f"{path}: is no {what}: it {lacking}"
            raise PredictionsError(message, hint=hint)
        records = []
        for line, cells in enumerate((row for row in reader if row), start=2):
            if len(cells) != len(columns):
                message = f"{path}: row {line} has {len(cells)} cells instead of {len(columns)}"
                raise PredictionsError(message, hint=_CHANGED if what == "report" else hint)
            records.append((line, dict(zip(columns, map(_as_written, cells), strict=True))))
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: is no {what}: not a CSV file in UTF-8"
        raise PredictionsError(message, hint=hint) from error
    return columns, records, hashlib.sha256(content).hexdigest()


def guaranteed_recall(guarantee: str) -> float | None:
    """Return the recall that a ``guarantee`` cell promises, ``None`` if it promises none."""
    found = _RECALL.search(guarantee)
    return float(found[1]) if found else None


def _lines(text: str) -> Iterator[str]:
    # Not splitlines, which would break a cell at separators that CSV leaves alone.
    yield from re.findall(r"[^\n]*\n|[^\n]+", text)


def _as_written(cell: str) -> str:
    """Return a cell without the apostrophe that reports put before a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def _row(path: Path, line: int, cells: dict[str, str]) -> ReportRow:
    status, code, decision = cells["status"], cells["reject_code"], cells["decision"]
    judged = status == _SCREENED
    if (
        status not in (_SCREENED, _NOT_SCREENED)
        or decision not in tuple(Decision)
        or judged != (decision != Decision.NOT_SCREENED)
        or judged == bool(code)
        or judged != bool(cells["raw_score"])
    ):
        message = f"{path}: row {line}: status, decision, score and reject code contradict"
        raise PredictionsError(message, hint=_CHANGED)
    return ReportRow(
        line=line,
        source=cells["source"],
        frame=cells.get("frame", ""),
        decision=Decision(decision),
        score=_finite(path, line, "raw_score", cells["raw_score"]) if judged else None,
        reject_code=code,
        age_years=_age(path, line, cells.get("age_years", "")),
        cells=cells,
    )


def _age(path: Path, line: int, cell: str) -> float | None:
    if not cell:
        return None
    age = _finite(path, line, "age_years", cell)
    if not 0 <= age < _OLDEST_YEARS:
        message = f"{path}: row {line}: age_years is no age"
        raise PredictionsError(message, hint=_CHANGED)
    return age


def _finite(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        message = f"{path}: row {line}: {column} is not a finite number"
        raise PredictionsError(message, hint=_CHANGED)
    return value
