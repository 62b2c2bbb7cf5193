"""The content of a source: a file as it lies there, or a member out of its archives."""

from __future__ import annotations

import threading
from pathlib import Path

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.search.archive import Archive, ArchiveError, archive_kind
from cxrscreen.intake.sniff import HEAD_BYTES
from cxrscreen.records import Member, Source
from cxrscreen.vocabulary import RejectCode

_CHANGED = "the archive has changed since it was listed"


class _LastArchive(threading.local):
    """The archive that was read last: the next member is mostly in the same one.

    Of a gzipped tar, members are read forwards without unpacking it anew for each.
    """

    key: tuple[Path, tuple[Member, ...]] | None = None
    archive: Archive | None = None


_LAST = _LastArchive()


def content_of(source: Source) -> Content:
    """Return the content of a file or of a member.

    Raises
    ------
    ImageRefusedError
        ``ARCHIVE_REFUSED`` or ``UNREADABLE_FILE``.
    """
    if not source.members:
        return Content(source.path)
    *outer, member = source.members
    if source.stamp is not None and source.stamp != stamp_of(source.path):
        raise ImageRefusedError(RejectCode.ARCHIVE_REFUSED, _CHANGED)
    try:
        data = _open(source.path, tuple(outer)).read(member)
    except ArchiveError as error:
        raise ImageRefusedError(RejectCode.ARCHIVE_REFUSED, str(error)) from error
    return Content(source.path, data)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Return size and time of change (ns) of a file, ``None`` if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _open(path: Path, members: tuple[Member, ...]) -> Archive:
    if _LAST.key == (path, members) and _LAST.archive is not None:
        return _LAST.archive
    content = content_of(Source(path, members))
    stream = content.open()
    kind = archive_kind(content.head(HEAD_BYTES), stream)
    if kind is None:
        stream.close()
        raise ArchiveError(_CHANGED)
    if _LAST.archive is not None:
        _LAST.archive.close()
    _LAST.key, _LAST.archive = (path, members), Archive(stream, kind)
    return _LAST.archive
