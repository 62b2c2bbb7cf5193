"""Find the inputs: files, members of archives, files of DICOM media, frozen in order.

What a file is, its content says. An archive and a DICOMDIR are no inputs themselves, what
they hold is. What cannot be looked into is an input that is refused: each input has its
row, and nothing is skipped.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from cxrscreen.errors import ImageRefusedError, InputNotFoundError, NothingToScreenError
from cxrscreen.intake.content import Content
from cxrscreen.intake.search.archive import (
    Archive,
    ArchiveError,
    Limits,
    archive_kind,
    climbs_out,
    may_be_archive,
)
from cxrscreen.intake.search.dicomdir import is_dicomdir, referenced_files
from cxrscreen.intake.search.filters import InputFilter, Sieve, described
from cxrscreen.intake.search.member import content_of, stamp_of
from cxrscreen.intake.search.walk import walk
from cxrscreen.intake.sniff import HEAD_BYTES
from cxrscreen.records import Admission, Input, Member, Source
from cxrscreen.vocabulary import RejectCode


class InputList(Sequence[Input]):
    """The frozen list of inputs.

    It holds text for a path and makes the :class:`Input` when it is asked for one: a million
    inputs take some 200 MB.
    """

    def __init__(self, inputs: Iterable[Input]) -> None:
        #: How many inputs each filter has left out, by its option.
        self.left_out: Mapping[str, int] = {}
        self._paths: list[str] = []
        self._members: dict[int, tuple[Member, ...]] = {}
        self._refusals: dict[int, Admission] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        last: Path | None = None
        for index, item in enumerate(inputs):
            # Members of one archive share its path.
            path = self._paths[-1] if item.source.path is last else str(item.source.path)
            last = item.source.path
            self._paths.append(path)
            if item.source.members:
                self._members[index] = item.source.members
                if item.source.stamp is not None:
                    self._stamps[path] = item.source.stamp
            if item.refusal is not None:
                self._refusals[index] = item.refusal

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Input: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Input, ...]: ...
    def __getitem__(self, index: int | slice) -> Input | tuple[Input, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]
        path, members = self._paths[place], self._members.get(place, ())
        stamp = self._stamps.get(path) if members else None
        source = Source(Path(path), members, stamp=stamp)
        return Input(source, self._refusals.get(place))


def discover(
    paths: Iterable[Path],
    *,
    exclude: Iterable[Path] = (),
    limits: Limits | None = None,
    wanted: InputFilter | None = None,
) -> InputList:
    """Return every input below ``paths``, each once, as a frozen list in a stable order.

    Parameters
    ----------
    paths
        Files and folders, searched recursively.
    exclude
        Files that are the run's own output and no input.
    limits
        What an archive may ask for.
    wanted
        Which inputs are wanted; all if ``None``. The list counts those that are left out.

    Returns
    -------
    InputList
        In the order of ``paths``, sorted by name within each folder; members in the order of
        their archive.

    Raises
    ------
    InputNotFoundError
        A given path does not exist.
    NothingToScreenError
        There is no input below any of them, or none that is wanted.
    """
    given = tuple(paths)
    sieve = Sieve(wanted or InputFilter(), given)
    found = InputList(sieve.passing(_inputs(given, tuple(exclude), limits or Limits())))
    found.left_out = dict(sieve.left_out)
    if not found and found.left_out:
        message = f"nothing to screen: no input is wanted; {described(found.left_out)}"
        raise NothingToScreenError(message, hint="Widen the filters.")
    if not found:
        places = ", ".join(map(str, given)) or "no path"
        message = f"nothing to screen: {places} holds no file"
        raise NothingToScreenError(message, hint="Give a folder or file with radiographs.")
    return found


def locate(named: str) -> Source:
    """Return the source that a report names: a path, or ``ARCHIVE!MEMBER``.

    Raises
    ------
    InputNotFoundError
        There is no such file, or no such member in the archive.
    """
    path, _, member = named.partition("!")
    if os.path.lexists(named) or not member or not os.path.isfile(path):  # noqa: PTH113
        return Source(Path(named))
    for item in discover([Path(path)]):
        if item.source.location == named:
            return item.source
    message = f"{named}: the archive lists no such member"
    raise InputNotFoundError(message, hint="Copy the name from the column 'source' of a report.")


def _inputs(paths: tuple[Path, ...], exclude: tuple[Path, ...], limits: Limits) -> Iterator[Input]:
    directories: list[Source] = []
    files: set[str] = set()
    for file in walk(paths, exclude=exclude):
        source = Source(Path(file))
        head = _head(Content(source.path))
        if is_dicomdir(head):
            directories.append(source)
            continue
        yield from _expanded(source, head, limits)
    # After the walk: most of what a directory lists lies beside it and has been found.
    if directories:
        files.update(os.path.realpath(file) for file in walk(paths))
        for directory in directories:
            yield from _of_medium(directory, files, limits)


def _head(content: Content) -> bytes:
    try:
        return content.head(HEAD_BYTES)
    except ImageRefusedError:
        # It says so again, by name, when it is opened to be judged.
        return b""


def _expanded(source: Source, head: bytes, limits: Limits) -> Iterator[Input]:
    """Yield an input as it is or, of an archive, what it holds."""
    if not may_be_archive(head):
        yield Input(source)
        return
    try:
        content = content_of(source)
        with content.open() as stream:
            kind = archive_kind(head, stream)
            if kind is None:
                yield Input(source)
            elif len(source.members) >= limits.nesting:
                reason = f"archives lie in one another more than {limits.nesting} deep"
                yield _refused(source, reason)
            else:
                yield from _members(source, Archive(stream, kind, limits), limits)
    except ArchiveError as error:
        yield _refused(source, str(error))
    except ImageRefusedError as error:
        yield Input(source, Admission.refuse(error.code, error.reason))


def _members(source: Source, archive: Archive, limits: Limits) -> Iterator[Input]:
    if archive.is_document:
        yield Input(source)
        return
    directories: list[Source] = []
    names: Counter[str] = Counter()
    stamp = source.stamp or stamp_of(source.path)
    empty = True
    for listed in archive.members():
        empty = False
        if listed.member is None:
            yield _refused(source, listed.fault)
            continue
        names[listed.member.name] += 1
        member = dataclasses.replace(listed.member, occurrence=names[listed.member.name])
        inner = Source(source.path, (*source.members, member), stamp=stamp)
        if listed.fault:
            yield _refused(inner, listed.fault)
        elif is_dicomdir(listed.head):
            directories.append(inner)
        else:
            yield from _expanded(inner, listed.head, limits)
    if empty:
        yield _refused(source, "the archive holds no file")
    for directory in directories:
        yield from _missing_from_archive(directory, {name.lower() for name in names})


def _of_medium(directory: Source, files: set[str], limits: Limits) -> Iterator[Input]:
    """Yield what a DICOMDIR lists and the walk has not found."""
    try:
        listed = referenced_files(Content(directory.path))
    except ImageRefusedError as error:
        yield Input(directory, Admission.refuse(error.code, error.reason))
        return
    folder = directory.path.parent
    for parts in listed:
        name = "/".join(parts)
        if climbs_out(name):
            yield _refused(directory, "the DICOMDIR lists a file outside its folder")
            continue
        path = folder / _on_disk(folder, parts)
        real = os.path.realpath(path)
        if real in files:
            continue
        files.add(real)
        source = Source(path)
        if os.path.lexists(path):
            yield from _expanded(source, _head(Content(path)), limits)
        else:
            yield _missing(source)


def _on_disk(folder: Path, parts: tuple[str, ...]) -> Path:
    """Return a listed name as the disk spells it: media names are upper case, disks vary."""
    path = Path(*parts)
    if os.path.lexists(folder / path):
        return path
    lowered = Path(*(part.lower() for part in parts))
    return lowered if os.path.lexists(folder / lowered) else path


def _missing_from_archive(directory: Source, names: set[str]) -> Iterator[Input]:
    member = directory.members[-1]
    folder = member.name.rpartition("/")[0]
    try:
        listed = referenced_files(content_of(directory))
    except ImageRefusedError as error:
        yield Input(directory, Admission.refuse(error.code, error.reason))
        return
    for parts in listed:
        name = "/".join((folder, *parts) if folder else parts)
        if name.lower() not in names:
            lost = Member(name, -1, 0)
            yield _missing(Source(directory.path, (*directory.members[:-1], lost)))


def _missing(source: Source) -> Input:
    reason = "the DICOMDIR lists this file, and it is not there"
    return Input(source, Admission.refuse(RejectCode.UNREADABLE_FILE, reason))


def _refused(source: Source, reason: str) -> Input:
    return Input(source, Admission.refuse(RejectCode.ARCHIVE_REFUSED, reason))
