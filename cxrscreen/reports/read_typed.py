"""Read reports whose cells have types, and turn these into the texts that a CSV would hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from cxrscreen.errors import InputNotFoundError, PredictionsError
from cxrscreen.reports.table import COLUMNS

_DIGITS: Final = {column.name: column.digits for column in COLUMNS}
_EXTRA: Final = "Install it with: pip install 'cxrscreen[parquet]'. Or give the report as CSV."


def _json_lines(content: bytes) -> list[Mapping[str, Any]]:
    # Not splitlines, which breaks at separators that JSON leaves alone.
    return [json.loads(line) for line in content.decode().split("\n") if line]


def _parquet(content: bytes) -> list[Mapping[str, Any]]:
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    rows: list[Mapping[str, Any]] = parquet.read_table(BytesIO(content)).to_pylist()
    return rows


#: How the content of a report is read, by its ending.
FORMATS: Final[dict[str, Callable[[bytes], list[Mapping[str, Any]]]]] = {
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def read_typed(
    path: Path, *, needs: Iterable[str], hint: str
) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]], str]:
    """Read a report of JSON Lines or Parquet.

    Parameters
    ----------
    path
        The report, with one of the endings of :data:`FORMATS`.
    needs
        Columns that must be there.
    hint
        Of the error if it is no report.

    Returns
    -------
    columns, records, sha256
        As :func:`cxrscreen.reports.read.read_table`; rows are numbered as in a CSV, from 2.

    Raises
    ------
    InputNotFoundError
        The file is not there or cannot be read.
    PredictionsError
        It is no report, or reading it needs an extra.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        message = f"{path}: {'no such file' if is_missing else f'cannot be read: {error.strerror}'}"
        raise InputNotFoundError(message, hint=hint) from error
    try:
        rows = FORMATS[path.suffix.lower()](content)
        columns = tuple(rows[0]) if rows else ()
        records = [
            (line, {name: _text(name, row[name]) for name in columns})
            for line, row in enumerate(rows, start=2)
        ]
    except ImportError as error:
        message = f"{path}: reading Parquet needs pyarrow"
        raise PredictionsError(message, hint=_EXTRA) from error
    except Exception as error:
        # Arbitrary bytes may raise anything; a message may quote them.
        message = f"{path}: is no report: {type(error).__name__} while it was read"
        raise PredictionsError(message, hint=hint) from error
    if missing := [name for name in needs if name not in columns]:
        message = f"{path}: is no report: it lacks the column {missing[0]}"
        raise PredictionsError(message, hint=hint)
    return columns, records, hashlib.sha256(content).hexdigest()


def _text(column: str, cell: object) -> str:
    if cell is None:
        return ""
    digits = _DIGITS.get(column)
    return f"{cell:.{digits}f}" if digits is not None and isinstance(cell, float) else str(cell)
