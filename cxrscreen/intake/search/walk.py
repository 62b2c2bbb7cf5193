"""Every file below the given paths, once, in a stable order.

Nothing is skipped: a broken link and a folder that may not be listed are files of their own,
so that each gets its row.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cxrscreen.errors import InputNotFoundError

# A folder by device and inode, and a name in it. Two names of one file (hard links) are two
# inputs; one name reached twice is one.
_FolderId = tuple[int, int]
_FileId = tuple[_FolderId, str]


def as_paths(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """Return what a caller gave as paths; a single one counts as a list of one.

    Raises
    ------
    InputNotFoundError
        One of them is empty. As a path it would be the working folder, which is not what an
        unset variable means.
    """
    given = (paths,) if isinstance(paths, str | Path) else tuple(paths)
    if "" in given:
        message = "an empty path was given"
        raise InputNotFoundError(message, hint="Is a variable unset?")
    return tuple(Path(path) for path in given)


def walk(paths: Iterable[Path], *, exclude: Iterable[Path] = ()) -> Iterator[str]:
    """Yield every file below ``paths``.

    Parameters
    ----------
    paths
        Files and folders. Folders are searched recursively; symbolic links are followed,
        loops of them end.
    exclude
        Files that are the run's own output and no input.

    Yields
    ------
    str
        Path, in the order of ``paths``, sorted by name within each folder. Text, because a
        million ``Path`` objects are half a gigabyte.

    Raises
    ------
    InputNotFoundError
        A given path does not exist.
    """
    seen = _Seen({identity for path in exclude if (identity := _file_id(path)) is not None})
    for path in paths:
        if not os.path.lexists(path):
            message = f"{path}: no such file or folder"
            raise InputNotFoundError(message, hint="Check the path for a typing error.")
        yield from _below(str(path), seen)


def list_files(folder: Path) -> list[Path]:
    """Return every file below a folder, none if it is not there."""
    return [Path(file) for file in walk([folder])] if os.path.lexists(folder) else []


@dataclass(slots=True)
class _Seen:
    """What has been listed: whole folders, and single files out of others."""

    files: set[_FileId]
    folders: set[_FolderId] = field(default_factory=set)

    def take(self, file: str) -> bool:
        """Return whether a single file or link is new, and remember it."""
        # A broken link leads to no other file: it is an input of its own.
        identity = _file_id(file) if os.path.exists(file) else None  # noqa: PTH110 - as below
        if identity is None:
            return True
        if identity in self.files or identity[0] in self.folders:
            return False
        self.files.add(identity)
        return True


def _file_id(path: str | Path) -> _FileId | None:
    folder, name = os.path.split(os.path.realpath(path))
    identity = _folder_id(folder)
    return None if identity is None else (identity, name)


def _folder_id(folder: str) -> _FolderId | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 - a Path for each of a million files is slow
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _below(path: str, seen: _Seen) -> Iterator[str]:
    # os.path.isdir, because Path.is_dir raises where a parent may not be entered.
    if not os.path.isdir(path):  # noqa: PTH112
        if seen.take(path):
            yield path
        return
    # A stack instead of recursion: exports nest deeper than Python's stack may.
    stack: list[tuple[str, bool]] = [(path, True)]
    while stack:
        entry, is_folder = stack.pop()
        if not is_folder:
            yield entry
            continue
        identity = _folder_id(entry)
        if identity is None:
            yield entry
            continue
        if identity in seen.folders:
            continue
        seen.folders.add(identity)
        try:
            children = _children(entry, identity, seen)
        except OSError:
            yield entry
            continue
        stack.extend(reversed(children))


def _children(folder: str, identity: _FolderId, seen: _Seen) -> list[tuple[str, bool]]:
    """Return path and whether it is a folder of everything new in a folder, sorted by name."""
    children = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            is_folder = _is_folder(entry)
            if entry.is_symlink() and not is_folder:
                # A link to a file of a folder that is searched itself is that file again.
                if not seen.take(entry.path):
                    continue
            elif not is_folder and (identity, entry.name) in seen.files:
                continue
            children.append((entry.path, is_folder))
    return children


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
