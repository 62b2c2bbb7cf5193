"""Resample an image whose pixels are not square."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from cxrscreen.intake.pixels.pixel_format import MAX_PIXELS

_SPACINGS: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_TOLERANCE: Final = 0.01
_BELIEVED: Final = (0.2, 5.0)


def pixel_aspect(header: Dataset) -> float | None:
    """Return the height of a pixel divided by its width, ``None`` where nothing tells.

    The first usable pair of ``PixelSpacing``, ``ImagerPixelSpacing`` and
    ``NominalScannedPixelSpacing`` (between rows, between columns: PS3.3 section 10.7.1.3),
    else ``PixelAspectRatio`` (vertical, horizontal: PS3.3 C.7.6.3.1.7).
    """
    for keyword in (*_SPACINGS, "PixelAspectRatio"):
        try:
            vertical, horizontal = (float(value) for value in header.get(keyword) or ())
            aspect = vertical / horizontal
        except Exception:  # noqa: BLE001, S112 - pydicom raises whatever a bad value provokes
            continue
        if vertical > 0 and horizontal > 0 and np.isfinite(aspect):
            return aspect
    return None


def is_square(aspect: float) -> bool:
    """Return whether an aspect differs from 1 by no more than a hundredth."""
    return abs(aspect - 1) <= _TOLERANCE


def is_believed(aspect: float) -> bool:
    """Return whether a detector or a scanner could have such pixels."""
    return _BELIEVED[0] <= aspect <= _BELIEVED[1]


def to_square(pixels: NDArray[np.float32], aspect: float) -> NDArray[np.float32]:
    """Resample to square pixels, bilinear with antialiasing.

    The coarser direction is refined, so that nothing is lost; only an image that would become
    too large is made coarser in the other.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1.
    aspect
        Height of a pixel divided by its width.
    """
    rows, columns = pixels.shape
    height, width = (rows * aspect, columns) if aspect > 1 else (rows, columns / aspect)
    if height * width > MAX_PIXELS:
        height, width = (rows, columns / aspect) if aspect > 1 else (rows * aspect, columns)
    size = (max(round(width), 1), max(round(height), 1))
    resampled = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resampled, dtype=np.float32), 0.0, 1.0)
