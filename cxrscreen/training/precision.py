"""What training computes in: float32, or bfloat16 where that is quicker."""

from __future__ import annotations

from typing import Any, Literal

import torch
from monai.inferers.inferer import SimpleInferer
from torch import nn

from cxrscreen.config import TrainConfig

Precision = Literal["float32", "bfloat16"]


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware computes in bfloat16, rather than imitating it slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def choose_precision(config: TrainConfig, device: torch.device) -> Precision:
    """Return the precision of a run: the one that is asked for, or the device's best."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if has_bfloat16(device) else "float32"


class MixedPrecisionInferer(SimpleInferer):
    """Run the network in bfloat16 where that is safe, and hand on float32 logits.

    MONAI's own switch is for CUDA alone, and scales the loss, which bfloat16 does not need:
    it has the range of float32.

    Parameters
    ----------
    precision
        What to compute in.
    device
        Where the network is.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        super().__init__()
        self._enabled = precision == "bfloat16"
        self._device_type = device.type

    def __call__(
        self,
        inputs: torch.Tensor,
        network: nn.Module,
        *args: Any,  # noqa: ANN401 - MONAI's signature
        **kwargs: Any,  # noqa: ANN401
    ) -> torch.Tensor:
        """Return float32 logits ``[N, 1]`` of images ``[N, C, S, S]``."""
        with torch.autocast(self._device_type, dtype=torch.bfloat16, enabled=self._enabled):
            logits: torch.Tensor = super().__call__(inputs, network, *args, **kwargs)
        return logits.float()
