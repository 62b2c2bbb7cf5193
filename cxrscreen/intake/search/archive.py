"""Zip and tar archives, member by member, without unpacking to disk.

An archive is hostile until shown otherwise: what it claims is checked against limits before
memory or time is spent on it, and its names are never used as paths.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO, Final, Protocol, Self

from cxrscreen.records import Member

_MIB: Final = 1 << 20
_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_TAR_PLACE: Final = slice(257, 262)
_TAR_MAGIC: Final = b"ustar"
_TAR_BLOCK_BYTES: Final = 512
_ENCRYPTED: Final = 0x1
_HEAD_BYTES: Final = 1000
# Names that are looked at to tell a document from a set of files.
_DOCUMENT_HEAD: Final = 50
# A tar header with its extensions; a listing in a zip, with a name of usual length.
_TAR_HEADER_BYTES: Final = 16 * _MIB
_ZIP_LISTING_BYTES: Final = 200


class ArchiveKind(Enum):
    """How an archive is packed."""

    ZIP = auto()
    TAR = auto()
    TAR_GZ = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask for.

    Attributes
    ----------
    members
        Members of one archive.
    member_bytes
        Size of one member, unpacked. A radiograph of 100 million pixels has 200 MB.
    expansion
        Unpacked size as a multiple of the packed one, from ``free_bytes`` on. Radiographs
        shrink to a fifth; a bomb, to a thousandth and less.
    nesting
        Archives in one another.
    """

    members: int = 200_000
    member_bytes: int = 512 * _MIB
    free_bytes: int = 1024 * _MIB
    expansion: int = 100
    nesting: int = 2


@dataclass(frozen=True, slots=True)
class Listed:
    """A member as the archive lists it.

    Attributes
    ----------
    member
        Where it lies; ``None`` where the archive itself is at fault.
    head
        Its first bytes.
    fault
        Why it may not be read; empty if it may.
    """

    member: Member | None
    head: bytes = b""
    fault: str = ""


class ArchiveError(ValueError):
    """An archive is damaged or breaks a limit; the message says how."""


def may_be_archive(head: bytes) -> bool:
    """Return whether first bytes are worth a second look by :func:`archive_kind`."""
    return head.startswith((*_ZIP_MAGIC, _GZIP_MAGIC)) or head[_TAR_PLACE] == _TAR_MAGIC


def archive_kind(head: bytes, stream: BinaryIO) -> ArchiveKind | None:
    """Return how an archive is packed, ``None`` if it is no archive.

    Parameters
    ----------
    head
        First bytes, at least 512 if there are as many.
    stream
        The content, at any place: of gzip, the beginning must be unpacked to tell.
    """
    if head.startswith(_ZIP_MAGIC):
        return ArchiveKind.ZIP
    if head[_TAR_PLACE] == _TAR_MAGIC:
        return ArchiveKind.TAR
    if head.startswith(_GZIP_MAGIC):
        with contextlib.suppress(Exception):
            stream.seek(0)
            with gzip.GzipFile(fileobj=stream) as unpacked:
                if unpacked.read(512)[_TAR_PLACE] == _TAR_MAGIC:
                    return ArchiveKind.TAR_GZ
    return None


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


