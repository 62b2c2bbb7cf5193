"""One worker process: messages to it, answers from it, and what it died of."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Final

import cxrscreen
from cxrscreen.errors import WorkerError
from cxrscreen.records import Admission
from cxrscreen.vocabulary import RejectCode
from cxrscreen.workers.child import READY

_START_SECONDS: Final = 120.0
_DYING_SECONDS: Final = 0.5
_START_HINT: Final = "Is there memory left? Try --workers 0."
# The child gets the parent's search path, so that both run the same code.
_BOOT: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from cxrscreen.workers.child import main; main()"
)


class WorkerProcess:
    """A worker and the time by which it must have said something."""

    def __init__(self, first_message: object) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                # -P: nothing is imported from the folder that is screened.
                [sys.executable, "-P", "-c", _BOOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # One core each: threads that wait for one another cost more than they give.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            message = f"a worker process does not start: {error.strerror or 'not possible'}"
            raise WorkerError(message, hint=_START_HINT) from error
        self._deadline = time.monotonic() + _START_SECONDS
        self._late = False
        #: Whether somebody else killed it, as systems do that run out of memory.
        self.was_killed = False
        self._first_message = first_message

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Hand over what every examination needs and wait for the first word.

        Raises
        ------
        WorkerError
            The process ended or said nothing.
        """
        try:
            self.send(_search_path(), _START_SECONDS)
            self.send(self._first_message, _START_SECONDS)
            ready = self.receive(_START_SECONDS) == READY
        except (EOFError, OSError, pickle.UnpicklingError):
            ready = False
        if not ready:
            self.kill()
            message = "a worker process does not start"
            raise WorkerError(message, hint=_START_HINT)

    def send(self, message: object, seconds: float) -> None:
        """Hand over a message; the answer is due in so many seconds."""
        self._deadline = time.monotonic() + seconds
        stream = self._stream(self._process.stdin)
        pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
        stream.flush()

    def receive(self, seconds: float) -> Any:  # noqa: ANN401 - a result or a word
        """Wait for the next answer; ``EOFError`` if the process has ended."""
        self._deadline = time.monotonic() + seconds
        try:
            return pickle.load(self._stream(self._process.stdout))  # noqa: S301 - our own child
        finally:
            self._deadline = float("inf")

    def kill_if_late(self, now: float) -> None:
        """Kill the process if its answer is overdue at ``time.monotonic() == now``."""
        if now > self._deadline:
            self._late = True
            self.kill()

    def kill(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def bury(self, seconds: float) -> Admission:
        """Return the refusal for the image that the process died of."""
        # One that is dying of its own says of what; only then is it killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_DYING_SECONDS)
        self.was_killed = not self._late and self._process.poll() == -signal.SIGKILL
        self.kill()
        status = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                self._stream(stream).close()
        if self._late:
            reason = f"reading it took longer than {seconds:g} seconds"
            return Admission.refuse(RejectCode.TIMED_OUT, reason)
        reason = f"the process that read it ended by {_cause(status)}"
        return Admission.refuse(RejectCode.DECODER_CRASHED, reason)

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        if stream is None:
            raise OSError
        return stream


def _search_path() -> list[str]:
    """Return where the child finds what the parent runs, the working folder left out."""
    package = str(Path(cxrscreen.__file__).resolve().parents[1])
    path = [entry for entry in sys.path if entry not in ("", ".", str(Path.cwd()))]
    return path if package in path else [package, *path]


def _cause(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit code {status}"
