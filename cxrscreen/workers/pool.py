"""Processes that examine images, watched: one that dies, hangs or grows costs its image a row."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

from cxrscreen.errors import WorkerError
from cxrscreen.examine import Examined, ExamineSettings
from cxrscreen.records import Admission, ImageRecord, Input
from cxrscreen.vocabulary import RejectCode, SourceKind
from cxrscreen.workers.child import DONE
from cxrscreen.workers.process import WorkerProcess

_WATCH_SECONDS: Final = 0.1
# A tenth of what one core does.
_UNPACKED_BYTES_A_SECOND: Final = 30e6
# Inputs handed out ahead of the one that is waited for, for each worker.
_AHEAD: Final = 8


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one image may cost.

    Attributes
    ----------
    seconds
        Time without a result after which a worker is killed.
    memory_bytes
        Growth of a worker's address space.
    """

    seconds: float = 10.0
    memory_bytes: int = 4 << 30


class ExaminerPool:
    """Examines inputs in worker processes, in order.

    Parameters
    ----------
    settings
        What an examination depends on.
    workers
        How many processes.
    limits
        What one image may cost.
    """

    def __init__(
        self, settings: ExamineSettings, *, workers: int, limits: WorkerLimits | None = None
    ) -> None:
        self._first_message = (settings, (limits or WorkerLimits()).memory_bytes)
        self._limits = limits or WorkerLimits()
        self._ahead = _AHEAD * workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="examiner")
        self._own = threading.local()
        self._processes: set[WorkerProcess] = set()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        for _ in range(workers):
            # They load their libraries while the caller still gets ready.
            self._threads.submit(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def examine_all(self, inputs: Iterable[Input]) -> Iterator[tuple[int, Examined]]:
        """Yield the images of each input with its place among the inputs, in their order.

        Raises
        ------
        WorkerError
            A worker process cannot be started.
        """
        waiting: deque[Future[list[Examined]]] = deque()
        handed_out = 0
        for item in inputs:
            waiting.append(self._threads.submit(self._examine, item))
            handed_out += 1
            if len(waiting) > self._ahead:
                first = handed_out - len(waiting)
                for image in waiting.popleft().result():
                    yield first, image
        while waiting:
            first = handed_out - len(waiting)
            for image in waiting.popleft().result():
                yield first, image

    @property
    def processes(self) -> tuple[WorkerProcess, ...]:
        """The workers that run."""
        return tuple(self._processes)

    def close(self) -> None:
        """End every worker, busy or not."""
        self._closed.set()
        for process in self.processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        # One may have started while the others were killed.
        for process in self.processes:
            process.kill()
            process.bury(0.0)
        self._watcher.join()

    def _examine(self, item: Input, *, again: bool = False) -> list[Examined]:
        started = time.perf_counter()
        process = self._process()
        record = ImageRecord(source=item.source, kind=SourceKind.OTHER)
        results: list[Examined] = []
        try:
            # Until the header is there, the worker may be on its way through an archive.
            allowed = self._limits.seconds + _unpacking_seconds(item)
            process.send(item, allowed)
            while (result := process.receive(allowed)) != DONE:
                allowed = self._limits.seconds
                if isinstance(result, ImageRecord):
                    record = result
                else:
                    results.append(result)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._own.process = None
            refusal = process.bury(self._limits.seconds)
            self._processes.discard(process)
            if process.was_killed and not again and not self._closed.is_set():
                # A system without memory kills whom it likes: the image gets another chance.
                return self._examine(item, again=True)
            if results:
                # Frames before the fatal one have their rows; this is the next one's.
                refusal = _next_frame(refusal, len(results) + 1)
            results.append(Examined(record, refusal, None, time.perf_counter() - started))
        return results

    def _process(self) -> WorkerProcess:
        process: WorkerProcess | None = getattr(self._own, "process", None)
        if process is None:
            if self._closed.is_set():
                message = "the run has ended"
                raise WorkerError(message)
            process = WorkerProcess(self._first_message)
            self._processes.add(process)
            process.wait_until_ready()
            self._own.process = process
        return process

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            now = time.monotonic()
            for process in self.processes:
                process.kill_if_late(now)


def _unpacking_seconds(item: Input) -> float:
    """Return time to reach a member: a new worker unpacks a gzipped tar from its beginning."""
    return sum(member.position for member in item.source.members) / _UNPACKED_BYTES_A_SECOND


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _next_frame(refusal: Admission, frame: int) -> Admission:
    code = refusal.code or RejectCode.DECODER_CRASHED
    return Admission.refuse(code, f"frame {frame} and after: {refusal.reason}")
