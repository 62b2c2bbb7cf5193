"""Count the bits of a decoded JPEG lossless scan: damage makes them end elsewhere.

A flipped bit in the code of a difference leaves a stream that decodes to noise, and decoders of
JPEG lossless are silent on it. But the length of each code follows from the difference that it
stands for, so decoded values tell how many bits they were decoded from.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.intake.raster.huffman import HuffmanTable
from cxrscreen.intake.raster.jpeg_check import JpegDamageError, JpegFile, parse

_LOSSLESS: Final = 3
_LEFT: Final = 1
_SIZES: Final = 17
_FILL: Final = 0xFF
_WHOLE_RANGE: Final = 16
# As many rows at a time as stay in a core's cache.
_VALUES_AT_ONCE: Final = 1 << 17


def require_whole_lossless(content: bytes, values: NDArray[np.integer]) -> bool:
    """Refuse a JPEG lossless frame whose codes do not end where its data end.

    Parameters
    ----------
    content
        The encoded frame.
    values
        What was decoded from it, ``[H, W]``, not masked to the precision.

    Returns
    -------
    bool
        ``False`` for what is not counted: predictors other than the left neighbour's (selection
        value 1, which is all that DICOM's SV1 syntax has), a point transform, restart intervals,
        colours.

    Raises
    ------
    JpegDamageError
        The markers do not parse, a difference has no code, or the number of bits differs by
        more than fills the last byte.
    """
    jpeg = parse(content)
    if not _is_counted(jpeg, values):
        return False
    scan = jpeg.scans[0]
    table = scan.dc_tables[scan.components[0][1]]
    counts = _sizes(values, jpeg.precision)
    lengths = _bits_of_sizes(table)
    if any(count and not length for count, length in zip(counts, lengths, strict=True)):
        message = "a difference of the scan has no code"
        raise JpegDamageError(message)
    used = sum(count * length for count, length in zip(counts, lengths, strict=True))
    data = np.frombuffer(content, dtype=np.uint8)[scan.data]
    # Behind each 0xFF of the codes stands a zero that is not part of them.
    stuffed = int(np.count_nonzero(data[np.flatnonzero(data[:-1] == _FILL) + 1] == 0))
    left = 8 * (data.size - stuffed) - used
    if not 0 <= left < 8:  # noqa: PLR2004 - what is left fills the last byte
        message = "the codes of the scan do not end where its data end"
        raise JpegDamageError(message)
    return True


def _is_counted(jpeg: JpegFile, values: NDArray[np.integer]) -> bool:
    if jpeg.process != _LOSSLESS or len(jpeg.components) != 1 or len(jpeg.scans) != 1:
        return False
    scan = jpeg.scans[0]
    plain = scan.first == _LEFT and not scan.low and not scan.restart_interval
    return plain and values.shape == (jpeg.height, jpeg.width)


def _sizes(values: NDArray[np.integer], precision: int) -> list[int]:
    """Return how many differences have each size, 0 to 16: T.81 section H.1.2 and table H.2."""
    height, width = values.shape
    at_least = np.zeros(_SIZES + 1, dtype=np.int64)
    at_least[0] = values.size
    rows = max(_VALUES_AT_ONCE // width, 1)
    above = np.uint16(1 << (precision - 1))
    for first in range(0, height, rows):
        block = np.ascontiguousarray(values[first : first + rows]).astype(np.uint16, copy=False)
        differences = np.empty(block.shape, dtype=np.uint16)
        np.subtract(block[:, 1:], block[:, :-1], out=differences[:, 1:])
        # The first of a row continues from the first of the row above; all is modulo 65536.
        firsts = np.concatenate(([above], block[:, 0]))
        np.subtract(firsts[1:], firsts[:-1], out=differences[:, 0])
        above = firsts[-1]
        # The magnitude of -32768 is itself again, and as an unsigned number the one it should be.
        sizes = np.abs(differences.view(np.int16)).view(np.uint16)
        most = int(sizes.max()).bit_length()
        for size in range(1, most + 1):
            at_least[size] += np.count_nonzero(sizes >= np.uint16(1 << (size - 1)))
    return list((at_least[:-1] - at_least[1:]).tolist())


def _bits_of_sizes(table: HuffmanTable) -> list[int]:
    """Return the bits of a difference of each size, its code's and its own; 0 without a code."""
    bits, at = [0] * _SIZES, 0
    for length, count in enumerate(table.counts, start=1):
        for symbol in table.symbols[at : at + count]:
            if symbol < _SIZES:
                # A difference of 32768 needs no bits of its own: it has no sign.
                bits[symbol] = length + (symbol if symbol < _WHOLE_RANGE else 0)
        at += count
    return bits
