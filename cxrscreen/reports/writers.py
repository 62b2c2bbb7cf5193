"""One row after the other into a file: a writer for each format of the report.

None keeps the rows: a report of a million takes as much memory as one of a thousand.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from cxrscreen.errors import OutputError
from cxrscreen.output import REPORT_MARK
from cxrscreen.reports.table import FORMULA_STARTS, Cell, Column

_ROWS_IN_A_GROUP: Final = 10_000
#: Rows of a sheet, the header not counted.
EXCEL_ROWS: Final = (1 << 20) - 1
# XML has no way to write these two.
_NOT_IN_XML: Final = str.maketrans({"\ufffe": "\ufffd", "\uffff": "\ufffd"})
_WIDTH_OF_NUMBERS: Final = 12
_WIDTHS: Final = {"source": 60, "reject_reason": 50, "warnings": 50, "guarantee": 40}
_WIDTH_OF_TEXT: Final = 18
# The time that a workbook was made is no part of its content: the manifest tells it.
_NO_TIME: Final = datetime(1980, 1, 1)  # noqa: DTZ001 - as the entries of its zip have it
# Separators that some readers take for the end of a line; JSON may spell them out.
_SPELLED_OUT: Final = {ord(char): f"\\u{ord(char):04x}" for char in "\x7f\x85\u2028\u2029"}


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
        return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
    return f"{cell:.{column.digits}f}" if column.digits is not None else str(cell)


class JsonLinesWriter:
    """JSON Lines: UTF-8, an object on each line, ``null`` for an empty cell."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._names = [column.name for column in columns]
        self._stream = path.open("w", encoding="utf-8", newline="")

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Write one row."""
        row = {name: cells[name] for name in self._names}
        line = json.dumps(row, ensure_ascii=False, allow_nan=False)
        self._stream.write(line.translate(_SPELLED_OUT) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class ParquetWriter:
    """Parquet: text, 64-bit integers and floats, null for an empty cell, in row groups."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - the same

        self._arrow = pa
        fields = [
            pa.field(
                column.name,
                pa.int64()
                if column.is_integer
                else pa.string()
                if column.digits is None
                else pa.float64(),
            )
            for column in columns
        ]
        self._schema = pa.schema(fields, metadata={"title": REPORT_MARK.decode()})
        self._rows: list[Mapping[str, Cell]] = []
        self._writer: Any = parquet.ParquetWriter(path, self._schema)

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Take one row, and write a group of them when it is full."""
        self._rows.append(cells)
        if len(self._rows) >= _ROWS_IN_A_GROUP:
            self._write()

    def close(self) -> None:
        """Write the last group and the schema."""
        try:
            if self._rows:
                self._write()
        finally:
            self._writer.close()

    def _write(self) -> None:
        columns = {name: [row[name] for row in self._rows] for name in self._schema.names}
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._rows.clear()


class ExcelWriter:
    """XLSX: one sheet with a header that stays in sight and can be filtered by.

    Texts are texts, whatever they begin with: no cell is a formula or a link. A text is cut after
    32,767 characters, which is what a cell of Excel holds.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import xlsxwriter  # noqa: PLC0415 - an extra

        self._columns = columns
        self._path = path
        # Rows wait there until the workbook is closed; named so that a later run clears it.
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        options = {
            "constant_memory": True,
            "tmpdir": self._folder.name,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._book.set_properties({"title": REPORT_MARK.decode(), "created": _NO_TIME})
        self._sheet = self._book.add_worksheet("report")
        bold = self._book.add_format({"bold": True, "bottom": 1})
        self._formats = [
            self._book.add_format({"num_format": "0" if column.is_integer else _decimals(column)})
            for column in columns
        ]
        for index, column in enumerate(columns):
            self._sheet.set_column(index, index, _width(column))
            self._sheet.write_string(0, index, column.name, bold)
        self._sheet.freeze_panes(1, 1)
        self._rows = 0

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Write one row.

        Raises
        ------
        OutputError
            The sheet is full.
        """
        if self._rows == EXCEL_ROWS:
            raise too_many_rows(self._path, self._rows + 1)
        self._rows += 1
        for index, (column, number_format) in enumerate(
            zip(self._columns, self._formats, strict=True)
        ):
            cell = cells[column.name]
            if isinstance(cell, str):
                self._sheet.write_string(self._rows, index, _for_xml(cell))
            elif cell is not None:
                self._sheet.write_number(self._rows, index, cell, number_format)

    def close(self) -> None:
        """Put the workbook together.

        Raises
        ------
        OSError
            It cannot be written.
        """
        from xlsxwriter.exceptions import XlsxFileError  # noqa: PLC0415 - an extra

        self._sheet.autofilter(0, 0, self._rows, len(self._columns) - 1)
        try:
            self._book.close()
        except XlsxFileError as error:
            cause = error.__cause__ or error.__context__ or error.args[0]
            raise cause if isinstance(cause, OSError) else OSError(str(error)) from error
        finally:
            self._folder.cleanup()


def too_many_rows(path: Path, rows: int) -> OutputError:
    """Return the error of a report that no sheet of Excel holds."""
    message = f"{path}: {rows:,} rows are more than the {EXCEL_ROWS:,} that a sheet of Excel holds"
    return OutputError(message, hint="Let --out end in .parquet, .csv or .jsonl.")


def _decimals(column: Column) -> str:
    return "General" if column.digits is None else f"0.{'0' * column.digits}"


def _width(column: Column) -> int:
    known = _WIDTHS.get(column.name)
    numeric = column.is_integer or column.digits is not None
    return known or max(_WIDTH_OF_NUMBERS if numeric else _WIDTH_OF_TEXT, len(column.name) + 4)


def _for_xml(text: str) -> str:
    text = text.translate(_NOT_IN_XML)
    # xlsxwriter takes such a text for markup of its own and would write it as it is.
    return f"'{text}" if text.startswith("<r>") else text
