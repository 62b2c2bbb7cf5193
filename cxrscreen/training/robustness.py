"""Images as a network sees them before normalisation, and what it makes of distorted ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen import intake, preprocess
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.series import series_of
from cxrscreen.errors import DatasetError, ImageRefusedError
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import Source
from cxrscreen.training.precision import MixedPrecisionInferer, Precision

_BATCH = 32
#: Takes ``[1, S, S]`` in 0..1 and the index of the image, from which it may seed.
Distortion = Callable[[torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A network with what it takes to run it.

    Attributes
    ----------
    network
        Gives logits ``[N, 1]``; it moves to ``device``, into evaluation mode.
    spec
        Normalises for it.
    device
        Where it runs.
    precision
        What it computes in. Thresholds belong to float32; bfloat16 is for a quick look.
    """

    network: nn.Module
    spec: PreprocessSpec
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class ResizedImages:
    """Images as they are before normalisation.

    Attributes
    ----------
    pixels
        float32 ``[N, 1, S, S]`` in 0..1.
    labels
        int64 ``[N]``, 1 for pneumonia.
    series
        Of each image, by its name; empty where that tells none.
    """

    pixels: torch.Tensor
    labels: NDArray[np.int64]
    series: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({len(self.pixels), len(self.labels), len(self.series or self.labels)}) > 1:
            message = "pixels, labels and series differ in number"
            raise ValueError(message)


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


def balanced(images: Sequence[LabelledImage], limit: int) -> tuple[LabelledImage, ...]:
    """Return about ``limit`` images, evenly spread, of each class as many if it has them.

    Neither AUC nor recall nor specificity depends on how many of each class there are, and
    they are told best by as many of the rarer one as of the other.
    """
    if len(images) <= limit:
        return tuple(images)
    by_label = [[i for i, image in enumerate(images) if image.label == label] for label in (0, 1)]
    rarer, other = sorted(by_label, key=len)
    few = min(limit // 2, len(rarer))
    kept: set[int] = set()
    for indices, count in ((rarer, few), (other, limit - few)):
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
    labels = np.array([image.label for image in images], dtype=np.int64)
    return ResizedImages(pixels, labels, tuple(series_of(image.name) for image in images))


def distorted_logits(
    judge: Judge, resized: torch.Tensor, distort: Distortion = lambda image, _: image
) -> NDArray[np.float64]:
    """Return the logits of images that are distorted after resizing, before normalisation.

    Parameters
    ----------
    judge
        The network with its normalisation.
    resized
        ``[N, 1, S, S]`` in 0..1, left as it is.
    distort
        Distorts ``[1, S, S]``, given the index of the image too.

    Returns
    -------
    ndarray
        float64 ``[N]``.
    """
    network = judge.network.to(judge.device).eval()
    inferer = MixedPrecisionInferer(judge.precision, judge.device)
    logits = []
    with torch.inference_mode():
        for start in range(0, len(resized), _BATCH):
            inputs = [
                preprocess.normalise(distort(image.clone(), start + offset), judge.spec)
                for offset, image in enumerate(resized[start : start + _BATCH])
            ]
            batch = torch.stack(inputs).contiguous(memory_format=torch.channels_last)
            logits.append(inferer(batch.to(judge.device), network)[:, 0].double().cpu())
    result: NDArray[np.float64] = torch.cat(logits).numpy()
    return result


def threshold_for_recall(
    labels: NDArray[np.int64], scores: NDArray[np.float64], recall: float
) -> float:
    """Return the highest threshold that finds at least a share of the positives.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``: logits or probabilities.
    recall
        Above 0, up to 1.

    Raises
    ------
    DatasetError
        There is no positive.
    """
    positives = np.sort(scores[labels == 1])[::-1]
    if not positives.size:
        message = "a threshold for a recall needs positive images"
        raise DatasetError(message)
    # Less a rounding error: 0.07 of 100 must be 7.
    wanted = max(1, math.ceil(recall * positives.size - 1e-9))
    return float(positives[wanted - 1])
