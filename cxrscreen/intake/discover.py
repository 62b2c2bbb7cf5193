"""Find the inputs: every file below the given paths, once, in a stable order.

Nothing is skipped. A file that is no image, a broken link and a folder that may not be
listed are inputs too: each gets its row, so that rows out equal inputs in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from cxrscreen.errors import InputNotFoundError, NothingToScreenError
from cxrscreen.records import Source


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


def discover(paths: Iterable[Path], *, exclude: Iterable[Path] = ()) -> tuple[Source, ...]:
    """Return every input below ``paths`` as a frozen list in a stable order."""
    return tuple(Source(path) for path in list_files(paths, exclude=exclude))


def list_files(paths: Iterable[Path], *, exclude: Iterable[Path] = ()) -> list[Path]:
    """Return every file below ``paths``, each once, in a stable order.

    Parameters
    ----------
    paths
        Files and folders. Folders are searched recursively; symbolic links are followed,
        loops of them end.
    exclude
        Files that are the run's own output and no input.

    Returns
    -------
    list of Path
        In the order of ``paths``, sorted by name within each folder. A folder that cannot
        be listed stands in the list itself.

    Raises
    ------
    InputNotFoundError
        A given path does not exist.
    NothingToScreenError
        There is no file below any of them.
    """
    excluded = {_identity(path) for path in exclude}
    seen: set[str] = set()
    found: list[Path] = []
    searched: list[str] = []
    for path in paths:
        searched.append(str(path))
        if not os.path.lexists(path):
            message = f"{path}: no such file or folder"
            raise InputNotFoundError(message, hint="Check the path for a typing error.")
        for file in _files_below(path):
            identity = _identity(file)
            if identity not in seen and identity not in excluded:
                seen.add(identity)
                found.append(file)
    if not found:
        places = ", ".join(searched) or "no path"
        message = f"nothing to screen: {places} holds no file"
        raise NothingToScreenError(message, hint="Give a folder or file with radiographs.")
    return found


def _identity(path: Path) -> str:
    return os.path.realpath(path)


def _files_below(path: Path) -> Iterator[Path]:
    # os.path.isdir, because Path.is_dir raises where a parent may not be entered.
    if not os.path.isdir(path):  # noqa: PTH112
        yield path
        return
    # A stack instead of recursion: exports nest deeper than Python's stack may.
    visited: set[str] = set()
    stack = [path]
    while stack:
        entry = stack.pop()
        if not os.path.isdir(entry):  # noqa: PTH112
            yield entry
            continue
        identity = _identity(entry)
        if identity in visited:
            continue
        visited.add(identity)
        try:
            children = sorted(entry.iterdir(), key=lambda child: child.name)
        except OSError:
            yield entry
            continue
        stack.extend(reversed(children))
