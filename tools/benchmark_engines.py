"""Measure how many images a second each engine judges, the network alone.

    python tools/benchmark_engines.py

A ResNet50 and the scratch CNN of ``configs/`` with weights by chance judge the same random
images, which takes as long as with any others. The baseline is PyTorch as it comes: float32,
eager, channels first. All engines run in turn, several times over, so that what else the machine
does falls on all of them; the best time of each counts. Prints a Markdown table. Exit code 1 if
int8 is less than four times as quick as the baseline for the ResNet50.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen.config import load_training_config
from cxrscreen.model.engines.openvino_engine import OpenVinoEngine, convert
from cxrscreen.model.engines.quantiser import quantise, versions
from cxrscreen.model.engines.torch_engine import TorchEngine
from cxrscreen.model.network import build_network, lay_out

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIGS: Final = (ROOT / "configs" / "resnet50.yaml", ROOT / "configs" / "scratch_cnn.yaml")
BASELINE: Final = "torch-float32, channels first"
INT8: Final = "openvino-int8"
TARGET: Final = 4.0
_CPU: Final = torch.device("cpu")
_RANGE_IMAGES: Final = 16

Judge = Callable[[Sequence[torch.Tensor]], NDArray[np.float64]]


def main() -> int:
    """Measure and print; 1 if int8 misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, action="append", help="in place of the two")
    parser.add_argument("--images", type=int, default=64, help="how many to judge each time")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5, help="how often each engine runs")
    arguments = parser.parse_args()
    # Of tracing, which torch is about to replace by something else.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    _say(
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__} "
        f"with {torch.get_num_threads()} threads, "
        + ", ".join(f"{name} {number}" for name, number in versions().items())
        + f"; {arguments.images} images in batches of {arguments.batch_size}, "
        f"best of {arguments.rounds}\n"
    )
    _say("| network | engine | images/s | times the baseline | largest change of a logit |")
    _say("| --- | --- | --- | --- | --- |")
    met = True
    for config in arguments.config or CONFIGS:
        settings = load_training_config(config)
        spec = settings.preprocess
        torch.manual_seed(1)
        network = build_network(settings.network, in_channels=spec.channels).eval()
        images = [torch.randn(1, spec.size_px, spec.size_px) for _ in range(arguments.images)]
        images = [image.expand(spec.channels, -1, -1) for image in images]
        engines = _engines(network, images[:_RANGE_IMAGES], size_px=spec.size_px)
        speeds = _measure(engines, images, arguments.batch_size, arguments.rounds)
        reference = engines[BASELINE](images[: arguments.batch_size])
        for name, judge in engines.items():
            change = np.abs(judge(images[: arguments.batch_size]) - reference).max()
            ratio = speeds[name] / speeds[BASELINE]
            _say(
                f"| {settings.network.architecture} | {name} | {speeds[name]:.1f} | {ratio:.1f} | "
                f"{change:.2g} |"
            )
        if settings.network.architecture == "resnet50":
            met = speeds[INT8] >= TARGET * speeds[BASELINE]
    return 0 if met else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _engines(
    network: nn.Module, ranges: Sequence[torch.Tensor], *, size_px: int
) -> dict[str, Judge]:
    """Return what judges images, by name, the baseline first."""
    plain = copy.deepcopy(network)
    lay_out(plain, torch.contiguous_format)

    def eager(images: Sequence[torch.Tensor]) -> NDArray[np.float64]:
        with torch.inference_mode():
            logits: NDArray[np.float64] = plain(torch.stack(list(images)))[:, 0].double().numpy()
        return logits

    model = convert(network, channels=ranges[0].shape[0], size_px=size_px)
    int8 = quantise(model, [image.unsqueeze(0).numpy() for image in ranges], quick=True)
    return {
        BASELINE: eager,
        "torch-float32": TorchEngine(network, _CPU).logits,
        "torch-bfloat16": TorchEngine(network, _CPU, torch.bfloat16).logits,
        "openvino-float32": OpenVinoEngine(model).logits,
        INT8: OpenVinoEngine(int8).logits,
    }


def _measure(
    engines: dict[str, Judge], images: Sequence[torch.Tensor], batch_size: int, rounds: int
) -> dict[str, float]:
    """Return the images a second of each engine, the best of several rounds."""
    best = dict.fromkeys(engines, 0.0)
    for name in [*engines] * rounds:
        started = time.perf_counter()
        for start in range(0, len(images), batch_size):
            engines[name](images[start : start + batch_size])
        seconds = time.perf_counter() - started
        best[name] = max(best[name], len(images) / seconds)
    return best


if __name__ == "__main__":
    sys.exit(main())
