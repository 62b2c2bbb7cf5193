"""Grey levels of an image that brings no window: from the image itself.

The darkest and brightest thousandth are left to noise, and what is no anatomy must not
decide: a collimated border, a film's edge, a lead marker, padding. So lines of one grey are
peeled off from the four sides, and what stands apart at either end of the histogram is left
out. Borders of any constant grey hence leave the grey levels of the inside as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.intake.pixels.border import interior

#: Percentiles between which the kept pixels are spread.
PERCENTILES: Final = (0.1, 99.9)
#: How near to the ends of the declared range the percentiles must come for the range itself
#: to be taken, as a share of it: at the end of the air, and at that of the bone.
AIR_MARGIN: Final = 0.1
BONE_MARGIN: Final = 0.4
# An island of the histogram stands apart by this share of the image's range.
_GAP: Final = 0.05
_LARGEST_ISLAND: Final = 0.45
# A single value at the end of the histogram that holds this share is clipped or masked.
_SPIKE: Final = 0.005
# With fewer grey levels than this, every level is a spike.
_FEW_LEVELS: Final = 32


@dataclass(frozen=True, slots=True)
class GreyRange:
    """The stored values that become black and white.

    Attributes
    ----------
    low, high
        Stored values, ``low <= high``.
    bits
        Bits of the full range that was taken, 0 where percentiles were.
    interior
        Share of the image that lies inside its border, 0..1.
    """

    low: int
    high: int
    bits: int
    interior: float


def grey_range(
    stored: NDArray[np.integer],
    *,
    padding: NDArray[np.bool_] | None,
    air_is_high: bool,
    full_range: bool,
) -> GreyRange:
    """Choose black and white for an image without a window.

    Where the anatomy fills the range of its bits, that range is taken: without a VOI LUT the
    standard shows the values as they are (PS3.3 C.11.2.1, PS3.14 P-values). Bits that no
    pixel uses do not count, for 12-bit detectors often declare 16. Else the percentiles are.

    Parameters
    ----------
    stored
        ``[H, W]`` of integers.
    padding
        ``[H, W]``, true where a pixel is padding.
    air_is_high
        Whether high stored values are air.
    full_range
        Whether the range of the bits may be taken.
    """
    rows, columns = interior(stored)
    box = stored[rows, columns]
    share = box.size / stored.size
    kept = box.ravel() if padding is None else box[~padding[rows, columns]]
    if kept.size == 0:
        kept = box.ravel()
    first = int(kept.min())
    counts = _kept_counts(np.bincount(_offset(kept, first)))
    present = np.flatnonzero(counts)
    lowest, highest = first + int(present[0]), first + int(present[-1])
    cumulative = np.cumsum(counts)
    low, high = (
        first + int(np.searchsorted(cumulative, cumulative[-1] * percent / 100))
        for percent in PERCENTILES
    )
    bits = _bits_of(lowest, highest)
    bottom = -(1 << (bits - 1)) if lowest < 0 else 0
    width = (1 << bits) - 1
    air, bone = (AIR_MARGIN * width, BONE_MARGIN * width)
    below, above = (bone, air) if air_is_high else (air, bone)
    if full_range and low - bottom <= below and bottom + width - high <= above:
        return GreyRange(bottom, bottom + width, bits, share)
    return GreyRange(low, high, 0, share)


def _offset(values: NDArray[np.integer], first: int) -> NDArray[np.integer]:
    return values if first == 0 else np.subtract(values, first, dtype=np.int32)


def _bits_of(lowest: int, highest: int) -> int:
    """Return how many bits hold a range, with the sign where there is one."""
    if lowest >= 0:
        return max(highest.bit_length(), 1)
    return max(highest.bit_length(), (-lowest - 1).bit_length()) + 1


def _kept_counts(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the histogram without islands and spikes at its two ends."""
    total = int(counts.sum())
    for ascending in (counts, counts[::-1]):
        # Both are views: what is cleared in one is cleared in the other.
        island = _island(ascending)
        if island > 0 and int(ascending[:island].sum()) <= _LARGEST_ISLAND * total:
            ascending[:island] = 0
        present = np.flatnonzero(ascending)
        if present.size < _FEW_LEVELS:
            continue
        end = int(present[0])
        spike = int(ascending[end])
        if _SPIKE * total <= spike <= _LARGEST_ISLAND * total:
            ascending[end] = 0
    return counts


def _island(counts: NDArray[np.intp]) -> int:
    """Return where the first gap of a histogram begins, 0 if there is none."""
    present = np.flatnonzero(counts)
    gap = max(_GAP * (present[-1] - present[0]), 2.0)
    steps = np.flatnonzero(np.diff(present) > gap)
    return int(present[steps[0]]) + 1 if steps.size else 0
