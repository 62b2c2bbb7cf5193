"""The moving average of a network's weights, which is calmer than any single step."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

_WARM_UP = 10


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average over a network's weights and statistics.

    torch's own class, which counts its updates in its state: a resumed run goes on as if it had
    never stopped. The first updates forget faster, ``min(decay, (1 + n) / (10 + n))`` after
    ``n``, or the random weights of the beginning would stay for long (as TensorFlow's
    ``ExponentialMovingAverage`` does).

    Parameters
    ----------
    network
        Is copied.
    decay
        Share of the average that each update keeps, 0..1.
    """

    def update(
        average: torch.Tensor, current: torch.Tensor, count: torch.Tensor | int
    ) -> torch.Tensor:
        if not average.is_floating_point():
            return current
        kept = min(decay, (1 + int(count)) / (_WARM_UP + int(count)))
        # Not a sum of two products, whose rounding would move what is frozen.
        return torch.lerp(average, current, 1.0 - kept)

    average = AveragedModel(network, avg_fn=update, use_buffers=True)
    return average.eval()
