"""What a compressed frame says of its own size, before a decoder reserves memory for it."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

# ISO/IEC 10918-1 table B.1 (SOF0 to SOF15 without DHT, JPG and DAC) and 14495-1 (SOF55).
_FRAME_MARKERS: Final = frozenset([*range(0xC0, 0xD0), 0xF7]) - {0xC4, 0xC8, 0xCC}
_STANDALONE: Final = frozenset([0x01, *range(0xD0, 0xD8)])
_JPEG_START: Final = b"\xff\xd8"
# ISO/IEC 15444-1 annex A.5: SOC, then SIZ.
_JPEG2000_START: Final = b"\xff\x4f\xff\x51"
_FILL: Final = 0xFF
_HEADER_LIMIT: Final = 1 << 20


class CodestreamSize(NamedTuple):
    """Rows, columns, components of a codestream, and the bits of a sample."""

    rows: int
    columns: int
    components: int
    bits: int


def size_of(frame: bytes) -> CodestreamSize | None:
    """Return the size of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame by its own header.

    ``None`` where the frame has no header of that kind.
    """
    try:
        if frame.startswith(_JPEG_START):
            return _jpeg(frame)
        start = frame.find(_JPEG2000_START, 0, _HEADER_LIMIT)
        return None if start < 0 else _jpeg2000(frame, start)
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> CodestreamSize | None:
    position = 2
    while position < _HEADER_LIMIT and frame[position] == _FILL:
        marker = frame[position + 1]
        if marker == _FILL:
            position += 1
            continue
        if marker in _FRAME_MARKERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return CodestreamSize(rows, columns, components, bits)
        position += 2
        if marker not in _STANDALONE:
            (length,) = struct.unpack_from(">H", frame, position)
            position += max(length, 2)
    return None


def _jpeg2000(frame: bytes, start: int) -> CodestreamSize:
    right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    # The topmost bit tells of a sign, the others hold the bits less one.
    return CodestreamSize(bottom - top, right - left, components, (depth & 0x7F) + 1)
