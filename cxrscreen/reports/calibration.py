"""What a calibration came to, for the console."""

from __future__ import annotations

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.fit import FittedCalibrator
from cxrscreen.calibration.programme import Estimate, ProgrammeRow
from cxrscreen.errors import printable

_TEN: Final = 10


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
    table = _table("Operating points, on the calibration images")
    table.add_column("name", overflow="fold")
    for name in ("positive from", "recall", "specificity", "flagged"):
        table.add_column(name, justify="right", no_wrap=True)
    for point, document in zip(
        calibration.points, calibration.document.operating_points, strict=True
    ):
        figures = document.figures
        shares = (
            ["", "", ""]
            if figures is None
            else [_share(each) for each in (figures.recall, figures.specificity, figures.flag_rate)]
        )
        threshold = f"{point.threshold:.4g}"
        if point.lower_threshold is not None:
            threshold = f"{threshold}\n({point.lower_threshold:.4g})"
        table.add_row(Text(printable(point.name)), threshold, *shares)
    table.caption = "the first is the default; intervals of 95%"
    if any(point.lower_threshold is not None for point in calibration.points):
        table.caption += (
            "; in brackets: indeterminate from. An indeterminate image counts as found and as "
            "flagged, and as no false alarm"
        )
    return table


def programme_table(rows: tuple[ProgrammeRow, ...]) -> Table:
    """Return what each operating point comes to in a programme."""
    first = rows[0]
    table = _table(f"Of {first.per:,} images at a prevalence of {first.prevalence:g}")
    # Eight columns of intervals: a terminal of 80 has room for nothing else.
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    table.add_column("operating point", overflow="fold", min_width=13)
    for name in ("flagged", "missed", "false\nalarms", "PPV", "NPV", "read\nper case"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        counts = (row.flagged, row.missed, row.false_alarms)
        table.add_row(
            Text(printable(row.name)),
            *(_estimate(each) for each in counts),
            _estimate(row.ppv, digits=2),
            _estimate(row.npv, digits=3),
            _estimate(row.number_needed_to_read),
        )
    table.caption = "intervals of 95%; the prevalence is taken as known"
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=SIMPLE_HEAD,
    )


def _share(share: tuple[float, float, float]) -> str:
    return f"{share[0]:.3f}\n{share[1]:.3f}–{share[2]:.3f}"


def _estimate(estimate: Estimate, *, digits: int | None = None) -> str:
    """Return a figure above its interval, rounded to what a reader can use."""
    if estimate.value is None:
        return "-"
    low, high = _rounded(estimate.low, digits), _rounded(estimate.high, digits)
    return f"{_rounded(estimate.value, digits)}\n{low}–{high}"


def _rounded(value: float | None, digits: int | None) -> str:
    if value is None:
        return "∞"
    if digits is None:
        digits = 0 if value >= _TEN else 2
    return f"{value:.{digits}f}"
