"""Screening, from paths to rows: the file to read first.

    discover -> examine: open -> admit (header) -> read pixels -> admit (pixels) -> resize
             -> predict -> decide -> ScreenRow

Two promises are kept here. One row per discovered input: whatever goes wrong with an image
becomes its row. And what was not judged is ``NOT_SCREENED``, never ``NEGATIVE``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrscreen import intake
from cxrscreen.admission.faults import refusal_of
from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.operating_point import decide, require_fingerprints
from cxrscreen.calibration.probability import Calibrator
from cxrscreen.examine import Examined, ExamineSettings, examine
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.predictor import ENGINE, Predictor, choose_device
from cxrscreen.preprocess import PreprocessSpec, from_resized
from cxrscreen.records import (
    Admission,
    Input,
    OperatingPoint,
    Permissions,
    Prediction,
    RunSummary,
    ScreenRow,
)
from cxrscreen.vocabulary import Decision, RejectCode
from cxrscreen.workers import ExaminerPool, WorkerLimits
from cxrscreen.workers.pool import default_workers

_Waiting = tuple[Examined, str]


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How to screen.

    Attributes
    ----------
    batch_size
        Images that go through the network together.
    device
        ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda`` or ``mps``.
    permissions
        What to judge, with a warning on the row, that is refused by default.
    workers
        Processes that read images, one for each core if ``None``. With 0 they are read in
        this process, and a decoder that dies takes the run with it.
    seconds_per_image
        Time that reading one image may take.
    calibration
        From logits to probabilities; the bundle's own if ``None``.
    point
        From logits to decisions; the calibration's default if ``None``.
    repeat_duplicates
        Judge an image that has been judged before once more, as a study of labelled images
        wants it, instead of referring to the earlier row.
    """

    batch_size: int = 16
    device: str = "auto"
    permissions: Permissions = field(default_factory=Permissions)
    workers: int | None = None
    seconds_per_image: float = 10.0
    calibration: Calibration | None = None
    point: OperatingPoint | None = None
    repeat_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            message = f"batch_size is {self.batch_size}: at least one image"
            raise ValueError(message)
        if self.workers is not None and self.workers < 0:
            message = f"workers is {self.workers}: none or more"
            raise ValueError(message)
        if not self.seconds_per_image > 0:
            message = f"seconds_per_image is {self.seconds_per_image}: more than 0"
            raise ValueError(message)


def screen(
    paths: str | Path | Iterable[str | Path],
    bundle: ModelBundle,
    options: ScreenOptions | None = None,
) -> Iterator[ScreenRow]:
    """Screen every file below ``paths``.

    Parameters
    ----------
    paths
        Files and folders.
    bundle
        The model, as :func:`cxrscreen.load_bundle` returns it.
    options
        How to screen.

    Yields
    ------
    ScreenRow
        One for each image, in the order in which they were found.

    Raises
    ------
    InputNotFoundError, NothingToScreenError
        A path is not there, or there is no file below any.
    FingerprintMismatchError
        The calibration or the operating point was fitted for something else.
    """
    inputs = intake.discover(intake.as_paths(paths))
    return screen_inputs(inputs, bundle, options)


def screen_inputs(
    inputs: Sequence[Input],
    bundle: ModelBundle,
    options: ScreenOptions | None = None,
) -> Iterator[ScreenRow]:
    """Screen inputs as :func:`cxrscreen.intake.search.discover` freezes them."""
    options = options or ScreenOptions()
    calibration = options.calibration or bundle.calibration
    point = options.point or calibration.default_point
    for fitted in (calibration.default_point, point):
        require_fingerprints(
            fitted,
            model=bundle.model_fingerprint,
            preprocessing=bundle.spec.fingerprint(),
            engine=ENGINE,
        )
    settings = ExamineSettings(bundle.spec, bundle.intended_use, options.permissions)
    return _rows(
        inputs, bundle, _Judge(bundle.spec, calibration.calibrator, point), settings, options
    )


def _rows(
    inputs: Sequence[Input],
    bundle: ModelBundle,
    judge: _Judge,
    settings: ExamineSettings,
    options: ScreenOptions,
) -> Iterator[ScreenRow]:
    workers = default_workers() if options.workers is None else options.workers
    with contextlib.ExitStack() as open_pool:
        if workers:
            # Started first: they load their libraries while the predictor loads here.
            pool = ExaminerPool(
                settings,
                workers=min(workers, len(inputs)),
                limits=WorkerLimits(seconds=options.seconds_per_image),
            )
            examined = open_pool.enter_context(pool).examine_all(inputs)
        else:
            examined = (image for item in inputs for image in examine(item, settings))
        predictor = Predictor(bundle, choose_device(options.device))
        duplicates = None if options.repeat_duplicates else _Duplicates()
        marked = ((item, "") if duplicates is None else duplicates.mark(item) for item in examined)
        yield from _judge(marked, predictor, judge, options.batch_size)


