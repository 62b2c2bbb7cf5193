"""The training configuration: pydantic models of ``configs/*.yaml``.

Unknown keys, impossible values and another schema version fail before any work is done.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cxrscreen.errors import ConfigError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(_Strict):
    """What a labelled folder holds, and how it is read and split."""

    description: str = ""
    """Name, source and licence of the images, for the model card."""
    negative_folder: str = "NORMAL"
    positive_folder: str = "PNEUMONIA"
    patient_pattern: str
    """Regular expression on the file name; its groups, joined, are the patient's key."""
    validation_fraction: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.15

    @field_validator("patient_pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            message = f"not a regular expression: {error}"
            raise ValueError(message) from error
        if groups == 0:
            message = "needs at least one group in parentheses: the patient's key"
            raise ValueError(message)
        return pattern

    @model_validator(mode="after")
    def _two_folders(self) -> Self:
        if self.negative_folder == self.positive_folder:
            message = "negative_folder and positive_folder are the same"
            raise ValueError(message)
        return self


class PreprocessConfig(_Strict):
    """The deterministic transform; becomes the bundle's ``PreprocessSpec``."""

    size_px: Annotated[int, Field(ge=32, le=1024)] = 224
    fit: Literal["stretch", "pad"] = "stretch"
    mean: Fraction = 0.5
    std: Annotated[float, Field(gt=0.0)] = 0.25
    channels: Annotated[int, Field(ge=1, le=3)] = 3


class ScratchCNNConfig(_Strict):
    """A convolutional network trained from scratch."""

    architecture: Literal["scratch_cnn"]
    widths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=7)
    ]
    """Channels of each stage; every stage halves the image, the first one twice."""
    convolutions_per_stage: Annotated[int, Field(ge=1, le=3)] = 1
    dense_units: Annotated[int, Field(ge=1, le=4096)] = 64
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3


class AugmentConfig(_Strict):
    """Random transforms of training images; a strength of zero switches one off."""

    rotation_degrees: Annotated[float, Field(ge=0.0, le=45.0)] = 10.0
    zoom_fraction: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    shift_fraction: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    horizontal_flip: Fraction = 0.5
    """Probability of a left-right flip."""
    gamma_range: tuple[float, float] = (1.0, 1.0)
    blur_sigma_px: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0

    @field_validator("gamma_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            message = "needs 0 < low <= high"
            raise ValueError(message)
        return value


class TrainConfig(_Strict):
    """Optimisation."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    seed: Annotated[int, Field(ge=0)] = 0
    loader_workers: Annotated[int, Field(ge=0)] = 0
    cache_images: bool = True
    """Keep resized images in memory: 200 kB each at 224x224."""


class IntendedUseConfig(_Strict):
    """Whom the model is for; enforced at admission."""

    population: str
    limitations: tuple[str, ...] = ()
    """What is known to go wrong, a sentence each, for the model card."""
    age_range_years: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=130)]]
    modalities: Annotated[tuple[str, ...], Field(min_length=1)] = ("CR", "DX")

    @field_validator("age_range_years")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            message = "the youngest age is above the oldest"
            raise ValueError(message)
        return value


class TrainingConfig(_Strict):
    """A whole training run: ``configs/*.yaml``."""

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    data: DataConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    network: ScratchCNNConfig
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig
    intended_use: IntendedUseConfig

    @model_validator(mode="after")
    def _image_survives_pooling(self) -> Self:
        # Every stage halves the image, the first one twice.
        if self.preprocess.size_px >> (len(self.network.widths) + 1) < 1:
            message = f"{len(self.network.widths)} poolings leave nothing of the image"
            raise ValueError(message)
        return self


def load_training_config(path: Path) -> TrainingConfig:
    """Read and check a training configuration.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML mapping, or holds a key or a value that the
        schema does not know. The message names the place.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: {error.strerror or type(error).__name__}"
        raise ConfigError(message, hint="Give --config a file from configs/.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        message = f"{path}: not valid YAML{place}"
        raise ConfigError(message, hint="Mend the file; configs/ holds working ones.") from error
    if not isinstance(content, dict):
        message = f"{path}: holds no mapping of keys to values"
        raise ConfigError(message, hint="configs/ holds working ones.")
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        message = f"{path}: {describe_validation_error(error)}"
        raise ConfigError(message, hint="docs/training.md lists every key.") from error


def describe_validation_error(error: ValidationError) -> str:
    """Return the first complaints of pydantic as one line: place and problem of each."""
    shown = 3
    complaints = []
    for detail in error.errors(include_url=False)[:shown]:
        place = ".".join(str(part) for part in detail["loc"]) or "the whole"
        problem = {
            "extra_forbidden": "unknown key",
            "missing": "missing key",
        }.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        complaints.append(f"{problem} {place}" if "key" in problem else f"{place}: {problem}")
    rest = error.error_count() - len(complaints)
    return "; ".join(complaints) + (f"; and {rest} more" if rest > 0 else "")
