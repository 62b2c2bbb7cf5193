"""Write a report, in each of the formats that are asked for, in one pass over its rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cxrscreen.errors import UsageError
from cxrscreen.output import is_report, new_file
from cxrscreen.reports.table import COLUMNS, Cell, Column
from cxrscreen.reports.writers import CsvWriter, Writer

_WRITERS: Final[dict[str, Callable[[Path, Sequence[Column]], Writer]]] = {".csv": CsvWriter}


def check_formats(outs: Iterable[Path]) -> None:
    """Refuse names of reports that say no format, before any work.

    Raises
    ------
    UsageError
        An ending is none of those that are known.
    """
    for out in outs:
        if out.suffix.lower() not in _WRITERS:
            message = f"{out}: its ending says no format of a report"
            raise UsageError(message, hint=f"Let it end in {', '.join(_WRITERS)}.")


def write_reports(
    outs: Sequence[Path],
    rows: Iterable[Mapping[str, Cell]],
    columns: Sequence[Column] = COLUMNS,
    *,
    force: bool = False,
) -> None:
    """Write the rows to every file, beside their names, and rename them all at the end.

    Parameters
    ----------
    outs
        The reports; what each ends in says its format.
    rows
        Cells as :func:`cxrscreen.reports.table.report_cells` returns them, with their rank. They
        are taken one after the other and not kept.
    columns
        The columns, in order.
    force
        Whether earlier reports may be replaced.

    Raises
    ------
    UsageError
        An ending is no format.
    OutputError
        A file exists or cannot be written.
    """
    check_formats(outs)
    with contextlib.ExitStack() as files:
        temporary = [
            files.enter_context(new_file(out, force=force, replaceable=is_report)) for out in outs
        ]
        with contextlib.ExitStack() as open_writers:
            writers = []
            for out, path in zip(outs, temporary, strict=True):
                writer = _WRITERS[out.suffix.lower()](path, columns)
                open_writers.callback(writer.close)
                writers.append(writer)
            for cells in rows:
                for writer in writers:
                    writer.add(cells)
