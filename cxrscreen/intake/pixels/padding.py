"""Pixel padding: what surrounds the image proper, and is air afterwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from cxrscreen.intake.header.dicom import number

_WORD = 1 << 16


def padding_range(header: Dataset, *, signed: bool) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that is padding: PS3.3 C.7.5.1.1.2.

    ``PixelPaddingValue`` and ``PixelPaddingRangeLimit`` may stand in either order. Both are
    stored values; writers who note a negative one as unsigned, or the other way round, are
    understood by ``PixelRepresentation``.
    """
    value = number(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = number(header, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, signed=signed) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def padding_mask(stored: NDArray[np.integer], ends: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return where an image is padded, ``None`` where it is not.

    Only what is connected to the edge of the image counts. The same value inside the body is
    a saturated pixel, and must not become a hole.

    Parameters
    ----------
    stored
        ``[H, W]`` of integers.
    ends
        What :func:`padding_range` returned.
    """
    limits = np.iinfo(stored.dtype)
    low, high = max(ends[0], limits.min), min(ends[1], limits.max)
    if low > high:
        return None
    candidates = (stored >= low) & (stored <= high)
    edges = (candidates[0], candidates[-1], candidates[:, 0], candidates[:, -1])
    if not any(edge.any() for edge in edges):
        return None
    labels, count = ndimage.label(candidates)
    touching = np.zeros(count + 1, dtype=bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[edge] = True
    touching[0] = False
    return np.asarray(touching[labels])


def _as_stored(value: float, *, signed: bool) -> int:
    word = int(value) % _WORD
    return word - _WORD if signed and word >= _WORD // 2 else word
