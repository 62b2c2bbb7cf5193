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
    """

    size_px: int = 224
    fit: Fit = Fit.STRETCH
    mean: float = 0.5
    std: float = 0.25
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.channels < 1 or not self.std > 0:
            message = f"impossible preprocessing: {self}"
            raise ValueError(message)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the specification and of the code's revision."""
        content = {**dataclasses.asdict(self), "revision": TRANSFORM_REVISION}
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
    if spec.fit is Fit.PAD:
        height, width = pixels.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        margins = (left, side - width - left, top, side - height - top)
        image = functional.pad(image, margins)
    size = (spec.size_px, spec.size_px)
    if tuple(image.shape[-2:]) != size:
        image = functional.interpolate(image, size=size, mode="bilinear", antialias=True)
    # Not in place: without resampling the tensor still shares the memory of ``pixels``.
    return image[0].clamp(0.0, 1.0)


def normalise(image: torch.Tensor, spec: PreprocessSpec) -> torch.Tensor:
    """Scale a resized radiograph and copy it to the network's channels.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.

    Returns
    -------
    torch.Tensor
        ``[channels, S, S]``, mean and standard deviation as in ``spec``.
    """
    return ((image - spec.mean) / spec.std).expand(spec.channels, -1, -1)


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
