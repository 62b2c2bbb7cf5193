"""From a network to its int8 form, by NNCF."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.model.engines.openvino_runtime import import_nncf, import_openvino

#: What stands in the record of a quantised model.
METHOD: Final = (
    "post-training quantisation by NNCF, symmetric int8, biases corrected layer by layer, weights "
    "within half of the range so that no processor's sums overflow"
)


def quantise(
    model: Any,  # noqa: ANN401 - untyped
    images: Sequence[NDArray[np.float32]],
    *,
    quick: bool = False,
) -> Any:  # noqa: ANN401
    """Return the int8 form of a model.

    Parameters
    ----------
    model
        An ``openvino.Model`` in float32.
    images
        Each ``[1, C, S, S]`` as the network takes it: what the ranges of activations are
        measured on.
    quick
        Correct biases roughly: enough where speed alone is measured.

    Raises
    ------
    EngineError
        NNCF is not installed.
    """
    nncf = import_nncf()
    with _quiet(nncf):
        return nncf.quantize(
            model,
            nncf.Dataset(list(images)),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(images),
            # The quick correction leaves the logits of the scratch CNN 0.7 too low, and six times
            # as many images on the other side of a threshold.
            fast_bias_correction=quick,
            # Processors without VNNI add products of int8 in 16 bits, where they can overflow:
            # weights of 7 bits cannot, and give the same sums everywhere.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )


def save(model: Any, xml: Path) -> None:  # noqa: ANN401 - untyped
    """Write a model as ``xml`` and, beside it, its weights as ``.bin``, digit by digit."""
    import_openvino().save_model(model, xml, compress_to_fp16=False)


def versions() -> dict[str, str]:
    """Return the versions of what quantises."""
    return {package: version(package) for package in ("openvino", "nncf")}


@contextlib.contextmanager
def _quiet(nncf: Any) -> Iterator[None]:  # noqa: ANN401 - untyped
    """Keep NNCF's progress bars and log off the terminal."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
