"""Run a bundle's network on batches of tensors, with the engine that it was opened with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cxrscreen.errors import CxrScreenError, EngineError
from cxrscreen.vocabulary import Engine

if TYPE_CHECKING:
    from cxrscreen.model.bundle import ModelBundle


def choose_device(name: str, engine: Engine = Engine.TORCH_FLOAT32) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Parameters
    ----------
    name
        What was asked for. ``auto`` is CUDA where there is one and the engine can use it, else
        the CPU.
    engine
        What shall run there.

    Raises
    ------
    CxrScreenError
        The named device is not there.
    EngineError
        The engine does not run on it.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if engine.is_openvino:
        if name not in ("auto", "cpu"):
            message = f"{engine} runs on the CPU, not on {name}"
            raise EngineError(message, hint="Use --device cpu, or --engine torch-float32.")
        return torch.device("cpu")
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available.get(name, False):
        message = f"device {name} is not available to this build of torch"
        raise CxrScreenError(message, hint="Use --device cpu, or install torch for your device.")
    return torch.device(name)


class _Runs(Protocol):
    def logits(self, images: Sequence[torch.Tensor]) -> NDArray[np.float64]:
        """Return the logit of each image."""


class Predictor:
    """A network ready to judge.

    Parameters
    ----------
    bundle
        The model, opened for an engine.
    device
        Where it runs.

    Raises
    ------
    EngineError
        The engine is not installed, or does not run on the device.
    BundleError
        The quantised model has changed since the bundle was loaded.
    """

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        self._engine = _start(bundle, choose_device(device.type, bundle.engine))

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
        return self._engine.logits(images)


def _start(bundle: ModelBundle, device: torch.device) -> _Runs:
    if not bundle.engine.is_openvino:
        from cxrscreen.model.engines.torch_engine import TorchEngine  # noqa: PLC0415 - one of two

        half = bundle.engine is Engine.TORCH_BFLOAT16
        return TorchEngine(bundle.network, device, torch.bfloat16 if half else torch.float32)
    from cxrscreen.model.engines.openvino_engine import (  # noqa: PLC0415 - one of two
        OpenVinoEngine,
        convert,
    )

    if bundle.engine is Engine.OPENVINO_INT8:
        return OpenVinoEngine(bundle.quantised_model())
    spec = bundle.spec
    return OpenVinoEngine(convert(bundle.network, channels=spec.channels, size_px=spec.size_px))
