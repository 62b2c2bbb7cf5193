"""A whole training run as one file: ``configs/*.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from cxrscreen.config.augment import AugmentConfig
from cxrscreen.config.data import DataConfig
from cxrscreen.config.network import NetworkConfig, ScratchCNNConfig
from cxrscreen.config.override import overridden
from cxrscreen.config.schema import Fraction, Strict, describe_validation_error
from cxrscreen.config.train import GreyLevelsName, TrainConfig
from cxrscreen.errors import ConfigError

WeightsPrecision = Literal["float32", "float16"]


class PreprocessConfig(Strict):
    """The deterministic transform; becomes the bundle's ``PreprocessSpec``."""

    size_px: Annotated[int, Field(ge=32, le=1024)] = 224
    fit: Literal["stretch", "pad"] = "stretch"
    mean: Fraction = 0.5
    std: Annotated[float, Field(gt=0.0)] = 0.25
    channels: Annotated[int, Field(ge=1, le=3)] = 3
    grey_levels: Annotated[
        GreyLevelsName,
        # Bundles that are older than the choice keep their hash.
        Field(exclude_if=lambda value: value == "as_is"),
    ] = "as_is"


class IntendedUseConfig(Strict):
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


TargetRecall = Annotated[float, Field(gt=0.0, lt=1.0)]


class TrainingConfig(Strict):
    """A whole training run: ``configs/*.yaml``."""

    schema_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    data: DataConfig = DataConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    network: NetworkConfig
    pretrained: Annotated[str, Field(min_length=1)] | None = None
    """Weights to start from: ``imagenet``, or a file."""
    weights_precision: WeightsPrecision = "float32"
    """What the weights of the bundle are rounded to, before anything is measured."""
    target_recalls: Annotated[tuple[TargetRecall, ...], Field(min_length=1)] = (0.95, 0.98, 0.9)
    """Of the operating points that the calibration part is fitted for; the first is the default."""
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig
    intended_use: IntendedUseConfig

    @model_validator(mode="after")
    def _image_survives_pooling(self) -> Self:
        # Every stage halves the image, the first one twice.
        if isinstance(self.network, ScratchCNNConfig):
            stages = len(self.network.widths)
            if self.preprocess.size_px >> (stages + 1) < 1:
                message = f"{stages} poolings leave nothing of the image"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _phases_name_stages(self) -> Self:
        stages = self.network.stages
        for number, phase in enumerate(self.train.phases):
            unknown = [name for name in phase.frozen if name not in stages]
            if unknown:
                message = (
                    f"train.phases.{number}.frozen: {unknown[0]} is no stage of this network; "
                    f"there are {', '.join(stages)}"
                )
                raise ValueError(message)
            # A stage behind a frozen one may learn; one before it would learn for nothing.
            if tuple(phase.frozen) != stages[: len(phase.frozen)]:
                message = f"train.phases.{number}.frozen: must be the first stages, in order"
                raise ValueError(message)
            if len(phase.frozen) == len(stages):
                message = f"train.phases.{number}.frozen: leaves nothing that learns"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _weights_for_the_same_channels(self) -> Self:
        channels = 3
        if self.pretrained is not None and self.preprocess.channels != channels:
            message = "pretrained weights need preprocess.channels: 3"
            raise ValueError(message)
        return self


def load_training_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read and check a training configuration.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        ``key=value`` each, see :func:`~cxrscreen.config.override.overridden`.

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
    # A ValueError is the word of PyYAML for a date that there is not.
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        message = f"{path}: not valid YAML{place}"
        raise ConfigError(message, hint="Mend the file; configs/ holds working ones.") from error
    if not isinstance(content, dict):
        message = f"{path}: holds no mapping of keys to values"
        raise ConfigError(message, hint="configs/ holds working ones.")
    content = overridden(content, overrides)
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        message = f"{path}: {describe_validation_error(error)}"
        raise ConfigError(message, hint="docs/training.md lists every key.") from error
