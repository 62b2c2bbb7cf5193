"""Fit the network of the frontal check."""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from cxrscreen.admission.frontal import NETWORK_KINDS
from cxrscreen.admission.frontal_network import FrontalNetwork, standardise
from tools.frontal_check.compose import Composer

if TYPE_CHECKING:
    from pathlib import Path

    from tools.frontal_check.sources import Bank

_LOGGER = logging.getLogger(__name__)
_REPORT_EVERY = 50
_SAVE_EVERY = 200
# The weights that are kept are a running mean: steadier than those of any one step.
_MEAN_STEPS = 100


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    steps: int = 1400
    rate: float = 2e-3
    seed: int = 1


def fit(
    bank: Bank, schedule: Schedule, checkpoint: Path, start: Path | None = None
) -> FrontalNetwork:
    """Return the fitted network, in evaluation mode.

    Parameters
    ----------
    checkpoint
        File that gets the weights every few hundred steps.
    start
        Such a file to start from.
    """
    torch.manual_seed(schedule.seed)
    # The order of memory in which convolutions are fast on a CPU.
    network = FrontalNetwork(len(NETWORK_KINDS))
    # PyTorch's stubs lack this form of the call.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.load_state_dict(torch.load(start, weights_only=True))
    mean = copy.deepcopy(network).requires_grad_(requires_grad=False)
    composer = Composer(bank, schedule.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=0.02)
    started, running = time.monotonic(), 0.0
    network.train()
    for step in range(schedule.steps):
        share = step / schedule.steps
        rate = schedule.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 1e-5)
        images, labels = composer.batch()
        inputs = standardise(images).to(memory_format=torch.channels_last)
        logits = network(inputs)
        loss = functional.cross_entropy(logits, labels, label_smoothing=0.01)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        _follow(mean, network, min(1.0 - 1.0 / (step + 1), 1.0 - 1.0 / _MEAN_STEPS))
        running += (float(loss.detach()) - running) * (0.02 if step else 1.0)
        if step % _REPORT_EVERY == 0:
            _LOGGER.info("step %d loss %.4f, %.0f s", step, running, time.monotonic() - started)
        if step % _SAVE_EVERY == _SAVE_EVERY - 1:
            torch.save(mean.state_dict(), checkpoint)
    torch.save(mean.state_dict(), checkpoint)
    mean.eval()
    return mean


def _follow(mean: FrontalNetwork, network: FrontalNetwork, inertia: float) -> None:
    current = network.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.mul_(inertia).add_(current[name], alpha=1.0 - inertia)
        else:
            value.copy_(current[name])
