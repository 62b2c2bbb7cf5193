"""A CSV or Parquet table that names images, labels and patients."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.fields import age_years_of, label_of, sex_of
from cxrscreen.data.rows import read_rows
from cxrscreen.errors import DatasetError

REQUIRED: Final = ("path", "label", "patient")
OPTIONAL: Final = ("age", "sex", "view", "site", "part")
#: Of the file's content: what makes a table with parts a split file.
CONTENT: Final = "sha256"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A labelled image, the row that names it, and the content that it should have."""

    number: int
    image: LabelledImage
    sha256: str = ""


def read_table(path: Path, further: Sequence[str] = ()) -> LabelledData:
    """Return the images of a table.

    Parameters
    ----------
    path
        Has the columns ``path`` (from the table's own folder, or absolute), ``label`` (0, 1,
        normal or pneumonia) and ``patient``; ``age`` (years), ``sex``, ``view``, ``site`` and
        ``part`` are read where they are there.
    further
        Other columns to read, in lower case, into ``attributes``.

    Raises
    ------
    DatasetError
        A column is missing, or a row lacks something; the message names the row.
    """
    rows, notes = read_table_rows(path, further)
    return LabelledData(tuple(row.image for row in rows), notes)


def read_table_rows(
    path: Path, further: Sequence[str] = ()
) -> tuple[tuple[TableRow, ...], tuple[str, ...]]:
    """Return the rows of a table sorted by the images' names, and notes.

    Raises
    ------
    DatasetError
        As :func:`read_table`.
    """
    known = (*REQUIRED, *OPTIONAL, CONTENT, *further)
    table = read_rows(path, known)
    table.require(*REQUIRED, *further)
    if not table.rows:
        message = f"{path}: has no rows"
        raise DatasetError(message, hint="A row for each image is needed.")
    rows: list[TableRow] = []
    first_rows: dict[str, int] = {}
    missing: list[TableRow] = []
    for number, cells in table.rows:
        try:
            row = _row(path.parent, number, cells, further)
        except ValueError as error:
            message = f"{path}, row {number}: {error}"
            raise DatasetError(message, hint="Mend the row, or leave it out.") from error
        place = os.path.abspath(row.image.path)  # noqa: PTH100 - resolve() asks the disk
        if place in first_rows:
            message = f"{path}, row {number}: the same path as in row {first_rows[place]}"
            raise DatasetError(message, hint="Name each image once.")
        first_rows[place] = number
        rows.append(row)
        if not _is_file(row.image.path):
            missing.append(row)
    if missing:
        more = f" (the first of {len(missing):,})" if len(missing) > 1 else ""
        message = f"{path}, row {missing[0].number}: {missing[0].image.path} is not there{more}"
        raise DatasetError(message, hint="Paths start at the table's own folder, or at the root.")
    unused = [column for column in table.columns if column not in known]
    notes = (f"columns that are not used: {', '.join(unused)}",) if unused else ()
    return tuple(sorted(_named(rows), key=lambda row: row.image.name)), notes


def _row(folder: Path, number: int, cells: dict[str, str], further: Sequence[str]) -> TableRow:
    for column in REQUIRED:
        if not cells[column]:
            message = f"the {column} is empty"
            raise ValueError(message)
    return TableRow(
        number,
        LabelledImage(
            path=folder / cells["path"],
            name=cells["path"],
            label=label_of(cells["label"]),
            # One name may be written in two ways, as by a Mac.
            patient_key=unicodedata.normalize("NFC", cells["patient"]),
            age_years=age_years_of(cells.get("age", "")),
            sex=sex_of(cells.get("sex", "")),
            view=cells.get("view") or None,
            site=cells.get("site") or None,
            part=cells.get("part") or None,
            attributes=tuple((name, cells[name]) for name in further),
        ),
        cells.get(CONTENT, "").lower(),
    )


def _named(rows: Sequence[TableRow]) -> list[TableRow]:
    """Name images from the deepest folder that holds them all, wherever the table lies."""
    places = [os.path.abspath(row.image.path) for row in rows]  # noqa: PTH100 - as above
    try:
        root = os.path.commonpath([os.path.dirname(place) for place in places])  # noqa: PTH120
    except ValueError:
        # On several drives of Windows.
        names = [Path(place).as_posix() for place in places]
    else:
        names = [Path(place).relative_to(root).as_posix() for place in places]
    return [
        replace(row, image=replace(row.image, name=name))
        for row, name in zip(rows, names, strict=True)
    ]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
