"""From a radiograph to the tensor that a network sees: one deterministic transform.

It is data: the :class:`PreprocessSpec` stands in the bundle, and training, screening and
explanation apply the same. ``training/transforms.py`` wraps these functions as MONAI
transforms; they live outside MONAI because importing it costs several seconds, which a
screening run need not pay.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

#: What a network sees of one image: ``[channels, S, S]``.
NetworkInput = torch.Tensor

#: Raised with every change of the functions below that moves a pixel, so that thresholds of
#: the old transform are refused.
TRANSFORM_REVISION = 1


class Fit(StrEnum):
    """How a radiograph of any shape becomes a square."""

    STRETCH = "stretch"
    PAD = "pad"


class GreyLevels(StrEnum):
    """What becomes of the grey levels of a resized radiograph."""

    AS_IS = "as_is"
    PERCENTILES = "percentiles"
    EQUALISE = "equalise"


#: Steps of 0..1 in which grey levels are counted: as fine as the 12 bits of most detectors.
_LEVELS = 4096
#: What share of each side, in its middle, the grey levels are counted in: collimation, markers
#: and air lie at the border, and how much of them an image holds says nothing of the lungs.
_COUNTED_SHARE = 0.8
#: Of the counted pixels, what lies below black and above white.
_PERCENTILES = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """The deterministic transform as data.

    Attributes
    ----------
    size_px
        Side of the square in pixels.
    fit
        ``stretch`` ignores the aspect ratio, ``pad`` keeps it and fills with air.
    mean, std
        Normalisation of pixel values in 0..1: ``(x - mean) / std``.
    channels
        Equal copies of the one grey channel.
    grey_levels
        ``as_is`` leaves them; ``percentiles`` stretches those between the 1st and the 99th
        percentile over 0..1; ``equalise`` replaces each by its rank in the image, so that no
        monotonic change of grey levels (window, gamma, contrast) moves the input.
    """

    size_px: int = 224
    fit: Fit = Fit.STRETCH
    mean: float = 0.5
    std: float = 0.25
    channels: int = 3
    grey_levels: GreyLevels = GreyLevels.AS_IS

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.channels < 1 or not self.std > 0:
            message = f"impossible preprocessing: {self}"
            raise ValueError(message)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the specification and of the code's revision."""
        content = {**dataclasses.asdict(self), "revision": TRANSFORM_REVISION}
        # The transform of bundles that are older than the choice is what it was.
        if self.grey_levels is GreyLevels.AS_IS:
            del content["grey_levels"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def resize(pixels: NDArray[np.float32], spec: PreprocessSpec) -> torch.Tensor:
    """Resample a radiograph to the square of the network.

    Bilinear with antialiasing: without it, a 2500-pixel radiograph reduced to 224 aliases
    its noise into false texture.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1.

    Returns
    -------
    torch.Tensor
        float32 ``[1, size_px, size_px]`` in 0..1.
    """
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    rows, columns = _placements(pixels.shape, spec)
    if rows.size != rows.side or columns.size != columns.side:
        image = functional.pad(image, (*columns.margins, *rows.margins))
    size = (spec.size_px, spec.size_px)
    if tuple(image.shape[-2:]) != size:
        image = functional.interpolate(image, size=size, mode="bilinear", antialias=True)
    # Not in place: without resampling the tensor still shares the memory of ``pixels``.
    return image[0].clamp(0.0, 1.0)


def to_radiograph(
    values: NDArray[np.float32], shape: tuple[int, int], spec: PreprocessSpec
) -> NDArray[np.float32]:
    """Carry values from the network's grid to that of the radiograph: the way back of `resize`.

    Pixel ``(i, j)`` of the result lies where pixel ``(i, j)`` of the radiograph does, as
    :func:`resize` places it; what :func:`resize` padded is left out. Between the network's
    pixels values are interpolated linearly.

    Parameters
    ----------
    values
        float32 ``[size_px, size_px]``, as of an activation map.
    shape
        Rows and columns of the radiograph.
    spec
        What it was resized with.

    Returns
    -------
    ndarray
        float32 ``shape``, within the range of ``values``.

    Raises
    ------
    ValueError
        ``values`` are not of the network's grid, or ``shape`` is of no image.
    """
    if values.shape != (spec.size_px, spec.size_px) or min(shape) < 1:
        message = f"values {values.shape} of a grid of {spec.size_px} for an image {shape}"
        raise ValueError(message)
    carried = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    # Each direction by itself, the padded one first: the whole square would be large.
    ways = sorted(zip((2, 3), _placements(shape, spec), strict=True), key=lambda way: way[1].size)
    for axis, along in ways:
        size = list(carried.shape[2:])
        size[axis - 2] = along.side
        if size != list(carried.shape[2:]):
            carried = functional.interpolate(carried, size=size, mode="bilinear", antialias=True)
        carried = carried.narrow(axis, along.margins[0], along.size)
    low, high = float(values.min()), float(values.max())
    result: NDArray[np.float32] = carried[0, 0].clamp(low, high).contiguous().numpy()
    return result


@dataclass(frozen=True, slots=True)
class _Placement:
    """Of one direction: pixels of the radiograph, and of the rectangle that is resampled."""

    size: int
    side: int

    @property
    def margins(self) -> tuple[int, int]:
        """Pixels of air before and after the radiograph."""
        before = (self.side - self.size) // 2
        return before, self.side - self.size - before


def _placements(shape: tuple[int, ...], spec: PreprocessSpec) -> tuple[_Placement, _Placement]:
    height, width = shape
    side = max(height, width)
    if spec.fit is Fit.PAD:
        return _Placement(height, side), _Placement(width, side)
    return _Placement(height, height), _Placement(width, width)


def normalise(image: torch.Tensor, spec: PreprocessSpec) -> torch.Tensor:
    """Set the grey levels of a resized radiograph, scale it, copy it to the network's channels.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.

    Returns
    -------
    torch.Tensor
        ``[channels, S, S]``, mean and standard deviation as in ``spec``.
    """
    levelled = _levelled(image, spec.grey_levels)
    return ((levelled - spec.mean) / spec.std).expand(spec.channels, -1, -1)


def _levelled(image: torch.Tensor, grey_levels: GreyLevels) -> torch.Tensor:
    """Map the grey levels of ``[1, S, S]`` in 0..1 by what the middle of the image holds."""
    if grey_levels is GreyLevels.AS_IS:
        return image
    steps = (image.clamp(0.0, 1.0) * (_LEVELS - 1)).round().long()
    side = image.shape[-1]
    margin = round(side * (1.0 - _COUNTED_SHARE) / 2)
    middle = steps[:, margin : side - margin, margin : side - margin]
    counts = torch.bincount(middle.flatten(), minlength=_LEVELS).float()
    up_to = counts.cumsum(0) / counts.sum()
    if grey_levels is GreyLevels.EQUALISE:
        # Half of the pixels of the same level count as below: a flat image stays in the middle.
        ranks = up_to - counts / (2 * counts.sum())
        return ranks[steps].to(image.dtype)
    low, high = (torch.searchsorted(up_to, share) / (_LEVELS - 1) for share in _PERCENTILES)
    return ((image - low) / (high - low).clamp(min=1 / _LEVELS)).clamp(0.0, 1.0)


def from_resized(pixels: NDArray[np.float32], spec: PreprocessSpec) -> NetworkInput:
    """Return the network's input for pixels that :func:`resize` made and a process passed on.

    Parameters
    ----------
    pixels
        float32 ``[S, S]`` in 0..1.
    """
    return normalise(torch.from_numpy(pixels)[None], spec)


def to_tensor(pixels: NDArray[np.float32], spec: PreprocessSpec) -> torch.Tensor:
    """Return the network's input for a radiograph: resize, then normalise.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1, air dark.

    Returns
    -------
    torch.Tensor
        float32 ``[channels, size_px, size_px]``.
    """
    return normalise(resize(pixels, spec), spec)
