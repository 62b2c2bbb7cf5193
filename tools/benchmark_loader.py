"""Measure whether the loader keeps up with the network while training.

    python tools/benchmark_loader.py LABELLED_FOLDER

For each configuration: images a second of the training loader alone (cached images, every
random transform), of the optimiser's step alone (the same batch again and again), and of both
together, with no, one and two loader processes. The loader is ahead where it makes images
quicker than the step takes them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from cxrscreen.config import TrainingConfig, load_training_config
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.load import load_labelled
from cxrscreen.model.network import build_network, freeze, lay_out
from cxrscreen.training.loading import training_loader
from cxrscreen.training.loss import build_loss, loss_weights
from cxrscreen.training.precision import MixedPrecisionInferer, choose_precision
from cxrscreen.training.preview import choose_images

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIGS: Final = (ROOT / "configs" / "scratch_cnn.yaml", ROOT / "configs" / "resnet50.yaml")
WORKERS: Final = (0, 1, 2)
_CPU: Final = torch.device("cpu")

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second with a number of loader processes; of the step without any of them."""

    workers: int
    step: float
    loader: float
    both: float


def main() -> int:
    """Measure and print; 1 if the loader is behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="labelled images, as for training")
    parser.add_argument("--config", type=Path, action="append", help="in place of the two")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--images", type=int, default=640, help="how many to load")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=2, help="of the network")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    behind, summary = False, []
    sys.stdout.write(
        f"{os.cpu_count()} cores, {arguments.threads} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}\n\n"
        "| configuration | step alone | processes | loader alone | both | loader |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    for path in arguments.config or CONFIGS:
        config = load_training_config(path, arguments.set)
        images = choose_images(
            load_labelled(arguments.data, config.data), arguments.images, seed=config.train.seed
        )
        speeds = []
        for speed in measure(config, images, seconds=arguments.seconds):
            speeds.append(speed)
            verdict = "ahead" if speed.loader > speed.step else "behind"
            sys.stdout.write(
                f"| {config.name} | {speed.step:.1f} | {speed.workers} | {speed.loader:.0f} "
                f"| {speed.both:.1f} | {verdict}, {speed.loader / speed.step:.1f} times |\n"
            )
            sys.stdout.flush()
        best = max(speeds, key=lambda speed: speed.both)
        behind |= best.loader <= best.step
        summary.append(
            f"{config.name}: quickest with {best.workers} processes, "
            f"{best.both / best.step:.0%} of the step alone."
        )
    sys.stdout.write("\n" + "\n".join(summary) + "\n")
    return int(behind)


def measure(
    config: TrainingConfig, images: Sequence[LabelledImage], *, seconds: float
) -> Iterator[Speed]:
    """Yield the speeds with each number of loader processes."""
    step = _step(config, [image.label for image in images])
    step_alone = None
    for workers in WORKERS:
        train = config.train.model_copy(update={"loader_workers": workers, "cache": "memory"})
        batches = _endless(config.model_copy(update={"train": train}), images)
        batch = next(batches)
        if step_alone is None:
            step_alone = _images_per_s(itertools.repeat(batch), step, seconds)
        loader = _images_per_s(batches, lambda _batch: None, seconds)
        yield Speed(workers, step_alone, loader, _images_per_s(batches, step, seconds))


def _endless(config: TrainingConfig, images: Sequence[LabelledImage]) -> Iterator[Batch]:
    loader, sampler = training_loader(images, config)
    for epoch in itertools.count(1):
        sampler.start(epoch)
        yield from loader


def _step(config: TrainingConfig, labels: Sequence[int]) -> Callable[[Batch], None]:
    """Return one step of the last phase, in which most of the network learns."""
    train = config.train
    network: nn.Module = build_network(config.network, in_channels=config.preprocess.channels)
    layout = torch.channels_last if train.channels_last else torch.contiguous_format
    lay_out(network, layout)
    network.train()
    freeze(network, config.network, train.phases[-1].frozen)
    loss_function = build_loss(train, loss_weights(train, labels))
    optimizer = torch.optim.AdamW(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=train.phases[-1].learning_rate,
        weight_decay=train.weight_decay,
    )
    inferer = MixedPrecisionInferer(choose_precision(train, _CPU), _CPU)

    def step(batch: Batch) -> None:
        images = batch["image"].to(memory_format=layout)
        optimizer.zero_grad()
        loss_function(inferer(images, network), batch["label"]).backward()
        optimizer.step()

    return step


def _images_per_s(
    batches: Iterator[Batch], consume: Callable[[Batch], None], seconds: float
) -> float:
    # The first ones pay for what is done once, and for what was made in advance.
    for batch in itertools.islice(batches, 3):
        consume(batch)
    count, started = 0, time.perf_counter()
    for batch in batches:
        consume(batch)
        count += len(batch["label"])
        if time.perf_counter() - started >= seconds:
            break
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    raise SystemExit(main())
