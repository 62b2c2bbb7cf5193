"""Small pictures of screened images for a page, in the radiograph's proportions."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrscreen.preprocess import PreprocessSpec, to_radiograph
from cxrscreen.reports.overlay import overlay

#: Of the longer side.
LONGEST_PX: Final = 128
_QUALITY: Final = 72
#: A strip would not be seen: the shorter side has at least this.
_LEAST_PX: Final = 8


def thumbnail_of(
    pixels: NDArray[np.float32], shape: tuple[int, int], spec: PreprocessSpec
) -> bytes:
    """Return a JPEG of what the network saw, in the proportions of the radiograph.

    Parameters
    ----------
    pixels
        float32 ``[size_px, size_px]`` in 0..1, resized and not normalised.
    shape
        Rows and columns of the radiograph before that.
    spec
        What it was resized with.
    """
    share = LONGEST_PX / max(shape)
    rows, columns = (max(round(side * share), _LEAST_PX) for side in shape)
    small = to_radiograph(pixels, (rows, columns), spec)
    return _jpeg(np.rint(small * np.float32(255)).astype(np.uint8))


def overlay_of(thumbnail: bytes, activation: NDArray[np.float32], spec: PreprocessSpec) -> bytes:
    """Return the same under its map.

    Parameters
    ----------
    thumbnail
        As :func:`thumbnail_of` returns it.
    activation
        float32 ``[size_px, size_px]`` in 0..1.
    spec
        What the image was resized with.
    """
    with Image.open(io.BytesIO(thumbnail)) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float32) / np.float32(255)
    shape = (grey.shape[0], grey.shape[1])
    return _jpeg(overlay(grey, to_radiograph(activation, shape, spec)))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()
