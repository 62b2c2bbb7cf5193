"""From a bundle to one that holds an int8 model too: made, checked against float32, calibrated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.operating_point import decide
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.errors import BundleError, DatasetError, QuantizationError
from cxrscreen.evaluation.delong import auc_difference
from cxrscreen.examine import ExamineSettings, examine
from cxrscreen.model.bundle import CARD, DOCUMENT, WEIGHTS, ModelBundle
from cxrscreen.model.engines.openvino_engine import convert
from cxrscreen.model.engines.openvino_runtime import require_installed
from cxrscreen.model.engines.quantiser import METHOD, quantise, save, versions
from cxrscreen.model.files import sha256_of_file
from cxrscreen.model.folder import calibration_file
from cxrscreen.model.int8_card import with_int8_section
from cxrscreen.model.quantised import (
    INT8_FILES,
    INT8_WEIGHTS,
    INT8_XML,
    QUANTIZATION,
    CheckDocument,
    LimitsDocument,
    QuantizationDocument,
    RangesDocument,
    int8_fingerprint,
)
from cxrscreen.output import new_folder
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.preprocess import from_resized
from cxrscreen.records import Input, OperatingPoint, Permissions, Source
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.calibrate import released_calibration, uncalibrated_bundle
from cxrscreen.study.predict import LabelledRow, screen_labelled
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine

#: Images that the ranges of activations are measured on.
RANGE_IMAGES: Final = 300
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class QuantizationLimits:
    """How unlike the float32 model an int8 model may be.

    Attributes
    ----------
    auc_loss
        The lower limit of the difference of the AUCs (int8 minus float32, 95% interval) may lie
        no further below 0.
    decisions_changed
        Share of the calibration images that are decided otherwise at the float32 model's
        default operating point.
    """

    auc_loss: float = 0.01
    decisions_changed: float = 0.02


@dataclass(frozen=True, slots=True)
class Quantised:
    """A bundle with an int8 model that was written.

    Attributes
    ----------
    quantization
        What was made and how it compares with float32.
    calibration
        Of the int8 model, fitted to its own scores.
    notes
        What the calibration part could not support, a sentence each.
    bytes_int8
        Size of the int8 model on disk.
    """

    quantization: QuantizationDocument
    calibration: Calibration
    notes: tuple[str, ...]
    bytes_int8: int


def quantise_bundle(  # noqa: PLR0913 - what it is made from, and how
    bundle: ModelBundle,
    data: Path,
    out: Path,
    *,
    limits: QuantizationLimits | None = None,
    images: int = RANGE_IMAGES,
    options: ScreenOptions | None = None,
    force: bool = False,
    on_image: Callable[[], object] = lambda: None,
) -> Quantised:
    """Write a bundle that holds an int8 model beside everything that the given one holds.

    The ranges of activations are measured on training images, so that the calibration part
    stays unseen: what its thresholds guarantee rests on that. Both models then screen the
    calibration part; they are compared there, and the int8 model's own probabilities and
    thresholds are fitted.

    Parameters
    ----------
    bundle
        A bundle with a calibration part.
    data
        The labelled images, or the split file, that it was trained with.
    out
        The folder to make.
    limits
        How unlike the two may be.
    images
        How many training images to measure ranges on.
    options
        How to screen.
    force
        Replace a bundle that stands at ``out``.
    on_image
        Called after each image of the calibration part, twice for each.

    Raises
    ------
    QuantizationError
        The int8 model is too unlike the float32 model; nothing is written.
    EngineError
        OpenVINO or NNCF is not installed.
    BundleError, DatasetError
        The bundle has no calibration part, or the data are not those that it was made from.
    OutputError
        ``out`` exists already or cannot be written.
    """
    for package in ("openvino", "nncf"):
        require_installed(package)
    if bundle.folder is None:
        message = f"{bundle.name}: has no folder"
        raise BundleError(message, hint="Load the bundle first.")
    base, limits = bundle.on(DEFAULT_ENGINE), limits or QuantizationLimits()
    options = options or ScreenOptions()
    calibration_part = bundle_part(base, data, "calibration")
    shown = spread(bundle_part(base, data, "training"), images)
    pixels = _pixels(base, shown)
    spec = base.spec
    int8 = quantise(convert(base.network, channels=spec.channels, size_px=spec.size_px), pixels)
    with new_folder(out, force=force) as place:
        save(int8, place / INT8_XML)
        held = {name: sha256_of_file(place / name) for name in (INT8_XML, INT8_WEIGHTS)}
        made = replace(
            base,
            engine=Engine.OPENVINO_INT8,
            model_fingerprint=int8_fingerprint(
                base.document.network,
                base.document.files[WEIGHTS],
                held[INT8_XML],
                held[INT8_WEIGHTS],
            ),
            document=base.document.model_copy(update={"files": {**base.document.files, **held}}),
            folder=place,
        )
        rows = [
            screen_labelled(
                uncalibrated_bundle(one),
                calibration_part,
                replace(options, calibration=None, point=None),
                on_image=on_image,
            )
            for one in (base, made)
        ]
        check = compare_int8(rows[0], rows[1], base.calibration)
        require_alike(check, limits)
        calibration, notes = released_calibration(made, rows[1])
        quantization = QuantizationDocument(
            schema_version=1,
            kind="cxrscreen quantization",
            weights=base.document.files[WEIGHTS],
            xml=held[INT8_XML],
            bin=held[INT8_WEIGHTS],
            method=METHOD,
            ranges=RangesDocument(
                part="training", images=len(pixels), fingerprint=fingerprint(shown)
            ),
            check=check,
            limits=LimitsDocument(
                auc_loss=limits.auc_loss, decisions_changed=limits.decisions_changed
            ),
            versions=versions(),
        )
        _fill(place, base, quantization, calibration)
        size = sum((place / name).stat().st_size for name in held)
    return Quantised(quantization, calibration, notes, size)


def spread(images: Sequence[LabelledImage], count: int) -> tuple[LabelledImage, ...]:
    """Return ``count`` of the images, evenly from each class and in their order; all if fewer.

    Parameters
    ----------
    images
        Sorted in any fixed way.
    count
        At least 1.
    """
    if count >= len(images):
        return tuple(images)
    by_label = sorted(range(len(images)), key=lambda place: (images[place].label, place))
    chosen = {by_label[int((k + 0.5) * len(images) / count)] for k in range(count)}
    return tuple(images[place] for place in sorted(chosen))


def compare_int8(
    float32: Sequence[LabelledRow], int8: Sequence[LabelledRow], calibration: Calibration
) -> CheckDocument:
    """Return how an int8 model compares with its float32 original on the same images.

    Parameters
    ----------
    float32, int8
        The rows of each, of the same images in the same order.
    calibration
        Of the float32 model: probabilities and decisions of both are compared by it.

    Raises
    ------
    MetricError
        A class is missing among the images that were screened, or has a single patient.
    """
    pairs = [
        (first, first.row.prediction.logit, second.row.prediction.logit)
        for first, second in zip(float32, int8, strict=True)
        if first.row.prediction is not None and second.row.prediction is not None
    ]
    labels = np.array([row.image.label for row, _, _ in pairs], dtype=np.int64)
    patients = np.array([row.patient for row, _, _ in pairs])
    before = np.array([logit for _, logit, _ in pairs])
    after = np.array([logit for _, _, logit in pairs])
    areas = auc_difference(labels, before, after, clusters=patients, level=LEVEL)
    probability = np.vectorize(calibration.calibrator.probability, otypes=[np.float64])
    change = np.abs(probability(after) - probability(before))
    point = calibration.default_point
    changed = _decided(before, point) != _decided(after, point)
    return CheckDocument(
        images=len(pairs),
        positives=int(labels.sum()),
        patients=len(set(patients.tolist())),
        auc_float32=areas.first,
        auc_int8=areas.second,
        auc_difference=(areas.difference, areas.interval.low, areas.interval.high),
        level=LEVEL,
        largest_probability_change=float(change.max()),
        mean_probability_change=float(change.mean()),
        largest_logit_change=float(np.abs(after - before).max()),
        point=point.name,
        decisions_changed=int(changed.sum()),
    )


def require_alike(check: CheckDocument, limits: QuantizationLimits) -> None:
    """Refuse an int8 model that is too unlike its original.

    Raises
    ------
    QuantizationError
        A limit is exceeded; the message names it.
    """
    difference, low, _ = check.auc_difference
    hint = "Use the float32 model, or see docs/engines.md for what else can be done."
    if low < -limits.auc_loss:
        message = (
            f"the int8 model's AUC differs from that of float32 by {difference:+.4f}, and may by "
            f"{low:+.4f} (lower {check.level:.0%} limit, {check.images} images): further below 0 "
            f"than {limits.auc_loss:g}"
        )
        raise QuantizationError(message, hint=hint)
    share = check.decisions_changed / check.images
    if share > limits.decisions_changed:
        message = (
            f"the int8 model decides {check.decisions_changed} of {check.images} images otherwise "
            f"at {check.point}: more than a share of {limits.decisions_changed:g}"
        )
        raise QuantizationError(message, hint=hint)


def _decided(logits: NDArray[np.float64], point: OperatingPoint) -> NDArray[np.str_]:
    return np.array([decide(logit, point).value for logit in logits.tolist()])


def _pixels(
    bundle: ModelBundle, images: Sequence[LabelledImage]
) -> tuple[NDArray[np.float32], ...]:
    """Return images as the network takes them, as far as they may be judged."""
    settings = ExamineSettings(bundle.spec, bundle.intended_use, Permissions())
    pixels = tuple(
        from_resized(examined.pixels, bundle.spec).unsqueeze(0).numpy()
        for image in images
        for examined in examine(Input(Source(image.path)), settings)
        if examined.pixels is not None
    )
    if not pixels:
        message = "no training image may be judged: there is nothing to measure ranges on"
        raise DatasetError(message, hint="See 'cxrscreen inspect' for why one is refused.")
    return pixels


def _fill(
    place: Path, base: ModelBundle, quantization: QuantizationDocument, calibration: Calibration
) -> None:
    """Write everything of the new bundle but the int8 model, which is there."""
    folder = base.folder
    if folder is None:
        message = "a bundle that is in no folder holds no files to copy"
        raise ValueError(message)
    own = calibration_file(Engine.OPENVINO_INT8)
    kept = [name for name in base.document.files if name not in (*INT8_FILES, own, CARD)]
    for name in kept:
        shutil.copyfile(folder / name, place / name)
    (place / QUANTIZATION).write_bytes(quantization.to_bytes())
    (place / own).write_bytes(calibration.document.to_bytes())
    card = (folder / CARD).read_text(encoding="utf-8")
    (place / CARD).write_text(
        with_int8_section(card, quantization, calibration), encoding="utf-8", newline="\n"
    )
    names = (*kept, *INT8_FILES, own, CARD)
    files = {name: sha256_of_file(place / name) for name in names}
    document = base.document.model_copy(update={"files": files})
    (place / DOCUMENT).write_bytes(document.to_bytes())
