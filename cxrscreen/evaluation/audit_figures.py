"""Figures of the data audit, as SVG that takes the colours of the page around it."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

#: Of the negative and the positive class: told apart on white and black, and by the colour-blind.
CLASS_COLOURS: Final = ("#3d8bd4", "#e0742b")
# Drawn in this, and replaced by the colour of the text around the figure.
_INK: Final = "#010203"
_LINE_INCHES: Final = 0.34
_WIDTH_INCHES: Final = 7.4
_BINS: Final = 40
_FEW_VALUES: Final = 12


@dataclass(frozen=True, slots=True)
class Dot:
    """One line of a dot plot: a name, a value, its interval if there is one."""

    name: str
    value: float
    low: float | None
    high: float | None
    highlighted: bool


def class_bars(
    parts: Sequence[str], counts: Sequence[tuple[int, int]], classes: tuple[str, str]
) -> str:
    """Draw the images of both classes in each part as bars beside one another.

    Parameters
    ----------
    parts
        Names.
    counts
        Of the negative and the positive class, in each part.
    classes
        Their names.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    figure, axes = _figure(0.9 + 2 * _LINE_INCHES * len(parts))
    places = np.arange(len(parts))
    for label, (name, colour) in enumerate(zip(classes, CLASS_COLOURS, strict=True)):
        bars = axes.barh(
            places + (label - 0.5) * 0.36,
            [count[label] for count in counts],
            height=0.34,
            color=colour,
            label=_literal(name),
        )
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, color=_INK, fontsize=9)
    axes.set_yticks(places, [_literal(part) for part in parts])
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.12)
    _legend(axes)
    return _svg(figure, "class-bars", f"Bars: images of {classes[0]} and {classes[1]} by part")


def dot_plot(dots: Sequence[Dot], *, limits: Sequence[tuple[float, str]]) -> str:
    """Draw values from 0.5 to 1 with their intervals, one line each, first on top.

    Parameters
    ----------
    dots
        The lines.
    limits
        Values at which a dotted line stands, with what it means.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    figure, axes = _figure(1.0 + _LINE_INCHES * len(dots))
    for place, dot in enumerate(dots):
        colour = CLASS_COLOURS[1] if dot.highlighted else _INK
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [place, place], color=colour, linewidth=2.2)
        axes.plot([dot.value], [place], "o", color=colour, markersize=6)
    least = min((dot.low if dot.low is not None else dot.value for dot in dots), default=0.5)
    axes.set(xlim=(min(0.48, least - 0.02), 1.01), xlabel="AUC of the cue alone, with 95% interval")
    axes.set_yticks(range(len(dots)), [dot.name for dot in dots])
    axes.set_ylim(len(dots) - 0.4, -0.9)
    for value, meaning in limits:
        axes.axvline(value, color=_INK, linestyle=":", linewidth=1)
        axes.text(value, -0.55, f" {meaning}", color=_INK, fontsize=8.5, va="bottom")
    axes.axvline(0.5, color=_INK, linewidth=0.8)
    return _svg(figure, "cues", "Dots: AUC of each cue alone, with its interval")


def class_histogram(
    name: str,
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: tuple[str, str],
    *,
    identifier: str,
) -> str:
    """Draw the distribution of one cue in both classes, each as a share of its class.

    Parameters
    ----------
    name
        What the values are, for the axis.
    values
        ``[N]``, finite.
    labels
        ``[N]`` of 0 and 1.
    classes
        Names.
    identifier
        Of the figure, unique on the page.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    figure, axes = _figure(2.3, width=3.7)
    low, high = np.quantile(values, (0.002, 0.998))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    few = np.unique(values).size <= _FEW_VALUES
    edges = np.linspace(low, high if high > low else low + 1, (_FEW_VALUES if few else _BINS) + 1)
    for label, (title, colour) in enumerate(zip(classes, CLASS_COLOURS, strict=True)):
        chosen = np.clip(values[labels == label], edges[0], edges[-1])
        weights = np.full(chosen.size, 100 / max(1, chosen.size))
        heights, _ = np.histogram(chosen, edges, weights=weights)
        axes.stairs(heights, edges, fill=True, alpha=0.35, color=colour)
        axes.stairs(heights, edges, linewidth=1.4, color=colour, label=_literal(title))
    axes.set(xlabel=name, ylabel="% of the class")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter("{x:,.7g}")
    _legend(axes)
    return _svg(figure, identifier, f"Histogram: {name}, {classes[0]} and {classes[1]}")


def _figure(height: float, *, width: float = _WIDTH_INCHES) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.xaxis.label.set(color=_INK, fontsize=9)
    axes.yaxis.label.set(color=_INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=_INK,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0, 1),
    )


def _literal(text: str) -> str:
    """Return text of which matplotlib takes no dollar sign for the beginning of a formula."""
    return text.replace("$", r"\$")


def _svg(figure: Figure, identifier: str, description: str) -> str:
    stream = io.StringIO()
    # Text stays text: it is read aloud, found and scaled.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Several figures stand on one page: what one defines, another must not use.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{identifier}-", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    view = re.search(r'viewBox="([^"]+)"', svg)
    opening = (
        f'<svg viewBox="{view[1] if view else ""}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{html.escape(description)}">'
    )
    return opening + svg[svg.index(">") + 1 :].strip()
