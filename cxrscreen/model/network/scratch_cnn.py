"""A convolutional network trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cxrscreen.model.network.stages import FreezableNetwork


class ScratchCNN(FreezableNetwork):
    """Convolutions with ReLU, max pooling, and a dense head with one logit.

    Parameters
    ----------
    in_channels
        Channels of the input.
    widths
        Channels of each stage. A stage convolves (3x3, batch norm, ReLU) and halves the
        image by max pooling. The first stage is one 5x5 convolution with stride 2: at full
        resolution it would cost more than all others together.
    convolutions_per_stage
        Convolutions before each pooling, from the second stage on.
    dense_units
        Hidden units of the head.
    dropout
        Probability of dropping a feature before each dense layer.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        *,
        convolutions_per_stage: int,
        dense_units: int,
        dropout: float,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = in_channels
        for stage, width in enumerate(widths):
            kernel, stride, count = (3, 1, convolutions_per_stage) if stage else (5, 2, 1)
            for _ in range(count):
                stages += [
                    nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            stages.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels, dense_units),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(dense_units, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return one logit per image: ``[N, C, S, S]`` -> ``[N, 1]``."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits
