"""Screening, from paths to rows: the file to read first.

    discover -> examine: open -> admit (header) -> read pixels -> admit (pixels) -> resize
             -> predict -> decide -> ScreenRow

Two promises are kept here. One row per discovered input: whatever goes wrong with an image
becomes its row. And what was not judged is ``NOT_SCREENED``, never ``NEGATIVE``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrscreen import intake
from cxrscreen.batches import Batch, Outcome, in_batches, predicted
from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.operating_point import decide, require_fingerprints
from cxrscreen.calibration.probability import Calibrator
from cxrscreen.duplicates import Duplicates, Identity, MarkedImage
from cxrscreen.examine import Examined, ExamineSettings, examine
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.predictor import Predictor, choose_device
from cxrscreen.records import (
    Admission,
    DisplayImage,
    Input,
    OperatingPoint,
    Permissions,
    Prediction,
    ScreenRow,
)
from cxrscreen.vocabulary import Decision, RejectCode
from cxrscreen.workers import ExaminerPool, WorkerLimits
from cxrscreen.workers.pool import default_workers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class ScreenedImage:
    """A finished row with what it was made from.

    Attributes
    ----------
    place
        Of its input in the frozen list, from 0. Frames of one object share it.
    row
        What the report says.
    pixels
        float32 ``[size_px, size_px]`` in 0..1, resized and not normalised, of an image that was
        judged.
    identity
        By what a copy of it is recognised: hashes of its UID and of ``pixels``.
    shape
        Rows and columns of the radiograph before it was resized, of an image that was judged.
    display
        A picture of it, where the options ask for one.
    ends_batch
        Whether a run that starts at the input behind it makes the same batches as this one.
        The last digits of a logit depend on what else is in its batch.
    """

    place: int
    row: ScreenRow
    pixels: NDArray[np.float32] | None = None
    identity: Identity | None = None
    shape: tuple[int, int] | None = None
    display: DisplayImage | None = None
    ends_batch: bool = False


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
    display_px
        Keep a picture of each judged image whose longer side is at most this; none if 0.
    """

    batch_size: int = 16
    device: str = "auto"
    permissions: Permissions = field(default_factory=Permissions)
    workers: int | None = None
    seconds_per_image: float = 10.0
    calibration: Calibration | None = None
    point: OperatingPoint | None = None
    repeat_duplicates: bool = False
    display_px: int = 0

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
    # What is refused is refused at once, and not with the first row.
    images = screen_images(inputs, bundle, options)
    return (image.row for image in images)


def screen_images(
    inputs: Sequence[Input],
    bundle: ModelBundle,
    options: ScreenOptions | None = None,
    *,
    earlier: Iterable[tuple[Identity, str]] = (),
    start: int = 0,
) -> Generator[ScreenedImage]:
    """Screen inputs and keep, beside each row, the pixels that were judged.

    Parameters
    ----------
    inputs
        What to screen.
    bundle, options
        As in :func:`screen`.
    earlier
        Identities of images that were judged before, as ``ScreenedImage.identity`` has them,
        and where those images are: copies of them are duplicates.
    start
        Place of the first input to screen. A run that was stopped goes on behind an image
        that ``ends_batch``: which images share a batch depends on the inputs alone.

    Yields
    ------
    ScreenedImage
        One for each image, in the order of the inputs.

    Raises
    ------
    FingerprintMismatchError
        The calibration or the operating point was fitted for something else.
    """
    options = options or ScreenOptions()
    calibration = options.calibration or bundle.calibration
    point = options.point or calibration.default_point
    for fitted in (calibration.default_point, point):
        require_fingerprints(
            fitted,
            model=bundle.model_fingerprint,
            preprocessing=bundle.spec.fingerprint(),
            engine=bundle.engine,
        )
    settings = ExamineSettings(
        bundle.spec, bundle.intended_use, options.permissions, options.display_px
    )
    judge = _Judge(bundle, settings, calibration.calibrator, point)
    duplicates = None if options.repeat_duplicates else Duplicates(earlier)
    return _images(inputs, start, judge, duplicates, options)


