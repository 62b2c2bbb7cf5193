"""Check that a PNG file holds all the rows that its header promises.

Pillow leaves the rows black that a complete but too short stream does not hold.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_SIGNATURE_BYTES: Final = 8
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# PNG specification, section 8.2: first column and row, column and row step of each pass.
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_CHUNK_BYTES: Final = 1 << 20


def require_whole_png(content: bytes) -> None:
    """Refuse a PNG whose image data are shorter than its header says.

    Parameters
    ----------
    content
        The file.

    Raises
    ------
    ValueError
        Rows are missing, or the stream is damaged.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = sum(
        rows * (1 + (columns * bits + 7) // 8)
        for columns, rows in (
            (-(-(width - left) // step_x), -(-(height - top) // step_y))
            for left, top, step_x, step_y in passes
        )
        if columns > 0 and rows > 0
    )
    try:
        found = _inflated_bytes(content, limit=expected)
    except (zlib.error, struct.error) as error:
        message = "the image data are damaged"
        raise ValueError(message) from error
    if found < expected:
        message = f"{found} of {expected} bytes of image data"
        raise ValueError(message)


def _inflated_bytes(content: bytes, *, limit: int) -> int:
    """Count what the image data inflate to, up to ``limit``, without keeping it."""
    inflate, found = zlib.decompressobj(), 0
    for data in _image_data(content):
        rest = data
        while rest and found < limit:
            found += len(inflate.decompress(rest, _CHUNK_BYTES))
            rest = inflate.unconsumed_tail
    return found + len(inflate.flush()) if found < limit else found


def _image_data(content: bytes) -> Iterator[bytes]:
    at = _SIGNATURE_BYTES
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IDAT":
            yield content[at + 8 : at + 8 + length]
        at += length + 12
