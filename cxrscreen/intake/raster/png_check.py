"""Check that a PNG file holds all the rows that its header promises, undamaged.

Pillow leaves the rows black that a complete but too short stream does not hold, and does not
verify the checksums of image data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SIGNATURE_BYTES: Final = 8
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Final = (1, 2, 4, 8, 16)
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
# What the pixels are made of; a damaged comment is no reason to refuse a radiograph.
_VERIFIED: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the chunks of a PNG say: PNG specification, sections 11.2 and 11.3.

    Attributes
    ----------
    width, height, depth, colour, interlaced
        Of ``IHDR``; ``colour`` is the colour type.
    transparency
        Content of ``tRNS``, empty without one.
    animated
        Whether an ``acTL`` announces further frames.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    transparency: bytes = b""
    animated: bool = False


def png_header(content: bytes) -> PngHeader:
    """Return what the chunks say, without touching the image data.

    Raises
    ------
    ValueError
        A chunk is cut off, or the header is impossible.
    """
    found = {kind: bytes(data) for kind, data in _chunks(content) if kind not in (b"IDAT", b"fdAT")}
    try:
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", found[b"IHDR"])
    except (KeyError, struct.error) as error:
        message = "no image header"
        raise ValueError(message) from error
    if not (width and height and colour in _CHANNELS and depth in _DEPTHS):
        message = f"{width}x{height} pixels of {depth} bits, colour type {colour}"
        raise ValueError(message)
    return PngHeader(
        width=width,
        height=height,
        depth=depth,
        colour=colour,
        interlaced=bool(interlaced),
        transparency=found.get(b"tRNS", b""),
        animated=b"acTL" in found,
    )


def require_whole_png(content: bytes, header: PngHeader) -> None:
    """Refuse a PNG whose image data are damaged or not as long as its header says.

    Parameters
    ----------
    content
        The file.
    header
        What its chunks say.

    Raises
    ------
    ValueError
        Rows are missing or left over, a checksum is wrong, or the stream is damaged.
    """
    bits = header.depth * _CHANNELS[header.colour]
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    expected = sum(
        rows * (1 + (columns * bits + 7) // 8)
        for columns, rows in (
            (-(-(header.width - left) // step_x), -(-(header.height - top) // step_y))
            for left, top, step_x, step_y in passes
        )
        if columns > 0 and rows > 0
    )
    try:
        found = _inflated_bytes(content, limit=expected + 1)
    except zlib.error as error:
        message = "the image data are damaged"
        raise ValueError(message) from error
    if found != expected:
        message = f"{found} bytes of image data where the header says {expected}"
        raise ValueError(message)


def _inflated_bytes(content: bytes, *, limit: int) -> int:
    """Count what the image data inflate to, up to ``limit``, without keeping it."""
    inflate, found = zlib.decompressobj(), 0
    for kind, data in _chunks(content):
        rest: memoryview | bytes = data if kind == b"IDAT" else b""
        while rest and found < limit and not inflate.eof:
            found += len(inflate.decompress(rest, _CHUNK_BYTES))
            rest = inflate.unconsumed_tail
    if found < limit:
        found += len(inflate.flush())
    if found < limit and not inflate.eof:
        message = "the image data end before their checksum"
        raise ValueError(message)
    return min(found, limit)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at, kind = memoryview(content), _SIGNATURE_BYTES, b""
    while at + 12 <= len(content) and kind != b"IEND":
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if end + 4 > len(content):
            break
        data = view[at + 8 : end]
        checksum = int.from_bytes(view[end : end + 4], "big")
        if kind in _VERIFIED and zlib.crc32(view[at + 4 : end]) != checksum:
            message = f"the checksum of a {kind.decode()} chunk is wrong"
            raise ValueError(message)
        yield kind, data
        at = end + 4
    if kind != b"IEND":
        message = "the file ends inside its chunks"
        raise ValueError(message)