class Tally:
    """Counts rows as they pass, so that a run need not keep them."""

    def __init__(self) -> None:
        self._decisions: Counter[Decision] = Counter()
        self._codes: Counter[RejectCode] = Counter()

    @property
    def inputs(self) -> int:
        """Rows counted so far."""
        return self._decisions.total()

    def add(self, row: ScreenRow) -> None:
        """Count one row."""
        self._decisions[row.decision] += 1
        if row.admission.code is not None:
            self._codes[row.admission.code] += 1

    def summary(self, *, seconds: float) -> RunSummary:
        """Return the counts of a run that took ``seconds``."""
        return RunSummary(
            inputs=self.inputs,
            by_decision=dict(self._decisions),
            by_reject_code=dict(self._codes),
            seconds=seconds,
        )


def summarise(rows: Iterable[ScreenRow]) -> RunSummary:
    """Count the rows of a run by decision and by reject code."""
    tally, seconds = Tally(), 0.0
    for row in rows:
        tally.add(row)
        seconds += row.seconds
    return tally.summary(seconds=seconds)


class _Duplicates:
    """Recognises an image that has been judged: by its UID and what the network sees of it.

    The UID alone does not do: exports that use one twice would hide the second image.
    """

    def __init__(self) -> None:
        self._images: dict[tuple[str, bytes], str] = {}
        self._uids: dict[str, str] = {}

    def mark(self, item: Examined) -> tuple[Examined, str]:
        """Return the image, refused if it is one of before, and where that one is."""
        if item.pixels is None:
            return item, ""
        uid, here = item.record.sop_instance_uid, str(item.record.source)
        if uid and item.record.source.frame:
            uid = f"{uid}#{item.record.source.frame}"
        identity = (uid, item.digest())
        if (earlier := self._images.get(identity)) is not None:
            refusal = Admission.refuse(RejectCode.DUPLICATE, f"the same image as {earlier}")
            return dataclasses.replace(item, admission=refusal, pixels=None), earlier
        self._images[identity] = here
        if not uid:
            return item, ""
        if (namesake := self._uids.setdefault(uid, here)) != here:
            warning = f"other pixels under the SOPInstanceUID of {namesake}"
            warned = Admission.accept((*item.admission.warnings, warning))
            return dataclasses.replace(item, admission=warned), ""
        return item, ""


@dataclass(frozen=True, slots=True)
class _Judge:
    """What turns an admitted image into a decision."""

    spec: PreprocessSpec
    calibrator: Calibrator
    point: OperatingPoint


def _judge(
    marked: Iterable[_Waiting], predictor: Predictor, judge: _Judge, batch_size: int
) -> Iterator[ScreenRow]:
    """Run admitted images through the network in batches; rows keep the order of inputs."""
    waiting: list[_Waiting] = []
    admitted = 0
    for item in marked:
        waiting.append(item)
        admitted += item[0].pixels is not None
        # Refused inputs pass at once unless an admitted one waits before them.
        if admitted in (0, batch_size):
            yield from _flush(waiting, predictor, judge)
            waiting, admitted = [], 0
    yield from _flush(waiting, predictor, judge)


def _flush(waiting: list[_Waiting], predictor: Predictor, judge: _Judge) -> Iterator[ScreenRow]:
    tensors = [
        from_resized(item.pixels, judge.spec) for item, _ in waiting if item.pixels is not None
    ]
    started = time.perf_counter()
    failure: Admission | None = None
    logits = iter(())
    if tensors:
        try:
            logits = iter(predictor.logits(tensors).tolist())
        except Exception as error:  # noqa: BLE001 - the batch becomes rows, the run goes on
            failure = refusal_of(error)
    share = (time.perf_counter() - started) / max(len(tensors), 1)
    for item, earlier in waiting:
        if item.pixels is None:
            yield _refused(item, item.admission, earlier)
        elif failure is not None:
            yield _refused(item, failure)
        else:
            yield _judged(item, next(logits), judge, share)


def _judged(item: Examined, logit: float, judge: _Judge, share: float) -> ScreenRow:
    if not math.isfinite(logit):
        reason = "the model's output is not a finite number"
        return _refused(item, Admission.refuse(RejectCode.INTERNAL_ERROR, reason))
    return ScreenRow(
        record=item.record,
        admission=item.admission,
        prediction=Prediction(logit=logit, probability=judge.calibrator.probability(logit)),
        decision=decide(logit, judge.point),
        seconds=item.seconds + share,
    )


def _refused(item: Examined, refusal: Admission, duplicate_of: str = "") -> ScreenRow:
    return ScreenRow(
        record=item.record,
        admission=refusal,
        prediction=None,
        decision=Decision.NOT_SCREENED,
        seconds=item.seconds,
        duplicate_of=duplicate_of,
    )
