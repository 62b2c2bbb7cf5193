"""The error gallery: images that a model misjudged, as one file without script or network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from cxrscreen.errors import printable
from cxrscreen.reports.numbers import probability_text
from cxrscreen.reports.overlay import colour_scale, overlay

_LEGEND_PX: Final = (14, 240)


@dataclass(frozen=True, slots=True, eq=False)
class GalleryCard:
    """One misjudged image.

    Attributes
    ----------
    name
        As the data set names it.
    label
        1 for a false negative, 0 for a false positive.
    probability, score
        Of the model; the score is the logit, which decides.
    pixels
        float32 ``[S, S]`` from 0 to 1: what the network sees.
    activation
        float32 ``[S, S]`` from 0 to 1, or ``None`` where there is no map.
    facts
        Titles and values, such as age group and view.
    warnings
        What had to be assumed when the image was read.
    """

    name: str
    label: int
    probability: float
    score: float
    pixels: NDArray[np.float32]
    activation: NDArray[np.float32] | None
    facts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.label not in (0, 1) or not 0.0 <= self.probability <= 1.0:
            message = f"label {self.label}, probability {self.probability}"
            raise ValueError(message)
        for values in (self.pixels, self.activation):
            if values is not None and (
                values.shape != self.pixels.shape or values.ndim != 2 or not _in_range(values)  # noqa: PLR2004
            ):
                message = f"an image and its map are [S, S] in 0..1, not {values.shape}"
                raise ValueError(message)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorGallery:
    """The errors of a model on labelled data at one operating point.

    Attributes
    ----------
    bundle, data, point
        Names: of the model, the data and the operating point.
    classes
        Names of the negative and the positive class.
    negatives, positives
        Images of each class that were judged.
    false_negatives, false_positives
        How many of them were misjudged.
    threshold, score_threshold
        From here on an image is positive: as a probability, and as a score.
    missed, false_alarms
        Cards to show, the surest first: lowest score, highest score.
    lower_threshold, lower_score
        Of a point with two thresholds, below which an image is negative.
    notes
        Sentences to stand on top.
    """

    bundle: str
    data: str
    point: str
    classes: tuple[str, str]
    negatives: int
    positives: int
    false_negatives: int
    false_positives: int
    threshold: float
    score_threshold: float
    missed: tuple[GalleryCard, ...]
    false_alarms: tuple[GalleryCard, ...]
    lower_threshold: float | None = None
    lower_score: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = (
            (self.missed, 1, self.false_negatives, self.positives),
            (self.false_alarms, 0, self.false_positives, self.negatives),
        )
        for cards, label, errors, images in counts:
            if not len(cards) <= errors <= images:
                message = f"{len(cards)} cards of {errors} errors of {images} images"
                raise ValueError(message)
            if any(card.label != label for card in cards):
                message = f"a card of the other class among those of class {label}"
                raise ValueError(message)
        if (self.lower_score is None) != (self.lower_threshold is None):
            message = "a lower threshold is a score and a probability"
            raise ValueError(message)
        limit = self.score_threshold if self.lower_score is None else self.lower_score
        if any(card.score >= limit for card in self.missed) or any(
            card.score < self.score_threshold for card in self.false_alarms
        ):
            message = "a card that was judged right"
            raise ValueError(message)


def render_gallery(gallery: ErrorGallery, *, version: str) -> str:
    """Return the page as HTML. It holds images of patients.

    Parameters
    ----------
    gallery
        What to show.
    version
        Of the program.
    """
    environment = Environment(
        loader=PackageLoader("cxrscreen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A file name may hold what no page can: halves of characters, control codes.
    environment.filters["name"] = printable
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["probability"] = probability_text
    environment.filters["score"] = _score
    environment.filters["radiograph"] = _radiograph
    environment.filters["overlay"] = _overlay
    return environment.get_template("error_gallery.html.j2").render(
        gallery=gallery,
        version=version,
        legend=_legend(),
        missed_limit=(
            gallery.score_threshold if gallery.lower_score is None else gallery.lower_score
        ),
    )


def _in_range(values: NDArray[np.float32]) -> bool:
    return bool(np.all((values >= 0.0) & (values <= 1.0)))


def _score(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _radiograph(card: GalleryCard) -> str:
    return _png(np.rint(255 * card.pixels).astype(np.uint8))


def _overlay(card: GalleryCard) -> str:
    activation = np.zeros_like(card.pixels) if card.activation is None else card.activation
    return _png(overlay(card.pixels, activation))


def _legend() -> str:
    height, width = _LEGEND_PX
    return _png(np.repeat(colour_scale(width)[None], height, axis=0))


def _png(pixels: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
