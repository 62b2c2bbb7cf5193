"""What operating points come to in a screening programme: rows, a table and a figure."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cxrscreen.calibration.calibration import Calibration, Scores
from cxrscreen.calibration.programme import Estimate, ProgrammeRow, programme
from cxrscreen.errors import CalibrationError
from cxrscreen.evaluation.study_figures import Expected, Programme, programme_figure
from cxrscreen.output import PROGRAMME_SOFTWARE, PROGRAMME_START, is_programme, new_file

#: Recalls on the calibration images that the figure shows.
_RECALLS: Final = (0.80, 0.85, 0.90, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)
_FIGURES: Final = (
    "recall",
    "specificity",
    "flagged",
    "missed",
    "false_alarms",
    "ppv",
    "npv",
    "number_needed_to_read",
)


def programme_of(
    calibration: Calibration, *, prevalence: float, per: int
) -> tuple[ProgrammeRow, ...]:
    """Return a row for each threshold of each operating point.

    Parameters
    ----------
    calibration
        With scores.
    prevalence
        Of pneumonia in the programme, between 0 and 1.
    per
        Number of images that counts are of.

    Raises
    ------
    CalibrationError
        The calibration keeps no scores, or a number is out of its range.
    """
    thresholds: dict[str, float] = {}
    for point in calibration.points:
        if point.lower_score is None:
            thresholds[point.name] = point.score
        else:
            thresholds[f"{point.name} (lower)"] = point.lower_score
            thresholds[f"{point.name} (upper)"] = point.score
    scores = _scores(calibration)
    return programme(
        scores.logits,
        scores.labels,
        scores.patients,
        thresholds=thresholds,
        prevalence=prevalence,
        per=per,
    )


def write_programme(
    calibration: Calibration,
    rows: tuple[ProgrammeRow, ...],
    *,
    table: Path,
    figure: Path,
    force: bool,
) -> None:
    """Write the rows as CSV, and what other thresholds would come to as a figure.

    Raises
    ------
    OutputError
        A file exists already or cannot be written.
    """
    # Both or neither: they are renamed when both are whole.
    with (
        new_file(figure, force=force, replaceable=is_programme) as picture,
        new_file(table, force=force, replaceable=is_programme) as temporary,
    ):
        # The suffix says what is drawn, and the temporary name has another.
        drawn = picture.with_suffix(".png")
        try:
            programme_figure(drawn, _sweep(calibration, rows[0]), software=PROGRAMME_SOFTWARE)
            drawn.replace(picture)
        finally:
            drawn.unlink(missing_ok=True)
        _write_table(temporary, rows)


def _write_table(path: Path, rows: Sequence[ProgrammeRow]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        start = PROGRAMME_START.decode().rstrip(",").split(",")
        limits = [f"{name}{end}" for name in _FIGURES for end in ("", "_low", "_high")]
        writer.writerow([*start, "score", *limits])
        for row in rows:
            cells = [_cell(value) for name in _FIGURES for value in _limits(getattr(row, name))]
            writer.writerow([row.name, f"{row.prevalence:g}", row.per, f"{row.score:.6f}", *cells])


def _sweep(calibration: Calibration, row: ProgrammeRow) -> Programme:
    """Return what the thresholds with which these shares of positives are found come to."""
    scores = _scores(calibration)
    found = np.sort(scores.logits[scores.labels == 1])
    places = {
        f"{recall:g}": float(found[int(np.floor((1.0 - recall) * found.size + 1e-9))])
        for recall in _RECALLS
    }
    swept = programme(
        scores.logits,
        scores.labels,
        scores.patients,
        thresholds=places,
        prevalence=row.prevalence,
        per=row.per,
    )
    return Programme(
        label="recall on the calibration images",
        places=[float(name) for name in places],
        lines=tuple(
            Expected(
                name=title,
                value=[_number(getattr(one, name).value) for one in swept],
                low=[getattr(one, name).low for one in swept],
                high=[_number(getattr(one, name).high) for one in swept],
            )
            for name, title in (
                ("flagged", "flagged"),
                ("missed", "missed"),
                ("false_alarms", "false alarms"),
            )
        ),
        per=row.per,
        prevalence=row.prevalence,
    )


def _scores(calibration: Calibration) -> Scores:
    if calibration.scores is None:
        message = f"{calibration.document.name} keeps no calibration scores"
        raise CalibrationError(message, hint="Calibrate it first.")
    return calibration.scores


def _limits(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
