"""Training: MONAI's engines, their handlers, and what they report."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Events
from ignite.metrics import Loss
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset, Dataset
from monai.engines.evaluator import SupervisedEvaluator
from monai.engines.trainer import SupervisedTrainer
from monai.handlers.checkpoint_saver import CheckpointSaver
from monai.handlers.lr_schedule_handler import LrScheduleHandler
from monai.handlers.roc_auc import ROCAUC
from monai.handlers.validation_handler import ValidationHandler
from monai.inferers.inferer import SimpleInferer
from monai.transforms.compose import Compose
from monai.transforms.transform import Transform
from monai.utils.misc import set_determinism
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from cxrscreen.config import TrainingConfig
from cxrscreen.errors import DatasetError, TrainingError
from cxrscreen.model.document import preprocess_spec
from cxrscreen.model.network import build_network
from cxrscreen.training.augment import random_transforms
from cxrscreen.data.dataset import LabelledImage, class_weights
from cxrscreen.data.split import Split
from cxrscreen.training.transforms import (
    LoadRadiographd,
    NormaliseRadiographd,
    ResizeRadiographd,
)

_KEYS = ("image",)
_BEST = "best.pt"


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch came to."""

    epoch: int
    training_loss: float
    validation_loss: float
    validation_auc: float


class Observer(Protocol):
    """What a caller may follow: the library itself prints nothing."""

    def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Follow one optimiser step; epochs and steps count from 1."""

    def on_epoch(self, result: EpochResult) -> None:
        """Follow one validation."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A trained network with the history that led to it.

    Attributes
    ----------
    network
        With the weights of the best epoch.
    history
        One result per epoch.
    best_epoch
        The epoch, counted from 1, with the highest validation AUC.
    class_weights
        Loss weight of a negative and of a positive image.
    validation_logits
        float64 ``[N]``, in the order of the validation part, from the kept weights.
    """

    network: nn.Module
    history: tuple[EpochResult, ...]
    best_epoch: int
    class_weights: tuple[float, float]
    validation_logits: NDArray[np.float64]


class ClassWeightedLoss(nn.Module):
    """Binary cross-entropy of logits, each image weighted by its class.

    Parameters
    ----------
    weights
        Of a negative and of a positive image.
    """

    weights: torch.Tensor

    def __init__(self, weights: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean weighted loss of ``[N, 1]`` logits and ``[N, 1]`` labels (0, 1)."""
        return functional.binary_cross_entropy_with_logits(
            logits, labels, weight=self.weights[labels.long()]
        )


def train(
    config: TrainingConfig,
    split: Split,
    *,
    device: torch.device,
    observer: Observer | None = None,
) -> TrainedModel:
    """Train a network and return it with the weights of its best epoch.

    Parameters
    ----------
    config
        The whole run.
    split
        Patient-disjoint parts.
    device
        Where to train.
    observer
        Is told of each step and epoch.

    Raises
    ------
    DatasetError
        An image cannot be read.
    TrainingError
        The loss is not finite.
    """
    set_determinism(config.train.seed)
    try:
        with tempfile.TemporaryDirectory(prefix="cxrscreen-train-") as folder:
            return _train(config, split, device, observer, Path(folder))
    except RuntimeError as error:
        # MONAI wraps what a transform raises; the loader's workers wrap it again.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, DatasetError):
                raise cause from error
            cause = cause.__cause__ or cause.__context__
        raise
    finally:
        set_determinism(None)


