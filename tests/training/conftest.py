"""Labelled phantoms, and a configuration small enough to train on them in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscreen.config import TrainingConfig, load_training_config
from cxrscreen.data.load import load_split
from cxrscreen.data.split import Split
from tools.phantom import project, sample_anatomy

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
CASES_PER_CLASS = 24
#: Two phases, every random transform, dropout: whatever a run could lose its way by.
TINY = (
    "name=tiny",
    "data.validation_fraction=0.25",
    "network.widths=[8, 16]",
    "network.dense_units=8",
    "train.batch_size=8",
    "train.checkpoint_steps=2",
    # The same on every processor, whether it has bfloat16 or not.
    "train.precision=float32",
    "train.phases=[{epochs: 1, frozen: [stage1]}, {epochs: 5, stage_factor: 0.7}]",
    "train.phases.0.learning_rate=0.01",
    "train.phases.1.learning_rate=0.01",
)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Two classes of phantoms, two images a patient."""
    folder = tmp_path_factory.mktemp("phantoms")
    rng = np.random.default_rng(3)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / name).mkdir()
        for case in range(CASES_PER_CLASS):
            anatomy = sample_anatomy(rng, pneumonia=bool(label))
            pixels = project(anatomy, view="frontal", shape=(128, 128), rng=rng)
            grey = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
            patient = case // 2
            file = f"person{patient}_virus_{case}.png" if label else f"IM-{patient:04}-{case}.png"
            grey.save(folder / name / file)
    return folder


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainingConfig]:
    """Return a tiny configuration with single settings changed."""

    def make(*overrides: str) -> TrainingConfig:
        return load_training_config(SMOKE, (*TINY, *overrides))

    return make


@pytest.fixture(scope="session")
def tiny_split(phantoms, tiny) -> Split:
    config = tiny()
    return load_split(phantoms, config.data, seed=config.train.seed)


@pytest.fixture(scope="session")
def tiny_arguments() -> list[str]:
    """The same configuration for the command line."""
    return ["--config", str(SMOKE), *(word for text in TINY for word in ("--set", text))]
