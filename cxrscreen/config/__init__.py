"""The configurations: pydantic models of ``configs/*.yaml``.

Unknown keys, impossible values and another schema version fail before any work is done.
"""

from cxrscreen.config.augment import AugmentConfig
from cxrscreen.config.data import DataConfig
from cxrscreen.config.network import NetworkConfig, ResNet50Config, ScratchCNNConfig
from cxrscreen.config.schema import Fraction, Strict, describe_validation_error
from cxrscreen.config.train import PhaseConfig, TrainConfig
from cxrscreen.config.training import (
    IntendedUseConfig,
    PreprocessConfig,
    TrainingConfig,
    WeightsPrecision,
    load_training_config,
)

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "Fraction",
    "IntendedUseConfig",
    "NetworkConfig",
    "PhaseConfig",
    "PreprocessConfig",
    "ResNet50Config",
    "ScratchCNNConfig",
    "Strict",
    "TrainConfig",
    "TrainingConfig",
    "WeightsPrecision",
    "describe_validation_error",
    "load_training_config",
]
