"""The walk through Huffman codes as machine code: imported where numba is (extra ``fast``).

The same steps as in ``huffman.py``, one symbol at a time, in a thirtieth of the time. numba keeps
what it compiled beside this file or in the user's folder for such things.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

_CODE_BITS: Final = 16
_BLOCK: Final = 64
_END, _INVALID = 128, 1024


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # There is no folder to keep it in.
        compiled = numba.njit(nogil=True)(function)
    return compiled


def _window(data: NDArray[np.uint8], at: int) -> int:
    """Return the 16 bits that begin at a bit."""
    byte = at >> 3
    triple = (np.int64(data[byte]) << 16) | (np.int64(data[byte + 1]) << 8) | data[byte + 2]
    return int((triple >> (8 - (at & 7))) & 0xFFFF)


_compiled_window: Final = _compiled(_window)


def _walk(  # noqa: PLR0913, PLR0917 - a compiled function takes arrays and numbers, no objects
    data: NDArray[np.uint8],
    bits: int,
    mcus: int,
    order: NDArray[np.int64],
    dc: NDArray[np.int64],
    ac: NDArray[np.int64],
    limits: NDArray[np.int64],
) -> bool:
    means = np.zeros(limits.size, dtype=np.int64)
    at = 0
    for _ in range(mcus):
        for place in order:
            step = dc[place, _compiled_window(data, at)]
            at += step & 255
            size = step >> 8
            if size >= _INVALID or at > bits:
                return False
            if size:
                value = _compiled_window(data, at) >> (_CODE_BITS - size)
                if not value >> (size - 1):
                    value += 1 - (1 << size)
                means[place] += value
                at += size
                if abs(means[place]) > limits[place]:
                    return False
            position = 1
            while position < _BLOCK:
                step = ac[place, _compiled_window(data, at)]
                at += step & 255
                position += step >> 8
            # The data go on for one block beyond their end.
            if at > bits or not (position == _BLOCK or _END <= position < _END + _BLOCK):
                return False
    return bool(bits - at < 8)  # noqa: PLR2004 - what is left fills the last byte


#: Whether the codes of one restart interval end where its data end. Its arguments: the data
#: without stuffed bytes with a block's worth of zeros behind them, their length in bits, the
#: number of MCUs, the component of each block of one, the steps of DC and AC codes
#: (``[components, 65536]``, as in ``huffman.py``), and the largest mean of each component.
walk: Final = _compiled(_walk)
