"""One row after the other into a file: a writer for each format of the report."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from cxrscreen.reports.table import Cell, Column

#: A cell that starts with one of these would be run as a formula by a spreadsheet.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Writer(Protocol):
    """Writes a report row by row, without keeping the rows."""

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Write one row."""

    def close(self) -> None:
        """Write what is left and close the file."""


class CsvWriter:
    """CSV: RFC 4180, UTF-8, a header line.

    Cells that a spreadsheet would run as formulas are preceded by an apostrophe; numbers are
    left alone, and always have the decimals of their column.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\r\n")
        self._writer.writerow([column.name for column in columns])

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Write one row."""
        self._writer.writerow([_as_text(column, cells[column.name]) for column in self._columns])

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _as_text(column: Column, cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
    return f"{cell:.{column.digits}f}" if column.digits is not None else str(cell)
