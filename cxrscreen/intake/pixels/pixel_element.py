"""Find the bytes of one frame in an object, without reading the others.

Uncompressed frames lie one behind the other (PS3.5 section 8.1.1); compressed ones in the
fragments of an encapsulated element (PS3.5 section A.4), with or without a table of offsets.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.deflated import Inflated, open_inflated
from cxrscreen.intake.pixels.pixel_format import MAX_FRAMES, PixelFormat
from cxrscreen.vocabulary import RejectCode

_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_FLOAT_KEYWORDS: Final = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData"}
_PIXEL_ELEMENT: Final = 0x0010
# PS3.5 annex A: Pixel Data are OB or OW; UN is what a gateway makes of them.
_PIXEL_VR: Final = (b"OB", b"OW", b"UN")
_EXPLICIT_IN_IMPLICIT: Final = tuple(vr + b"\0\0" for vr in _PIXEL_VR)
_JPEG_FAMILY_END: Final = b"\xff\xd9"
# SOI of JPEG and JPEG-LS, SOC and SIZ of JPEG 2000, the signature box of JP2.
_JPEG_FAMILY_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_ITEM: Final = struct.pack("<HH", 0xFFFE, 0xE000)
_MARGIN: Final = 64
_PIXEL_GROUP: Final = 0x7FE0
# Group, element and value representation.
_EXPLICIT_START: Final = struct.Struct("<HH2s")


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
    if isinstance(element.stream, Inflated):
        _require_elements_behind(element)
    start = index * pixels.frame_bytes
    if element.syntax == uid.ExplicitVRBigEndian and element.is_words and pixels.allocated == 8:  # noqa: PLR2004
        # PS3.5 section 8.1.1: bytes are packed into words, whose bytes are then swapped. Words
        # take no notice of where a frame begins.
        words = (start + pixels.frame_bytes + 1) // 2 - start // 2
        element.stream.seek(element.offset + start // 2 * 2)
        packed = np.frombuffer(element.stream.read(2 * words), dtype=np.uint8)
        swapped = packed[: packed.size // 2 * 2].reshape(-1, 2)[:, ::-1].tobytes()
        content = swapped[start % 2 :][: pixels.frame_bytes]
    else:
        element.stream.seek(element.offset + start)
        content = element.stream.read(pixels.frame_bytes)
    if len(content) < pixels.frame_bytes:
        reason = f"the frame ends after {len(content)} of {pixels.frame_bytes} bytes: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    return content


def _require_elements_behind(element: PixelElement) -> None:
    """Refuse inflated pixel data with something else than elements behind them.

    Damage in a deflated stream shifts all that follows, and nothing else shows it.
    """
    element.stream.seek(element.offset + (element.length or 0))
    behind = element.stream.read(_EXPLICIT_START.size)
    if len(behind) <= 1:
        return
    if len(behind) == _EXPLICIT_START.size:
        group, _, representation = _EXPLICIT_START.unpack(behind)
        if group >= _PIXEL_GROUP and representation.isalpha() and representation.isupper():
            return
    reason = "the inflated data set does not end where its pixel data do: damaged"
    raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)


def encapsulated_frame(element: PixelElement, pixels: PixelFormat, index: int) -> bytes:
    """Return one compressed frame, its fragments joined.

    A frame of the JPEG family must have its end marker: decoders fill what is missing with
    grey and call it a success, and a lung that was not transmitted must not be judged as
    clear.

    Raises
    ------
    ImageRefusedError
        ``DECODE_FAILED``, ``MALFORMED_DICOM`` where there are more frames than the header says.
    """
    _require_frame(pixels, index)
    if index == 0:
        _require_no_more_frames(element, pixels)
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
    if not _is_ended(frame):
        reason = "the compressed frame ends before its end marker: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    return frame


def _is_ended(codestream: bytes) -> bool:
    return codestream[-_MARGIN:].rstrip(b"\x00\xff").endswith(_JPEG_FAMILY_END)


def _require_no_more_frames(element: PixelElement, pixels: PixelFormat) -> None:
    """Refuse an object with a frame that the header does not count: it would be lost.

    An offset table has an offset for each frame (PS3.5 section A.4). Where it is empty, a
    frame of the JPEG family may be in several fragments, an RLE frame is in one.
    """
    fragments = _fragments(element)
    counts = [len(fragments.pop(0)[1]) // 4] if fragments else []
    extended = _extended_offsets(element.header)
    if extended is not None:
        counts.append(len(extended[0]) // 8)
    if element.syntax == uid.RLELossless:
        counts.append(len(fragments) if len(fragments) > pixels.frames else 0)
    else:
        starts = [start.startswith(_JPEG_FAMILY_STARTS) for start, _ in fragments]
        ends = [True, *(_is_ended(end) for _, end in fragments)]
        found = sum(started and ended for started, ended in zip(starts, ends, strict=False))
        counts.append(found if found > pixels.frames else 0)
    wrong = next((count for count in counts if count not in (0, pixels.frames)), None)
    if wrong is not None:
        reason = f"the pixel data hold {wrong} frames where the header says {pixels.frames}"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)


def _fragments(element: PixelElement) -> list[tuple[bytes, bytes]]:
    """Return the first and last bytes of every item, the whole offset table as the first."""
    stream, found = element.stream, list[tuple[bytes, bytes]]()
    stream.seek(element.offset)
    while (head := stream.read(8)).startswith(_ITEM) and len(head) == 8:  # noqa: PLR2004
        (length,) = struct.unpack("<I", head[4:])
        if not found:
            table = stream.read(min(length, 4 * MAX_FRAMES + 4))
            found.append((b"", table))
            stream.seek(length - len(table), io.SEEK_CUR)
            continue
        first = stream.read(min(length, _MARGIN))
        rest = min(length - len(first), _MARGIN)
        stream.seek(length - len(first) - rest, io.SEEK_CUR)
        found.append((first, first + stream.read(rest)))
    return found


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
    # Writers name the implicit syntax and write the explicit one. Taken for a length, the
    # letters would be an odd one.
    implicit = implicit and not (len(head) == 12 and head[4:8] in _EXPLICIT_IN_IMPLICIT)  # noqa: PLR2004
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
