"""Progress bars on stderr; results on stdout, for as long as somebody reads them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Completed units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty until there is one."""
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:.1f}/s", style="progress.data.speed")


def screening_progress(*, quiet: bool) -> Progress:
    """Return the bar of a screening run: count, rate, time left."""
    return _progress(TimeRemainingColumn(), quiet=quiet)


def training_progress(*, quiet: bool) -> Progress:
    """Return the bar of a training run: steps, rate, time spent and left, a note."""
    note = TextColumn("{task.fields[note]}")
    return _progress(TimeElapsedColumn(), TimeRemainingColumn(), note, quiet=quiet)


def _progress(*columns: ProgressColumn, quiet: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        *columns,
        console=console,
        # Without a terminal a bar is noise in somebody's log.
        disable=quiet or not console.is_terminal,
    )


class ResultConsole(Console):
    """Stdout, for tables."""

    def on_broken_pipe(self) -> None:
        """Leave it to :func:`until_reader_leaves`: rich would end the process with 1."""
        raise BrokenPipeError


@contextlib.contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Print results; a reader who has had enough, as in ``| head``, or is not there, is no error.

    The report is complete by then, and the exit code must still tell of it.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Python flushes stdout once more at exit: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
