"""The ResNet50, as MONAI builds it. Importing this module imports MONAI."""

from __future__ import annotations

from monai.networks.nets.resnet import ResNet
from torch import nn

from cxrscreen.model.network.stages import FreezableNetwork


class ResNet50(FreezableNetwork, ResNet):
    """ResNet50 (He et al., "Deep residual learning", 2016) for images, with one logit.

    Names, shapes and order of its weights are those of the published ResNet50; the stride of
    a reducing block is in its 3x3 convolution, as there ("v1.5").

    Parameters
    ----------
    in_channels
        Channels of the input.
    dropout
        Probability of dropping a feature before the last layer.
    """

    def __init__(self, in_channels: int, *, dropout: float) -> None:
        super().__init__(
            "bottleneck",
            [3, 4, 6, 3],
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            bias_downsample=False,
            num_classes=1,
        )
        # Neither has weights: no name changes. A dropout beside ``fc`` would need a name there.
        self.avgpool = nn.Sequential(self.get_submodule("avgpool"), nn.Dropout(dropout))
