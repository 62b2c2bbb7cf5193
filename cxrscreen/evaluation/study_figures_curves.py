"""Figures of curves over all thresholds: ROC, precision and recall, decision curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from cxrscreen.evaluation.study_figures_canvas import (
    INK,
    MODEL_COLOURS,
    MODEL_LINES,
    POINT_MARKERS,
    REFERENCE,
    band,
    dress,
    legend_below,
    legend_inches,
    new_figure,
    save,
    shorten,
)

#: A corner is drawn larger beside the whole where all curves come this close to it.
_NEAR: Final = 0.12
_SIDES: Final = (0.05, 0.1, 0.2, 0.3)
#: So that a line along the frame is seen whole.
_RIM: Final = 0.015
_WIDEST_MARKER: Final = 12.0
_DOTTED: Final = (0, (2, 3))


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """An operating point on a curve.

    Attributes
    ----------
    name
        For the legend, such as ``recall 0.95 (threshold 0.31)``.
    x, y
        Where it lies, in the units of the axes.
    x_limits, y_limits
        Its intervals, drawn as a cross.
    """

    name: str
    x: float
    y: float
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line of a figure.

    Attributes
    ----------
    name
        Of the model.
    x, y
        ``[P]`` each, finite, in the order of the line. ROC: false positive rate and recall;
        precision and recall: recall and precision; decision curve: threshold probability and
        net benefit.
    summary
        Stands behind the name in the legend, such as ``AUC 0.97 (0.96 to 0.98)``.
    low, high
        ``[P]`` each: limits of ``y``, drawn as a band.
    points
        Operating points on it.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    summary: str = ""
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    points: tuple[CurvePoint, ...] = ()


def roc_figure(path: Path, curves: Sequence[Curve]) -> None:
    """Draw recall over the false positive rate.

    Where all curves come close to the upper left corner, it is drawn a second time, enlarged.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    curves
        One for each model: ``x`` is 1 - specificity, ``y`` is recall.
    """
    figure, panels, labels = _square_panels(curves, corner=(0.0, 1.0))
    for axes in panels:
        axes.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, linestyle=_DOTTED)
        dress(
            axes,
            title="ROC curve" if axes is panels[0] else "its upper left corner",
            x="1 − specificity",
            y="recall (sensitivity)",
        )
    legend_below(figure, labels)
    save(figure, path)


def precision_recall_figure(path: Path, curves: Sequence[Curve], *, prevalence: float) -> None:
    """Draw precision over recall, with the prevalence as the line of chance.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    curves
        One for each model: ``x`` is recall, ``y`` is precision.
    prevalence
        Share of positives in the data, 0 to 1.
    """
    chance = (_reference(), f"chance: the prevalence of {prevalence:.3g}")
    # Between two thresholds precision does not move along a straight line.
    figure, panels, labels = _square_panels(
        curves, corner=(1.0, 1.0), stepped=True, references=[chance]
    )
    for axes in panels:
        axes.axhline(prevalence, color=REFERENCE, linewidth=1, linestyle=_DOTTED)
        dress(
            axes,
            title="Precision and recall" if axes is panels[0] else "its upper right corner",
            x="recall (sensitivity)",
            y="precision (PPV)",
        )
    legend_below(figure, labels)
    save(figure, path)


def decision_figure(path: Path, curves: Sequence[Curve], *, prevalence: float) -> None:
    """Draw net benefit over the threshold probability, beside flagging everybody and nobody.

    Vickers and Elkin, "Decision curve analysis", *Medical Decision Making* 26, 2006: flagging
    everybody has the net benefit ``prevalence - (1 - prevalence) t / (1 - t)``, nobody 0.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    curves
        One for each model: ``x`` is the threshold probability below 1, ``y`` the net benefit.
    prevalence
        Share of positives in the data, 0 to 1.
    """
    labels = [
        *_entries(curves),
        (_reference(), "flag everybody"),
        (Line2D([], [], color=INK, linewidth=1), "flag nobody"),
    ]
    figure = new_figure(4.3 + legend_inches(labels))
    axes = figure.subplots()
    thresholds = np.concatenate([_values(curve.x) for curve in curves])
    first, last = float(thresholds.min()), float(thresholds.max())
    grid = np.linspace(first, min(last, 0.999), 1000)
    everybody = prevalence - (1 - prevalence) * grid / (1 - grid)
    axes.plot(grid, everybody, color=REFERENCE, linewidth=1.4, linestyle=_DOTTED)
    axes.axhline(0.0, color=INK, linewidth=1)
    _draw(axes, curves, stepped=False)
    # No line runs above the prevalence. What lies far below 0 is of no use, however far.
    top = max(prevalence, *(float(_values(curve.y).max()) for curve in curves), 0.001)
    axes.set_ylim(-0.3 * top, 1.08 * top)
    axes.set_xlim(first, last if last > first else first + 0.01)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    dress(
        axes,
        title="Decision curve",
        x="threshold probability: a person with this risk is worth a look",
        y="net benefit",
    )
    legend_below(figure, labels)
    save(figure, path)


def _square_panels(
    curves: Sequence[Curve],
    *,
    corner: tuple[float, float],
    stepped: bool = False,
    references: Sequence[tuple[Line2D, str]] = (),
) -> tuple[Figure, list[Axes], list[tuple[Line2D, str]]]:
    """Draw curves in the unit square and, if they all come near a corner, there again."""
    sides = [1.0]
    if all(_nearest(curve, corner) <= _NEAR for curve in curves):
        points = [point for curve in curves for point in curve.points]
        wanted = max(
            *(1.6 * _nearest(curve, corner) for curve in curves),
            *(1.25 * _distance(point.x, point.y, corner) for point in points),
            0.0,
        )
        sides.append(next((side for side in _SIDES if side >= wanted), _SIDES[-1]))
    labels = [*_entries(curves), *references]
    figure = new_figure((4.1 if len(sides) > 1 else 5.4) + legend_inches(labels))
    panels: list[Axes] = list(figure.subplots(1, len(sides), squeeze=False)[0])
    for axes, side in zip(panels, sides, strict=True):
        markers = _draw(axes, curves, stepped=stepped)
        for limits, at in ((axes.set_xlim, corner[0]), (axes.set_ylim, corner[1])):
            start, end = (0.0, side) if at == 0.0 else (1.0 - side, 1.0)
            limits(start - _RIM * side, end + _RIM * side)
        for marker, point in markers:
            # A point at the rim is drawn whole, and one beyond it not at all.
            marker.set_clip_on(_distance(point.x, point.y, corner) > side)
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return figure, panels, labels


def _draw(axes: Axes, curves: Sequence[Curve], *, stepped: bool) -> list[tuple[Line2D, CurvePoint]]:
    """Draw curves with their points, and return the marker of each point."""
    markers = []
    for index, curve in enumerate(curves):
        x = _values(curve.x)
        # The precision at a threshold holds from its recall down to the next lower one.
        step: Literal["pre", "post"] = "post" if x[0] > x[-1] else "pre"
        limits = (curve.low, curve.high)
        band(axes, x, limits, color=_colour(index), step=step if stepped else None)
        axes.plot(
            x,
            _values(curve.y),
            drawstyle=f"steps-{step}" if stepped else "default",
            **_line(index),
        )
    for index, curve in enumerate(curves):
        for number, point in enumerate(curve.points):
            colour = _colour(index)
            if point.x_limits is not None:
                axes.plot(point.x_limits, (point.y, point.y), color=colour, linewidth=1.1)
            if point.y_limits is not None:
                axes.plot((point.x, point.x), point.y_limits, color=colour, linewidth=1.1)
            (marker,) = axes.plot([point.x], [point.y], zorder=5, **_marker(index, number))
            markers.append((marker, point))
    return markers


def _entries(curves: Sequence[Curve]) -> list[tuple[Line2D, str]]:
    """Return the legend: each model, and its operating points behind it."""
    entries = []
    for index, curve in enumerate(curves):
        name = shorten(curve.name)
        summary = f"{name}: {curve.summary}" if curve.summary else name
        entries.append((Line2D([], [], **_line(index)), summary))
        entries += [
            (Line2D([], [], **_marker(index, number)), point.name)
            for number, point in enumerate(curve.points)
        ]
    return entries


def _reference() -> Line2D:
    return Line2D([], [], color=REFERENCE, linewidth=1.4, linestyle=_DOTTED)


def _line(index: int) -> dict[str, Any]:
    style = MODEL_LINES[index % len(MODEL_LINES)]
    return {"color": _colour(index), "linestyle": style, "linewidth": 1.9}


def _marker(index: int, number: int) -> dict[str, Any]:
    first = number == 0
    return {
        "color": _colour(index),
        "marker": POINT_MARKERS[number % len(POINT_MARKERS)],
        # Outlines around the point of the table, each wider than the one before: points in
        # one place are seen all the same.
        "markersize": 8.0 if first else min(8.0 + number, _WIDEST_MARKER),
        "markerfacecolor": _colour(index) if first else "none",
        "markeredgecolor": "white" if first else _colour(index),
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def _colour(index: int) -> str:
    return MODEL_COLOURS[index % len(MODEL_COLOURS)]


def _nearest(curve: Curve, corner: tuple[float, float]) -> float:
    return float(np.min(_distance(_values(curve.x), _values(curve.y), corner)))


def _distance(x: ArrayLike, y: ArrayLike, corner: tuple[float, float]) -> Any:  # noqa: ANN401
    """Return the side of the square at a corner that reaches a point."""
    return np.maximum(np.abs(np.subtract(x, corner[0])), np.abs(np.subtract(y, corner[1])))


def _values(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
