"""Rows of a CSV or Parquet table as text."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cxrscreen.errors import DatasetError

_PARQUET_MAGIC: Final = b"PAR1"
_DELIMITERS: Final = ",;\t"
#: The header is row 1, as a spreadsheet counts.
_FIRST_ROW: Final = 2


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table.

    Attributes
    ----------
    path
        The table.
    columns
        Names of all of its columns, in lower case, without those that have none.
    rows
        Number of each row, the header being row 1, and its cells by column, stripped;
        the empty text where there is no value.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def require(self, *columns: str) -> None:
        """Refuse a table that lacks one of the columns.

        Raises
        ------
        DatasetError
            It lacks one.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            message = f"{self.path}: has no column {' and no column '.join(missing)}"
            raise DatasetError(message, hint=f"It must have {', '.join(columns)}.")


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns, in lower case.

    Raises
    ------
    DatasetError
        As :func:`read_rows`.
    """
    return read_rows(path, (), limit=0).columns


def read_rows(path: Path, wanted: Collection[str], *, limit: int | None = None) -> Rows:
    """Read some columns of a table.

    Parameters
    ----------
    path
        A Parquet file, recognised by its content, or CSV in UTF-8, separated by commas,
        semicolons or tabs.
    wanted
        Columns to read, in lower case; those that are not there are not in the rows.
    limit
        Rows to read at most.

    Raises
    ------
    DatasetError
        The file cannot be read or is no such table.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_PARQUET_MAGIC))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise DatasetError(message, hint="Check the path and its permissions.") from error
    read = _read_parquet if head == _PARQUET_MAGIC else _read_csv
    return read(path, wanted, limit)


def _read_csv(path: Path, wanted: Collection[str], limit: int | None) -> Rows:
    try:
        # A byte order mark is what spreadsheets put before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            header = next(reader, [])
            columns = _checked(path, header)
            places = [(i, name) for i, name in enumerate(columns) if name in wanted]
            rows = tuple(
                (number, {name: cells[index].strip() for index, name in places})
                for number, cells in _cells(path, reader, len(header), limit)
            )
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise DatasetError(message, hint="Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        message = f"{path}: is neither Parquet nor a CSV table in UTF-8"
        raise DatasetError(message, hint="Save the table as CSV UTF-8.") from error
    except csv.Error as error:
        message = f"{path}: is no CSV table: {error}"
        raise DatasetError(message, hint="Save the table as CSV UTF-8.") from error
    return Rows(path, tuple(name for name in columns if name), rows)


def _cells(
    path: Path, reader: Iterator[list[str]], width: int, limit: int | None
) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(reader, start=_FIRST_ROW):
        if limit is not None and number - _FIRST_ROW >= limit:
            return
        if not cells:
            continue  # an empty line, as at the end of many files
        if len(cells) != width:
            message = f"{path}, row {number}: has {len(cells)} cells, the header {width}"
            raise DatasetError(message, hint="Quote cells that hold the separator.")
        yield number, cells


def _read_parquet(path: Path, wanted: Collection[str], limit: int | None) -> Rows:
    try:
        # The wheel is large, and who has CSV tables does without.
        from pyarrow import ArrowException, parquet  # noqa: PLC0415
    except ImportError as error:
        message = f"{path}: reading Parquet needs pyarrow"
        hint = "Install it with: pip install 'cxrscreen[parquet]'. Or save the table as CSV."
        raise DatasetError(message, hint=hint) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = _checked(path, names)
            chosen = [name for name, key in zip(names, columns, strict=True) if key in wanted]
            table = None if limit == 0 else file.read(columns=chosen)
    except (ArrowException, OSError) as error:
        message = f"{path}: is a damaged Parquet file ({type(error).__name__})"
        raise DatasetError(message, hint="Write the table anew.") from error
    rows = [] if table is None else table.rename_columns([_key(n) for n in chosen]).to_pylist()
    return Rows(
        path,
        tuple(name for name in columns if name),
        tuple(
            (number, {name: _as_text(value) for name, value in row.items()})
            for number, row in enumerate(rows, start=_FIRST_ROW)
        ),
    )


def _checked(path: Path, header: list[str]) -> list[str]:
    columns = [_key(name) for name in header]
    named = [name for name in columns if name]
    if not named:
        message = f"{path}: has no header"
        raise DatasetError(message, hint="The first row must name the columns.")
    if len(set(named)) < len(named):
        message = f"{path}: has a column twice"
        raise DatasetError(message, hint="Name each column once; upper and lower case are equal.")
    return columns


def _key(name: str) -> str:
    return name.strip().lower()


def _as_text(value: Any) -> str:  # noqa: ANN401 - whatever Parquet holds
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        # A column of integers with gaps comes as floats.
        return str(int(value))
    return str(value).strip()
