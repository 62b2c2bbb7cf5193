"""An evaluation as Markdown, as rows of a CSV, and as tables for the console."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cxrscreen.errors import printable

#: Columns of :func:`csv_rows`, which scripts may rely on.
CSV_COLUMNS: Final = (
    "section",
    "group",
    "metric",
    "value",
    "low",
    "high",
    "count",
    "method",
    "note",
)
#: A cell without a value: the metric is not defined, or the group says too little.
_EMPTY: Final = "–"
#: What Markdown takes for more than text. Entities where not every Markdown knows the backslash.
_ENTITIES: Final = re.compile(r"[<>&`~$\\]")
_BACKSLASHED: Final = re.compile(r"[*{}\[\]|]|(?<![^\W_])_|_(?![^\W_])")
_LINE_START: Final = re.compile(r"^(\d*)([-+#.)])")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One number with its interval.

    Attributes
    ----------
    title
        Such as ``recall (sensitivity)``.
    value
        ``None`` where it is not defined.
    low, high
        Limits of its interval; ``None`` where there is none.
    count_text
        What it counts, such as ``528 of 540``.
    method
        Of the interval.
    note
        What has to be said with it.
    decimals
        To print.
    """

    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    count_text: str = ""
    method: str = ""
    note: str = ""
    decimals: int = 3

    def __post_init__(self) -> None:
        for value in (self.value, self.low, self.high):
            # An undefined metric is None: NaN would become a number of a table.
            if value is not None and math.isnan(value):
                message = f"{self.title}: not a number"
                raise ValueError(message)
        if (self.low is None) != (self.high is None):
            message = f"{self.title}: an interval has two limits"
            raise ValueError(message)

    def value_text(self) -> str:
        """Return the value, rounded."""
        return _EMPTY if self.value is None else f"{self.value:.{self.decimals}f}"

    def interval_text(self) -> str:
        """Return the limits, rounded."""
        if self.low is None or self.high is None:
            return _EMPTY
        return f"{self.low:.{self.decimals}f} to {self.high:.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics under one heading."""

    title: str
    rows: tuple[MetricRow, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class SubgroupRow:
    """One group of a subgroup table.

    Attributes
    ----------
    name
        Of the group.
    count_text
        Its size, such as ``120 images, 31 positive``.
    metrics
        One for each column of the table. A group too small to say anything has metrics
        without a value.
    note
        Such as ``too small to say anything``.
    """

    name: str
    count_text: str
    metrics: tuple[MetricRow, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class SubgroupTable:
    """Metrics by group, such as by age: a line for each group, or for each model.

    Attributes
    ----------
    title
        Heading.
    groups
        The lines; all have the same metrics in the same order.
    note
        Stands under the table.
    heading
        Of the column of names.
    """

    title: str
    groups: tuple[SubgroupRow, ...]
    note: str = ""
    heading: str = "group"

    def __post_init__(self) -> None:
        titles = {tuple(metric.title for metric in group.metrics) for group in self.groups}
        if len(titles) > 1:
            message = f"{self.title}: groups with different metrics"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure beside the page: its file name, what it shows, and its caption."""

    file: str
    description: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """All that a page of an evaluation says.

    Attributes
    ----------
    title
        Heading.
    facts
        Titles and values: model, data, counts, operating point.
    sections
        Tables of metrics.
    subgroups
        Tables of metrics by group.
    figures
        In the folder of the page.
    notes
        Sentences: what limits the numbers.
    level
        Of the intervals.
    leading
        Tables that stand before the sections.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    subgroups: tuple[SubgroupTable, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    notes: tuple[str, ...] = ()
    level: float = 0.95
    leading: tuple[SubgroupTable, ...] = ()


@dataclass(frozen=True, slots=True)
class PlainTable:
    """A table of texts, to print or to render.

    Attributes
    ----------
    title
        Heading.
    columns
        Names.
    numeric
        Whether each column is set flush right.
    rows
        Each with a text for each column.
    note
        Stands under it.
    """

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def plain_tables(page: EvaluationPage) -> tuple[PlainTable, ...]:
    """Return all tables of a page as texts; columns that would be empty are left out."""
    return (
        *(_subgroup_table(table) for table in page.leading),
        *(_section_table(section, page.level) for section in page.sections),
        *(_subgroup_table(table) for table in page.subgroups),
    )


def render_markdown(page: EvaluationPage) -> str:
    """Return a page as Markdown. What names hold stays text, whatever it is.

    Parameters
    ----------
    page
        What to say.

    Returns
    -------
    str
        Ends with a newline.
    """
    parts = [f"# {_line(page.title)}"]
    if page.facts:
        parts.append("\n".join(f"- {_line(title)}: {_text(value)}" for title, value in page.facts))
    parts += [_line(note) for note in page.notes]
    for table in plain_tables(page):
        parts += [f"## {_line(table.title)}", _markdown_table(table)]
        if table.note:
            parts.append(_line(table.note))
    if page.figures:
        parts.append("## Figures")
    for figure in page.figures:
        # Angle brackets: a file name may hold spaces and parentheses.
        file = printable(figure.file).replace("\\", "%5C").replace("<", "%3C").replace(">", "%3E")
        parts.append(f"![{_text(figure.description)}](<{file}>)")
        if figure.caption:
            parts.append(_line(figure.caption))
    return "\n\n".join(parts) + "\n"


def csv_rows(page: EvaluationPage) -> tuple[tuple[str, ...], ...]:
    """Return every metric of a page as a row of :data:`CSV_COLUMNS`, in full precision.

    Cells that a spreadsheet would run as formulas are preceded by an apostrophe.
    """
    return tuple(tuple(_defused(cell) for cell in row) for row in _csv_cells(page))


def _csv_cells(page: EvaluationPage) -> Iterator[tuple[str, ...]]:
    for section in page.sections:
        for row in section.rows:
            yield (section.title, "", *_metric_cells(row, row.count_text, row.note))
    for table in (*page.leading, *page.subgroups):
        for group in table.groups:
            for row in group.metrics:
                count, note = row.count_text or group.count_text, row.note or group.note
                yield (table.title, group.name, *_metric_cells(row, count, note))


def _metric_cells(row: MetricRow, count: str, note: str) -> tuple[str, ...]:
    numbers = ["" if value is None else repr(value) for value in (row.value, row.low, row.high)]
    return (row.title, *numbers, count, row.method, note)


def _section_table(section: Section, level: float) -> PlainTable:
    columns = ("metric", "value", f"{100 * level:g}% interval", "images", "method", "note")
    rows = [
        (row.title, row.value_text(), row.interval_text(), row.count_text, row.method, row.note)
        for row in section.rows
    ]
    return _without_empty(
        PlainTable(
            section.title,
            columns,
            (False, True, True, True, False, False),
            tuple(rows),
            section.note,
        )
    )


def _subgroup_table(table: SubgroupTable) -> PlainTable:
    titles = [metric.title for metric in table.groups[0].metrics] if table.groups else []
    rows = [
        (group.name, group.count_text, *(_cell(metric) for metric in group.metrics), group.note)
        for group in table.groups
    ]
    return _without_empty(
        PlainTable(
            table.title,
            (table.heading, "images", *titles, "note"),
            (False, True, *(True for _ in titles), False),
            tuple(rows),
            table.note,
        )
    )


def _cell(metric: MetricRow) -> str:
    if metric.low is None:
        return metric.value_text()
    return f"{metric.value_text()} ({metric.interval_text()})"


def _without_empty(table: PlainTable) -> PlainTable:
    """Leave out columns in which no row says anything."""
    kept = [
        index
        for index in range(len(table.columns))
        if index == 0 or any(row[index].strip() not in ("", _EMPTY) for row in table.rows)
    ]
    return PlainTable(
        table.title,
        tuple(table.columns[index] for index in kept),
        tuple(table.numeric[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in table.rows),
        table.note,
    )


def _markdown_table(table: PlainTable) -> str:
    if not table.rows:
        return "Nothing to show."
    lines = [table.columns, *table.rows]
    rendered = [f"| {' | '.join(_text(cell) for cell in cells)} |" for cells in lines]
    rule = " | ".join("---:" if numeric else "---" for numeric in table.numeric)
    return "\n".join([rendered[0], f"| {rule} |", *rendered[1:]])


def _text(text: str) -> str:
    """Return text on one line that Markdown shows as it stands."""
    line = printable(" ".join(text.split()))
    return _BACKSLASHED.sub(r"\\\g<0>", _ENTITIES.sub(lambda found: f"&#{ord(found[0])};", line))


def _line(text: str) -> str:
    """Return the same for the beginning of a line, where more means something."""
    # A heading, an item of a list, an item of a numbered list.
    return _LINE_START.sub(r"\1\\\2", _text(text))


def _defused(cell: str) -> str:
    if not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
