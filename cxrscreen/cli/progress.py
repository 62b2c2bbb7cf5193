"""Progress bars on stderr: results go to stdout and files."""

from __future__ import annotations

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
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def training_progress(*, quiet: bool) -> Progress:
    """Return the bar of a training run: epoch, steps, loss, time."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=quiet or not console.is_terminal,
    )
