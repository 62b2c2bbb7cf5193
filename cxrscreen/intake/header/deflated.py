"""The deflated transfer syntax, inflated within a limit.

pydicom inflates the whole data set in one call, however large it becomes: 300 kB of file can
be 300 MB of zeros, and so on without end.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import BinaryIO, Final

import pydicom
from pydicom import uid
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.vocabulary import RejectCode

#: Room for the largest frame that is believed, 100 million pixels of two bytes, and a header.
MAX_INFLATED_BYTES: Final = 264_000_000
_FILE_META_GROUP: Final = 2
_SYNTAX_TAG: Final = 0x00020010


class Inflated(BytesIO):
    """An inflated data set: it had no checksum, so that its reader looks at what is behind."""


def open_inflated(content: Content) -> BinaryIO:
    """Open a DICOM object; one in the deflated syntax as if it were not deflated.

    PS3.5 section A.5. The ``TransferSyntaxUID`` of what is returned is then Explicit VR
    Little Endian, in which the inflated data set is.

    Raises
    ------
    ImageRefusedError
        As :meth:`Content.open`; ``TOO_LARGE`` beyond :data:`MAX_INFLATED_BYTES`,
        ``MALFORMED_DICOM`` where the deflated stream is damaged or has no end.
    """
    stream = content.open()
    try:
        inflated = _inflated(stream)
    except BaseException:
        stream.close()
        raise
    if inflated is None:
        stream.seek(0)
        return stream
    stream.close()
    return inflated


def _inflated(stream: BinaryIO) -> BinaryIO | None:
    preamble = read_preamble(stream, force=True)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag.group != _FILE_META_GROUP,
    )
    if _SYNTAX_TAG not in meta:
        return None
    if meta[_SYNTAX_TAG].value != uid.DeflatedExplicitVRLittleEndian:
        return None
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(stream.read(), MAX_INFLATED_BYTES)
    except zlib.error as error:
        reason = "the deflated data set is damaged"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    if not inflater.eof:
        if len(body) >= MAX_INFLATED_BYTES:
            reason = f"the deflated data set is larger than {MAX_INFLATED_BYTES} bytes"
            raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
        reason = "the deflated data set has no end: truncated"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    behind = inflater.unused_data
    # RFC 1952: writers that took a gzip library leave its checksum and length behind.
    trailer = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    if len(behind) > 1 and behind[: len(trailer)] != trailer:
        # PS3.5 section A.5: one byte of padding at most. A damaged stream finds an end too soon.
        reason = f"{len(behind)} bytes behind the deflated data set, which are not its checksum"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    plain = pydicom.dataset.FileMetaDataset()
    plain.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    written = DicomBytesIO()
    written.write((preamble or b"\0" * 128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(written, plain, enforce_standard=False)
    written.write(body)
    return Inflated(written.getvalue())
