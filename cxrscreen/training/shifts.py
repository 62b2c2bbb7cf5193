"""The fixed conditions under which the robustness of a model is told.

Each changes an image as another scanner, archive or export would, by a known amount. The same
for every model, so that their tables can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from cxrscreen.training import distortions

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a robustness table.

    Attributes
    ----------
    name
        In words, with the strength.
    family
        What is distorted: rows of one family differ in strength.
    distort
        Takes an image, float32 ``[1, S, S]`` in 0..1, and its index in the data, from which
        noise is seeded; gives one of the same shape and range.
    """

    name: str
    family: str
    distort: Callable[[torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Changes in a row that need no random numbers; not a lambda, so that it can be sent."""

    changes: tuple[Change, ...]

    def __call__(self, image: torch.Tensor, _index: int) -> torch.Tensor:
        for change in self.changes:
            image = change(image)
        return image


@dataclass(frozen=True, slots=True)
class _Noise:
    std: float

    def __call__(self, image: torch.Tensor, index: int) -> torch.Tensor:
        return distortions.noise(image, self.std, torch.Generator().manual_seed(index))


def _fixed(name: str, family: str, *changes: Change) -> Condition:
    return Condition(name, family, _Fixed(changes))


def _blur(sigma_px: float) -> Change:
    return partial(distortions.blur, sigma_px=sigma_px)


def _jpeg(quality: int) -> Change:
    return partial(distortions.jpeg, quality=quality)


def _resolution(side_px: int) -> Change:
    return partial(distortions.resolution, side_px=side_px)


def _gamma(exponent: float) -> Change:
    return partial(distortions.gamma, exponent=exponent)


def _crop(share: float) -> Change:
    return partial(distortions.border_crop, left=share, right=share, top=share, bottom=share)


#: Lengths are in pixels of the network's image: a resolution that is not below its side
#: changes nothing. Those of the packaged models have 224.
CONDITIONS: Final[tuple[Condition, ...]] = (
    _fixed("clean", "clean"),
    *(_fixed(f"blur, sigma {sigma:g} px", "blur", _blur(sigma)) for sigma in (0.5, 1, 2)),
    *(_fixed(f"JPEG, quality {quality}", "jpeg", _jpeg(quality)) for quality in (90, 70, 50, 30)),
    *(
        _fixed(f"resolution {side} px", "resolution", _resolution(side))
        for side in (192, 160, 128, 96)
    ),
    *(
        _fixed(f"gamma {exponent:g}", "gamma", _gamma(exponent))
        for exponent in (0.7, 0.85, 1.2, 1.4)
    ),
    *(
        _fixed(f"contrast × {factor:g}", "contrast", partial(distortions.contrast, factor=factor))
        for factor in (0.7, 0.85, 1.2, 1.4)
    ),
    *(
        _fixed(
            f"brightness {'+' if offset > 0 else '−'} {abs(offset):g}",
            "brightness",
            partial(distortions.brightness, offset=offset),
        )
        for offset in (-0.1, 0.1)
    ),
    *(Condition(f"noise, std {std:g}", "noise", _Noise(std)) for std in (0.02, 0.05)),
    *(
        _fixed(f"border crop {share:.0%} of each side", "border_crop", _crop(share))
        for share in (0.05, 0.1)
    ),
    *(
        _fixed(
            f"border erase {share:.0%} of each side",
            "border_erase",
            partial(distortions.border_erase, width=share),
        )
        for share in (0.05, 0.1)
    ),
    _fixed("blur, sigma 1 px; JPEG, quality 50", "combination", _blur(1.0), _jpeg(50)),
    _fixed(
        "border crop 5%, gamma 0.7, resolution 128 px",
        "combination",
        _crop(0.05),
        _gamma(0.7),
        _resolution(128),
    ),
)
