"""From a trained network to a bundle: weights, document, card, curves."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrscreen.config import TrainingConfig
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.split import Split
from cxrscreen.evaluation.figures import training_curves
from cxrscreen.evaluation.metrics import confusion, roc_auc
from cxrscreen.model.bundle import CARD, DOCUMENT, WEIGHTS, save_weights, sha256_of_file
from cxrscreen.model.card import model_card
from cxrscreen.model.document import (
    BundleDocument,
    MetricsDocument,
    OperatingPointDocument,
    PartDocument,
    PretrainedDocument,
    TrainingDocument,
    model_fingerprint,
    preprocess_spec,
)
from cxrscreen.model.predictor import ENGINE
from cxrscreen.output import new_folder
from cxrscreen.training.trainer import TrainedModel

CURVES = "training_curves.png"
HISTORY = "history.csv"
_THRESHOLD = 0.5
_PACKAGES = ("cxrscreen", "torch", "monai", "pytorch-ignite", "numpy", "SimpleITK", "pydicom")


def write_bundle(
    folder: Path,
    config: TrainingConfig,
    split: Split,
    trained: TrainedModel,
    *,
    force: bool = False,
) -> BundleDocument:
    """Write a bundle; the folder appears as a whole or not at all.

    Parameters
    ----------
    folder
        Where the bundle shall stand.
    config, split, trained
        What it is made from.
    force
        Replace a folder that stands there.

    Raises
    ------
    OutputError
        The folder exists already or cannot be written.
    """
    with new_folder(folder, force=force) as place:
        weights_sha256 = save_weights(trained.network, place / WEIGHTS)
        history = pd.DataFrame([asdict(result) for result in trained.history])
        history.to_csv(place / HISTORY, index=False, float_format="%.6g", lineterminator="\n")
        columns = {str(name): history[name].tolist() for name in history.columns}
        training_curves(place / CURVES, columns, best_epoch=trained.best_epoch)
        document = _document(config, split, trained, weights_sha256)
        (place / CARD).write_text(model_card(document), encoding="utf-8", newline="\n")
        files = {name: sha256_of_file(place / name) for name in (WEIGHTS, HISTORY, CURVES, CARD)}
        document = document.model_copy(update={"files": files})
        (place / DOCUMENT).write_bytes(document.to_bytes())
    return document


def _document(
    config: TrainingConfig, split: Split, trained: TrainedModel, weights_sha256: str
) -> BundleDocument:
    labels = np.array([image.label for image in split.validation])
    probabilities = 1.0 / (1.0 + np.exp(-trained.validation_logits))
    counts = confusion(labels, probabilities, threshold=_THRESHOLD)
    point = OperatingPointDocument(
        name="fixed-0.5",
        threshold=_THRESHOLD,
        target_recall=None,
        model=model_fingerprint(config.network, weights_sha256),
        preprocessing=preprocess_spec(config.preprocess).fingerprint(),
        engine=ENGINE,
    )
    return BundleDocument(
        schema_version=2,
        name=config.name,
        network=config.network,
        preprocess=config.preprocess,
        intended_use=config.intended_use,
        operating_points=(point,),
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
