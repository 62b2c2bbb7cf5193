"""What a calibration came to, for the console."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.fit import FittedCalibrator
from cxrscreen.calibration.programme import Estimate, ProgrammeRow
from cxrscreen.errors import printable


def calibration_lines(calibration: Calibration, fitted: FittedCalibrator) -> tuple[str, ...]:
    """Return the sentences above the tables: on what was fitted, and how."""
    document = calibration.document
    lines = []
    if document.data is not None:
        data = document.data
        lines.append(
            f"{document.name}: {data.images:,} images of {data.patients:,} patients, "
            f"{data.positives:,} with pneumonia; {data.not_screened:,} not screened"
        )
    adjusted = ""
    if document.site_prevalence is not None:
        adjusted = f"; adjusted to a prevalence of {document.site_prevalence:g}"
    lines.append(f"probabilities: {fitted.reason}{adjusted}")
    return tuple(lines)


def points_table(calibration: Calibration) -> Table:
    """Return the operating points with their figures on the calibration images."""
    table = Table(title="Operating points", title_justify="left", title_style="bold")
    table.add_column("name", no_wrap=True)
    for name in ("positive from", "recall", "specificity", "flagged"):
        table.add_column(name, justify="right")
    table.add_column("guaranteed")
    for point, document in zip(
        calibration.points, calibration.document.operating_points, strict=True
    ):
        figures = document.figures
        shares = (
            [figures.recall, figures.specificity, figures.flag_rate]
            if figures is not None
            else [None, None, None]
        )
        threshold = f"{point.threshold:.4g}"
        if point.lower_threshold is not None:
            threshold = f"{threshold}\nindeterminate from {point.lower_threshold:.4g}"
        table.add_row(
            Text(printable(point.name)),
            threshold,
            *(_share(share) for share in shares),
            point.guarantee(),
        )
    table.caption = "the first is the default; limits of 95%, on the calibration images"
    table.caption_justify = "left"
    return table


def programme_table(rows: tuple[ProgrammeRow, ...]) -> Table:
    """Return what each operating point comes to in a programme."""
    first = rows[0]
    table = Table(
        title=f"Of {first.per:,} images at a prevalence of {first.prevalence:g}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("operating point", no_wrap=True)
    for name in ("flagged", "missed", "false alarms", "PPV", "NPV", "read per case"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(printable(row.name)),
            *(
                _estimate(estimate, digits)
                for estimate, digits in (
                    (row.flagged, 1),
                    (row.missed, 2),
                    (row.false_alarms, 1),
                    (row.ppv, 3),
                    (row.npv, 4),
                    (row.number_needed_to_read, 2),
                )
            ),
        )
    return table


def _share(share: tuple[float, float, float] | None) -> str:
    return "" if share is None else f"{share[0]:.3f}\n{share[1]:.3f} to {share[2]:.3f}"


def _estimate(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "-"
    high = "∞" if estimate.high is None else f"{estimate.high:.{digits}f}"
    return f"{estimate.value:.{digits}f}\n{estimate.low:.{digits}f} to {high}"
