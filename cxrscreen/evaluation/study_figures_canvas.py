"""What the figures of an evaluation have in common: canvas, colours, names, file."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

#: Of models, in the order of the legend: told apart by the colour-blind (Okabe and Ito, "Color
#: universal design", 2008), and by their lines where there is no colour.
MODEL_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d00")
MODEL_LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
POINT_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Of reference lines: chance, prevalence, the diagonal.
REFERENCE: Final = "#6b7278"
INK: Final = "#20262b"
WIDTH_INCHES: Final = 8.0
_PNG_DPI: Final = 160
_NAME_CHARACTERS: Final = 40
_LINE_CHARACTERS: Final = 100
_HALF_LINE_CHARACTERS: Final = 46
_LEGEND_LINE_INCHES: Final = 0.21


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width on a white page."""
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Give axes their title and labels, and take away what draws attention from the data."""
    axes.set_title(literal(title), fontsize=11, color=INK)
    axes.set_xlabel(literal(x), fontsize=10, color=INK)
    axes.set_ylabel(literal(y), fontsize=10, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)


def legend_inches(entries: Sequence[tuple[Line2D, str]]) -> float:
    """Return the height that :func:`legend_below` takes."""
    return 0.15 + _LEGEND_LINE_INCHES * math.ceil(len(entries) / _legend_columns(entries))


def legend_below(figure: Figure, entries: Sequence[tuple[Line2D, str]]) -> None:
    """Put the legend under the axes, where no curve can run through it."""
    figure.legend(
        [handle for handle, _ in entries],
        [literal(shorten(label, characters=_LINE_CHARACTERS)) for _, label in entries],
        loc="outside lower center",
        ncols=_legend_columns(entries),
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
    )


def _legend_columns(entries: Sequence[tuple[Line2D, str]]) -> int:
    longest = max((len(label) for _, label in entries), default=0)
    return 1 if longest > _HALF_LINE_CHARACTERS or len(entries) == 1 else 2


def band(
    axes: Axes,
    x: ArrayLike,
    limits: tuple[ArrayLike | None, ArrayLike | None],
    *,
    color: str,
    step: Literal["pre", "post"] | None = None,
) -> None:
    """Fill between limits, if there are any."""
    low, high = limits
    if low is not None and high is not None:
        axes.fill_between(x, low, high, alpha=0.16, linewidth=0, color=color, step=step)


def literal(text: str) -> str:
    """Return text that matplotlib draws as it stands.

    Dollar signs begin no formula, an underscore in front hides no line of a legend, and
    characters that the font lacks become question marks.
    """
    drawn = "".join(
        character if ord(character) in _characters() or character == "\n" else "?"
        for character in text
    )
    drawn = drawn.replace("$", r"\$")
    return f" {drawn}" if drawn.startswith("_") else drawn


def shorten(name: str, *, characters: int = _NAME_CHARACTERS) -> str:
    """Return a name that fits, its middle left out where it is too long."""
    if len(name) <= characters:
        return name
    half = (characters - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def wrap(name: str, *, characters: int) -> str:
    """Return a name in lines of a length."""
    return "\n".join(textwrap.wrap(name, characters)) or name


def save(figure: Figure, path: Path, *, software: str | None = None) -> None:
    """Write a figure as its suffix says, PNG or SVG: the same figure gives the same bytes.

    Parameters
    ----------
    figure
        To write.
    path
        Where to.
    software
        What a PNG says it was made by, where a later run must recognise it.

    Raises
    ------
    ValueError
        The suffix is another one.
    """
    kind = path.suffix.lower().removeprefix(".")
    # Neither the version of a library nor the time.
    metadata = {"png": {"Software": software}, "svg": {"Date": None}}.get(kind)
    if metadata is None:
        message = f"{path.name}: figures are written as .png or .svg"
        raise ValueError(message)
    # Text as outlines: it looks the same wherever the file is opened.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "cxrscreen"}):
        figure.savefig(path, format=kind, dpi=_PNG_DPI, metadata=metadata)


@functools.cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
