"""Tell what a file is by its content, never by its name."""

from __future__ import annotations

from typing import Final

from cxrscreen.intake.content import Content
from cxrscreen.intake.header.dicom import parses_without_preamble
from cxrscreen.vocabulary import SourceKind

PREAMBLE_BYTES: Final = 128
HEAD_BYTES: Final = 1024
_MAGIC = (
    (b"\xff\xd8\xff", SourceKind.JPEG),
    (b"\x89PNG\r\n\x1a\n", SourceKind.PNG),
    # TIFF 6.0 section 2, and BigTIFF.
    (b"II*\0", SourceKind.TIFF),
    (b"MM\0*", SourceKind.TIFF),
    (b"II+\0", SourceKind.TIFF),
    (b"MM\0+", SourceKind.TIFF),
)


def sniff(content: Content) -> SourceKind:
    """Return what an input is.

    DICOM is recognised by the ``DICM`` prefix behind its preamble (PS3.10 section 7.1) or,
    without one, by a strict parse of its first elements.

    Raises
    ------
    ImageRefusedError
        It cannot be opened.
    """
    head = content.head(HEAD_BYTES)
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return SourceKind.DICOM
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return SourceKind.DICOM if parses_without_preamble(content, head) else SourceKind.OTHER
