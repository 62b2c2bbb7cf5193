"""Weights as a file, in float32 or, at half the size, in float16."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from cxrscreen.config import WeightsPrecision
from cxrscreen.errors import TrainingError
from cxrscreen.model.files import sha256_of_file


def round_weights(network: nn.Module, precision: WeightsPrecision) -> None:
    """Give a network, in place, the weights that it will have when it is loaded again.

    float16 has eleven binary digits and ends at 65504. What convolutions and dense layers
    multiply by is rounded to it, and kept as float32 in memory: arithmetic stays float32.
    Biases and batch norms, a hundredth of all weights, stay as they are: a variance may lie
    anywhere.

    Parameters
    ----------
    network
        Any network.
    precision
        What it will be saved in.

    Raises
    ------
    TrainingError
        A weight is larger than float16 can hold.
    """
    if precision == "float32":
        return
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not _is_halved(value):
                continue
            rounded = value.to(torch.float16)
            if not torch.isfinite(rounded).all():
                message = f"{name}: holds a weight that float16 cannot hold"
                raise TrainingError(message, hint="Set weights_precision=float32.")
            value.copy_(rounded)


def save_weights(network: nn.Module, path: Path, precision: WeightsPrecision = "float32") -> str:
    """Write a network's weights as safetensors and return the file's SHA-256.

    Parameters
    ----------
    network
        The network.
    path
        The file to write.
    precision
        ``float16`` for a network that :func:`round_weights` has prepared.

    Raises
    ------
    ValueError
        A weight is not what it would be when it is loaded again.
    """
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    if precision == "float16":
        halved = {
            name: value.to(torch.float16) if _is_halved(value) else value
            for name, value in state.items()
        }
        # Calibrated and measured with other weights than these, a bundle would vouch for what
        # it does not hold.
        for name, value in halved.items():
            if not torch.equal(value.to(state[name].dtype), state[name]):
                message = f"{name}: has not been rounded to {precision}"
                raise ValueError(message)
        state = halved
    safetensors.torch.save_file(state, path)
    return sha256_of_file(path)


def _is_halved(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1
