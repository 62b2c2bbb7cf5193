"""The console table of a run: flagged first, then counts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cxrscreen.errors import printable
from cxrscreen.records import OperatingPoint, RunSummary, ScreenRow
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


def print_run(
    console: Console,
    rows: Sequence[ScreenRow],
    summary: RunSummary,
    *,
    bundle: str,
    point: OperatingPoint,
) -> None:
    """Print flagged images, highest probability first, then counts by decision and code.

    Parameters
    ----------
    console
        Where to print.
    rows
        The flagged rows, in any order, or as many of them as :func:`most_urgent` keeps.
    summary
        The counts.
    bundle
        Name of the bundle.
    point
        The operating point of the decisions.
    """
    parts: list[RenderableType] = []
    if rows:
        shown = most_urgent(rows)
        parts.append(_flagged_table(shown))
        flagged = sum(summary.by_decision.get(decision, 0) for decision in _FLAGGED)
        hidden = flagged - len(shown)
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


def is_flagged(row: ScreenRow) -> bool:
    """Return whether a row belongs on top: positive, or not safely negative."""
    return row.decision in _FLAGGED


def most_urgent(rows: Iterable[ScreenRow]) -> list[ScreenRow]:
    """Return the flagged rows that the console shows, highest probability first."""
    return heapq.nlargest(
        MAX_FLAGGED, rows, key=lambda row: row.prediction.probability if row.prediction else 0.0
    )


def _flagged_table(rows: Sequence[ScreenRow]) -> Table:
    table = Table(title="Flagged for reading", title_justify="left", title_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("probability", justify="right")
    table.add_column("view")
    table.add_column("age", justify="right")
    table.add_column("!", justify="right", header_style="bold")
    for row in rows:
        age = row.record.age_years
        table.add_row(
            escape(printable(str(row.record.source))),
            Text(
                f"{row.prediction.probability:.3f}" if row.prediction else "",
                style=_STYLE[row.decision],
            ),
            row.record.view.value.lower(),
            "?" if age is None else f"{age:.0f}",
            str(len(row.warnings) or ""),
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
