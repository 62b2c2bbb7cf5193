"""What files hold, byte by byte: hashes, and which files hold the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxrscreen.errors import DatasetError

#: Told what is being done, how much of it is done, and how much there is.
OnStep = Callable[[str, int, int], None]


def unwatched(_what: str, _done: int, _total: int, /) -> None:
    """Tell nobody how far the work is."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises
    ------
    DatasetError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _cannot_read(path, error) from error


def sha256_of_all(paths: Sequence[Path], *, on_step: OnStep = unwatched) -> tuple[str, ...]:
    """Return the SHA-256 of each file's content, in order.

    Raises
    ------
    DatasetError
        A file is empty, or cannot be read.
    """
    for path in paths:
        _size_of(path)
    hashes = []
    for number, path in enumerate(paths, start=1):
        hashes.append(sha256_of(path))
        on_step("reading images", number, len(paths))
    return tuple(hashes)


def content_ids(paths: Sequence[Path], *, on_step: OnStep = unwatched) -> tuple[str, ...]:
    """Return a text for each file that is equal for files of equal content, and only for them.

    Files of different size are different: only those of equal size are read.

    Raises
    ------
    DatasetError
        A file is empty, or cannot be read.
    """
    sizes = [_size_of(path) for path in paths]
    count = Counter(sizes)
    shared = [path for path, size in zip(paths, sizes, strict=True) if count[size] > 1]
    hashes = iter(sha256_of_all(shared, on_step=on_step))
    return tuple(next(hashes) if count[size] > 1 else f"size {size}" for size in sizes)


def joined_groups(patients: Sequence[str], contents: Sequence[str]) -> tuple[str, ...]:
    """Return for each image the group that must not be torn apart.

    Images of one patient are in one group, and so are images of one content: patients who
    share a file are one person under two keys, or cannot be told apart.

    Parameters
    ----------
    patients, contents
        Of each image, equal for the same patient and for the same content.

    Returns
    -------
    tuple of str
        The first patient of each image's group, in order of text.
    """
    if not patients:
        return ()
    keys, patient = np.unique(np.array(patients, dtype=object).astype(str), return_inverse=True)
    held, content = np.unique(np.array(contents, dtype=object).astype(str), return_inverse=True)
    nodes = len(keys) + len(held)
    # Patients and contents are nodes, each image is an edge between its two.
    edges = coo_array(
        (np.ones(len(patient), dtype=np.int8), (patient, len(keys) + content)), shape=(nodes, nodes)
    )
    _, component = connected_components(edges, directed=False)
    first: dict[int, str] = {}
    for key, group in zip(keys.tolist(), component[: len(keys)].tolist(), strict=True):
        first.setdefault(group, key)
    return tuple(first[int(component[index])] for index in patient)


def _size_of(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _cannot_read(path, error) from error
    if size == 0:
        # All empty files are equal: their patients would become one.
        message = f"{path}: is empty"
        raise DatasetError(message, hint="Remove the file from the training data, or replace it.")
    return size


def _cannot_read(path: Path, error: OSError) -> DatasetError:
    message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
    return DatasetError(message, hint="Check the file and its permissions.")
