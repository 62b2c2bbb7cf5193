"""Borders of one grey around an image: collimation, film edges, frames of viewers.

A white border is no small thing: networks that were trained on radiographs call a pneumonia
in a white frame normal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# A line is of one grey if this share of it lies within this share of the image's range.
_LINE_SHARE: Final = 0.98
_LINE_TOLERANCE: Final = 0.02
# Paper has a grain, and what is to be turned into air is bright: see docs/methods.md for how
# many real radiographs have such lines.
_PAPER_TOLERANCE: Final = 0.04
_PAPER: Final = 0.8
_LIGHT: Final = 0.5
# Of a page or a film's corner.
_GLARE: Final = 0.85
_GRID: Final = 128
_CORNER: Final = 2
_SMALLEST_INTERIOR: Final = 0.1
# Darker lines are air or a shutter already.
_BRIGHT: Final = 0.25

Number = np.integer | np.float32


def interior(image: NDArray[Number]) -> tuple[slice, slice]:
    """Return rows and columns inside of the borders of one grey.

    Lines are peeled off from the four sides until the outermost line on each is not of one
    grey any more, so that a border around a border goes too. The whole image comes back where
    nearly nothing would be left.

    Parameters
    ----------
    image
        ``[H, W]`` of any numbers.
    """
    tolerance = _LINE_TOLERANCE * (float(image.max()) - float(image.min()))
    return _peeled(image, lambda line: _is_flat(line, tolerance))


def darken(pixels: NDArray[np.float32]) -> float:
    """Turn the bright part of a border into air, in place.

    A border is made of lines of nearly one grey, or of lines that are bright all along: a
    page with a grain or a shadow.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1, air dark.

    Returns
    -------
    float
        Share of the image that was turned, 0..1.
    """
    rows, columns = _peeled(pixels, _is_paper)
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


def bright_corners(pixels: NDArray[np.float32]) -> float:
    """Return how much of an image is bright and connected to its corners.

    A tilted page, the white corners of a film or a caption are not parallel to the sides as a
    whole, and stay when :func:`darken` has been there. Corners of a radiograph are dark.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1, air dark.

    Returns
    -------
    float
        Share of the image, 0..1.
    """
    box = pixels[_peeled(pixels, _is_paper)]
    # Every so many pixels tell as much as all of them.
    height, width = (max(side // _GRID, 1) for side in box.shape)
    small = ndimage.uniform_filter(box[::height, ::width], 2)
    labels, _ = ndimage.label(small > _GLARE)
    ends = (slice(None, _CORNER), slice(-_CORNER, None))
    touching = np.unique([labels[rows, columns] for rows in ends for columns in ends])
    inside = np.count_nonzero(np.isin(labels, touching[touching > 0]))
    return float(inside / labels.size * box.size / pixels.size)


def _peeled(
    image: NDArray[Number], is_border: Callable[[NDArray[Any]], bool]
) -> tuple[slice, slice]:
    top, left = 0, 0
    bottom, right = image.shape
    least = _SMALLEST_INTERIOR * image.size
    while (bottom - top) * (right - left) > least:
        before = (top, bottom, left, right)
        while top < bottom - 1 and is_border(image[top, left:right]):
            top += 1
        while bottom > top + 1 and is_border(image[bottom - 1, left:right]):
            bottom -= 1
        while left < right - 1 and is_border(image[top:bottom, left]):
            left += 1
        while right > left + 1 and is_border(image[top:bottom, right - 1]):
            right -= 1
        if before == (top, bottom, left, right):
            return slice(top, bottom), slice(left, right)
    return slice(0, image.shape[0]), slice(0, image.shape[1])


def _is_paper(line: NDArray[np.float32]) -> bool:
    if int(np.count_nonzero(line >= _PAPER)) >= _LINE_SHARE * line.size:
        return True
    if int(np.count_nonzero(line >= _LIGHT)) >= _LINE_SHARE * line.size:
        return _is_flat(line, _PAPER_TOLERANCE)
    return _is_flat(line, _LINE_TOLERANCE)


def _is_flat(line: NDArray[Number], tolerance: float) -> bool:
    grey = float(np.partition(line, line.size // 2)[line.size // 2])
    near = (line >= grey - tolerance) & (line <= grey + tolerance)
    return int(np.count_nonzero(near)) >= _LINE_SHARE * line.size
