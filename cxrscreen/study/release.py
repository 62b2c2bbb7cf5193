"""From a trained network to a bundle: weights, calibration, document, card, curves."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.config import TrainingConfig
from cxrscreen.data.content import sha256_of
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.split import Split
from cxrscreen.evaluation.delong import auc_interval
from cxrscreen.evaluation.figures import training_curves
from cxrscreen.evaluation.metrics import confusion, roc_auc
from cxrscreen.model.bundle import (
    CALIBRATION,
    CARD,
    DOCUMENT,
    SEEN,
    WEIGHTS,
    ModelBundle,
)
from cxrscreen.model.card import model_card
from cxrscreen.model.document import (
    BundleDocument,
    MetricsDocument,
    PartDocument,
    PretrainedDocument,
    TrainingDocument,
    model_fingerprint,
)
from cxrscreen.model.files import sha256_of_file
from cxrscreen.model.seen import seen_lines
from cxrscreen.model.weights import save_weights
from cxrscreen.output import new_folder
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.study.calibrate import released_calibration, uncalibrated
from cxrscreen.study.predict import screen_labelled
from cxrscreen.training.trainer import TrainedModel
from cxrscreen.vocabulary import DEFAULT_ENGINE

CURVES = "training_curves.png"
HISTORY = "history.csv"
_THRESHOLD = 0.5
_PACKAGES = ("cxrscreen", "torch", "monai", "pytorch-ignite", "numpy", "SimpleITK", "pydicom")


@dataclass(frozen=True, slots=True)
class Released:
    """A bundle that was written, and what its maker should know of it, a sentence each."""

    document: BundleDocument
    calibration: Calibration
    notes: tuple[str, ...]


def write_bundle(  # noqa: PLR0913 - what it is made from, and how
    folder: Path,
    config: TrainingConfig,
    split: Split,
    trained: TrainedModel,
    *,
    force: bool = False,
    device: str = "auto",
    on_image: Callable[[], object] = lambda: None,
) -> Released:
    """Write a bundle; the folder appears as a whole or not at all.

    The calibration part is screened the way the bundle will screen, and what comes out fits
    probabilities and thresholds. Without such a part, or where it is too small, the one
    operating point is a probability of 0.5 and nothing is guaranteed.

    Parameters
    ----------
    folder
        Where the bundle shall stand.
    config, split, trained
        What it is made from.
    force
        Replace a folder that stands there.
    device
        Where the calibration part is screened.
    on_image
        Called after each of its images.

    Raises
    ------
    OutputError
        The folder exists already or cannot be written.
    ValueError
        The weights were not rounded to the precision that they shall be saved in.
    """
    with new_folder(folder, force=force) as place:
        weights_sha256 = save_weights(trained.network, place / WEIGHTS, config.weights_precision)
        history = pd.DataFrame([asdict(result) for result in trained.history])
        history.to_csv(place / HISTORY, index=False, float_format="%.6g", lineterminator="\n")
        columns = {str(name): history[name].tolist() for name in history.columns}
        training_curves(place / CURVES, columns, best_epoch=trained.best_epoch)
        document = _document(config, split, trained)
        plain = _bundle(document, trained, weights_sha256)
        options = ScreenOptions(device=device)
        rows = screen_labelled(plain, split.calibration, options, on_image=on_image)
        calibration, notes = released_calibration(plain, rows)
        (place / CALIBRATION).write_bytes(calibration.document.to_bytes())
        (place / CARD).write_text(model_card(document, calibration), encoding="utf-8", newline="\n")
        seen = {
            name: [sha256_of(image.path) for image in part] for name, part in split.parts().items()
        }
        (place / SEEN).write_text(seen_lines(seen), encoding="ascii", newline="\n")
        names = (WEIGHTS, CALIBRATION, SEEN, HISTORY, CURVES, CARD)
        files = {name: sha256_of_file(place / name) for name in names}
        document = document.model_copy(update={"files": files})
        (place / DOCUMENT).write_bytes(document.to_bytes())
    return Released(document, calibration, notes)


def _bundle(document: BundleDocument, trained: TrainedModel, weights_sha256: str) -> ModelBundle:
    """Return the bundle as far as it is known before its calibration."""
    spec = document.preprocess_spec()
    model = model_fingerprint(document.network, weights_sha256)
    return ModelBundle(
        name=document.name,
        sha256="",
        network=trained.network,
        model_fingerprint=model,
        spec=spec,
        intended_use=document.intended_use_record(),
        calibrations={
            DEFAULT_ENGINE: uncalibrated(
                document.name, model=model, preprocessing=spec.fingerprint()
            )
        },
        seen={},
        document=document,
    )


def _document(config: TrainingConfig, split: Split, trained: TrainedModel) -> BundleDocument:
    labels = np.array([image.label for image in split.validation])
    patients = [image.patient_key for image in split.validation]
    interval = auc_interval(labels, trained.validation_logits, clusters=patients)
    probabilities = 1.0 / (1.0 + np.exp(-trained.validation_logits))
    counts = confusion(labels, probabilities, threshold=_THRESHOLD)
    return BundleDocument(
        schema_version=3,
        name=config.name,
        network=config.network,
        preprocess=config.preprocess,
        intended_use=config.intended_use,
        training=TrainingDocument(
            config=_public(config),
            training=_part(split.training),
            validation=_part(split.validation),
            calibration=_part(split.calibration) if split.calibration else None,
            pretrained=_pretrained(trained),
            precision=trained.precision,
            class_weights=trained.class_weights,
            epochs_run=len(trained.history),
            best_epoch=trained.best_epoch,
            versions={
                "python": platform.python_version(),
                **{package: version(package) for package in _PACKAGES},
            },
        ),
        metrics=MetricsDocument(
            auc=roc_auc(labels, trained.validation_logits),
            auc_interval=(interval.low, interval.high),
            recall=counts.recall,
            specificity=counts.specificity,
            **asdict(counts),
        ),
        files={},
    )


def _public(config: TrainingConfig) -> dict[str, Any]:
    """Return the resolved configuration without the folders of the machine it was run on."""
    content = config.model_dump(mode="json")
    if content["pretrained"] is not None:
        content["pretrained"] = Path(content["pretrained"]).name
    return content


def _pretrained(trained: TrainedModel) -> PretrainedDocument | None:
    start = trained.pretrained
    if start is None:
        return None
    return PretrainedDocument(source=start.source, sha256=start.sha256, filled=start.filled)


def _part(images: Sequence[LabelledImage]) -> PartDocument:
    return PartDocument(
        images=len(images),
        positives=sum(image.label for image in images),
        patients=len({image.patient_key for image in images}),
        fingerprint=fingerprint(images),
    )
