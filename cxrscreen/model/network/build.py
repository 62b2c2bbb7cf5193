"""From a configuration to a network."""

from __future__ import annotations

import torch
from torch import nn

from cxrscreen.config import NetworkConfig, ScratchCNNConfig
from cxrscreen.model.network.scratch_cnn import ScratchCNN

_IMAGE_DIMENSIONS = 4


def build_network(config: NetworkConfig, *, in_channels: int) -> nn.Module:
    """Return the network that a configuration describes, freshly initialised.

    Parameters
    ----------
    config
        Architecture and sizes.
    in_channels
        Channels of the input.

    Returns
    -------
    nn.Module
        Takes ``[N, in_channels, S, S]`` and gives one logit for each image, ``[N, 1]``.
    """
    network: nn.Module
    if isinstance(config, ScratchCNNConfig):
        network = ScratchCNN(
            in_channels,
            config.widths,
            convolutions_per_stage=config.convolutions_per_stage,
            dense_units=config.dense_units,
            dropout=config.dropout,
        )
    else:
        # Importing MONAI takes seconds: screening with the packaged CNN need not pay.
        from cxrscreen.model.network.resnet50 import ResNet50  # noqa: PLC0415 - see above

        network = ResNet50(in_channels, dropout=config.dropout)
    # With their weights laid out channels last, convolutions on a CPU run a quarter faster.
    lay_out(network, torch.channels_last)
    return network


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Lay out the weights of convolutions in memory; what they compute stays the same."""
    for parameter in network.parameters():
        if parameter.dim() == _IMAGE_DIMENSIONS:
            parameter.data = parameter.data.contiguous(memory_format=layout)
