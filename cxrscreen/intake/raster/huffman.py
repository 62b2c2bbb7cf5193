"""Walk through the Huffman codes of a sequential JPEG scan without making an image of it.

A flipped bit leaves a stream that decodes to something. But the codes behind it then seldom
end where the data end, coefficients run over the end of their block, or the mean of a block
leaves the range that pixels can have. libjpeg is silent on all three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cxrscreen.intake.raster.jpeg_check import JpegFile, Scan

#: Longer scans are not walked through: it would take seconds, and memory with them.
MAX_SCAN_BYTES: Final = 2 << 20
_CODE_BITS: Final = 16
# No block is longer: 64 codes of 16 bits with values of 15.
_MARGIN_BYTES: Final = 256
_BLOCK: Final = 64
_END, _INVALID = 128, 1024
_ZERO_RUN: Final = 15
# T.81 section A.3.1 shifts 8-bit samples to -128..127; the transform sums 64 of them to 8 times.
_DC_LIMIT: Final = 1024
# T.81 table F.1 has 11 sizes for 8 bits, 15 for 12.
_MAX_SIZE: Final = 15


@dataclass(frozen=True, slots=True)
class HuffmanTable:
    """A Huffman table: T.81 section B.2.4.2.

    Attributes
    ----------
    counts
        Number of codes of each length from 1 to 16 bits.
    symbols
        Their symbols, shortest code first.
    """

    counts: tuple[int, ...]
    symbols: bytes


def sound_segment(
    jpeg: JpegFile, scan: Scan, segment: bytes, mcus: int, order: tuple[int, ...]
) -> bool:
    """Return whether one restart interval of a sequential scan decodes to its very end.

    Parameters
    ----------
    jpeg, scan
        The picture and the scan.
    segment
        The interval's data without stuffed bytes, :data:`MAX_SCAN_BYTES` at most.
    mcus
        Number of MCUs that it must hold.
    order
        For each block of an MCU the place of its component in the scan.
    """
    bits = 8 * len(segment)
    dc_tables = [scan.dc_tables[table] for _, table, _ in scan.components]
    ac_tables = [scan.ac_tables[table] for _, _, table in scan.components]
    steps = [jpeg.quantisation[jpeg.components[place].table] for place, _, _ in scan.components]
    limit = _DC_LIMIT << max(jpeg.precision - 8, 0)
    limits = [(limit + step) // max(step, 1) for step in steps]
    walk = _compiled_walk()
    if walk is not None:
        padded = np.frombuffer(segment + bytes(_MARGIN_BYTES), dtype=np.uint8)
        dc_array = np.stack([_dc_steps(table) for table in dc_tables])
        ac_array = np.stack([_ac_steps(table) for table in ac_tables])
        places, most = np.array(order, dtype=np.int64), np.array(limits, dtype=np.int64)
        return bool(walk(padded, bits, mcus, places, dc_array, ac_array, most))
    return _walk_in_python(
        segment, mcus, order, list(zip(dc_tables, ac_tables, limits, strict=True))
    )


@lru_cache(maxsize=1)
def _compiled_walk() -> Callable[..., bool] | None:
    # Imported with the first JPEG file: it takes half a second.
    try:
        from cxrscreen.intake.raster import huffman_compiled  # noqa: PLC0415
    except ImportError:
        # numba is not here, or not for this NumPy.
        return None
    return huffman_compiled.walk


def _walk_in_python(
    segment: bytes,
    mcus: int,
    order: tuple[int, ...],
    components: Sequence[tuple[HuffmanTable, HuffmanTable, int]],
) -> bool:
    """Walk as ``huffman_compiled.walk`` does, several symbols at a time."""
    windows = _windows(segment)
    bits = 8 * len(segment)
    dc = [_dc_list(table) for table, _, _ in components]
    ac = [_ac_lists(table) for _, table, _ in components]
    limits = [limit for _, _, limit in components]
    means = [0] * len(components)
    at = 0
    for _ in range(mcus):
        for place in order:
            step = dc[place][windows[at]]
            at += step & 255
            size = step >> 8
            if size >= _INVALID or at > bits:
                return False
            if size:
                value = windows[at] >> (_CODE_BITS - size)
                means[place] += value if value >> (size - 1) else value + 1 - (1 << size)
                at += size
                if abs(means[place]) > limits[place]:
                    return False
            at = _end_of_block(windows, at, *ac[place])
            # The windows reach one block beyond the data.
            if at < 0 or at > bits:
                return False
    return bits - at < 8  # noqa: PLR2004 - what is left fills the last byte


def _end_of_block(windows: memoryview, at: int, many: list[int], single: list[int]) -> int:
    """Return where the coefficients of a block that begin at ``at`` end, -1 if they do not."""
    position = 1
    while True:
        step = many[windows[at]]
        reached = position + (step >> 8)
        if reached < _BLOCK:
            position = reached
            at += step & 255
        elif _END <= reached < _END + _BLOCK:
            return at + (step & 255)
        else:
            break
    # The last coefficient of the block is among these symbols: one at a time.
    while position < _BLOCK:
        step = single[windows[at]]
        at += step & 255
        position += step >> 8
    return at if position == _BLOCK or _END <= position < _END + _BLOCK else -1


def _windows(segment: bytes) -> memoryview:
    """Return the 16 bits that begin at each bit."""
    padded = np.frombuffer(segment + bytes(_MARGIN_BYTES), dtype=np.uint8).astype(np.uint32)
    triples = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    windows = np.empty((triples.size, 8), dtype=np.uint16)
    for shift in range(8):
        windows[:, shift] = triples >> (8 - shift)
    return windows.ravel().data


def _spans(table: HuffmanTable) -> list[tuple[int, int, int, int]]:
    """Return first and last window, length and symbol of each code: T.81 annex C."""
    spans, code, at = [], 0, 0
    for length, count in enumerate(table.counts, start=1):
        for symbol in table.symbols[at : at + count]:
            low = code << (_CODE_BITS - length)
            spans.append((low, low + (1 << (_CODE_BITS - length)), length, symbol))
            code += 1
        at += count
        code <<= 1
    return spans


@lru_cache(maxsize=8)
def _dc_steps(table: HuffmanTable) -> NDArray[np.int64]:
    """Return for each window the bits of its code and 256 times the size of the difference."""
    steps = np.full(1 << _CODE_BITS, _INVALID << 8, dtype=np.int64)
    for low, high, length, symbol in _spans(table):
        steps[low:high] = length | (symbol if symbol <= _MAX_SIZE else _INVALID) << 8
    return steps


@lru_cache(maxsize=8)
def _dc_list(table: HuffmanTable) -> list[int]:
    return list(_dc_steps(table).tolist())


@lru_cache(maxsize=8)
def _ac_steps(table: HuffmanTable) -> NDArray[np.int64]:
    """Return for each window the bits of its first symbol and 256 times its coefficients."""
    single = np.full(1 << _CODE_BITS, _INVALID << 8, dtype=np.int64)
    for low, high, length, symbol in _spans(table):
        run, size = symbol >> 4, symbol & 15
        passed = run + 1 if size or run == _ZERO_RUN else _END
        single[low:high] = (length + size) | passed << 8
    return single


@lru_cache(maxsize=8)
def _ac_lists(table: HuffmanTable) -> tuple[list[int], list[int]]:
    """Return the steps of as many whole symbols as a window holds, and of its first alone."""
    single = _ac_steps(table)
    many, window = single.copy(), np.arange(1 << _CODE_BITS)
    for _ in range(3):
        used = many & 255
        following = single[window << np.minimum(used, _CODE_BITS) & 0xFFFF]
        fits = (many >> 8 < _END) & (following >> 8 < _INVALID)
        fits &= used + (following & 255) <= _CODE_BITS
        many = np.where(fits, many + following, many)
    return list(many.tolist()), list(single.tolist())
