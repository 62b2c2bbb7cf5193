"""``bundle.json``: the schema of a model bundle.

The file is canonical: its bytes are what :meth:`BundleDocument.to_bytes` writes, and it
carries the SHA-256 of its own content. So a single changed byte is found, in the document as
in the files that it lists, the calibration with its thresholds among them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cxrscreen.config import IntendedUseConfig, NetworkConfig, PreprocessConfig
from cxrscreen.preprocess import Fit, GreyLevels, PreprocessSpec
from cxrscreen.records import IntendedUse

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PartDocument(_Strict):
    """Counts of one part of the training data."""

    images: Annotated[int, Field(ge=0)]
    positives: Annotated[int, Field(ge=0)]
    patients: Annotated[int, Field(ge=0)]
    fingerprint: Sha256
    """Over file names and contents, so that the same part can be recognised later."""


class PretrainedDocument(_Strict):
    """The weights that training started from."""

    source: str
    """Name of the file, or ``imagenet``."""
    sha256: Sha256
    filled: tuple[str, ...]
    """Stages that took their weights from it; the others started fresh."""


class TrainingDocument(_Strict):
    """What the model was made from."""

    config: dict[str, Any]
    training: PartDocument
    validation: PartDocument
    calibration: PartDocument | None
    """Images that neither training nor the choice of the epoch saw."""
    pretrained: PretrainedDocument | None
    precision: str
    """What training computed in: ``float32`` or ``bfloat16``."""
    class_weights: tuple[float, float]
    """Weight of a negative and of a positive image in the loss."""
    epochs_run: int
    best_epoch: int
    versions: dict[str, str]

    @property
    def keeps_the_last(self) -> bool:
        """Whether the epoch was given beforehand, and not chosen by the validation part."""
        return bool(self.config["train"].get("keep") == "last")


class MetricsDocument(_Strict):
    """Performance on the validation part; counts are at a probability of 0.5."""

    auc: Annotated[float, Field(ge=0.0, le=1.0)]
    auc_interval: Annotated[
        tuple[float, float] | None,
        # Bundles that were made without it keep their hash.
        Field(exclude_if=lambda value: value is None),
    ] = None
    """95%, by patient."""
    recall: Annotated[float, Field(ge=0.0, le=1.0)]
    specificity: Annotated[float, Field(ge=0.0, le=1.0)]
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


class BundleDocument(_Strict):
    """The whole of ``bundle.json``."""

    schema_version: Literal[3]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    network: NetworkConfig
    preprocess: PreprocessConfig
    intended_use: IntendedUseConfig
    training: TrainingDocument
    metrics: MetricsDocument
    files: dict[str, Sha256]

    def preprocess_spec(self) -> PreprocessSpec:
        """Return the deterministic transform."""
        return preprocess_spec(self.preprocess)

    def intended_use_record(self) -> IntendedUse:
        """Return the record that admission takes."""
        return IntendedUse(**self.intended_use.model_dump(exclude={"limitations"}))

    def sha256(self) -> str:
        """Return the hash of the content, and through ``files`` of the whole bundle."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the canonical file content, the document's own hash included."""
        return _canonical({**self.model_dump(mode="json"), "sha256": self.sha256()})


def preprocess_spec(config: PreprocessConfig) -> PreprocessSpec:
    """Return the transform that a configuration describes."""
    return PreprocessSpec(
        **{
            **config.model_dump(),
            "fit": Fit(config.fit),
            "grey_levels": GreyLevels(config.grey_levels),
        }
    )


def model_fingerprint(network: NetworkConfig, weights_sha256: str) -> str:
    """Return the SHA-256 of architecture and weights together."""
    content = {"network": network.model_dump(mode="json"), "weights": weights_sha256}
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
