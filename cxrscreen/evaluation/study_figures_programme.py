"""The figure for who plans a programme: what a threshold costs per so many images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from cxrscreen.evaluation.study_figures_canvas import (
    INK,
    MODEL_COLOURS,
    POINT_MARKERS,
    band,
    dress,
    literal,
    new_figure,
    save,
)

#: Up to so many places stand at equal distances with their values as labels: recall targets
#: crowd towards 1. More of them are a curve.
_PLACES: Final = 12
#: From here on, they are written as whole numbers.
_WHOLE: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Numbers of images to expect, at each place of the figure.

    Attributes
    ----------
    name
        Such as ``flagged``.
    value
        ``[K]``.
    low, high
        ``[K]``: limits.
    """

    name: str
    value: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """What a programme has to expect.

    Attributes
    ----------
    label
        Of the places, such as ``target recall``.
    places
        ``[K]``, rising: recall targets or thresholds.
    lines
        Flagged, missed, false alarms: one panel each.
    per
        The numbers are of so many images.
    prevalence
        That the numbers are for, 0 to 1.
    """

    label: str
    places: ArrayLike
    lines: tuple[Expected, ...]
    per: int
    prevalence: float


def programme_figure(path: Path, programme: Programme, *, software: str | None = None) -> None:
    """Draw what to expect of a programme over recall targets or thresholds.

    One panel under another, since missed and flagged are of different size.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    programme
        What to draw.
    software
        What a PNG says it was made by.
    """
    lines = programme.lines
    values = np.asarray(programme.places, dtype=np.float64)
    named = values.size <= _PLACES
    x = np.arange(values.size, dtype=np.float64) if named else values
    figure = new_figure(0.9 + 1.75 * len(lines))
    title = f"Expected per {programme.per:,} images at a prevalence of {programme.prevalence:.3g}"
    figure.suptitle(title, fontsize=11, color=INK)
    panels: list[Axes] = list(figure.subplots(len(lines), 1, sharex=True, squeeze=False)[:, 0])
    for index, (axes, line) in enumerate(zip(panels, lines, strict=True)):
        _draw(axes, x, line, index, marked=named)
        dress(axes, x=programme.label if axes is panels[-1] else "", y=line.name)
    if named:
        panels[-1].set_xticks(x, [literal(f"{value:g}") for value in values])
        panels[-1].set_xlim(-0.4, values.size - 0.6)
    figure.align_ylabels(panels)
    save(figure, path, software=software)


def _draw(axes: Axes, x: NDArray[np.float64], line: Expected, index: int, *, marked: bool) -> None:
    colour = MODEL_COLOURS[index % len(MODEL_COLOURS)]
    value = np.asarray(line.value, dtype=np.float64)
    marker = POINT_MARKERS[index % len(POINT_MARKERS)] if marked else ""
    band(axes, x, (line.low, line.high), color=colour)
    axes.plot(x, value, color=colour, linewidth=1.8, marker=marker, markersize=6)
    top = float(np.max(value))
    if line.low is not None and line.high is not None:
        top = float(np.max(np.asarray(line.high)))
        if marked:
            axes.vlines(x, line.low, line.high, color=colour, linewidth=1.4)
    axes.set_ylim(0, 1.28 * top if top > 0 else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter("{x:,.5g}")
    if not marked:
        return
    highs = np.asarray(line.high if line.high is not None else value, dtype=np.float64)
    for place, number, height in zip(x, value, highs, strict=True):
        axes.annotate(
            f"{number:,.0f}" if number >= _WHOLE else f"{number:.2g}",
            (place, height),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
