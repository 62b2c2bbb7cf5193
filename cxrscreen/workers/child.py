"""The main loop of a worker process.

Inputs come in on standard input and results leave on standard output, as pickles: both ends
are this program. What libraries print goes nowhere; it may quote a header.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
from typing import BinaryIO, Final

_STDOUT: Final = 1
_PR_SET_PDEATHSIG: Final = 1
#: What a worker says when it is ready, and after the last image of an input.
READY: Final = "ready"
DONE: Final = "done"


def main() -> None:
    """Examine inputs until there are no more."""
    _die_with_parent()
    # Ctrl-C reaches the whole group: the parent ends the run and closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(_STDOUT), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, _STDOUT)
    os.close(silent)
    settings, memory_bytes = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent

    import torch  # noqa: PLC0415 - after the streams are safe

    from cxrscreen.examine import examine  # noqa: PLC0415 - the same

    # One image at a time; the other cores have workers of their own.
    torch.set_num_threads(1)
    _limit_memory(memory_bytes)
    _send(results, READY)
    while True:
        try:
            item = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent
        except EOFError:
            return
        for examined in examine(item, settings, lambda record: _send(results, record)):
            _send(results, examined)
        _send(results, DONE)


def _die_with_parent() -> None:
    """End when the parent does, though a decoder may be busy: Linux alone can be asked to."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _send(stream: BinaryIO, result: object) -> None:
    pickle.dump(result, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _limit_memory(extra_bytes: int) -> None:
    """Let the process grow by so much: what asks for more raises ``MemoryError``."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on Windows

        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123
            now = int(stream.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, hard))
