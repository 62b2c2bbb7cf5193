"""OpenVINO on the CPU, in float32 or with a quantised model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen.errors import BundleError
from cxrscreen.model.engines.openvino_runtime import import_openvino

#: OpenVINO would take bfloat16 or float16 where the processor has them, and another threshold
#: would be right. ``THROUGHPUT`` runs one stream for each core.
_SETTINGS: Final = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}


class OpenVinoEngine:
    """A compiled model that judges images one by one, several at a time.

    Each image is a request of its own: so nothing depends on what else is in its batch, on
    the number of cores, or on how streams share them.

    Parameters
    ----------
    model
        An ``openvino.Model`` that takes ``[1, C, S, S]`` and gives ``[1, 1]``.
    threads
        Cores to use; all that the process may run on if ``None``.
    """

    def __init__(self, model: Any, *, threads: int | None = None) -> None:  # noqa: ANN401 - untyped
        openvino = import_openvino()
        settings: dict[str, Any] = dict(_SETTINGS)
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled)

    def logits(self, images: Sequence[torch.Tensor]) -> NDArray[np.float64]:
        """Return the logit of each image: see :meth:`Predictor.logits`."""
        logits = np.full(len(images), np.nan)

        def keep(request: Any, place: int) -> None:  # noqa: ANN401 - untyped
            logits[place] = request.get_output_tensor(0).data[0, 0]

        self._queue.set_callback(keep)
        for place, image in enumerate(images):
            pixels = np.ascontiguousarray(image.unsqueeze(0).numpy(force=True), dtype=np.float32)
            self._queue.start_async({0: pixels}, place)
        self._queue.wait_all()
        return logits


def convert(network: nn.Module, *, channels: int, size_px: int) -> Any:  # noqa: ANN401 - untyped
    """Return a PyTorch network as a model of OpenVINO, in float32.

    Parameters
    ----------
    network
        In evaluation mode, on the CPU.
    channels, size_px
        Of its input, ``[1, channels, size_px, size_px]``.
    """
    openvino = import_openvino()
    shape = [1, channels, size_px, size_px]
    with warnings.catch_warnings():
        # Of tracing, which torch is about to replace by something else.
        warnings.simplefilter("ignore")
        with torch.no_grad():
            return openvino.convert_model(
                network.to("cpu").eval(), example_input=torch.zeros(shape), input=shape
            )


def parse(xml: bytes, weights: bytes, place: str) -> Any:  # noqa: ANN401 - untyped
    """Return the model that two files of a bundle hold.

    Raises
    ------
    BundleError
        OpenVINO cannot read it.
    """
    openvino = import_openvino()
    try:
        return openvino.Core().read_model(xml, weights)
    except (RuntimeError, TypeError, ValueError) as error:
        message = f"{place}: is no model that this version of OpenVINO reads"
        hint = "Quantise the bundle again with 'cxrscreen bundle quantize'."
        raise BundleError(message, hint=hint) from error
