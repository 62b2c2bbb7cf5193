"""The small network of the frontal check, and how an image becomes its input."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Named in the document of the weights; raised with every change of this file that moves them.
ARCHITECTURE: Final = "residual-112-1"
#: Side of the network's input in pixels.
INPUT_PX: Final = 112
# Every third pixel in both directions is plenty for two percentiles.
_QUANTILE_STEP = 3
_QUANTILES = (0.01, 0.99)
# The local neighbourhood is a square of 5 cells of 4 pixels.
_SHRINK = 4
_LOCAL_CELLS = 5
_CHANNELS = (16, 32, 64, 96)
_LAYOUT_CHANNELS = 12
_HIDDEN = 64
# A long side this many times the input is thinned out before it is averaged.
_OVERSAMPLING = 4


def thumbnail(pixels: NDArray[np.float32], side_px: int = INPUT_PX) -> torch.Tensor:
    """Reduce an image of any shape to a square, ignoring its aspect ratio.

    The aspect ratio is given away on purpose: a portrait and a landscape chest are both
    chests, and most training images come without their own. A large image is first thinned
    out to about four samples for each pixel of the square: reading all of them takes longer
    than the network, and what that aliases lies far below what decides.

    Parameters
    ----------
    pixels
        float32 ``[H, W]`` in 0..1.

    Returns
    -------
    torch.Tensor
        float32 ``[side_px, side_px]`` in 0..1.
    """
    steps = [max(1, length // (_OVERSAMPLING * side_px)) for length in pixels.shape]
    thin = np.ascontiguousarray(pixels[:: steps[0], :: steps[1]])
    image = torch.from_numpy(thin)[None, None]
    size = (side_px, side_px)
    small = functional.interpolate(image, size=size, mode="bilinear", antialias=True)
    return small[0, 0].clamp(0.0, 1.0)


def standardise(images: torch.Tensor) -> torch.Tensor:
    """Return the network's two channels: stretched levels, and local contrast.

    Brightness and contrast differ from hospital to hospital and say nothing about what is
    shown; both channels are free of them.

    Parameters
    ----------
    images
        float32 ``[B, S, S]`` in 0..1.

    Returns
    -------
    torch.Tensor
        float32 ``[B, 2, S, S]``.
    """
    sample = images[:, 1::_QUANTILE_STEP, 1::_QUANTILE_STEP].flatten(1)
    low, high = torch.quantile(sample, torch.tensor(_QUANTILES), dim=1)
    width = (high - low).clamp_min(1e-3)
    level = ((images - low[:, None, None]) / width[:, None, None]).clamp(0.0, 1.0)[:, None]
    # The neighbourhood's statistics are smooth: a quarter of the resolution holds them.
    small = functional.avg_pool2d(torch.cat([level, level**2], dim=1), _SHRINK)
    margin = (_LOCAL_CELLS // 2,) * 4
    small = functional.pad(small, margin, mode="replicate")
    small = functional.avg_pool2d(small, _LOCAL_CELLS, stride=1)
    size = (images.shape[-2], images.shape[-1])
    local_means = functional.interpolate(small, size=size, mode="bilinear")
    mean, square = local_means[:, :1], local_means[:, 1:]
    deviation = (square - mean**2).clamp_min(0.0).sqrt()
    local = ((level - mean) / (deviation + 0.05)).clamp(-3.0, 3.0)
    return torch.cat([(level - 0.5) * 2.0, local], dim=1)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = images + self.second(self.first(images))
        return out


class FrontalNetwork(nn.Module):
    """A residual network of about 0.4 million parameters.

    Its head sees what is there (means and maxima over the image) and where it is (a coarse
    map), since a chest is recognised by its parts and by their places.

    Parameters
    ----------
    kinds
        Number of logits.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        first, second, third, fourth = _CHANNELS
        self.body = nn.Sequential(
            _convolution(2, first, 2),
            _convolution(first, second, 2),
            _Residual(second),
            _convolution(second, third, 2),
            _Residual(third),
            _convolution(third, fourth, 2),
            _Residual(fourth),
        )
        self.layout = nn.Conv2d(fourth, _LAYOUT_CHANNELS, 1)
        cells = (INPUT_PX // 16) ** 2
        self.hidden = nn.Linear(2 * fourth + cells * _LAYOUT_CHANNELS, _HIDDEN)
        self.dropout = nn.Dropout(0.3)
        self.logits = nn.Linear(_HIDDEN, kinds)

    def fused(self) -> FrontalNetwork:
        """Fold the batch norms into the convolutions, for inference only; return self."""
        self.eval()
        for block in self.modules():
            if isinstance(block, nn.Sequential) and isinstance(block[1], nn.BatchNorm2d):
                block[0] = fuse_conv_bn_eval(cast("nn.Conv2d", block[0]), block[1])
                block[1] = nn.Identity()
        return self.requires_grad_(requires_grad=False)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the hidden features, ``[B, 64]``, of ``standardise``'s output."""
        maps = self.body(inputs)
        parts = (maps.mean((2, 3)), maps.amax((2, 3)), self.layout(maps).flatten(1))
        return functional.relu(self.hidden(self.dropout(torch.cat(parts, dim=1))))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits, ``[B, kinds]``, of ``standardise``'s output."""
        out: torch.Tensor = self.logits(self.features(inputs))
        return out
