"""Tell what a file is by its content, never by its name."""

from __future__ import annotations

import stat
from pathlib import Path

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.dicom import parses_without_preamble
from cxrscreen.vocabulary import RejectCode, SourceKind

_PREAMBLE_BYTES = 128
_HEAD_BYTES = 1024
_MAGIC = (
    (b"\xff\xd8\xff", SourceKind.JPEG),
    (b"\x89PNG\r\n\x1a\n", SourceKind.PNG),
)


def sniff(path: Path) -> SourceKind:
    """Return what the content of ``path`` is.

    DICOM is recognised by the ``DICM`` prefix behind its preamble (PS3.10 section 7.1) or,
    without one, by a strict parse of its first elements.

    Raises
    ------
    ImageRefusedError
        ``UNREADABLE_FILE`` where it cannot be opened, ``NOT_AN_IMAGE`` for a pipe, a socket
        or a device, which are never opened: reading them could block for ever.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageRefusedError(
                RejectCode.UNREADABLE_FILE, "the folder cannot be listed (permission denied?)"
            )
        if not stat.S_ISREG(mode):
            raise ImageRefusedError(RejectCode.NOT_AN_IMAGE, "not a regular file")
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or type(error).__name__}"
        raise ImageRefusedError(RejectCode.UNREADABLE_FILE, reason) from error
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM":
        return SourceKind.DICOM
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return SourceKind.DICOM if parses_without_preamble(path, head) else SourceKind.OTHER
