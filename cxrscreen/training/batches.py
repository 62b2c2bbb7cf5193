"""From a loaded batch to what the network is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.distributions import Beta
from torch.nn import functional

from cxrscreen.errors import DatasetError
from cxrscreen.training.loading import ERROR

Batch = Mapping[str, Any]
#: Widths of exchanged borders, as shares of the side: up to where the lungs begin.
_BORDER: Final = (0.02, 0.14)


@dataclass(frozen=True, slots=True)
class BatchPreparation:
    """Moves a batch to its device; reduces and mixes images where that is asked for.

    Attributes
    ----------
    channels_last
        How images are laid out in memory.
    size_px
        Side to which images are reduced; 0 leaves them as they are.
    border_exchange
        Share of images, drawn one by one, whose border becomes that of another one of the
        batch, up to a seventh of the side from each edge: what a border tells is then of another
        patient as often as not.
    mixup_alpha
        Each image is mixed with another one of its batch, and its label alike, by a share drawn
        from ``Beta(alpha, alpha)`` for the batch (Zhang et al., "mixup: beyond empirical risk
        minimization", ICLR 2018); 0 for none.

    All that is random is drawn from torch's generator.
    """

    channels_last: bool
    size_px: int = 0
    border_exchange: float = 0.0
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
        if self.border_exchange:
            images = _with_other_borders(images, self.border_exchange)
        if self.mixup_alpha:
            share = float(Beta(self.mixup_alpha, self.mixup_alpha).sample())
            order = torch.randperm(len(images))
            images = torch.lerp(images[order], images, share)
            labels = torch.lerp(labels[order], labels, share)
        return images.contiguous(memory_format=layout), labels


def _with_other_borders(images: torch.Tensor, share: float) -> torch.Tensor:
    """Return ``[N, C, S, S]`` with the borders of a share of the images exchanged."""
    count, side = len(images), images.shape[-1]
    places = torch.arange(side, dtype=torch.float32)
    to_edge = torch.minimum(places, side - 1 - places) / side
    depth = torch.minimum(to_edge[:, None], to_edge[None])
    narrow, wide = _BORDER
    widths = torch.empty(count).uniform_(narrow, wide)
    widths[torch.rand(count) >= share] = 0.0
    border = (depth < widths[:, None, None])[:, None].to(images.device)
    return torch.where(border, images[torch.randperm(count)], images)
