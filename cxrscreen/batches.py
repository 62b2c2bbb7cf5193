"""Batches of images through the network while the next ones are read.

A convolution on two threads has to wait for the slower one, and beside busy workers that one
has no core: it takes several times as long. So each batch runs on one thread, and several
batches at a time keep all cores busy.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import torch

from cxrscreen.admission.faults import refusal_of
from cxrscreen.duplicates import MarkedImage
from cxrscreen.model.predictor import Predictor
from cxrscreen.preprocess import PreprocessSpec, from_resized
from cxrscreen.records import Admission

# Batches that wait for a thread, for each one that runs.
_WAITING: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images in the order of their inputs; what was refused among them passes along.

    Attributes
    ----------
    items
        Refused ones, and as many others as go through the network together.
    ends
        Whether a run that starts at the input behind the last makes the same batches.
    """

    items: tuple[MarkedImage, ...]
    ends: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the network said of a batch.

    Attributes
    ----------
    logits
        One for each image that was not refused before.
    failure
        The refusal of all these where the network failed.
    seconds
        Share of each in the time.
    """

    logits: tuple[float, ...] = ()
    failure: Admission | None = None
    seconds: float = 0.0


def in_batches(marked: Iterable[MarkedImage], size: int) -> Iterator[Batch | None]:
    """Group images for the network; the order stays.

    What is in a batch depends on the inputs alone and not on time. No batch holds the last
    frames of an object and what comes behind it, so that one ends with each such object.

    Parameters
    ----------
    marked
        Images as they come.
    size
        How many go through the network together.

    Yields
    ------
    Batch or None
        ``None`` for an image that does not complete a batch.
    """
    waiting: list[MarkedImage] = []
    admitted = 0
    for item in marked:
        if waiting and waiting[-1].image.record.source.frame:
            # Only what follows tells whether that was the last frame.
            ended = waiting[-1].place != item.place
            if ended or admitted in (0, size):
                yield Batch(tuple(waiting), ended)
                waiting, admitted = [], 0
        waiting.append(item)
        admitted += item.image.pixels is not None
        # Refused inputs pass at once unless an admitted one waits before them.
        if admitted in (0, size) and not item.image.record.source.frame:
            yield Batch(tuple(waiting), ends=True)
            waiting, admitted = [], 0
        else:
            yield None
    if waiting:
        yield Batch(tuple(waiting), ends=True)


def predicted(
    batches: Iterable[Batch | None], predictor: Predictor, spec: PreprocessSpec, *, at_once: int
) -> Generator[tuple[Batch, Outcome], None, None]:
    """Run batches through the network, and come back with each in its turn.

    Parameters
    ----------
    batches
        What to judge. They are asked for while earlier ones are judged, a few ahead. At a
        ``None`` what has been judged comes back: reading the rest of a batch may take long.
    predictor
        The network.
    spec
        Its preprocessing.
    at_once
        Batches that run at a time, each on one thread. With 1 the engine has its own way of
        using the cores.
    """
    with _threads(at_once) as threads:
        ahead: deque[tuple[Batch, Future[Outcome] | None]] = deque()
        for batch in batches:
            if batch is not None:
                sees_any = any(item.image.pixels is not None for item in batch.items)
                future = threads.submit(_judge, batch, predictor, spec) if sees_any else None
                ahead.append((batch, future))
            while ahead and (len(ahead) > _WAITING * at_once or _is_done(ahead[0][1])):
                yield _outcome(*ahead.popleft())
        while ahead:
            yield _outcome(*ahead.popleft())


@contextlib.contextmanager
def _threads(at_once: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    prepare = None
    if at_once > 1:
        torch.set_num_threads(1)
        prepare = _run_on_one_thread
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="model", initializer=prepare)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _run_on_one_thread() -> None:
    # Each thread has a setting of its own.
    torch.set_num_threads(1)


def _is_done(future: Future[Outcome] | None) -> bool:
    return future is None or future.done()


def _outcome(batch: Batch, future: Future[Outcome] | None) -> tuple[Batch, Outcome]:
    return batch, Outcome() if future is None else future.result()


def _judge(batch: Batch, predictor: Predictor, spec: PreprocessSpec) -> Outcome:
    tensors = [
        from_resized(item.image.pixels, spec)
        for item in batch.items
        if item.image.pixels is not None
    ]
    started = time.perf_counter()
    try:
        logits = tuple(predictor.logits(tensors).tolist())
    except Exception as error:  # noqa: BLE001 - the batch becomes rows, the run goes on
        return Outcome(failure=refusal_of(error))
    return Outcome(logits, seconds=(time.perf_counter() - started) / len(tensors))
