"""RLE frames, decoded strictly: PS3.5 annex G.

A decoder plugin for pydicom. The readers at hand take a segment that decodes to more bytes
than a plane has, and cut it: what a lost byte has shifted would be judged as a chest.
"""

from __future__ import annotations

import importlib.util
import struct
from typing import Final

import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

PLUGIN: Final = "cxrscreen"
DECODER_DEPENDENCIES: Final = {uid.RLELossless: ("numpy",)}
_HEADER_BYTES: Final = 64
_BYTE_BITS: Final = 8
_LITERAL_END: Final = 0x80
# A segment is padded to an even length (PS3.5 section G.3.1); some writers pad to four.
_PADDING: Final = 3


def is_available(syntax: str) -> bool:
    """Return whether the plugin decodes a transfer syntax."""
    return syntax in DECODER_DEPENDENCIES


def is_accelerated() -> bool:
    """Return whether imagecodecs unpacks the segments."""
    return importlib.util.find_spec("imagecodecs") is not None


def register() -> None:
    """Make the plugin known to pydicom's decoder, once."""
    decoder = get_decoder(uid.RLELossless)
    if PLUGIN not in decoder.available_plugins:
        decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the samples of one frame, colours by planes.

    Parameters
    ----------
    source
        One encoded frame: its header of sixteen numbers, then the segments.
    runner
        pydicom's description of it.

    Raises
    ------
    ValueError
        The segments are not those of the image: their number, order or decoded length.
    """
    plane = runner.rows * runner.columns
    sample_bytes = runner.bits_allocated // _BYTE_BITS
    expected = runner.samples_per_pixel * sample_bytes
    if len(source) < _HEADER_BYTES:
        message = "the frame ends inside its header"
        raise ValueError(message)
    count, *offsets = struct.unpack("<16I", source[:_HEADER_BYTES])
    ends = [*offsets[1:count], len(source)]
    ordered = all(start < end for start, end in zip(offsets[:count], ends, strict=False))
    if count != expected or not ordered or offsets[0] < _HEADER_BYTES:
        message = f"{count} segments where {expected} are expected, or out of order"
        raise ValueError(message)
    # PS3.5 section G.2: the most significant byte of every sample comes first.
    samples = np.empty((runner.samples_per_pixel, plane, sample_bytes), dtype=np.uint8)
    for number, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        segment = _unpacked(source[start:end], plane)
        sample, byte = divmod(number, sample_bytes)
        samples[sample, :, sample_bytes - 1 - byte] = np.frombuffer(segment, dtype=np.uint8)
    return samples.tobytes()


def _unpacked(segment: bytes, expected: int) -> bytes:
    """Return a segment that decodes to exactly the expected number of bytes."""
    if is_accelerated():
        unpacked = _unpacked_fast(segment, expected)
        if unpacked is not None:
            return unpacked
    return _unpacked_plain(segment, expected)


def _unpacked_fast(segment: bytes, expected: int) -> bytes | None:
    """Return the segment as imagecodecs unpacks it, ``None`` where that does not fit."""
    import imagecodecs  # noqa: PLC0415 - an optional package

    # Bounded: two bytes of a hostile segment make 128.
    try:
        unpacked = bytes(imagecodecs.packbits_decode(segment, out=expected))
    except Exception:  # noqa: BLE001 - the plain loop judges padding, and what is damaged
        return None
    return unpacked if len(unpacked) == expected else None


def _unpacked_plain(segment: bytes, expected: int) -> bytes:
    unpacked = bytearray()
    position, end = 0, len(segment)
    while position < end and len(unpacked) < expected:
        head = segment[position]
        position += 1
        if head < _LITERAL_END:
            unpacked += segment[position : position + head + 1]
            position += head + 1
        elif head > _LITERAL_END:
            unpacked += segment[position : position + 1] * (257 - head)
            position += 1
    if len(unpacked) != expected or end - position > _PADDING or position > end:
        message = f"a segment holds {len(unpacked)} bytes or more where {expected} are expected"
        raise ValueError(message)
    return bytes(unpacked)
