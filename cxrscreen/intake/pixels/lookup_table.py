"""A lookup table of a header: Modality LUT or VOI LUT, PS3.3 C.11.1.1.1 and C.11.2.1.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.vocabulary import RejectCode

_MAX_BITS: Final = 16
_MAX_ENTRIES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Values after a lookup table.

    Attributes
    ----------
    values
        One for each value looked up.
    bits
        Bits of an entry, as the descriptor says.
    largest
        The largest entry of the whole table.
    detail
        The table in words.
    """

    values: NDArray[np.float64]
    bits: int
    largest: int
    detail: str


def through_lut(values: NDArray[np.float64], item: Dataset, *, big_endian: bool) -> LookedUp:
    """Look values up; those outside the table take its first or last entry.

    Parameters
    ----------
    values
        What to look up.
    item
        An item with ``LUTDescriptor`` (entries, first value mapped, bits) and ``LUTData``.
    big_endian
        Byte order of the object.

    Raises
    ------
    ImageRefusedError
        ``MALFORMED_DICOM`` where descriptor and data do not fit.
    """
    try:
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count or _MAX_ENTRIES
        data, word = item.LUTData, ">u2" if big_endian else "<u2"
        entries = (
            np.frombuffer(data, dtype=word if len(data) >= 2 * count else "u1")
            if isinstance(data, bytes)
            else np.atleast_1d(np.asarray(data))
        )[:count].astype(np.float64)
        largest = int(entries.max())
        valid = entries.size == count and 1 <= bits <= _MAX_BITS and largest < 1 << bits
    except Exception as error:
        reason = f"a lookup table of the header does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    if not valid:
        reason = "a lookup table of the header is not what its descriptor says"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    first = _signed_like(first, values)
    positions = np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)
    return LookedUp(entries[positions], bits, largest, f"{count} entries of {bits} bits")


def _signed_like(first: int, values: NDArray[np.float64]) -> int:
    """Return the first value mapped; writers note a negative one as unsigned.

    PS3.3 C.11.1.1.1: it has the sign of what is looked up.
    """
    unsigned = first >= 1 << 15 > float(values.max())
    return first - (1 << 16) if unsigned and float(values.min()) < 0 else first
