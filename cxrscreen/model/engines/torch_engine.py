"""PyTorch, in float32 or bfloat16."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen.model.network import lay_out


class TorchEngine:
    """A network on PyTorch, channels last.

    Parameters
    ----------
    network
        In evaluation mode; moved to the device, and otherwise left as it is.
    device
        Where it runs.
    dtype
        What convolutions compute in. In ``torch.bfloat16`` the last layer stays float32: with
        eight binary digits, logits of different images would be the same number.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._device, self._dtype = device, dtype
        # TF32 would keep ten bits of a product: another arithmetic than the engine's name says.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        if dtype is not torch.float32:
            network = _with_float32_head(copy.deepcopy(network).to(dtype))
        self._network = network.to(device).eval()
        lay_out(self._network, torch.channels_last)

    def logits(self, images: Sequence[torch.Tensor]) -> NDArray[np.float64]:
        """Return the logit of each image: see :meth:`Predictor.logits`."""
        with torch.inference_mode():
            batch = torch.stack(list(images)).to(
                self._device, self._dtype, memory_format=torch.channels_last
            )
            logits: NDArray[np.float64] = (
                self._network(batch)[:, 0].to("cpu", torch.float64).numpy()
            )
        return logits


def _with_float32_head(network: nn.Module) -> nn.Module:
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if dense:

        def widen(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(value.float() for value in inputs)

        dense[-1].float().register_forward_pre_hook(widen)
    return network
