"""The report: one row per input, in columns that scripts may rely on."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.records import OperatingPoint, ScreenRow

#: A cell that starts with one of these would be run as a formula by a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_SEPARATOR = "; "


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is the same for every row of a run."""

    bundle: str
    bundle_sha256: str
    calibration: Calibration
    point: OperatingPoint
    version: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the report: its name, its meaning, and where its value comes from."""

    name: str
    meaning: str
    value: Callable[[ScreenRow, RunFacts], str]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _probability(row: ScreenRow) -> float | None:
    return None if row.prediction is None else row.prediction.probability


def _logit(row: ScreenRow) -> float | None:
    return None if row.prediction is None else row.prediction.logit


#: Every column, in order. ``docs/report-columns.md`` is checked against it.
COLUMNS: tuple[Column, ...] = (
    Column(
        "source",
        "Path of the input; of a member of an archive, `ARCHIVE!MEMBER`.",
        lambda row, _: row.record.source.location,
    ),
    Column(
        "status",
        "`SCREENED` or `NOT_SCREENED`.",
        lambda row, _: "SCREENED" if row.prediction else "NOT_SCREENED",
    ),
    Column(
        "decision",
        "`POSITIVE`, `NEGATIVE`, `INDETERMINATE` or `NOT_SCREENED`.",
        lambda row, _: row.decision.value,
    ),
    Column(
        "probability",
        "Probability of pneumonia, 0 to 1; empty if not screened.",
        lambda row, _: _number(_probability(row), 6),
    ),
    Column(
        "raw_score",
        "The model's logit, before it becomes a probability.",
        lambda row, _: _number(_logit(row), 6),
    ),
    Column(
        "threshold",
        "Probability from which the image is `POSITIVE`.",
        lambda row, run: _number(run.point.threshold, 6) if row.prediction else "",
    ),
    Column(
        "lower_threshold",
        "Of an operating point with two thresholds, the probability from which the image is "
        "`INDETERMINATE`.",
        lambda row, run: _number(run.point.lower_threshold, 6) if row.prediction else "",
    ),
    Column(
        "operating_point",
        "Name of the operating point that the threshold belongs to.",
        lambda row, run: run.point.name if row.prediction else "",
    ),
    Column(
        "guarantee",
        "What is guaranteed at the operating point, for images like those of the calibration; "
        "`none` if it was only chosen.",
        lambda row, run: run.point.guarantee() if row.prediction else "",
    ),
    Column(
        "duplicate_of",
        "Of a `DUPLICATE`, where the same image was found before: that row has the decision.",
        lambda row, _: row.duplicate_of,
    ),
    Column(
        "reject_code",
        "Why the input was not screened, as a code.",
        lambda row, _: row.admission.code.value if row.admission.code else "",
    ),
    Column(
        "reject_reason",
        "The same as a sentence with the value that led to it.",
        lambda row, _: row.admission.reason,
    ),
    Column(
        "warnings",
        "What had to be assumed, separated by semicolons.",
        lambda row, _: _SEPARATOR.join(row.warnings),
    ),
    Column(
        "kind", "`DICOM`, `JPEG`, `PNG`, `TIFF` or `OTHER`.", lambda row, _: row.record.kind.value
    ),
    Column("modality", "DICOM Modality.", lambda row, _: row.record.modality),
    Column("body_part", "DICOM BodyPartExamined.", lambda row, _: row.record.body_part),
    Column("view", "Projection as far as the header tells.", lambda row, _: row.record.view.value),
    Column(
        "age_years",
        "Age at the study in years; empty if not known.",
        lambda row, _: _number(row.record.age_years, 2),
    ),
    Column("sex", "DICOM PatientSex.", lambda row, _: row.record.sex),
    Column("manufacturer", "DICOM Manufacturer.", lambda row, _: row.record.manufacturer),
    Column("study_instance_uid", "Study.", lambda row, _: row.record.study_instance_uid),
    Column("series_instance_uid", "Series.", lambda row, _: row.record.series_instance_uid),
    Column("sop_instance_uid", "Image.", lambda row, _: row.record.sop_instance_uid),
    Column(
        "frame",
        "Number of the frame, from 1; empty for an object of one frame.",
        lambda row, _: str(row.record.source.frame or ""),
    ),
    Column("bundle", "Name of the model bundle.", lambda _, run: run.bundle),
    Column("bundle_sha256", "Hash of the whole bundle.", lambda _, run: run.bundle_sha256),
    Column(
        "model",
        "Fingerprint of architecture and weights.",
        lambda _, run: run.point.model,
    ),
    Column(
        "preprocessing",
        "Fingerprint of the deterministic transform.",
        lambda _, run: run.point.preprocessing,
    ),
    Column("engine", "Runtime and arithmetic.", lambda _, run: run.point.engine),
    Column(
        "calibration",
        "SHA-256 of the calibration, the bundle's own or the site's.",
        lambda _, run: run.calibration.sha256,
    ),
    Column(
        "prevalence",
        "Prevalence that the probability was adjusted to; empty if it is that of the calibration.",
        lambda _, run: _number(run.calibration.document.site_prevalence, 6),
    ),
    Column("cxrscreen_version", "Version of cxrscreen.", lambda _, run: run.version),
    Column("seconds", "Time spent on this input.", lambda row, _: _number(row.seconds, 3)),
)


def write_csv(path: Path, rows: Iterable[ScreenRow], facts: RunFacts) -> None:
    """Write the report as CSV (RFC 4180, UTF-8, a header line).

    Cells that a spreadsheet would run as formulas are preceded by an apostrophe; numbers
    are left alone.
    """
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow([column.name for column in COLUMNS])
        for row in rows:
            writer.writerow([_defused(column.value(row, facts)) for column in COLUMNS])


def _defused(cell: str) -> str:
    if not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
