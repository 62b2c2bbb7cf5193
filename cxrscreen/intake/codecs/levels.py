"""Decode JPEG 2000 no finer than is needed: its wavelets hold an image at halved sizes too.

Nearly all of the time goes into the finest levels, which a network of 224 pixels never sees.
Damage shows as it does in full: a codestream is parsed to its end whatever is decoded of it,
and what its coefficients are has no check of its own at any level.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# ISO/IEC 15444-1 table A.2: SOC, SIZ, COD, COC, SOT.
_START: Final = b"\xff\x4f\xff\x51"
_COD, _COC, _SOT = 0xFF52, 0xFF53, 0xFF90
_SIGNED: Final = 0x80
_WORD_BITS: Final = 16
_BYTE_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class _Codestream:
    """What the main header says: ISO/IEC 15444-1 annex A.5 and A.6.1."""

    rows: int
    columns: int
    bits: int
    levels: int


def levels_to_skip(frame: bytes, *, bits: int, enough_px: int) -> int:
    """Return how many of the finest levels can be left out, 0 for none.

    Parameters
    ----------
    frame
        A JPEG 2000 codestream of one component.
    bits
        What the header says that the samples have. Where the codestream says otherwise, only
        all samples tell whether they fit.
    enough_px
        Samples that the shorter side must keep.
    """
    stream = _parsed(frame)
    if stream is None or stream.bits != bits:
        return 0
    skipped = 0
    while skipped < stream.levels and _is_enough(stream, skipped + 1, enough_px):
        skipped += 1
    return skipped


def decode(frame: bytes, *, bits: int, skipped: int) -> NDArray[np.integer]:
    """Return the samples without the finest levels, where a detector that coarse has its pixels.

    A sample of the level lies on the first of the ``2**skipped`` that it stands for, not
    in their middle (ISO/IEC 15444-1 annex F: the low-pass band keeps the even ones). Linear
    interpolation moves it there.

    Parameters
    ----------
    frame
        What :func:`levels_to_skip` was asked about.
    bits
        Bits of a sample.
    skipped
        What it answered.

    Raises
    ------
    OSError, ValueError
        The codestream is damaged or of a kind that Pillow does not read.
    """
    with Image.open(BytesIO(frame), formats=("JPEG2000",)) as image:
        image.reduce = skipped  # type: ignore[assignment] # Pillow's own name for it
        image.load()
        values = np.asarray(image)
    if values.ndim != 2:  # noqa: PLR2004
        message = "more than one component"
        raise ValueError(message)
    # Pillow fills its words from the top.
    values = values >> ((_BYTE_BITS if values.dtype == np.uint8 else _WORD_BITS) - bits)
    towards = np.float32((1 - 0.5**skipped) / 2)
    moved = np.pad(values.astype(np.float32), ((0, 1), (0, 1)), mode="edge")
    moved = moved[:-1] + towards * (moved[1:] - moved[:-1])
    moved = moved[:, :-1] + towards * (moved[:, 1:] - moved[:, :-1])
    return np.rint(moved).astype(values.dtype)


def _is_enough(stream: _Codestream, skipped: int, enough_px: int) -> bool:
    sides, part = (stream.rows, stream.columns), 1 << skipped
    # Pillow rounds a size where the standard rounds it up, and gives up where they differ.
    agreed = all((side + part // 2) // part == -(-side // part) for side in sides)
    return agreed and min(sides) // part >= enough_px


def _parsed(frame: bytes) -> _Codestream | None:
    """Return the main header of a codestream of one tile and unsigned samples, else ``None``."""
    if not frame.startswith(_START):
        return None
    try:
        right, bottom, left, top, across, down = struct.unpack_from(">6I", frame, 8)
        tile_left, tile_top, components, depth = struct.unpack_from(">2IHB", frame, 32)
        if any((left, top, tile_left, tile_top)) or across < right or down < bottom:
            return None
        if components != 1 or depth & _SIGNED or depth >= _WORD_BITS:
            return None
        levels = _levels(frame)
    except struct.error:
        return None
    return None if levels is None else _Codestream(bottom, right, depth + 1, levels)


def _levels(frame: bytes) -> int | None:
    position, levels = 2, None
    while True:
        marker, length = struct.unpack_from(">2H", frame, position)
        if marker == _SOT:
            return levels
        if marker == _COC or length < 2:  # noqa: PLR2004 - a length counts itself
            return None
        if marker == _COD:
            levels = int(frame[position + 9])
        position += 2 + length
