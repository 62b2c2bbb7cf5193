"""Figures of scores and decisions: reliability, histograms by class, confusion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from cxrscreen.evaluation.audit_figures import CLASS_COLOURS
from cxrscreen.evaluation.study_figures_canvas import (
    INK,
    MODEL_COLOURS,
    POINT_MARKERS,
    REFERENCE,
    dress,
    legend_below,
    legend_inches,
    literal,
    new_figure,
    save,
    shorten,
    wrap,
)

_BINS: Final = 40
#: Equal parts of 0..1 in which predicted probabilities are counted.
_PROBABILITY_EDGES: Final = np.linspace(0.0, 1.0, 21)
#: From this ratio of the largest to the smallest bar on, a linear axis hides the small ones.
_LOG_RATIO: Final = 25
_DARK: Final = 0.55
_THRESHOLD_LINES: Final = ((0, (4, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)), "-", (0, (8, 3)))


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Bins of predicted probabilities of one model.

    Attributes
    ----------
    name
        Of the model.
    mean
        ``[K]``: mean probability of each bin; NaN where it is empty.
    observed
        ``[K]``: share of positives; NaN where the bin is empty.
    count
        ``[K]``: images.
    low, high
        ``[K]``: limits of ``observed``; NaN where the bin is empty.
    summary
        Stands behind the name in the legend, such as ``calibration error 0.021``.
    probabilities
        ``[N]``, 0 to 1: those that the bins are of, to show where they lie.
    """

    name: str
    mean: ArrayLike
    observed: ArrayLike
    count: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    summary: str = ""
    probabilities: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of one model, and where it decides.

    Attributes
    ----------
    name
        Of the model.
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``, finite.
    thresholds
        Name and value of each threshold, in the units of the scores.
    """

    name: str
    labels: ArrayLike
    scores: ArrayLike
    thresholds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionTable:
    """Counts of decisions by class.

    Attributes
    ----------
    name
        Of the model or the operating point.
    counts
        ``[R, C]``: images of each class (row) with each decision (column).
    rows, columns
        Names of the classes and the decisions.
    """

    name: str
    counts: ArrayLike
    rows: tuple[str, ...]
    columns: tuple[str, ...]


def reliability_figure(path: Path, models: Sequence[Reliability]) -> None:
    """Draw the share of positives over the predicted probability, and how that is distributed.

    Bins of equal mass say nothing of where the probabilities lie, so these are counted in 20
    parts of equal width, below; nothing is, where no model brings them.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    models
        One or several.
    """
    diagonal = Line2D([], [], color=REFERENCE, linewidth=1.2, linestyle=(0, (2, 3)))
    entries = [(_model_line(index), _summary(model)) for index, model in enumerate(models)]
    entries.append((diagonal, "predicted equals observed"))
    counted = any(model.probabilities is not None for model in models)
    figure = new_figure((6.2 if counted else 4.8) + legend_inches(entries))
    ratios = (3.2, 1) if counted else (1,)
    panels = figure.subplots(len(ratios), 1, height_ratios=ratios, sharex=True, squeeze=False)
    upper = panels[0, 0]
    upper.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1.2, linestyle=(0, (2, 3)))
    for index, model in enumerate(models):
        _draw_reliability(upper, model, index)
    below = "predicted probability"
    dress(upper, title="Reliability", x="" if counted else below, y="share of positives")
    upper.set(ylim=(-0.02, 1.02), xlim=(-0.01, 1.01))
    if counted:
        _draw_probabilities(panels[1, 0], models)
        dress(panels[1, 0], x=below, y="images")
    legend_below(figure, entries)
    save(figure, path)


def score_figure(
    path: Path,
    models: Sequence[Scores],
    *,
    classes: tuple[str, str],
    label: str = "score (logit)",
) -> None:
    """Draw how the scores of both classes are distributed, with the thresholds.

    Counts are on a logarithmic axis where a few images lie far from the others: these are the
    ones that a screening misses.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    models
        One panel each, with a common axis of scores.
    classes
        Names of the negative and the positive class.
    label
        Of the axis of scores.
    """
    every = np.concatenate([np.asarray(model.scores, dtype=np.float64) for model in models])
    marked = [value for model in models for _, value in model.thresholds]
    low, high = min([*every, *marked]), max([*every, *marked])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, min(_BINS, max(8, every.size)) + 1)
    entries: list[tuple[Any, str]] = [
        (Patch(facecolor=colour, alpha=0.6), name)
        for name, colour in zip(classes, CLASS_COLOURS, strict=True)
    ]
    figure = new_figure(0.6 + 2.8 * len(models) + legend_inches(entries))
    panels = figure.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0]
    for axes, model in zip(panels, models, strict=True):
        _draw_scores(axes, model, edges)
        dress(axes, x=label if axes is panels[-1] else "", y="images")
        rows = math.ceil(len(model.thresholds) / 2)
        axes.set_title(literal(shorten(model.name)), fontsize=11, color=INK, pad=6 + 15 * rows)
    legend_below(figure, entries)
    save(figure, path)


def confusion_figure(path: Path, tables: Sequence[ConfusionTable]) -> None:
    """Draw counts and their share of each class, up to three tables beside one another.

    Parameters
    ----------
    path
        A ``.png`` or ``.svg`` to write.
    tables
        One for each model or operating point.
    """
    across = min(3, len(tables))
    down = math.ceil(len(tables) / across)
    figure = new_figure({1: 4.2, 2: 3.9, 3: 3.2}[across] * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(tables) :]:
        axes.set_axis_off()
    for axes, table in zip(panels, tables, strict=False):
        _draw_table(axes, table, small=across > 1)
    save(figure, path)


def _draw_reliability(axes: Axes, model: Reliability, index: int) -> None:
    mean, observed = _values(model.mean), _values(model.observed)
    shown = _values(model.count) > 0
    colour = MODEL_COLOURS[index % len(MODEL_COLOURS)]
    if model.low is not None and model.high is not None:
        low, high = _values(model.low), _values(model.high)
        axes.vlines(mean[shown], low[shown], high[shown], color=colour, linewidth=1.4, alpha=0.75)
    axes.plot(mean[shown], observed[shown], clip_on=False, **_model_style(index))


def _draw_probabilities(axes: Axes, models: Sequence[Reliability]) -> None:
    heights = {
        index: np.histogram(_values(model.probabilities), _PROBABILITY_EDGES)[0]
        for index, model in enumerate(models)
        if model.probabilities is not None
    }
    _scale(axes, np.concatenate(list(heights.values())))
    for index, height in heights.items():
        colour = MODEL_COLOURS[index % len(MODEL_COLOURS)]
        axes.stairs(height, _PROBABILITY_EDGES, color=colour, linewidth=1.3, baseline=0)
        if len(models) == 1:
            axes.stairs(height, _PROBABILITY_EDGES, color=colour, alpha=0.3, fill=True, baseline=0)


def _draw_scores(axes: Axes, model: Scores, edges: NDArray[np.float64]) -> None:
    labels, scores = np.asarray(model.labels), _values(model.scores)
    heights = [np.histogram(scores[labels == label], edges)[0] for label in (0, 1)]
    _scale(axes, np.concatenate(heights))
    for height, colour in zip(heights, CLASS_COLOURS, strict=True):
        axes.stairs(height, edges, fill=True, alpha=0.35, color=colour, baseline=0)
        axes.stairs(height, edges, color=colour, linewidth=1.4, baseline=0)
    lines = [
        axes.axvline(value, color=INK, linewidth=1.3, linestyle=style)
        for (_, value), style in zip(model.thresholds, itertools.cycle(_THRESHOLD_LINES))
    ]
    if lines:
        # Above the panel, where names of thresholds that lie close do not run into one another.
        axes.legend(
            lines,
            [literal(shorten(name)) for name, _ in model.thresholds],
            loc="lower left",
            bbox_to_anchor=(0, 0.99),
            ncols=2,
            frameon=False,
            fontsize=9,
            labelcolor=INK,
        )


def _draw_table(axes: Axes, table: ConfusionTable, *, small: bool) -> None:
    counts = _values(table.counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        share = f"{100 * shares[row, column]:.1f}%" if totals[row, 0] else "–"
        axes.text(
            column,
            row,
            f"{count:,.0f}\n{share}",
            ha="center",
            va="center",
            fontsize=10.5 if small else 13,
            color="white" if shares[row, column] > _DARK else INK,
        )
    name = (
        wrap(shorten(table.name), characters=20)
        if small
        else wrap(shorten(table.name, characters=60), characters=60)
    )
    dress(axes, title=name, grid=False)
    axes.title.set_fontsize(9.5 if small else 11)
    rows = [
        f"{literal(wrap(shorten(name), characters=16))}\n{int(total):,} images"
        for name, total in zip(table.rows, totals[:, 0], strict=True)
    ]
    # Three names do not fit beside one another under a third of the page.
    slanted = small and len(table.columns) > 2  # noqa: PLR2004
    axes.set_xticks(
        range(len(table.columns)),
        [literal(name) for name in table.columns],
        rotation=25 if slanted else 0,
        ha="right" if slanted else "center",
    )
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, labelsize=8.5 if small else 10)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("decision", fontsize=9 if small else 10, color=INK)


def _scale(axes: Axes, counts: NDArray[np.float64]) -> None:
    """Choose the axis of counts, with room above the highest bar."""
    filled = counts[counts > 0]
    if filled.size and filled.max() / filled.min() > _LOG_RATIO:
        axes.set_yscale("log")
        axes.set_ylim(0.7, 5 * float(filled.max()))
        axes.yaxis.set_major_formatter("{x:,.0f}")
    else:
        axes.set_ylim(0, 1.3 * float(filled.max(initial=1.0)))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _model_style(index: int) -> dict[str, Any]:
    return {
        "color": MODEL_COLOURS[index % len(MODEL_COLOURS)],
        "marker": POINT_MARKERS[index % len(POINT_MARKERS)],
        "markersize": 6.5,
        "linewidth": 1.5,
    }


def _model_line(index: int) -> Line2D:
    return Line2D([], [], **_model_style(index))


def _summary(model: Reliability) -> str:
    name = shorten(model.name)
    return f"{name}: {model.summary}" if model.summary else name


def _values(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
