"""Find the bytes of one frame in an object, without reading the others.

Uncompressed frames lie one behind the other (PS3.5 section 8.1.1); compressed ones in the
fragments of an encapsulated element (PS3.5 section A.4), with or without a table of offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.deflated import open_inflated
from cxrscreen.intake.pixels.pixel_format import PixelFormat
from cxrscreen.vocabulary import RejectCode

_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_FLOAT_KEYWORDS: Final = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData"}
_PIXEL_ELEMENT: Final = 0x0010
# PS3.5 annex A: Pixel Data are OB or OW; UN is what a gateway makes of them.
_PIXEL_VR: Final = (b"OB", b"OW", b"UN")
_JPEG_FAMILY_END: Final = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data of an open object are.

    Attributes
    ----------
    header
        Every element before them.
    syntax
        The transfer syntax, that of the file or the one it was found to be in.
    stream, offset
        Where their value begins.
    length
        Its length in bytes, ``None`` if undefined.
    is_words
        Whether the value is of VR OW.
    """

    header: FileDataset
    syntax: uid.UID
    stream: BinaryIO
    offset: int
    length: int | None
    is_words: bool


@contextmanager
def open_pixels(content: Content) -> Iterator[PixelElement]:
    """Read the header and stop at the pixel data.

    Raises
    ------
    ImageRefusedError
        ``NO_PIXEL_DATA``, ``UNSUPPORTED_ENCODING``, ``MALFORMED_DICOM`` or ``DECODE_FAILED``.
    """
    try:
        stream = open_inflated(content)
    except ImageRefusedError:
        raise
    except Exception as error:
        raise _unreadable(error) from error
    with stream:
        try:
            header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            syntax = _transfer_syntax(header)
            element = _element(stream, header, syntax)
        except ImageRefusedError:
            raise
        except Exception as error:
            raise _unreadable(error) from error
        yield element


def native_frame(element: PixelElement, pixels: PixelFormat, index: int) -> bytes:
    """Return one uncompressed frame.

    The length of the element is taken seriously. Rows that a writer has padded shear the
    image when the excess is taken for the beginning of the next row. PS3.5 section 8.1.1: one
    byte of padding at most, to an even length.

    Raises
    ------
    ImageRefusedError
        ``DECODE_FAILED`` where bytes are missing, ``MALFORMED_DICOM`` where there are more.
    """
    _require_frame(pixels, index)
    expected = pixels.frame_bytes * pixels.frames
    if element.length is None:
        reason = "uncompressed pixel data without a length"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    if element.length < expected:
        reason = f"the pixel data end after {element.length} of {expected} bytes: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    if element.length > expected + expected % 2:
        reason = f"{element.length} bytes of pixel data where the header says {expected}"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    element.stream.seek(element.offset + index * pixels.frame_bytes)
    content = element.stream.read(pixels.frame_bytes)
    if len(content) < pixels.frame_bytes:
        reason = f"the frame ends after {len(content)} of {pixels.frame_bytes} bytes: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    return content


def encapsulated_frame(element: PixelElement, pixels: PixelFormat, index: int) -> bytes:
    """Return one compressed frame, its fragments joined.

    A frame of the JPEG family must have its end marker: decoders fill what is missing with
    grey and call it a success, and a lung that was not transmitted must not be judged as
    clear.

    Raises
    ------
    ImageRefusedError
        ``DECODE_FAILED``.
    """
    _require_frame(pixels, index)
    element.stream.seek(element.offset)
    try:
        frame = pydicom.encaps.get_frame(
            element.stream,
            index,
            number_of_frames=pixels.frames,
            extended_offsets=_extended_offsets(element.header),
        )
    except Exception as error:
        reason = f"the compressed frame cannot be found ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
    if element.syntax == uid.RLELossless:
        return frame
    # Writers pad a frame of odd length with 00 or FF (PS3.5 section A.4).
    if not frame[-64:].rstrip(b"\x00\xff").endswith(_JPEG_FAMILY_END):
        reason = "the compressed frame ends before its end marker: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    return frame


def _require_frame(pixels: PixelFormat, index: int) -> None:
    if not 0 <= index < pixels.frames:
        reason = f"frame {index + 1} of an object with {pixels.frames}"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)


def _extended_offsets(header: Dataset) -> tuple[bytes, bytes] | None:
    """Return the Extended Offset Table and its lengths: PS3.3 C.7.6.3.1.8."""
    offsets, lengths = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    if isinstance(offsets, bytes) and isinstance(lengths, bytes) and offsets and lengths:
        return offsets, lengths
    return None


def _unreadable(error: Exception) -> ImageRefusedError:
    reason = f"the pixel data cannot be read ({type(error).__name__})"
    return ImageRefusedError(RejectCode.DECODE_FAILED, reason)


def _transfer_syntax(header: FileDataset) -> uid.UID:
    """Return the syntax that the file names or, without file meta, the one it was read in."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if isinstance(syntax, str) and syntax:
        return uid.UID(syntax)
    if syntax:
        reason = "TransferSyntaxUID holds more than one value"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    implicit, little = header.original_encoding
    if not little:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


def _element(stream: BinaryIO, header: FileDataset, syntax: uid.UID) -> PixelElement:
    implicit, little = header.original_encoding
    order = "<" if little else ">"
    head = stream.read(12)
    if len(head) < (8 if implicit else 12):
        raise ImageRefusedError(RejectCode.NO_PIXEL_DATA, "the object holds no PixelData")
    group, number = struct.unpack(f"{order}HH", head[:4])
    if group != 0x7FE0 or number not in (*_FLOAT_KEYWORDS, _PIXEL_ELEMENT):  # noqa: PLR2004
        raise ImageRefusedError(RejectCode.NO_PIXEL_DATA, "the object holds no PixelData")
    if number in _FLOAT_KEYWORDS:
        reason = f"the pixel data are floating-point numbers ({_FLOAT_KEYWORDS[number]})"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    representation = b"OW" if implicit else head[4:6]
    if representation not in _PIXEL_VR:
        reason = "the pixel data are of no representation that the standard has for them"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    (length,) = struct.unpack(f"{order}I", head[4:8] if implicit else head[8:12])
    return PixelElement(
        header=header,
        syntax=syntax,
        stream=stream,
        offset=stream.tell() - (4 if implicit else 0),
        length=None if length == _UNDEFINED_LENGTH else length,
        is_words=representation == b"OW",
    )