def _train(
    config: TrainingConfig,
    split: Split,
    device: torch.device,
    observer: Observer | None,
    folder: Path,
) -> TrainedModel:
    network = build_network(config.network, in_channels=config.preprocess.channels)
    network = network.to(device)
    weights = class_weights([image.label for image in split.training])
    loss = ClassWeightedLoss(weights).to(device)
    training = _loader(split.training, config, augment=True)
    validation = _loader(split.validation, config, augment=False)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=config.train.learning_rate,
        total_steps=config.train.epochs * len(training),
    )
    evaluator = SupervisedEvaluator(
        device=device,
        val_data_loader=validation,
        network=network,
        inferer=SimpleInferer(),
        key_val_metric={"auc": ROCAUC(output_transform=_logits_and_labels)},
        additional_metrics={"loss": Loss(loss, output_transform=_logits_and_labels)},
        val_handlers=[
            CheckpointSaver(
                save_dir=str(folder),
                save_dict={"network": network},
                save_key_metric=True,
                key_metric_filename=_BEST,
            )
        ],
        decollate=False,
    )
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=config.train.epochs,
        train_data_loader=training,
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=SimpleInferer(),
        train_handlers=[
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
            ValidationHandler(interval=1, validator=evaluator),
        ],
        decollate=False,
    )
    recorder = _Recorder(evaluator, steps=len(training), observer=observer)
    recorder.attach(trainer)
    trainer.run()
    # A plain state dict: nothing else is unpickled.
    network.load_state_dict(torch.load(folder / _BEST, weights_only=True))
    best = max(recorder.history, key=lambda result: (result.validation_auc, -result.epoch))
    return TrainedModel(
        network=network.eval(),
        history=tuple(recorder.history),
        best_epoch=best.epoch,
        class_weights=weights,
        validation_logits=_logits(network, validation, device),
    )


class _Recorder:
    """Collects each epoch's losses and metrics, and stops a run that has diverged."""

    def __init__(
        self, evaluator: SupervisedEvaluator, *, steps: int, observer: Observer | None
    ) -> None:
        self.history: list[EpochResult] = []
        self._evaluator = evaluator
        self._steps = steps
        self._observer = observer
        self._losses: list[float] = []

    def attach(self, trainer: SupervisedTrainer) -> None:
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._on_iteration)
        # Behind the validation handler, which the trainer attached first.
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._on_epoch)

    def _on_iteration(self, engine: Any) -> None:  # noqa: ANN401 - ignite publishes no types
        loss = float(engine.state.output["loss"].detach())
        epoch = engine.state.epoch
        if not math.isfinite(loss):
            message = f"the loss is not finite in epoch {epoch}"
            raise TrainingError(message, hint="Lower train.learning_rate in the config.")
        self._losses.append(loss)
        if self._observer is not None:
            step = (engine.state.iteration - 1) % self._steps + 1
            self._observer.on_step(epoch, step, self._steps, loss)

    def _on_epoch(self, engine: Any) -> None:  # noqa: ANN401 - ignite publishes no types
        metrics = self._evaluator.state.metrics
        result = EpochResult(
            epoch=engine.state.epoch,
            training_loss=float(np.mean(self._losses)),
            validation_loss=float(metrics["loss"]),
            validation_auc=float(metrics["auc"]),
        )
        self._losses.clear()
        self.history.append(result)
        if self._observer is not None:
            self._observer.on_epoch(result)


def _logits_and_labels(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return output["pred"], output["label"]


def _loader(
    images: Sequence[LabelledImage], config: TrainingConfig, *, augment: bool
) -> DataLoader:
    """Return MONAI's loader over a part; what is before the first random step is cached."""
    spec = preprocess_spec(config.preprocess)
    load = LoadRadiographd(_KEYS)
    steps: list[Transform] = [load, ResizeRadiographd(_KEYS, spec)]
    if augment:
        steps += random_transforms(config.augment, size_px=spec.size_px)
    steps.append(NormaliseRadiographd(_KEYS, spec))
    samples: list[dict[Hashable, Any]] = [
        {"image": str(image.path), "label": torch.tensor([float(image.label)])} for image in images
    ]
    transform = Compose(steps)
    if config.train.cache_images:
        dataset = CacheDataset(samples, transform, num_workers=2, progress=False, copy_cache=False)
    else:
        # Read once here, as the cache does: what a worker process raises has lost its cause.
        for sample in samples:
            load(sample)
        dataset = Dataset(samples, transform)
    return DataLoader(
        dataset,
        batch_size=config.train.batch_size,
        shuffle=augment,
        # A last batch of one image would leave batch norm without a variance.
        drop_last=augment and len(samples) >= config.train.batch_size,
        num_workers=config.train.loader_workers,
        persistent_workers=config.train.loader_workers > 0,
    )


def _logits(network: nn.Module, loader: DataLoader, device: torch.device) -> NDArray[np.float64]:
    network.eval()
    with torch.inference_mode():
        batches = [network(batch["image"].to(device))[:, 0].double().cpu() for batch in loader]
    logits: NDArray[np.float64] = torch.cat(batches).numpy()
    return logits
