"""What the images of each class look like, cue by cue: measured on the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from cxrscreen.errors import DatasetError
from cxrscreen.training.cues import Curve, level_curve, radial_spectrum

#: More images of a class than this do not move its means by more than a hundredth.
REFERENCE_IMAGES: Final = 400
_SHARES: Final = (0.05, 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class ClassReference:
    """The cues of one class.

    Attributes
    ----------
    spectra
        float64 ``[N, RINGS]``: :func:`~cxrscreen.training.cues.radial_spectrum` of each image.
    levels
        float64 ``[N, LEVELS]``: :func:`~cxrscreen.training.cues.level_curve` of each image.
    pixels
        uint8 ``[N, 1, S, S]``: the images, for their borders.
    """

    spectra: NDArray[np.float64]
    levels: NDArray[np.float64]
    pixels: torch.Tensor

    @property
    def spectrum(self) -> Curve:
        """The typical spectrum: the mean of the logarithms."""
        mean: Curve = self.spectra.mean(axis=0)
        return mean

    @property
    def level(self) -> Curve:
        """The typical grey levels: the mean of the quantile functions."""
        mean: Curve = self.levels.mean(axis=0)
        return mean

    @property
    def range(self) -> tuple[float, float]:
        """The mean 5th and 95th percentile."""
        level = self.level
        low, high = (float(level[round(share * (level.size - 1))]) for share in _SHARES)
        return low, high

    def image(self, index: int) -> torch.Tensor:
        """Return an image, float32 ``[1, S, S]`` in 0..1; beyond the last they begin again."""
        return self.pixels[index % len(self.pixels)].float() / 255


@dataclass(frozen=True, slots=True, eq=False)
class CueReference:
    """The cues of both classes: negative, positive."""

    classes: tuple[ClassReference, ClassReference]

    def of(self, label: int) -> ClassReference:
        """Return the class of a label."""
        return self.classes[label]

    @property
    def spectrum(self) -> Curve:
        """Half way between the typical spectra of the classes."""
        return 0.5 * (self.classes[0].spectrum + self.classes[1].spectrum)

    @property
    def level(self) -> Curve:
        """Half way between the typical grey levels of the classes."""
        return 0.5 * (self.classes[0].level + self.classes[1].level)


def measure_reference(
    pixels: torch.Tensor, labels: NDArray[np.int64], *, most: int = REFERENCE_IMAGES
) -> CueReference:
    """Measure the cues of both classes.

    Parameters
    ----------
    pixels
        float32 ``[N, 1, S, S]`` in 0..1, of the training part: statistics of the images that are
        judged would let a condition know them.
    labels
        ``[N]`` of 0 and 1.
    most
        Images of each class that are looked at, evenly spread.

    Raises
    ------
    DatasetError
        A class is absent.
    """
    negative, positive = (_measured(pixels, labels, label, most) for label in (0, 1))
    return CueReference((negative, positive))


def _measured(
    pixels: torch.Tensor, labels: NDArray[np.int64], label: int, most: int
) -> ClassReference:
    members = np.flatnonzero(labels == label)
    if not members.size:
        message = f"no reference image has the label {label}"
        raise DatasetError(message, hint="Give images of both classes.")
    count = min(most, members.size)
    chosen = [int(members[step * members.size // count]) for step in range(count)]
    return ClassReference(
        spectra=np.stack([radial_spectrum(pixels[index]) for index in chosen]),
        levels=np.stack([level_curve(pixels[index]) for index in chosen]),
        pixels=(pixels[chosen] * 255).round().to(torch.uint8),
    )
