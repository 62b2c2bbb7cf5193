"""Distributions of the strengths of random transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from cxrscreen.config import AugmentConfig
from cxrscreen.training.appearance import Appearance
from cxrscreen.training.distortions import Warp

#: Margins that are left where lungs are painted over, as shares of the side: the lungs of a
#: frontal radiograph lie within the widest.
_MARGINS: Final = (0.02, 0.14)
_LARGEST_SEED: Final = 2**31


class Draw(Protocol):
    """A distribution of the strengths of one distortion."""

    def __call__(self, random: np.random.RandomState) -> tuple[Any, ...]:
        """Return the arguments that follow the image."""

    @property
    def extremes(self) -> tuple[tuple[Any, ...], ...]:
        """The strongest of them, one for each direction."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Equally likely numbers of an interval; ``strongest`` are the ends that count."""

    low: float
    high: float
    strongest: tuple[float, ...]

    def __call__(self, random: np.random.RandomState) -> tuple[float]:
        """Draw one."""
        return (random.uniform(self.low, self.high),)

    @property
    def extremes(self) -> tuple[tuple[float], ...]:
        """Each as a tuple of arguments."""
        return tuple((end,) for end in self.strongest)


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Factors; halving is as likely as doubling."""

    low: float
    high: float

    def __call__(self, random: np.random.RandomState) -> tuple[float]:
        """Draw one."""
        return (math.exp(random.uniform(math.log(self.low), math.log(self.high))),)

    @property
    def extremes(self) -> tuple[tuple[float], ...]:
        """Both ends, but for one that changes nothing."""
        return tuple((end,) for end in (self.low, self.high) if end != 1.0)


@dataclass(frozen=True, slots=True)
class UniformInteger:
    """Equally likely whole numbers, both ends included; the lowest is the strongest."""

    low: int
    high: int

    def __call__(self, random: np.random.RandomState) -> tuple[int]:
        """Draw one."""
        return (int(random.randint(self.low, self.high + 1)),)

    @property
    def extremes(self) -> tuple[tuple[int], ...]:
        """The lowest."""
        return ((self.low,),)


@dataclass(frozen=True, slots=True)
class UniformFrame:
    """Frames up to a width, of air or of the image's mean, equally likely."""

    widest: float

    def __call__(self, random: np.random.RandomState) -> tuple[float, Literal["air", "mean"]]:
        """Draw one."""
        width = random.uniform(0.0, self.widest)
        return width, "mean" if random.randint(2) else "air"

    @property
    def extremes(self) -> tuple[tuple[float, Literal["air", "mean"]], ...]:
        """The widest, of air and of the mean."""
        return (self.widest, "air"), (self.widest, "mean")


@dataclass(frozen=True, slots=True)
class UniformWarp:
    """Changes of geometry as a configuration bounds them."""

    config: AugmentConfig

    def __call__(self, random: np.random.RandomState) -> tuple[Warp]:
        """Draw one."""
        config = self.config
        degrees, zoom = config.rotation_degrees, config.zoom_fraction
        shift = config.shift_fraction
        # Each axis by itself, which also stretches the chest a little, as squashing radiographs
        # of any shape to a square does.
        turn, zoom_x, zoom_y, shift_x, shift_y = random.uniform(-1.0, 1.0, 5).tolist()
        chance, *edges = random.uniform(0.0, 1.0, 5).tolist()
        left, right, top, bottom = (config.border_crop_fraction * edge for edge in edges)
        return (
            Warp(
                rotation_degrees=degrees * turn,
                zoom=(1.0 + zoom * zoom_x, 1.0 + zoom * zoom_y),
                shift=(shift * shift_x, shift * shift_y),
                flip=chance < config.horizontal_flip,
                crop=(left, right, top, bottom),
            ),
        )

    @property
    def extremes(self) -> tuple[tuple[Warp], ...]:
        """Each switched-on part by itself."""
        config = self.config
        found: list[Warp] = []
        if config.rotation_degrees > 0:
            found.append(Warp(rotation_degrees=config.rotation_degrees))
        if config.zoom_fraction > 0:
            low, high = 1.0 - config.zoom_fraction, 1.0 + config.zoom_fraction
            found += [Warp(zoom=(high, high)), Warp(zoom=(low, low))]
        if config.shift_fraction > 0:
            found.append(Warp(shift=(config.shift_fraction, config.shift_fraction)))
        if config.horizontal_flip > 0:
            found.append(Warp(flip=True))
        if config.border_crop_fraction > 0:
            share = config.border_crop_fraction
            found.append(Warp(crop=(share, share, share, share)))
        return tuple((warp,) for warp in found)


@dataclass(frozen=True, slots=True, eq=False)
class UniformDonor:
    """Another image, each equally likely, and a share up to the largest."""

    donors: Sequence[Appearance]
    largest: float

    def __call__(self, random: np.random.RandomState) -> tuple[Appearance, float]:
        """Draw one."""
        donor = self.donors[random.randint(len(self.donors))]
        return donor, random.uniform(0.0, self.largest)

    @property
    def extremes(self) -> tuple[tuple[Appearance, float], ...]:
        """The dimmest and the brightest donor, which differ in sharpness, too."""
        ordered = sorted(self.donors, key=lambda donor: float(donor.quantiles.mean()))
        return (ordered[0], self.largest), (ordered[-1], self.largest)


@dataclass(frozen=True, slots=True)
class UniformMargins:
    """Margins of each side, and the grey of what lies between."""

    def __call__(
        self, random: np.random.RandomState
    ) -> tuple[tuple[float, float, float, float], float]:
        """Draw one."""
        left, right, top, bottom = random.uniform(*_MARGINS, 4).tolist()
        return (left, right, top, bottom), random.uniform(0.0, 1.0)

    @property
    def extremes(self) -> tuple[tuple[tuple[float, float, float, float], float], ...]:
        """The widest."""
        widest = _MARGINS[1]
        return (((widest, widest, widest, widest), 0.5),)


@dataclass(frozen=True, slots=True)
class UniformNoise:
    """A standard deviation up to the largest, and a seed."""

    largest: float

    def __call__(self, random: np.random.RandomState) -> tuple[float, int]:
        """Draw one."""
        return random.uniform(0.0, self.largest), int(random.randint(_LARGEST_SEED))

    @property
    def extremes(self) -> tuple[tuple[float, int], ...]:
        """The largest."""
        return ((self.largest, 0),)
