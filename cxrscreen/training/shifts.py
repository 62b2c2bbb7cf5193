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

from cxrscreen.training import cues, distortions
from cxrscreen.training.distortions import Warp

Change = Callable[[torch.Tensor], torch.Tensor]

#: The family of :data:`DIAGNOSTICS`.
DIAGNOSTIC: Final = "diagnostic"

#: Outside of this share of each side lies no lung in a frontal chest radiograph that shows both
#: lungs whole; markers, collimation, arms and the table lie there.
FRAME_SHARE: Final = 0.08


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


def _unsharp(sigma_px: float, amount: float) -> Change:
    return partial(distortions.unsharp, sigma_px=sigma_px, amount=amount)


def _warp(name: str, change: Warp) -> Condition:
    return _fixed(name, "geometry", partial(distortions.warp, change=change))


def _crop(share: float) -> Change:
    return partial(distortions.border_crop, left=share, right=share, top=share, bottom=share)


def _grey_frame(share: float) -> Change:
    return partial(distortions.border_erase, width=share, fill="mean")


#: Lengths are in pixels of the network's image: a resolution that is not below its side
#: changes nothing. Those of the packaged models have 224.
CONDITIONS: Final[tuple[Condition, ...]] = (
    _fixed("clean", "clean"),
    *(_fixed(f"blur, sigma {sigma:g} px", "blur", _blur(sigma)) for sigma in (0.5, 1, 2)),
    *(
        _fixed(f"sharpened × {1 + amount:g}", "unsharp", _unsharp(1.0, amount))
        for amount in (0.5, 1, 2)
    ),
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
    _fixed("equalised", "equalisation", cues.equalised),
    _fixed("equalised in tiles (CLAHE)", "equalisation", cues.clahe),
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
    _fixed("outer 15% painted grey", "border_erase", _grey_frame(0.15)),
    *(_warp(f"zoom × {zoom:g}", Warp(zoom=(zoom, zoom))) for zoom in (0.9, 1.1, 1.2)),
    _warp("15% wider", Warp(zoom=(1.15, 1.0))),
    _warp("15% higher", Warp(zoom=(1.0, 1.15))),
    _warp("shifted by 5% to the right and down", Warp(shift=(0.05, 0.05))),
    *(_warp(f"turned by {angle}°", Warp(rotation_degrees=angle)) for angle in (-10, 10)),
    _fixed("blur, sigma 1 px; JPEG, quality 50", "combination", _blur(1.0), _jpeg(50)),
    _fixed(
        "border crop 5%, gamma 0.7, resolution 128 px",
        "combination",
        _crop(0.05),
        _gamma(0.7),
        _resolution(128),
    ),
)

#: Parts of the image: who tells the classes apart by the border, or by outlines of 8 pixels, goes
#: by something else than findings. They count in no mean.
DIAGNOSTICS: Final[tuple[Condition, ...]] = (
    _fixed(
        f"border only: all but the outer {FRAME_SHARE:.0%} hidden",
        DIAGNOSTIC,
        partial(cues.without_centre, width=FRAME_SHARE),
    ),
    _fixed(
        f"centre only: the outer {FRAME_SHARE:.0%} hidden",
        DIAGNOSTIC,
        partial(distortions.border_erase, width=FRAME_SHARE),
    ),
    _fixed("resolution 8 px", DIAGNOSTIC, _resolution(8)),
    _fixed("resolution 16 px", DIAGNOSTIC, _resolution(16)),
)

#: Names of the conditions that tell two models apart soonest: the worst of their families.
QUICK: Final = frozenset(
    {
        "clean",
        "blur, sigma 2 px",
        "gamma 1.4",
        "noise, std 0.05",
        "border crop 10% of each side",
        "border crop 5%, gamma 0.7, resolution 128 px",
        "sharpness beyond the other class",
        "grey levels of an image of the other class",
        "frame of the other class, 12%",
        "normal images with sharpness and levels of pneumonia",
        "sharpness, levels and frame of the other class",
        "sharpness and levels of the other class, resolution 128 px, JPEG 50",
        DIAGNOSTICS[0].name,
    }
)
