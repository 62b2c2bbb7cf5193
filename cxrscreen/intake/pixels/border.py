"""Borders of one grey around an image: collimation, film edges, frames of viewers.

A white border is no small thing: networks that were trained on radiographs call a pneumonia
in a white frame normal.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# A line is of one grey if this share of it lies within this share of the image's range.
_LINE_SHARE: Final = 0.98
_LINE_TOLERANCE: Final = 0.02
_SMALLEST_INTERIOR: Final = 0.1
# Darker lines are air or a shutter already.
_BRIGHT: Final = 0.25

Number = np.integer | np.float32


def interior(image: NDArray[Number], *, extent: float | None = None) -> tuple[slice, slice]:
    """Return rows and columns inside of the borders of one grey.

    Lines are peeled off from the four sides until the outermost line on each is not of one
    grey any more, so that a border around a border goes too. The whole image comes back where
    nearly nothing would be left.

    Parameters
    ----------
    image
        ``[H, W]`` of any numbers.
    extent
        From the least to the largest, where that is known.
    """
    if extent is None:
        extent = float(image.max()) - float(image.min())
    tolerance = _LINE_TOLERANCE * extent
    top, left = 0, 0
    bottom, right = image.shape
    least = _SMALLEST_INTERIOR * image.size
    while (bottom - top) * (right - left) > least:
        before = (top, bottom, left, right)
        while top < bottom - 1 and _is_flat(image[top, left:right], tolerance):
            top += 1
        while bottom > top + 1 and _is_flat(image[bottom - 1, left:right], tolerance):
            bottom -= 1
        while left < right - 1 and _is_flat(image[top:bottom, left], tolerance):
            left += 1
        while right > left + 1 and _is_flat(image[top:bottom, right - 1], tolerance):
            right -= 1
        if before == (top, bottom, left, right):
            return slice(top, bottom), slice(left, right)
    return slice(0, image.shape[0]), slice(0, image.shape[1])


def darken(pixels: NDArray[np.float32]) -> float:
    """Turn the bright part of a border of one grey into air, in place.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1, air dark.

    Returns
    -------
    float
        Share of the image that was turned, 0..1.
    """
    rows, columns = interior(pixels, extent=1.0)
    height, width = pixels.shape
    bands = (
        pixels[: rows.start],
        pixels[rows.stop : height],
        pixels[rows, : columns.start],
        pixels[rows, columns.stop : width],
    )
    turned = 0
    for band in bands:
        bright = band > _BRIGHT
        turned += int(np.count_nonzero(bright))
        band[bright] = 0.0
    return turned / pixels.size


def _is_flat(line: NDArray[Number], tolerance: float) -> bool:
    grey = float(np.partition(line, line.size // 2)[line.size // 2])
    near = (line >= grey - tolerance) & (line <= grey + tolerance)
    return int(np.count_nonzero(near)) >= _LINE_SHARE * line.size