class Archive:
    """An open archive.

    Parameters
    ----------
    stream
        Its content, seekable.
    kind
        How it is packed.
    limits
        What it may ask for.

    Raises
    ------
    ArchiveError
        It cannot be opened.
    """

    def __init__(self, stream: BinaryIO, kind: ArchiveKind, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._zip: zipfile.ZipFile | None = None
        self._infos: list[zipfile.ZipInfo] = []
        self._packed_bytes = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self._packed = stream
        self._stream: BinaryIO = stream
        if kind is ArchiveKind.TAR_GZ:
            self._stream = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
        if kind is ArchiveKind.ZIP:
            try:
                # The central directory is read at once: as large as the limit allows.
                largest = self._limits.members * _ZIP_LISTING_BYTES
                self._zip = zipfile.ZipFile(_Bounded(stream, largest))
                self._infos = self._zip.infolist()
            except Exception as error:
                raise _damaged(error) from error

    @property
    def is_document(self) -> bool:
        """Whether this is one document: of Office, OpenDocument, EPUB or Java."""
        names = [info.filename for info in self._infos[:_DOCUMENT_HEAD]]
        return (
            names[:1] == ["mimetype"]
            or "META-INF/MANIFEST.MF" in names[:2]
            or {"[Content_Types].xml", "_rels/.rels"} <= set(names)
        )

    def members(self) -> Iterator[Listed]:
        """Yield every member that is no folder, in the order of the archive.

        A damaged or oversized archive ends with a listing without member that says so: what
        came before it can be read.
        """
        listing = self._zip_members() if self._zip else self._tar_members()
        try:
            yield from itertools.islice(listing, self._limits.members)
            if next(listing, None) is not None:
                fault = f"more than {self._limits.members} members: the rest is not read"
                yield Listed(None, fault=fault)
        except Exception as error:  # noqa: BLE001 - arbitrary bytes may raise anything
            yield Listed(None, fault=str(_damaged(error)))

    def read(self, member: Member) -> bytes:
        """Return the content of a member.

        Raises
        ------
        ArchiveError
            It is damaged, encrypted, or larger than the archive says.
        """
        try:
            with self._open(member) as stream:
                content = stream.read(min(member.size, self._limits.member_bytes) + 1)
        except Exception as error:
            raise _damaged(error) from error
        if len(content) != member.size:
            found = "more" if len(content) > member.size else f"{len(content)}"
            message = f"the archive says {member.size} bytes and holds {found}"
            raise ArchiveError(message)
        return content

    def close(self) -> None:
        """Close the stream that the archive was opened on."""
        self._stream.close()
        self._packed.close()

    def _open(self, member: Member) -> contextlib.AbstractContextManager[_Readable]:
        if self._zip:
            info = self._infos[member.position]
            if (info.filename, info.file_size) != (member.name, member.size):
                message = "the archive has changed since it was listed"
                raise ArchiveError(message)
            return self._zip.open(info)
        return _Slice(self._stream, member.position, member.size)

    def _zip_members(self) -> Iterator[Listed]:
        self._require_expansion(sum(info.file_size for info in self._infos))
        if self._infos and min(info.header_offset for info in self._infos) > 0:
            # Two archives in one file: the directory at the end is of the last one alone.
            yield Listed(None, fault="the archive holds data that its directory does not list")
        for position, info in enumerate(self._infos):
            if info.is_dir() and not info.file_size:
                continue
            member = Member(info.filename, position, info.file_size)
            fault = self._fault(member)
            if not fault and info.flag_bits & _ENCRYPTED:
                fault = "the member is encrypted"
            yield self._listed(member, fault)

    def _tar_members(self) -> Iterator[Listed]:
        bounded = _Bounded(self._stream, _TAR_HEADER_BYTES)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            while (info := archive.next()) is not None:
                # tarfile keeps every member that it has seen: a million are a gigabyte.
                archive.members.clear()  # type: ignore[attr-defined] # documented, not typed
                if info.isdir():
                    continue
                member = Member(info.name, info.offset_data, info.size)
                fault = self._fault(member)
                if not fault and (info.issparse() or not info.isreg()):
                    fault = "the member is a link, a device or sparse: it holds no file"
                if fault:
                    # What follows is reached by unpacking it all the same.
                    self._require_expansion(info.offset_data + info.size)
                self._require_expansion(info.offset_data)
                yield self._listed(member, fault)
            self._require_end(archive.offset)

    def _require_end(self, offset: int) -> None:
        """Refuse a tar that ends otherwise than in zeros: POSIX.1-1988, two blocks of them.

        tarfile takes a damaged header for the end, and all members behind it are lost.
        """
        self._stream.seek(offset)
        found = 0
        while block := self._stream.read(_MIB):
            found += len(block)
            if block.strip(b"\0"):
                message = f"the archive is damaged after {offset} bytes: the rest is not read"
                raise ArchiveError(message)
            self._require_expansion(offset + found)
        if found < _TAR_BLOCK_BYTES:
            message = f"the archive has no end after {offset} bytes: truncated"
            raise ArchiveError(message)

    def _listed(self, member: Member, fault: str) -> Listed:
        if fault:
            return Listed(member, fault=fault)
        try:
            with self._open(member) as stream:
                # One byte short of the end: behind it, tarfile would step back, and a gzip
                # stream goes back by beginning anew.
                return Listed(member, head=stream.read(max(min(_HEAD_BYTES, member.size - 1), 0)))
        except Exception as error:  # noqa: BLE001 - arbitrary bytes may raise anything
            return Listed(member, fault=str(_damaged(error)))

    def _fault(self, member: Member) -> str:
        if climbs_out(member.name):
            return "the member's name leads out of the archive"
        if member.size > self._limits.member_bytes:
            return f"the member has {member.size} bytes, more than {self._limits.member_bytes}"
        return ""

    def _require_expansion(self, unpacked: int) -> None:
        limit = max(self._limits.free_bytes, self._limits.expansion * self._packed_bytes)
        if unpacked > limit:
            message = (
                f"the archive unpacks to more than {self._limits.expansion} times its size: "
                "the rest is not read"
            )
            raise ArchiveError(message)


def climbs_out(name: str) -> bool:
    """Return whether a member's name would leave the folder that it is unpacked in."""
    parts = re.split(r"[/\\]", name)
    return not name or parts[0] == "" or ".." in parts or ":" in parts[0] or "\0" in name


def _damaged(error: BaseException) -> ArchiveError:
    if isinstance(error, ArchiveError):
        return error
    return ArchiveError(f"the archive is damaged or of an unknown kind ({type(error).__name__})")


class _Bounded(io.RawIOBase):
    """A stream that refuses to read much at once: headers are small, bombs claim otherwise."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._inner = stream
        self._limit = limit

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def read(self, count: int = -1) -> bytes:
        if count > self._limit:
            message = "the archive's directory is larger than the limit"
            raise ArchiveError(message)
        data = self._inner.read(count if count >= 0 else self._limit + 1)
        if len(data) > self._limit:
            message = "the archive's directory is larger than the limit"
            raise ArchiveError(message)
        return data


class _Slice:
    """A range of a stream; of gzip, forward seeks cost time and backward ones start anew."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._offset, self._left = stream, offset, size

    def __enter__(self) -> Self:
        self._stream.seek(self._offset)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, count: int) -> bytes:
        data = self._stream.read(min(count, self._left))
        self._left -= len(data)
        return data
