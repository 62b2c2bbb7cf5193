"""Grey levels and sharpness of another image: what tells scanners apart and not diseases.

In a data set whose classes came from other scanners, archives or years, the histogram of an
image and how its power falls off with spatial frequency may separate the classes by themselves.
The transforms here give an image those of a randomly chosen one, of either class.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

#: Quantiles that describe the grey levels of an image.
_QUANTILES: Final = 65
#: Cycles across the image below which its structure is left alone: the anatomy.
_LOWEST_FREQUENCY: Final = 8.0
#: Largest factor by which a frequency is raised or lowered.
_LARGEST_GAIN: Final = 4.0
_SMALLEST_POWER: Final = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What of an image an exchange passes on.

    Attributes
    ----------
    quantiles
        float32 ``[Q]``, its grey levels at equally spaced ranks, least to largest.
    spectrum
        float32 ``[R]``, mean amplitude at each whole number of cycles across the image, from 0
        to the diagonal's.
    """

    quantiles: NDArray[np.float32]
    spectrum: NDArray[np.float32]


def appearance(image: torch.Tensor) -> Appearance:
    """Return grey levels and spectrum of an image.

    Parameters
    ----------
    image
        float32 ``[1, S, S]`` in 0..1.
    """
    coefficients = torch.fft.rfft2(image[0], norm="ortho")
    return Appearance(_quantiles(image), _radial_mean(coefficients).numpy())


def appearances(images: Iterable[torch.Tensor]) -> tuple[Appearance, ...]:
    """Return the appearance of each image, ``[1, S, S]`` in 0..1."""
    return tuple(appearance(image) for image in images)


def grey_levels_of(image: torch.Tensor, donor: Appearance, share: float) -> torch.Tensor:
    """Move the grey levels towards those of a donor.

    Histogram specification (Gonzalez and Woods, "Digital image processing", section 3.3),
    blended with the image.

    Parameters
    ----------
    image
        float32 ``[1, S, S]`` in 0..1.
    donor
        Whose grey levels.
    share
        0 leaves the image as it is, 1 gives it the histogram of the donor.
    """
    own = _quantiles(image)
    # A flat stretch of the histogram is one grey level: it takes the middle of what it becomes.
    levels, first = np.unique(own, return_index=True)
    last = np.append(first[1:], len(own)) - 1
    targets = (donor.quantiles[first] + donor.quantiles[last]) / 2
    moved = np.interp(image.numpy(), levels, targets).astype(np.float32)
    blended: torch.Tensor = torch.lerp(image, torch.from_numpy(moved), share)
    return blended.clamp_(0.0, 1.0)


def sharpness_of(image: torch.Tensor, donor: Appearance, share: float) -> torch.Tensor:
    """Move the power at high spatial frequencies towards that of a donor.

    Each frequency is multiplied by the ratio of the two mean amplitudes at its distance from
    zero, raised to ``share``; what is below eight cycles across the image stays. Yang
    and Soatto, "FDA: Fourier domain adaptation for semantic segmentation", CVPR 2020, exchange
    the amplitudes of low frequencies; here it is the mean of high ones.

    Parameters
    ----------
    image
        float32 ``[1, S, S]`` in 0..1.
    donor
        Whose sharpness; of the same side.
    share
        0 leaves the image as it is, 1 gives it the spectrum of the donor.
    """
    side = image.shape[-1]
    coefficients = torch.fft.rfft2(image[0], norm="ortho")
    own = _radial_mean(coefficients)
    ratio = torch.from_numpy(donor.spectrum) / own.clamp_min(_SMALLEST_POWER)
    gain = ratio.clamp_(1.0 / _LARGEST_GAIN, _LARGEST_GAIN).pow_(share)
    # From "untouched" to "as the donor" over one octave: a step would ring.
    cycles = torch.arange(len(gain), dtype=torch.float32)
    onset = (cycles / _LOWEST_FREQUENCY).log2().clamp_(0.0, 1.0)
    gain = torch.lerp(torch.ones_like(gain), gain, onset)
    changed: torch.Tensor = torch.fft.irfft2(
        coefficients * gain[_radius(side)], s=(side, side), norm="ortho"
    )
    return changed[None].clamp_(0.0, 1.0)


def _quantiles(image: torch.Tensor) -> NDArray[np.float32]:
    ordered = np.sort(image.numpy(), axis=None)
    places = np.linspace(0, len(ordered) - 1, _QUANTILES).round().astype(np.intp)
    quantiles: NDArray[np.float32] = ordered[places]
    return quantiles


@functools.cache
def _radius(side: int) -> torch.Tensor:
    """Return cycles across the image of each coefficient of ``rfft2``, rounded."""
    rows = torch.fft.fftfreq(side, 1.0 / side)[:, None]
    columns = torch.fft.rfftfreq(side, 1.0 / side)[None]
    return torch.hypot(rows, columns).round_().long()


def _radial_mean(coefficients: torch.Tensor) -> torch.Tensor:
    radius = _radius(coefficients.shape[0]).flatten()
    bins = int(radius.max()) + 1
    sums = torch.zeros(bins).index_add_(0, radius, coefficients.abs().flatten())
    # A distance that no pair of frequencies has is asked for by none.
    mean: torch.Tensor = sums / torch.bincount(radius, minlength=bins).clamp_(min=1)
    return mean
