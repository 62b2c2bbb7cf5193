"""The console table of a run: flagged first, then counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cxrscreen.errors import printable
from cxrscreen.records import OperatingPoint, RunSummary
from cxrscreen.reports.table import Cell
from cxrscreen.vocabulary import REJECT_MEANING, Decision

_STYLE = {
    Decision.POSITIVE: "bold red",
    Decision.NEGATIVE: "green",
    Decision.INDETERMINATE: "yellow",
    Decision.NOT_SCREENED: "magenta",
}
_FLAGGED = (Decision.POSITIVE, Decision.INDETERMINATE)
#: Flagged images shown on the console; the report holds all of them.
MAX_FLAGGED = 20


@dataclass(frozen=True, slots=True)
class FlaggedImage:
    """What the console says of an image that is flagged for reading."""

    image: str
    decision: Decision
    probability: float
    view: str
    age_years: float | None
    warnings: int

    @classmethod
    def of(cls, cells: Mapping[str, Cell], *, warnings: int) -> Self:
        """Return it for a row of the report, and the number of its warnings."""
        frame, age = cells["frame"], cells["age_years"]
        return cls(
            image=f"{cells['source']} frame {frame}" if frame else str(cells["source"]),
            decision=Decision(str(cells["decision"])),
            probability=float(cells["probability"] or 0.0),
            view=str(cells["view"]),
            age_years=None if age is None else float(age),
            warnings=warnings,
        )


def print_run(
    console: Console,
    flagged: Sequence[FlaggedImage],
    summary: RunSummary,
    *,
    bundle: str,
    point: OperatingPoint,
) -> None:
    """Print flagged images, the most urgent first, then counts by decision and code.

    Parameters
    ----------
    console
        Where to print.
    flagged
        The most urgent images, in that order; up to :data:`MAX_FLAGGED` are shown.
    summary
        The counts.
    bundle
        Name of the bundle.
    point
        The operating point of the decisions.
    """
    parts: list[RenderableType] = []
    if flagged:
        shown = flagged[:MAX_FLAGGED]
        parts.append(_flagged_table(shown))
        everything = sum(summary.by_decision.get(decision, 0) for decision in _FLAGGED)
        hidden = everything - len(shown)
        if hidden > 0:
            parts.append(Text(f"... and {hidden} more flagged, all in the report", style="dim"))
    parts.append(_decision_table(summary))
    if summary.not_screened:
        parts.append(_reject_table(summary))
    rate = summary.inputs / summary.seconds if summary.seconds > 0 else 0.0
    parts.append(
        Text(
            f"{bundle}, operating point {point.name}: {_thresholds(point)}. "
            f"Guaranteed: {point.guarantee()}.\n"
            f"{summary.inputs} inputs in {summary.seconds:.1f} s, {rate:.1f} a second",
            style="dim",
        )
    )
    console.print(Group(*parts))


def _thresholds(point: OperatingPoint) -> str:
    positive = f"positive from {point.threshold:.4g}"
    if point.lower_threshold is None:
        return positive
    return f"{positive}, indeterminate from {point.lower_threshold:.4g}"


def _flagged_table(images: Sequence[FlaggedImage]) -> Table:
    table = Table(title="Flagged for reading", title_justify="left", title_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("probability", justify="right")
    table.add_column("view")
    table.add_column("age", justify="right")
    table.add_column("!", justify="right", header_style="bold")
    for image in images:
        age = image.age_years
        table.add_row(
            escape(printable(image.image)),
            Text(f"{image.probability:.3f}", style=_STYLE[image.decision]),
            image.view.lower(),
            "?" if age is None else f"{age:.0f}",
            str(image.warnings or ""),
        )
    table.caption = "! = number of warnings on the row, spelled out in the report"
    table.caption_justify = "left"
    return table


def _decision_table(summary: RunSummary) -> Table:
    table = Table(title="Decisions", title_justify="left", title_style="bold")
    table.add_column("decision")
    table.add_column("inputs", justify="right")
    for decision in Decision:
        count = summary.by_decision.get(decision, 0)
        if count or decision is not Decision.INDETERMINATE:
            table.add_row(Text(decision.value, style=_STYLE[decision]), str(count))
    table.add_section()
    table.add_row("all inputs", str(summary.inputs))
    return table


def _reject_table(summary: RunSummary) -> Table:
    table = Table(title="Not screened, by reason", title_justify="left", title_style="bold")
    table.add_column("reject code", no_wrap=True)
    table.add_column("inputs", justify="right")
    table.add_column("meaning")
    for code, count in sorted(summary.by_reject_code.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(code.value, str(count), REJECT_MEANING[code])
    return table
