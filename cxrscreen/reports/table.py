"""The columns of the report, and the cells of a row: one row per input, for scripts to rely on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.records import OperatingPoint, ScreenRow
from cxrscreen.reports.privacy import Privacy
from cxrscreen.vocabulary import Phi

#: What stands in a cell; ``None`` where there is nothing to say.
Cell = str | int | float | None
#: A text that starts with one of these would be run as a formula by a spreadsheet.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SEPARATOR: Final = "; "
#: Column that is filled when all rows of a run are known.
PRIORITY_RANK: Final = "priority_rank"
#: Column that is filled when maps are made.
MAP: Final = "map"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is the same for every row of a run."""

    bundle: str
    bundle_sha256: str
    calibration: Calibration
    point: OperatingPoint
    version: str
    privacy: Privacy


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the report.

    Attributes
    ----------
    name, meaning
        As the report and its documentation have them.
    value
        Where a cell comes from.
    digits
        Of a number, the decimals that every format keeps; ``None`` for other columns.
    is_integer
        Whether its cells are whole numbers.
    """

    name: str
    meaning: str
    value: Callable[[ScreenRow, RunFacts], Cell]
    digits: int | None = None
    is_integer: bool = False


def _probability(row: ScreenRow) -> float | None:
    return None if row.prediction is None else row.prediction.probability


def _logit(row: ScreenRow) -> float | None:
    return None if row.prediction is None else row.prediction.logit


#: Every column, in order. ``docs/report-columns.md`` is checked against it.
COLUMNS: tuple[Column, ...] = (
    Column(
        "source",
        "Path of the input; of a member of an archive, `ARCHIVE!MEMBER`. With `--phi none`, "
        "a keyed hash of it.",
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
        lambda row, _: _probability(row),
        digits=6,
    ),
    Column(
        "raw_score",
        "The model's logit, before it becomes a probability.",
        lambda row, _: _logit(row),
        digits=6,
    ),
    Column(
        PRIORITY_RANK,
        "Place on the worklist, from 1: `POSITIVE`, `INDETERMINATE`, `NOT_SCREENED`, `NEGATIVE`, "
        "each by descending raw score, then in the order found; copies (`DUPLICATE`) last.",
        lambda _row, _run: None,
        is_integer=True,
    ),
    Column(
        "threshold",
        "Probability from which the image is `POSITIVE`.",
        lambda row, run: run.point.threshold if row.prediction else None,
        digits=6,
    ),
    Column(
        "lower_threshold",
        "Of an operating point with two thresholds, the probability from which the image is "
        "`INDETERMINATE`.",
        lambda row, run: run.point.lower_threshold if row.prediction else None,
        digits=6,
    ),
    Column(
        "operating_point",
        "Name of the operating point that the threshold belongs to.",
        lambda row, run: run.point.name if row.prediction else None,
    ),
    Column(
        "guarantee",
        "What is guaranteed at the operating point, for images like those of the calibration; "
        "`none` if it was only chosen.",
        lambda row, run: run.point.guarantee() if row.prediction else None,
    ),
    Column(
        "duplicate_of",
        "Of a `DUPLICATE`, where the same image was found before: that row has the decision.",
        lambda row, _: row.duplicate_of,
    ),
    Column(
        "reject_code",
        "Why the input was not screened, as a code.",
        lambda row, _: row.admission.code.value if row.admission.code else None,
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
        MAP,
        "Name of the picture of the activation map in the folder of `--maps`; empty if there is "
        "none.",
        lambda _row, _run: None,
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
        lambda row, _: row.record.age_years,
        digits=2,
    ),
    Column("sex", "DICOM PatientSex.", lambda row, _: row.record.sex),
    Column("manufacturer", "DICOM Manufacturer.", lambda row, _: row.record.manufacturer),
    Column(
        "study_instance_uid",
        "DICOM StudyInstanceUID; with `--phi none`, a keyed hash.",
        lambda row, _: row.record.study_instance_uid,
    ),
    Column(
        "series_instance_uid",
        "DICOM SeriesInstanceUID, likewise.",
        lambda row, _: row.record.series_instance_uid,
    ),
    Column(
        "sop_instance_uid",
        "DICOM SOPInstanceUID, likewise.",
        lambda row, _: row.record.sop_instance_uid,
    ),
    Column(
        "patient_key",
        "Pseudonym that groups the images of one patient: keyed hash of PatientID and its issuer; "
        "empty without a PatientID.",
        lambda row, _: row.record.patient_key,
    ),
    Column(
        "accession_key",
        "Pseudonym that groups the images of one order: keyed hash of AccessionNumber; empty "
        "without one.",
        lambda row, _: row.record.accession_key,
    ),
    Column(
        "frame",
        "Number of the frame, from 1; empty for an object of one frame.",
        lambda row, _: row.record.source.frame or None,
        is_integer=True,
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
        lambda _, run: run.calibration.document.site_prevalence,
        digits=6,
    ),
    Column("cxrscreen_version", "Version of cxrscreen.", lambda _, run: run.version),
    Column("seconds", "Time spent on this input.", lambda row, _: row.seconds, digits=3),
)


#: Columns that only a report with ``--phi full`` has, after the others.
IDENTITY_COLUMNS: tuple[Column, ...] = (
    Column("patient_id", "DICOM PatientID.", lambda row, _: row.record.identity.patient_id),
    Column("patient_name", "DICOM PatientName.", lambda row, _: row.record.identity.patient_name),
    Column(
        "accession_number",
        "DICOM AccessionNumber.",
        lambda row, _: row.record.identity.accession_number,
    ),
)


def columns_of(phi: Phi) -> tuple[Column, ...]:
    """Return the columns of a report that tells so much of patients."""
    return (*COLUMNS, *IDENTITY_COLUMNS) if phi is Phi.FULL else COLUMNS


def report_cells(row: ScreenRow, facts: RunFacts) -> dict[str, Cell]:
    """Return what the report says of an image.

    Parameters
    ----------
    row
        The image, what was decided and why.
    facts
        Of the run.

    Returns
    -------
    dict of str to Cell
        A cell for each column, in their order: text, a whole number, or a number that is
        rounded as every format shows it. ``None`` where there is nothing to say, and in
        ``priority_rank``, which the journal fills when all rows are there. The cells
        survive JSON unchanged, and hold no more of the patient than the report may.
    """
    shown = facts.privacy.shown(row)
    return {
        column.name: _cell(column, column.value(shown, facts))
        for column in columns_of(facts.privacy.phi)
    }


def _cell(column: Column, value: Cell) -> Cell:
    if isinstance(value, float) and column.digits is not None:
        # Adding zero turns -0.0, which some formats keep and others do not, into 0.0.
        return round(value, column.digits) + 0.0
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str | None:
    r"""Return text that every format can hold: bytes of a name that are no text as ``\xNN``."""
    if value.isascii():
        return value or None
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
