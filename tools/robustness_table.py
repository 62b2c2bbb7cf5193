"""The tables of the shift benchmark, several models side by side, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from cxrscreen.errors import OutputError
from cxrscreen.training.shift_table import (
    ConditionFigures,
    Figures,
    by_family,
    overall,
)
from cxrscreen.training.shifts import DIAGNOSTIC

#: Between these lines of a page stand the tables.
BEGIN: Final = "<!-- shift benchmark: written by tools/robustness.py, do not edit -->"
END: Final = "<!-- end of the shift benchmark -->"


@dataclass(frozen=True, slots=True)
class Column:
    """One model in the tables.

    Attributes
    ----------
    rows
        Its figures; all models have the same conditions in the same order.
    caption
        What it is and what it has judged, in a sentence.
    """

    rows: Sequence[ConditionFigures]
    caption: str


def tables(columns: Sequence[Column]) -> str:
    """Return the table of shifts, that of the diagnostics, and that of the series.

    What is lowest in its family and column is bold in the first.
    """
    parts = [_shifts(columns), _diagnostics(columns), _series(columns)]
    captions = [
        f"{f'({number}) ' if len(columns) > 1 else ''}{column.caption}  "
        for number, column in enumerate(columns, start=1)
    ]
    return "\n\n".join([*(part for part in parts if part), "\n".join(captions)]) + "\n"


def with_tables(path: Path, text: str) -> str:
    """Return a page with these tables between its markers, in place of those that stand there.

    Raises
    ------
    OutputError
        The page cannot be read, or lacks the markers.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read"
        raise OutputError(message, hint="Give a Markdown page.") from error
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{path}: has no place for the tables"
        raise OutputError(message, hint=f"Put {BEGIN} and {END} there, a line each.")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def _shifts(columns: Sequence[Column]) -> str:
    heads = [name for number, one in _numbered(columns) for name in _heads(one, number)]
    lines = [["condition", *heads], ["---"] * (1 + len(heads))]
    summaries = [by_family(column.rows) for column in columns]
    indices = [i for i, row in enumerate(columns[0].rows) if row.family != DIAGNOSTIC]
    for family, group in groupby(indices, lambda index: columns[0].rows[index].family):
        members = list(group)
        worst = _cells([summary[family].worst for summary in summaries])
        cells = [_cells([one.rows[index].figures for one in columns]) for index in members]
        for index, values in zip(members, cells, strict=True):
            # Where all of a column are equal, none is the lowest.
            bold = [
                value == low and any(other[place] != low for other in cells)
                for place, (value, low) in enumerate(zip(values, worst, strict=True))
            ]
            shown = [f"**{v}**" if b else v for v, b in zip(values, bold, strict=True)]
            lines.append([columns[0].rows[index].name, *shown])
        if len(members) > 1:
            name = family.replace("_", " ")
            mean = _cells([summary[family].mean for summary in summaries])
            lines += [_italic(f"{name}: mean", mean), _italic(f"{name}: worst", worst)]
    every = [overall(column.rows) for column in columns]
    lines.append(_italic("all: mean", _cells([one.mean for one in every])))
    lines.append(_italic("all: worst", _cells([one.worst for one in every])))
    return _markdown(lines)


def _diagnostics(columns: Sequence[Column]) -> str:
    names = [row.name for row in columns[0].rows if row.family == DIAGNOSTIC]
    if not names:
        return ""
    heads = [f"AUC{number}" for number, _ in _numbered(columns)]
    lines = [["what is left of the image", *heads], ["---"] * (1 + len(heads))]
    for name in names:
        shown = [_of(one.rows, name) for one in columns]
        lines.append([name, *(f"{figures.auc:.3f}" for figures in shown)])
    return _markdown(lines)


def _series(columns: Sequence[Column]) -> str:
    first = columns[0].rows[0].figures.pairs
    if not first:
        return ""
    every = [overall(column.rows) for column in columns]
    takes: list[tuple[str, Callable[[int], Figures]]] = [
        ("clean", lambda place: _of(columns[place].rows, "clean")),
        ("mean", lambda place: every[place].mean),
        ("worst", lambda place: every[place].worst),
    ]
    heads = [f"{name}{number}" for number, _ in _numbered(columns) for name, _ in takes]
    lines = [["AUC of", *heads], ["---"] * (1 + len(heads))]
    for index, pair in enumerate(first):
        values = [
            f"{take(place).pairs[index].auc:.3f}"
            for place in range(len(columns))
            for _, take in takes
        ]
        lines.append([f"{pair.normal} against {pair.pneumonia}", *values])
    return _markdown(lines)


def _of(rows: Sequence[ConditionFigures], name: str) -> Figures:
    return next(row.figures for row in rows if row.name == name)


def _numbered(columns: Sequence[Column]) -> list[tuple[str, Column]]:
    several = len(columns) > 1
    return [(f" ({i})" if several else "", one) for i, one in enumerate(columns, start=1)]


def _heads(column: Column, number: str) -> list[str]:
    names = [point.point for point in column.rows[0].figures.points]
    both = [f"{what} at {name}{number}" for name in names for what in ("recall", "specificity")]
    return [f"AUC{number}", *both]


def _cells(figures: Sequence[Figures]) -> list[str]:
    return [
        f"{value:.3f}"
        for one in figures
        for value in (
            one.auc,
            *(share for point in one.points for share in (point.recall, point.specificity)),
        )
    ]


def _italic(name: str, cells: Sequence[str]) -> list[str]:
    return [f"*{cell}*" for cell in (name, *cells)]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
