"""MONAI's engines for one phase of training, with their handlers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers.early_stopping import EarlyStopping
from ignite.metrics import Loss
from monai.data.dataloader import DataLoader
from monai.engines.evaluator import SupervisedEvaluator
from monai.engines.trainer import SupervisedTrainer
from monai.handlers.lr_schedule_handler import LrScheduleHandler
from monai.handlers.roc_auc import ROCAUC
from monai.handlers.validation_handler import ValidationHandler
from monai.inferers.inferer import SimpleInferer
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

from cxrscreen.config import PhaseConfig, TrainingConfig
from cxrscreen.model.network import parameter_groups
from cxrscreen.preprocess import GreyLevels
from cxrscreen.training.batches import BatchPreparation
from cxrscreen.training.history import Observer, Recorder
from cxrscreen.training.loading import EpochSampler, derived_seed
from cxrscreen.training.precision import MixedPrecisionInferer, Precision
from cxrscreen.training.processes import (
    equalise_buffers,
    process_count,
    process_rank,
    share_gradients,
)

_DROPOUT_STREAM = 1


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What all phases of a run share.

    Attributes
    ----------
    config, device, precision
        How it computes.
    network, average
        The network that learns; the moving average of its weights, if there is one.
    loss
        Of training and of validation.
    training, sampler, validation
        Loaders, and what must be told the epoch.
    recorder, observer
        Who keeps what comes of it, and who follows.
    """

    config: TrainingConfig
    device: torch.device
    precision: Precision
    network: nn.Module
    average: AveragedModel | None
    loss: nn.Module
    training: DataLoader
    sampler: EpochSampler
    validation: DataLoader
    recorder: Recorder
    observer: Observer | None

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.network if self.average is None else self.average.module


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """The engines of one phase, and what of them a checkpoint must hold.

    Attributes
    ----------
    number
        Counted from 1.
    first_epoch
        Epochs that the phases before have at most, which numbers the draws.
    trainer, optimizer, schedule
        The engine and what it steps.
    stopping
        Ends the phase early, where that is asked for.
    """

    number: int
    first_epoch: int
    trainer: SupervisedTrainer
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    stopping: EarlyStopping | None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        stopped = self.stopping is not None and self.stopping.counter >= self.stopping.patience
        state = self.trainer.state
        return bool(stopped or state.epoch >= state.max_epochs)


def build_phase(run: Run, number: int) -> Phase:
    """Return the engines of a phase, ready to run or to take a checkpoint's state.

    Parameters
    ----------
    run
        Its network has the stages frozen that the phase freezes.
    number
        Of the phase, counted from 1.
    """
    train = run.config.train
    settings = train.phases[number - 1]
    optimizer = torch.optim.AdamW(
        parameter_groups(
            run.network,
            run.config.network,
            learning_rate=settings.learning_rate,
            stage_factor=settings.stage_factor,
            weight_decay=train.weight_decay,
        )
    )
    steps = len(run.training)
    schedule = _schedule(settings, optimizer, math.ceil(steps / train.accumulation_steps))
    evaluator = SupervisedEvaluator(
        device=run.device,
        val_data_loader=run.validation,
        network=run.judged,
        prepare_batch=BatchPreparation(channels_last=train.channels_last),
        # In float32 whatever training computes in: that is what screening does.
        inferer=SimpleInferer(),
        key_val_metric={"auc": ROCAUC(output_transform=_logits_and_labels)},
        additional_metrics={"loss": Loss(run.loss, output_transform=_logits_and_labels)},
        decollate=False,
    )
    trainer = SupervisedTrainer(
        device=run.device,
        max_epochs=settings.epochs,
        train_data_loader=run.training,
        epoch_length=steps,
        network=share_gradients(run.network),
        optimizer=optimizer,
        loss_function=run.loss,
        prepare_batch=BatchPreparation(
            channels_last=train.channels_last,
            size_px=settings.size_px,
            border_exchange=train.border_exchange if settings.augment else 0.0,
            mixup_alpha=train.mixup_alpha if settings.augment else 0.0,
        ),
        inferer=MixedPrecisionInferer(run.precision, run.device),
        accumulation_steps=train.accumulation_steps,
        decollate=False,
    )
    stopping = None
    if train.early_stopping_epochs:
        # ignite's own, because MONAI's wrapper hides the state that a checkpoint needs.
        stopping = EarlyStopping(
            train.early_stopping_epochs, lambda engine: engine.state.metrics["auc"], trainer
        )
        evaluator.add_event_handler(Events.COMPLETED, stopping)
    phase = Phase(
        number=number,
        first_epoch=sum(earlier.epochs for earlier in train.phases[: number - 1]),
        trainer=trainer,
        optimizer=optimizer,
        schedule=schedule,
        stopping=stopping,
    )
    _attach(run, phase, evaluator)
    return phase


