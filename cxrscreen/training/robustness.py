"""How well a bundle holds up under conditions that its images were not taken in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen import intake, preprocess
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError, ImageRefusedError
from cxrscreen.evaluation.metrics import confusion, roc_auc
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import Source

_BATCH = 32


class Condition(Protocol):
    """A distortion of resized images; ``training/shifts.py`` has those of the study."""

    @property
    def name(self) -> str:
        """Short, with the strength."""

    @property
    def family(self) -> str:
        """What several strengths have in common."""

    @property
    def distort(self) -> Callable[[torch.Tensor, int], torch.Tensor]:
        """Takes ``[1, S, S]`` in 0..1 and the index of the image, from which it may seed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """AUC, and recall and specificity at one threshold; each 0..1."""

    auc: float
    recall: float
    specificity: float


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """What a bundle comes to under one condition."""

    name: str
    family: str
    figures: Figures


@dataclass(frozen=True, slots=True, eq=False)
class ResizedImages:
    """Images as they are before normalisation.

    Attributes
    ----------
    pixels
        float32 ``[N, 1, S, S]`` in 0..1.
    labels
        int64 ``[N]``, 1 for pneumonia.
    """

    pixels: torch.Tensor
    labels: NDArray[np.int64]


def stratified(images: Sequence[LabelledImage], limit: int) -> tuple[LabelledImage, ...]:
    """Return about ``limit`` images, evenly spread, with the classes in proportion.

    At least one of each class; all, if there are no more than ``limit``.
    """
    if len(images) <= limit:
        return tuple(images)
    kept: set[int] = set()
    for label in (0, 1):
        indices = [index for index, image in enumerate(images) if image.label == label]
        count = min(len(indices), max(1, round(limit * len(indices) / len(images))))
        kept |= {indices[step * len(indices) // count] for step in range(count)}
    return tuple(images[index] for index in sorted(kept))


def read_resized(
    images: Sequence[LabelledImage],
    spec: PreprocessSpec,
    *,
    on_image: Callable[[int], None] = lambda _: None,
) -> ResizedImages:
    """Read images through the intake of screening and resize them.

    Parameters
    ----------
    images
        What to read.
    spec
        Of the bundle.
    on_image
        Is told how many are read.

    Raises
    ------
    DatasetError
        An image cannot be read.
    """
    pixels = torch.empty(len(images), 1, spec.size_px, spec.size_px)
    for index, image in enumerate(images):
        try:
            radiograph = intake.open_image(Source(image.path)).read_pixels().pixels
        except ImageRefusedError as error:
            message = f"{image.name}: {error.reason}"
            raise DatasetError(message, hint="The file was readable in training.") from error
        pixels[index] = preprocess.resize(radiograph, spec)
        on_image(index + 1)
    return ResizedImages(pixels, np.array([image.label for image in images]))


def distorted_logits(
    bundle: ModelBundle,
    resized: torch.Tensor,
    distort: Callable[[torch.Tensor, int], torch.Tensor] = lambda image, _: image,
    *,
    device: torch.device | None = None,
) -> NDArray[np.float64]:
    """Return the logits of images that are distorted after resizing, before normalisation.

    Parameters
    ----------
    bundle
        The model; it moves to ``device``.
    resized
        ``[N, 1, S, S]`` in 0..1, left as it is.
    distort
        Distorts ``[1, S, S]``, given the index of the image too.
    device
        The CPU if ``None``.

    Returns
    -------
    ndarray
        float64 ``[N]``.
    """
    device = device or torch.device("cpu")
    network: nn.Module = bundle.network.to(device).eval()
    logits = []
    with torch.inference_mode():
        for start in range(0, len(resized), _BATCH):
            inputs = [
                preprocess.normalise(distort(image.clone(), start + offset), bundle.spec)
                for offset, image in enumerate(resized[start : start + _BATCH])
            ]
            batch = torch.stack(inputs).contiguous(memory_format=torch.channels_last)
            logits.append(network(batch.to(device))[:, 0].double().cpu())
    result: NDArray[np.float64] = torch.cat(logits).numpy()
    return result


def threshold_for_recall(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], recall: float
) -> float:
    """Return the highest threshold that finds at least a share of the positives.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    probabilities
        ``[N]`` in 0..1.
    recall
        Above 0, up to 1.

    Raises
    ------
    DatasetError
        There is no positive.
    """
    positives = np.sort(probabilities[labels == 1])[::-1]
    if not positives.size:
        message = "a threshold for a recall needs positive images"
        raise DatasetError(message)
    # Less a rounding error: 0.07 of 100 must be 7.
    wanted = max(1, math.ceil(recall * positives.size - 1e-9))
    return float(positives[wanted - 1])


def probabilities_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic of logits, 0..1, without overflow at either end."""
    return np.exp(-np.logaddexp(0.0, -logits))


def figures(labels: NDArray[np.int64], logits: NDArray[np.float64], *, threshold: float) -> Figures:
    """Return AUC, and recall and specificity where a probability reaches ``threshold``.

    Raises
    ------
    MetricError
        A class is absent, or a logit is not finite.
    """
    counts = confusion(labels, probabilities_of(logits), threshold=threshold)
    return Figures(
        auc=roc_auc(labels, logits), recall=counts.recall, specificity=counts.specificity
    )


def judged_under(
    condition: Condition,
    bundle: ModelBundle,
    images: ResizedImages,
    *,
    threshold: float,
    device: torch.device | None = None,
) -> ConditionFigures:
    """Judge images under a condition.

    Parameters
    ----------
    condition
        What is done to them.
    bundle
        The model; it moves to ``device``.
    images
        From :func:`read_resized` with the bundle's specification.
    threshold
        On the probability, 0..1; the same under all conditions.
    device
        The CPU if ``None``.

    Raises
    ------
    MetricError
        A class is absent, or a logit is not finite.
    """
    logits = distorted_logits(bundle, images.pixels, condition.distort, device=device)
    result = figures(images.labels, logits, threshold=threshold)
    return ConditionFigures(condition.name, condition.family, result)


def mean_figures(rows: Sequence[ConditionFigures]) -> Figures:
    """Return the mean of each figure over at least one row."""
    return _by_column(rows, lambda values: float(np.mean(values)))


def worst_figures(rows: Sequence[ConditionFigures]) -> Figures:
    """Return the lowest of each figure over at least one row: they may stem from several."""
    return _by_column(rows, min)


def _by_column(rows: Sequence[ConditionFigures], reduce: Callable[[list[float]], float]) -> Figures:
    return Figures(
        auc=reduce([row.figures.auc for row in rows]),
        recall=reduce([row.figures.recall for row in rows]),
        specificity=reduce([row.figures.specificity for row in rows]),
    )
