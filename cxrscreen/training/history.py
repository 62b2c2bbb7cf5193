"""What each epoch came to, and the best weights so far."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import nn

from cxrscreen.errors import TrainingError


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch came to.

    Attributes
    ----------
    epoch
        Counted from 1, through all phases.
    phase
        Counted from 1.
    training_loss, validation_loss
        Mean over the epoch's steps, and over the validation part.
    validation_auc
        Area under the ROC curve, 0..1.
    learning_rate
        Of the head, at the last step.
    """

    epoch: int
    phase: int
    training_loss: float
    validation_loss: float
    validation_auc: float
    learning_rate: float


class Observer(Protocol):
    """What a caller may follow: the library itself prints nothing."""

    def on_note(self, text: str) -> None:
        """Hear what is worth knowing, such as where the first weights came from."""

    def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Follow one training step; epochs and steps count from 1."""

    def on_epoch(self, result: EpochResult, images_per_s: float) -> None:
        """Follow one validation."""


class Recorder:
    """The history of a run with the weights that it keeps; it is part of every checkpoint.

    Parameters
    ----------
    keep
        ``best`` for the epoch with the highest validation AUC of a phase, ``last`` for its last.
    averaged
        Phases of which :attr:`kept` is the mean, 0 for what the run starts from.
    """

    def __init__(
        self, keep: Literal["best", "last"] = "best", averaged: Collection[int] = ()
    ) -> None:
        self._keep = keep
        self._averaged = averaged
        self._ends: list[dict[str, torch.Tensor]] = []
        self.history: list[EpochResult] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch = 0
        self._losses: list[float] = []

    def begin(self, network: nn.Module) -> None:
        """Take what the run starts from."""
        if 0 in self._averaged:
            self._ends = [_copied(network)]

    @property
    def kept(self) -> dict[str, torch.Tensor]:
        """The weights that come of the run.

        Those of the kept epoch, or their mean with those of other phases: networks that stem from
        one another lie in one basin of the loss, and their mean bears shifted images better than
        either (Wortsman et al., "Model soups", ICML 2022).
        """
        parts = [*self._ends, self.best]
        return {
            # On the processor: not every device has float64, in which equal weights stay equal.
            name: torch.stack([part[name].cpu().double() for part in parts]).mean(0).to(value.dtype)
            if value.is_floating_point()
            else value
            for name, value in self.best.items()
        }

    def add_step(self, loss: float, *, epoch: int) -> None:
        """Take the loss of one step.

        Raises
        ------
        TrainingError
            It is not finite.
        """
        _require_finite(loss, "the loss is", epoch)
        self._losses.append(loss)

    def require_finite(self, network: nn.Module) -> None:
        """Check weights that shall be kept: the last step may have spoilt them.

        Raises
        ------
        TrainingError
            One of them is not finite.
        """
        # Losses that wait for their mean are of the epoch that has begun.
        epoch = len(self.history) + bool(self._losses)
        for value in network.parameters():
            # A weight that is not finite makes the largest so too.
            _require_finite(float(value.detach().abs().max()), "weights are", epoch)

    def add_epoch(
        self, network: nn.Module, *, phase: int, metrics: Mapping[str, float], learning_rate: float
    ) -> EpochResult:
        """Take what the validation of an epoch came to, and keep the weights if they are better.

        Raises
        ------
        TrainingError
            The validation loss is not finite: neither are the weights, or what they come to.
        """
        _require_finite(metrics["loss"], "the validation loss is", len(self.history) + 1)
        result = EpochResult(
            epoch=len(self.history) + 1,
            phase=phase,
            training_loss=float(np.mean(self._losses)),
            validation_loss=float(metrics["loss"]),
            validation_auc=float(metrics["auc"]),
            learning_rate=learning_rate,
        )
        self._losses.clear()
        before = self.history[-1].phase if self.history else phase
        if before != phase and before in self._averaged:
            self._ends.append(self.best)
        # Of this phase: those before prepare the network for it.
        earlier = [r.validation_auc for r in self.history if r.phase == phase]
        best = max(earlier, default=-1.0)
        self.history.append(result)
        # The earliest of equals: it was reached with the least chance.
        if self._keep == "last" or result.validation_auc > best:
            self.best_epoch = result.epoch
            self.best = _copied(network)
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return everything as values that a checkpoint may hold."""
        return {
            "history": [asdict(result) for result in self.history],
            "losses": list(self._losses),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "ends": self._ends,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take everything from a checkpoint."""
        self.history = [EpochResult(**values) for values in state["history"]]
        self._losses = list(state["losses"])
        self.best = dict(state["best"])
        self.best_epoch = int(state["best_epoch"])
        # Checkpoints of earlier versions know of one phase alone.
        self._ends = [dict(end) for end in state.get("ends", ())]


def _copied(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _require_finite(number: float, what: str, epoch: int) -> None:
    if math.isfinite(number):
        return
    message = f"{what} not finite in epoch {epoch}"
    hint = (
        "Lower learning_rate in train.phases, or set train.precision=float32; "
        "and begin anew with --force."
    )
    raise TrainingError(message, hint=hint)
