"""TensorBoard events, where they are asked for and its package is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxrscreen.errors import OutputError, UsageError
from cxrscreen.training.history import Recorder


class EventLog:
    """Writes the history of a run for TensorBoard; to nowhere without a writer.

    Parameters
    ----------
    writer
        A ``SummaryWriter``, or ``None``.
    """

    def __init__(self, writer: Any) -> None:  # noqa: ANN401 - of an optional package
        self._writer = writer

    def follow(self, trainer: Any, recorder: Recorder) -> None:  # noqa: ANN401 - ignite
        """Write each epoch of an engine, behind the handlers that it has."""
        if self._writer is None:
            return
        from monai.handlers.tensorboard_handlers import TensorBoardStatsHandler  # noqa: PLC0415

        def write(_engine: Any, writer: Any) -> None:  # noqa: ANN401
            result = recorder.history[-1]
            for name in ("training_loss", "validation_loss", "validation_auc", "learning_rate"):
                writer.add_scalar(name, getattr(result, name), result.epoch)

        TensorBoardStatsHandler(
            summary_writer=self._writer, iteration_log=False, epoch_event_writer=write
        ).attach(trainer)


@contextlib.contextmanager
def event_writer(folder: Path | None) -> Iterator[EventLog]:
    """Open a log in a folder, or one that writes nothing.

    Raises
    ------
    UsageError
        TensorBoard is not installed.
    OutputError
        The folder cannot be written.
    """
    if folder is None:
        yield EventLog(None)
        return
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "--events needs TensorBoard, which is not installed"
        raise UsageError(message, hint="pip install 'cxrscreen[tensorboard]'") from error
    try:
        writer = SummaryWriter(str(folder))
    except OSError as error:
        message = f"--events {folder}: cannot be written: {error.strerror or type(error).__name__}"
        raise OutputError(message, hint="Check permissions, or give another folder.") from error
    try:
        yield EventLog(writer)
    finally:
        writer.close()
