"""One training run in several processes: what ``torchrun`` starts, through ignite's ``idist``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import ignite.distributed as idist
import torch
from torch import nn


def process_count() -> int:
    """Return how many processes take part in this run; 1 unless ``torchrun`` started them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Return the number of this process, from 0: the first one writes and reports."""
    return int(os.environ.get("RANK", "0"))


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes for the length of a block; nothing where there are none."""
    if process_count() == 1:
        yield
        return
    idist.initialize("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        idist.finalize()


def share_gradients(network: nn.Module) -> nn.Module:
    """Return the network so that all processes step by the mean of their gradients."""
    if process_count() == 1:
        return network
    ids = [idist.get_local_rank()] if next(network.parameters()).is_cuda else None
    return nn.parallel.DistributedDataParallel(network, device_ids=ids)


def equalise_buffers(network: nn.Module) -> None:
    """Give every process the batch-norm statistics of the first: all validate one network."""
    if process_count() == 1:
        return
    for buffer in network.buffers():
        idist.broadcast(buffer, src=0)
