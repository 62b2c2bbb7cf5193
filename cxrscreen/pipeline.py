"""Screening, from paths to rows: the file to read first.

    discover -> open -> admit (header) -> read pixels -> admit (pixels) -> transform
             -> predict -> decide -> ScreenRow

Two promises are kept here. One row per discovered input: whatever goes wrong with an image
becomes its row. And what was not judged is ``NOT_SCREENED``, never ``NEGATIVE``.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cxrscreen import admission, intake
from cxrscreen.calibration.operating_point import decide, require_fingerprints
from cxrscreen.calibration.probability import probability_of
from cxrscreen.errors import ImageRefusedError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.predictor import ENGINE, Predictor, choose_device
from cxrscreen.preprocess import NetworkInput, to_tensor
from cxrscreen.records import (
    Admission,
    ImageRecord,
    OperatingPoint,
    Permissions,
    Prediction,
    RunSummary,
    ScreenRow,
    Source,
)
from cxrscreen.vocabulary import Decision, RejectCode, SourceKind


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
    """

    batch_size: int = 16
    device: str = "auto"
    permissions: Permissions = field(default_factory=Permissions)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            message = f"batch_size is {self.batch_size}: at least one image"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, eq=False)
class _Examined:
    """An input on its way: with a tensor if it was admitted, without if it was refused."""

    record: ImageRecord
    admission: Admission
    tensor: NetworkInput | None
    seconds: float


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
        One for each file, in the order in which they were found.

    Raises
    ------
    InputNotFoundError, NothingToScreenError
        A path is not there, or there is no file below any.
    FingerprintMismatchError
        The bundle's operating point was fitted for something else.
    """
    inputs = intake.discover(intake.as_paths(paths))
    return screen_inputs(inputs, bundle, options)


def screen_inputs(
    inputs: Iterable[Source],
    bundle: ModelBundle,
    options: ScreenOptions | None = None,
) -> Iterator[ScreenRow]:
    """Screen a list of inputs that :func:`cxrscreen.intake.discover` froze."""
    options = options or ScreenOptions()
    point = bundle.default_point
    require_fingerprints(
        point,
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        engine=ENGINE,
    )
    predictor = Predictor(bundle, choose_device(options.device))
    examined = (_examine(source, bundle, options) for source in inputs)
    return _judge(examined, predictor, point, options.batch_size)


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


def _examine(source: Source, bundle: ModelBundle, options: ScreenOptions) -> _Examined:
    """Read, admit and transform one input. Raises nothing: an error becomes a refusal."""
    started = time.perf_counter()
    record = ImageRecord(source=source, kind=SourceKind.OTHER)
    tensor = None
    try:
        opened = intake.open_image(source)
        record = opened.record
        admitted = admission.admit_header(record, bundle.intended_use, options.permissions)
        if admitted.admitted:
            image = opened.read_pixels()
            admitted = admission.admit_pixels(image, admitted)
            if admitted.admitted:
                tensor = to_tensor(image.pixels, bundle.spec)
    except ImageRefusedError as error:
        admitted = Admission.refuse(error.code, error.reason)
    except Exception as error:  # noqa: BLE001 - one image never stops a run
        # The type alone: a message may repeat what a header says about a person.
        admitted = _internal_error(error)
    return _Examined(record, admitted, tensor, time.perf_counter() - started)


def _judge(
    examined: Iterable[_Examined],
    predictor: Predictor,
    point: OperatingPoint,
    batch_size: int,
) -> Iterator[ScreenRow]:
    """Run admitted images through the network in batches; rows keep the order of inputs."""
    waiting: list[_Examined] = []
    admitted = 0
    for item in examined:
        waiting.append(item)
        admitted += item.tensor is not None
        # Refused inputs pass at once unless an admitted one waits before them.
        if admitted in (0, batch_size):
            yield from _flush(waiting, predictor, point)
            waiting, admitted = [], 0
    yield from _flush(waiting, predictor, point)


def _flush(
    waiting: list[_Examined], predictor: Predictor, point: OperatingPoint
) -> Iterator[ScreenRow]:
    tensors = [item.tensor for item in waiting if item.tensor is not None]
    started = time.perf_counter()
    failure: Admission | None = None
    logits = iter(())
    if tensors:
        try:
            logits = iter(predictor.logits(tensors).tolist())
        except Exception as error:  # noqa: BLE001 - the batch becomes rows, the run goes on
            failure = _internal_error(error)
    share = (time.perf_counter() - started) / max(len(tensors), 1)
    for item in waiting:
        if item.tensor is None:
            yield _refused(item, item.admission)
        elif failure is not None:
            yield _refused(item, failure)
        else:
            yield _judged(item, next(logits), point, share)


def _judged(item: _Examined, logit: float, point: OperatingPoint, share: float) -> ScreenRow:
    if not math.isfinite(logit):
        reason = "the model's output is not a finite number"
        return _refused(item, Admission.refuse(RejectCode.INTERNAL_ERROR, reason))
    prediction = Prediction(logit=logit, probability=probability_of(logit))
    return ScreenRow(
        record=item.record,
        admission=item.admission,
        prediction=prediction,
        decision=decide(prediction.probability, point),
        seconds=item.seconds + share,
    )


def _refused(item: _Examined, refusal: Admission) -> ScreenRow:
    return ScreenRow(
        record=item.record,
        admission=refusal,
        prediction=None,
        decision=Decision.NOT_SCREENED,
        seconds=item.seconds,
    )


def _internal_error(error: Exception) -> Admission:
    return Admission.refuse(
        RejectCode.INTERNAL_ERROR, f"cxrscreen failed on this image ({type(error).__name__})"
    )
