"""A second bundle, of the packaged network with one weight moved: what training would leave."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import torch

from cxrscreen.config import TrainingConfig
from cxrscreen.data.load import load_split
from cxrscreen.data.split import Split
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.study.release import Released, write_bundle
from cxrscreen.training.history import EpochResult
from cxrscreen.training.trainer import TrainedModel


@dataclasses.dataclass(frozen=True)
class Maker:
    """Writes bundles of the other network."""

    config: TrainingConfig
    split: Split
    trained: TrainedModel

    def write(self, folder: Path, split: Split | None = None) -> Released:
        split = split or self.split
        logits = np.array([4.0 * image.label - 2.0 for image in split.validation])
        trained = dataclasses.replace(self.trained, validation_logits=logits)
        return write_bundle(folder, self.config, split, trained)


def make_maker(packaged: ModelBundle, folder: Path) -> Maker:
    """Return what writes bundles made from a folder, half of it for calibration."""
    content = packaged.document.training.config
    data = {"validation_fraction": 0.1, "calibration_fraction": 0.49}
    config = TrainingConfig.model_validate({**content, "name": "study", "data": data})
    network = copy.deepcopy(packaged.network)
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] += 0.05
    trained = TrainedModel(
        network=network,
        history=(EpochResult(1, 1, 0.5, 0.4, 0.9, 0.001), EpochResult(2, 1, 0.4, 0.3, 0.95, 0.0)),
        best_epoch=2,
        class_weights=(1.0, 1.0),
        validation_logits=np.zeros(0),
        precision="float32",
        pretrained=None,
    )
    return Maker(config, load_split(folder, config.data, seed=config.train.seed), trained)