def _images(
    inputs: Sequence[Input],
    start: int,
    judge: _Judge,
    duplicates: Duplicates | None,
    options: ScreenOptions,
) -> Generator[ScreenedImage]:
    if start >= len(inputs):
        return
    workers = default_workers() if options.workers is None else options.workers
    remaining = (inputs[place] for place in range(start, len(inputs)))
    with contextlib.ExitStack() as open_pool:
        if workers:
            # Started first: they load their libraries while the predictor loads here.
            pool = ExaminerPool(
                judge.settings,
                workers=min(workers, len(inputs) - start),
                limits=WorkerLimits(seconds=options.seconds_per_image),
            )
            examined = open_pool.enter_context(pool).examine_all(remaining)
        else:
            examined = (
                (place, image)
                for place, item in enumerate(remaining)
                for image in examine(item, judge.settings)
            )
        device = choose_device(options.device, judge.bundle.engine)
        predictor = Predictor(judge.bundle, device)
        marked = (
            MarkedImage(start + place, item)
            if duplicates is None
            else duplicates.mark(start + place, item)
            for place, item in examined
        )
        judged = predicted(
            in_batches(marked, options.batch_size),
            predictor,
            judge.settings.spec,
            at_once=batches_at_once(judge.bundle, device),
        )
        # Left early, the threads end before the workers do.
        with contextlib.closing(judged):
            for batch, outcome in judged:
                yield from _screened(batch, outcome, judge)


def batches_at_once(bundle: ModelBundle, device: torch.device) -> int:
    """Return how many batches keep a device busy: on PyTorch, one for each core of a processor.

    OpenVINO spreads the images of one batch over the cores by itself.
    """
    if bundle.engine.is_openvino or device.type != "cpu":
        return 1
    return default_workers()


def foresee_images(
    inputs: Sequence[Input], bundle: ModelBundle, options: ScreenOptions | None = None
) -> Generator[Examined]:
    """Look at the headers of inputs alone, and say which images would be refused by them.

    Parameters
    ----------
    inputs, bundle, options
        As in :func:`screen_images`; no network is run.

    Yields
    ------
    Examined
        One for each image, in the order of the inputs, without pixels. One that is admitted
        would be read, and may still be refused by its pixels.
    """
    options = options or ScreenOptions()
    settings = ExamineSettings(
        bundle.spec, bundle.intended_use, options.permissions, headers_only=True
    )
    workers = default_workers() if options.workers is None else options.workers
    if not workers:
        for item in inputs:
            yield from examine(item, settings)
        return
    limits = WorkerLimits(seconds=options.seconds_per_image)
    with ExaminerPool(settings, workers=min(workers, len(inputs)), limits=limits) as pool:
        for _, image in pool.examine_all(inputs):
            yield image


@dataclass(frozen=True, slots=True)
class _Judge:
    """What turns an admitted image into a decision."""

    bundle: ModelBundle
    settings: ExamineSettings
    calibrator: Calibrator
    point: OperatingPoint


def _screened(batch: Batch, outcome: Outcome, judge: _Judge) -> Iterator[ScreenedImage]:
    logits = iter(outcome.logits)
    for item in batch.items:
        image = item.image
        if image.pixels is None:
            row = _refused(image, image.admission, item.earlier)
        elif outcome.failure is not None:
            row = _refused(image, outcome.failure)
        else:
            row = _judged(image, next(logits), judge, outcome.seconds)
        judged = row.prediction is not None
        yield ScreenedImage(
            item.place,
            row,
            pixels=image.pixels if judged else None,
            identity=item.identity,
            shape=image.shape if judged else None,
            display=image.display if judged else None,
            ends_batch=batch.ends and item is batch.items[-1],
        )


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
