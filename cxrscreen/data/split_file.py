"""The split file: a table of labelled images with their parts and contents."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cxrscreen.data.content import OnStep, sha256_of_all, unwatched
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.layouts.table import CONTENT, OPTIONAL, REQUIRED, TableRow, read_table_rows
from cxrscreen.data.partition import OUR_PARTS
from cxrscreen.data.rows import columns_of
from cxrscreen.data.split import Split
from cxrscreen.errors import DatasetError
from cxrscreen.output import new_file

COLUMNS: Final = (*REQUIRED, *OPTIONAL, CONTENT)
_START: Final = (",".join(COLUMNS) + "\n").encode()
_SHA256_LENGTH: Final = 64
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_ANEW: Final = "Split anew with 'cxrscreen data split'."


def is_split_file(path: Path) -> bool:
    """Return whether a file is a table with parts and contents, by its header."""
    try:
        return path.is_file() and {*REQUIRED, "part", CONTENT} <= set(columns_of(path))
    except (DatasetError, OSError):
        return False


def is_our_split_file(path: Path) -> bool:
    """Return whether a file was written by :func:`write_split_file`, by its first line."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(_START)) == _START


def write_split_file(
    path: Path, split: Split, sha256: Mapping[str, str], *, force: bool = False
) -> None:
    """Write a split as a table, in the order of the images' names.

    Parameters
    ----------
    path
        Paths in the file start at its folder.
    split
        The parts.
    sha256
        Of each image's content, by the image's name.
    force
        Replace an earlier split file.

    Raises
    ------
    OutputError
        The file exists or cannot be written.
    DatasetError
        A file name is no text.
    """
    rows = sorted(
        ((image, part) for part, images in split.parts().items() for image in images),
        key=lambda row: row[0].name,
    )
    # Steps upward in a path are the disk's, not those of a link to the folder.
    folder = os.path.realpath(path.parent)
    try:
        with (
            new_file(path, force=force, replaceable=is_our_split_file) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for image, part in rows:
                writer.writerow(_cells(image, folder, part, sha256[image.name]))
    except UnicodeEncodeError as error:
        message = f"{path}: a file name that is no UTF-8 cannot be written into it"
        raise DatasetError(message, hint="Rename the file.") from error


def read_split_file(path: Path, *, on_step: OnStep = unwatched) -> Split:
    """Read a split and check that it still holds: files, contents, patients.

    Raises
    ------
    DatasetError
        A row is damaged, a file is missing or has changed, or a patient or a content is in
        two parts.
    """
    rows, _ = read_table_rows(path)
    for row in rows:
        _check(path, row)
    _check_disjoint(path, rows, lambda row: row.image.patient_key, "images of one patient")
    _check_disjoint(path, rows, lambda row: row.sha256, "copies of one image")
    found = sha256_of_all([row.image.path for row in rows], on_step=on_step)
    changed = [row for row, sha256 in zip(rows, found, strict=True) if row.sha256 != sha256]
    if changed:
        more = f" (the first of {len(changed):,})" if len(changed) > 1 else ""
        first = min(changed, key=lambda row: row.number)
        message = f"{path}, row {first.number}: {first.image.path} has changed since{more}"
        raise DatasetError(message, hint=f"Restore it. Or: {_ANEW}")
    parts = {part: tuple(row.image for row in rows if row.image.part == part) for part in OUR_PARTS}
    return Split(**parts)


def _cells(image: LabelledImage, folder: str, part: str, sha256: str) -> Sequence[str]:
    return (
        _relative(image.path, folder),
        str(image.label),
        image.patient_key,
        "" if image.age_years is None else f"{image.age_years:.10g}",
        image.sex or "",
        image.view or "",
        image.site or "",
        part,
        sha256,
    )


def _relative(path: Path, folder: str) -> str:
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        # On another drive of Windows.
        return path.absolute().as_posix()
    # A spreadsheet would run such a cell as a formula.
    return f"./{relative}" if relative.startswith(_FORMULA_STARTS) else relative


def _check(path: Path, row: TableRow) -> None:
    if row.image.part not in OUR_PARTS:
        message = f"{path}, row {row.number}: the part is none of {', '.join(OUR_PARTS)}"
        raise DatasetError(message, hint=_ANEW)
    if len(row.sha256) != _SHA256_LENGTH or set(row.sha256) - set("0123456789abcdef"):
        message = f"{path}, row {row.number}: sha256 is none"
        raise DatasetError(message, hint=_ANEW)


def _check_disjoint(
    path: Path, rows: Sequence[TableRow], key: Callable[[TableRow], Hashable], what: str
) -> None:
    first: dict[Hashable, TableRow] = {}
    for row in sorted(rows, key=lambda row: row.number):
        other = first.setdefault(key(row), row)
        if other.image.part != row.image.part:
            message = (
                f"{path}: leaks: {what} are in {other.image.part} (row {other.number}, "
                f"{other.image.name}) and in {row.image.part} (row {row.number}, {row.image.name})"
            )
            raise DatasetError(message, hint=_ANEW)
