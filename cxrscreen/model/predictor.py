"""Run a bundle's network on batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from cxrscreen.errors import CxrScreenError

if TYPE_CHECKING:
    from cxrscreen.model.bundle import ModelBundle

#: Fingerprint of this engine: runtime and arithmetic. A threshold fitted with another one
#: is refused.
ENGINE = "torch-float32"


def choose_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    CxrScreenError
        The named device is not there.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available.get(name, False):
        message = f"device {name} is not available to this build of torch"
        raise CxrScreenError(message, hint="Use --device cpu, or install torch for your device.")
    return torch.device(name)


class Predictor:
    """A network ready to judge.

    Parameters
    ----------
    bundle
        The model.
    device
        Where it runs.
    """

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        self._device = device
        # TF32 would keep ten bits of a product: another arithmetic than the engine's name says.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._network = bundle.network.to(device).eval()

    def logits(self, images: Sequence[torch.Tensor]) -> NDArray[np.float64]:
        """Return the logit of each image.

        Parameters
        ----------
        images
            Tensors ``[C, S, S]`` as :func:`cxrscreen.preprocess.to_tensor` makes them.

        Returns
        -------
        ndarray
            float64 ``[N]``. A value that is not finite is left to the caller to refuse.
        """
        with torch.inference_mode():
            batch = torch.stack(list(images)).to(self._device)
            logits: NDArray[np.float64] = (
                self._network(batch)[:, 0].to("cpu", torch.float64).numpy()
            )
        return logits
