"""From reports to a period, and from a truth file to what became of the positives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cxrscreen.drift.reference import HEADER_COLUMNS, REJECT_CODE, Identity, Period
from cxrscreen.errors import PredictionsError
from cxrscreen.reports.read import Report, ReportRow, guaranteed_recall, read_table
from cxrscreen.vocabulary import Decision, age_group

#: Column of the pseudonymous key that groups the images of one patient, where there is one.
PATIENT_KEY: Final = "patient_key"
_KEYS: Final = ("source", "sop_instance_uid")
_POINT: Final = ("operating_point", "threshold")
_LABELS: Final = {"0": False, "1": True}
_TRUTH_HINT: Final = "Its columns are label (0 or 1) and source or sop_instance_uid."


@dataclass(frozen=True, slots=True)
class Truth:
    """What a truth file says of reports.

    Attributes
    ----------
    missed
        Of each positive that was judged, one for each patient, in the order of the file:
        whether it was missed.
    positives, negatives
        Rows of the file by label.
    not_screened
        Positives that were not judged: neither found nor missed by the model.
    repeated
        Further positives of a patient who is counted already.
    known_flagged, known_unflagged
        Share of the flagged images, and of those judged negative, whose truth is known.
    sha256
        Hash of the file.
    """

    missed: tuple[bool, ...]
    positives: int
    negatives: int
    not_screened: int
    repeated: int
    known_flagged: float
    known_unflagged: float
    sha256: str

    @property
    def is_lopsided(self) -> bool:
        """Whether the truth of flagged images is known far more often than that of others."""
        return self.known_unflagged < self.known_flagged / 2


def period_of(reports: Sequence[Report]) -> Period:
    """Return the rows of reports as one period.

    Copies (``DUPLICATE``) are left out. Where reports have the column ``patient_key``, each
    patient counts once: with the first score, and in each column with the first row.

    Parameters
    ----------
    reports
        At least one, of the same model, preprocessing and engine.

    Returns
    -------
    Period
        Scores, counts and identity.

    Raises
    ------
    PredictionsError
        Reports differ in what made them, hold the same image, or nothing was screened.
    """
    name = ", ".join(str(report.path) for report in reports)
    identity = _common_identity(reports)
    _require_distinct(reports)
    every = [row for report in reports for row in report.rows]
    rows = [row for row in every if not row.is_duplicate]
    screened = [row for row in rows if row.score is not None]
    if not screened:
        message = f"{name}: no image was screened"
        raise PredictionsError(message, hint="Look at the reject codes of the report.")
    # A report of images without a header has the column, and no patient in it.
    known = any(row.cells.get(PATIENT_KEY) for row in rows) and all(
        PATIENT_KEY in report.columns for report in reports
    )
    first_rows, first_screened = _one_a_patient(rows), _one_a_patient(screened)
    counts: dict[str, Mapping[str, int]] = {
        REJECT_CODE: Counter(row.reject_code for row in first_rows)
    }
    for column in HEADER_COLUMNS:
        if column == "age_group":
            if all("age_years" in report.columns for report in reports):
                counts[column] = Counter(age_group(row.age_years) for row in first_screened)
        elif all(column in report.columns for report in reports):
            counts[column] = Counter(row.cells[column] for row in first_screened)
    return Period(
        name=name,
        scores=np.array([row.score for row in first_screened], dtype=np.float64),
        counts=counts,
        identity=identity,
        rows=len(every),
        duplicates=len(every) - len(rows),
        patients=len(first_rows) if known else None,
        recall_floor=_common_floor(reports),
    )


def read_truth(path: Path, reports: Sequence[Report]) -> Truth:
    """Read what became of images, and whether the reports had flagged them.

    Parameters
    ----------
    path
        CSV with ``label`` (0 or 1) and ``source`` or ``sop_instance_uid``, and ``frame`` where
        objects of several frames were screened.
    reports
        Where the images are.

    Returns
    -------
    Truth
        Found and missed positives, in the order of the file.

    Raises
    ------
    InputNotFoundError
        The file is not there or cannot be read.
    PredictionsError
        It is no such table, a label is neither 0 nor 1, an image is there twice or is in no
        report, or in more than one row of them, or they were judged at several points.
    """
    columns, records, sha256 = read_table(
        path, needs=("label",), hint=_TRUTH_HINT, what="truth file"
    )
    key = next((name for name in _KEYS if name in columns), None)
    if key is None:
        message = f"{path}: is no truth file: it has neither source nor sop_instance_uid"
        raise PredictionsError(message, hint=_TRUTH_HINT)
    if not records:
        message = f"{path}: the truth file has no row"
        raise PredictionsError(message, hint=_TRUTH_HINT)
    index = _index(reports, key)
    seen: dict[tuple[str, str], int] = {}
    pairs: list[tuple[ReportRow, bool]] = []
    for line, cells in records:
        name = (cells[key], cells.get("frame", ""))
        label = _LABELS.get(cells["label"].strip())
        if label is None:
            message = f"{path}: row {line}: the label is neither 0 nor 1"
            raise PredictionsError(message, hint="Leave out images whose truth is not known.")
        if not name[0]:
            message = f"{path}: row {line}: {key} is empty"
            raise PredictionsError(message, hint=_TRUTH_HINT)
        if name in seen:
            message = f"{path}: rows {seen[name]} and {line} name the same image"
            raise PredictionsError(message, hint="Give each image once.")
        seen[name] = line
        rows = index.get(name, [])
        if len(rows) != 1:
            where = "in no row" if not rows else f"in {len(rows)} rows"
            message = f"{path}: row {line}: its {key} is {where} of the reports"
            hint = "Give all reports that the truth is about, and frame where images have frames."
            raise PredictionsError(message, hint=hint)
        pairs.append((rows[0], label))
    _require_one_point(path, [row for row, _ in pairs if row.score is not None])
    return _truth(pairs, reports, sha256)


def _truth(
    pairs: Iterable[tuple[ReportRow, bool]], reports: Sequence[Report], sha256: str
) -> Truth:
    missed: list[bool] = []
    patients: set[str] = set()
    labels: Counter[bool] = Counter()
    known: Counter[Decision] = Counter()
    not_screened = repeated = 0
    for row, label in pairs:
        labels[label] += 1
        known[row.decision] += 1
        if not label:
            continue
        patient = row.cells.get(PATIENT_KEY, "")
        if row.score is None:
            not_screened += 1
        elif patient and patient in patients:
            repeated += 1
        else:
            patients.add(patient)
            missed.append(row.decision is Decision.NEGATIVE)
    decisions = Counter(row.decision for report in reports for row in report.rows)
    flagged = (Decision.POSITIVE, Decision.INDETERMINATE)
    all_flagged = sum(decisions[one] for one in flagged)
    return Truth(
        missed=tuple(missed),
        positives=labels[True],
        negatives=labels[False],
        not_screened=not_screened,
        repeated=repeated,
        known_flagged=sum(known[one] for one in flagged) / max(1, all_flagged),
        known_unflagged=known[Decision.NEGATIVE] / max(1, decisions[Decision.NEGATIVE]),
        sha256=sha256,
    )


def _require_one_point(path: Path, rows: Iterable[ReportRow]) -> None:
    points = {tuple(row.cells.get(name, "") for name in _POINT) for row in rows}
    if len(points) > 1:
        message = f"{path}: its images were judged at {len(points)} operating points"
        hint = "A recall belongs to one of them: watch the reports of each by themselves."
        raise PredictionsError(message, hint=hint)


def _index(reports: Sequence[Report], key: str) -> dict[tuple[str, str], list[ReportRow]]:
    index: dict[tuple[str, str], list[ReportRow]] = {}
    for report in reports:
        if key not in report.columns:
            message = f"{report.path}: has no column {key}, by which the truth names images"
            raise PredictionsError(message, hint=_TRUTH_HINT)
        for row in report.rows:
            index.setdefault((row.cells[key], row.frame), []).append(row)
    # A copy has the UID of its original, which holds the decision.
    return {
        name: [row for row in rows if not row.is_duplicate] or rows for name, rows in index.items()
    }


def _common_identity(reports: Sequence[Report]) -> Identity:
    identities = [
        Identity(
            model=report.the_only("model"),
            preprocessing=report.the_only("preprocessing"),
            engine=report.the_only("engine"),
            bundle_sha256=report.the_only("bundle_sha256"),
        )
        for report in reports
    ]
    for report, identity in zip(reports, identities, strict=True):
        differing = identities[0].differences(identity)
        if differing:
            other = reports[0].path
            message = f"{report.path} was made with another {', '.join(differing)} than {other}"
            raise PredictionsError(message, hint="Compare the reports of one model at a time.")
    return identities[0]


def _common_floor(reports: Sequence[Report]) -> float | None:
    """Return the recall that all rows of all reports are guaranteed."""
    cells = {
        row.cells.get("guarantee", "")
        for report in reports
        for row in report.rows
        if row.score is not None
    }
    floors = {guaranteed_recall(cell) for cell in cells}
    return floors.pop() if len(floors) == 1 else None


def _require_distinct(reports: Sequence[Report]) -> None:
    seen: dict[tuple[str, ...], Report] = {}
    for report in reports:
        for row in report.rows:
            if row.score is None:
                continue
            # A path may be used again every month: the same image has the same score too.
            uid = row.cells.get("sop_instance_uid", "")
            image = (row.source, row.frame, uid, row.cells["raw_score"])
            if image in seen:
                other = seen[image].path
                message = f"{report.path}: row {row.line} is an image that {other} has a row of"
                raise PredictionsError(message, hint="Give each report and each image once.")
            seen[image] = report


def _one_a_patient(rows: Iterable[ReportRow]) -> list[ReportRow]:
    chosen: list[ReportRow] = []
    patients: set[str] = set()
    for row in rows:
        patient = row.cells.get(PATIENT_KEY, "")
        if patient and patient in patients:
            continue
        patients.add(patient)
        chosen.append(row)
    return chosen