def _attach(run: Run, phase: Phase, evaluator: SupervisedEvaluator) -> None:
    """Add the handlers in the order in which they must run."""
    trainer, steps = phase.trainer, len(run.training)
    accumulation = run.config.train.accumulation_steps

    def steps_the_optimizer(_engine: Any, iteration: int) -> bool:  # noqa: ANN401 - ignite
        step = (iteration - 1) % steps + 1
        return step % accumulation == 0 or step == steps

    stepped = Events.ITERATION_COMPLETED(event_filter=steps_the_optimizer)
    follower = _Follower(run, phase, evaluator, steps)
    trainer.add_event_handler(Events.EPOCH_STARTED, follower.on_epoch_started)
    trainer.add_event_handler(Events.ITERATION_STARTED, follower.on_iteration_started)
    trainer.add_event_handler(
        stepped, LrScheduleHandler(phase.schedule, print_lr=False, epoch_level=False)
    )
    if run.average is not None:
        trainer.add_event_handler(stepped, follower.update_average)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, follower.on_iteration_completed)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, follower.before_validation)
    ValidationHandler(interval=1, validator=evaluator).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, follower.on_validated)


class _Follower:
    """The handlers of one phase that are ours."""

    def __init__(self, run: Run, phase: Phase, evaluator: SupervisedEvaluator, steps: int) -> None:
        self._run, self._phase, self._evaluator, self._steps = run, phase, evaluator, steps
        self._rate = 0.0
        self._images = 0
        self._started_s = 0.0
        self._images_per_s = 0.0

    def on_epoch_started(self, engine: Any) -> None:  # noqa: ANN401 - ignite publishes no types
        # Not zero after a checkpoint in the middle of the epoch.
        done = engine.state.iteration % self._steps
        settings = self._run.config.train.phases[self._phase.number - 1]
        self._run.sampler.start(
            self._phase.first_epoch + engine.state.epoch,
            skip_batches=done,
            augment=settings.augment,
            grey_levels=GreyLevels(settings.grey_levels) if settings.grey_levels else None,
        )
        self._images, self._started_s = 0, time.monotonic()

    def on_iteration_started(self, engine: Any) -> None:  # noqa: ANN401
        iteration = self._phase.first_epoch * self._steps + engine.state.iteration
        # Dropout must not depend on what happened before: a resumed run draws the same.
        seed = self._run.config.train.seed
        torch.manual_seed(derived_seed(seed, _DROPOUT_STREAM, process_rank(), iteration))
        self._rate = max(group["lr"] for group in self._phase.optimizer.param_groups)

    def update_average(self, _engine: Any) -> None:  # noqa: ANN401
        if self._run.average is not None:
            self._run.average.update_parameters(self._run.network)

    def on_iteration_completed(self, engine: Any) -> None:  # noqa: ANN401
        loss = float(engine.state.output["loss"].detach())
        epoch = len(self._run.recorder.history) + 1
        self._run.recorder.add_step(loss, epoch=epoch)
        self._images += len(engine.state.output["label"])
        if self._run.observer is not None:
            step = (engine.state.iteration - 1) % self._steps + 1
            self._run.observer.on_step(epoch, step, self._steps, loss)

    def before_validation(self, _engine: Any) -> None:  # noqa: ANN401
        # The other processes have had as many in the same time.
        images = self._images * process_count()
        self._images_per_s = images / (time.monotonic() - self._started_s)
        equalise_buffers(self._run.judged)

    def on_validated(self, _engine: Any) -> None:  # noqa: ANN401
        result = self._run.recorder.add_epoch(
            self._run.judged,
            phase=self._phase.number,
            metrics=self._evaluator.state.metrics,
            learning_rate=self._rate,
        )
        if self._run.observer is not None:
            self._run.observer.on_epoch(result, self._images_per_s)


def _schedule(settings: PhaseConfig, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    total = settings.epochs * steps
    if settings.schedule == "one_cycle":
        peaks: Sequence[float] = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=list(peaks), total_steps=total)
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total)
    return ConstantLR(optimizer, factor=1.0, total_iters=1)


def _logits_and_labels(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return output["pred"], output["label"]
