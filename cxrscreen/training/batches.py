"""From a loaded batch to what the network is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import Beta
from torch.nn import functional

from cxrscreen.errors import DatasetError
from cxrscreen.training.loading import ERROR

Batch = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BatchPreparation:
    """Moves a batch to its device; reduces and mixes images where that is asked for.

    Attributes
    ----------
    channels_last
        How images are laid out in memory.
    size_px
        Side to which images are reduced; 0 leaves them as they are.
    mixup_alpha
        Each image is mixed with another one of its batch, and its label alike, by a share drawn
        from ``Beta(alpha, alpha)`` for the batch (Zhang et al., "mixup: beyond empirical risk
        minimization", ICLR 2018); 0 for none. Drawn from torch's generator.
    """

    channels_last: bool
    size_px: int = 0
    mixup_alpha: float = 0.0

    def __call__(
        self,
        batch: Batch,
        device: torch.device | None = None,
        non_blocking: bool = False,  # noqa: FBT001, FBT002 - MONAI's signature
        **_: Any,  # noqa: ANN401 - MONAI's
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images ``[N, C, S, S]`` and labels ``[N, 1]``.

        Raises
        ------
        DatasetError
            An image of the batch could not be read.
        """
        for error in batch[ERROR]:
            if error:
                raise DatasetError(error, hint="Remove the file from the data, or replace it.")
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        images: torch.Tensor = batch["image"]
        labels: torch.Tensor = batch["label"].to(device, non_blocking=non_blocking)
        images = images.to(device, non_blocking=non_blocking)
        if 0 < self.size_px < images.shape[-1]:
            size = (self.size_px, self.size_px)
            images = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
        if self.mixup_alpha:
            share = float(Beta(self.mixup_alpha, self.mixup_alpha).sample())
            order = torch.randperm(len(images))
            images = torch.lerp(images[order], images, share)
            labels = torch.lerp(labels[order], labels, share)
        return images.contiguous(memory_format=layout), labels
