"""Random transforms of training images, each switched by its strength in the config.

The distortions of ``distortions.py`` as MONAI transforms. MONAI's own would be four times
slower as a whole: its affine map ten times, its blur three times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, Self

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform, Randomizable, RandomizableTransform, Transform

from cxrscreen.config import AugmentConfig
from cxrscreen.training import distortions
from cxrscreen.training.distortions import Warp

Sample = Mapping[Hashable, Any]

#: Pillow's scale of JPEG quality ends in earnest here.
BEST_JPEG_QUALITY: Final = 95
_KEYS: Final = ("image",)
_LARGEST_SEED: Final = 2**32


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


class RandomDistortiond(RandomizableTransform, MapTransform):
    """One distortion of ``[1, S, S]`` images in 0..1, with a chance and a random strength.

    Parameters
    ----------
    keys
        Of the images.
    name
        Of the distortion, for who looks at ``strength``.
    distort
        The distortion.
    draw
        Its strengths.
    prob
        Chance of being applied, 0..1.

    Attributes
    ----------
    strength
        What was drawn last; None where the image was left as it is.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        name: str,
        distort: Callable[..., torch.Tensor],
        draw: Draw,
        prob: float,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.name = name
        self.distort = distort
        self.draw = draw
        self.strength: tuple[Any, ...] | None = None

    def randomize(self, data: object = None) -> None:
        """Draw whether, and how strong."""
        super().randomize(data)
        self.strength = self.draw(self.R) if self._do_transform else None

    def __call__(self, data: Sample) -> dict[Hashable, Any]:
        """Return the sample with its images distorted, all alike."""
        sample = dict(data)
        self.randomize()
        if self.strength is not None:
            for key in self.key_iterator(sample):
                sample[key] = self.distort(sample[key], *self.strength)
        return sample


class RandomChaind(Randomizable, Transform):
    """Random transforms in a row that draw from one stream of random numbers.

    Seeding each of them by itself, as ``Compose`` does, takes MONAI longer than the
    transforms take; here it takes microseconds, so that a loader may seed each sample.

    Parameters
    ----------
    steps
        In order.
    """

    def __init__(self, steps: Sequence[RandomDistortiond]) -> None:
        self.steps = tuple(steps)
        # Not the stream of the class, which every transform of MONAI shares until it is seeded.
        self._own = np.random.RandomState()
        self._share(self._own)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> Self:
        """Begin the stream anew.

        Parameters
        ----------
        seed
            Non-negative; taken modulo 2**32 as MONAI does. Without one, and without a state,
            the stream begins somewhere.
        state
            A stream to draw from.
        """
        if seed is None and state is not None:
            self._share(state)
        else:
            # In place: a new RandomState takes many times as long.
            self._own.seed(None if seed is None else int(seed) % _LARGEST_SEED)
            self._share(self._own)
        return self

    def randomize(self, data: object = None) -> None:
        """Do nothing: each step draws when its turn comes."""

    def __call__(self, data: Sample) -> dict[Hashable, Any]:
        """Return the sample with every step applied to it, or left out by chance."""
        sample = dict(data)
        for step in self.steps:
            sample = step(sample)
        return sample

    def _share(self, state: np.random.RandomState) -> None:
        self.R = state
        for step in self.steps:
            step.set_random_state(state=state)


def random_transforms(config: AugmentConfig, *, size_px: int) -> list[Transform]:
    """Return the MONAI transforms for ``[1, S, S]`` images in 0..1, under the key ``image``.

    One :class:`RandomChaind` with every transform that is switched on, or none.

    Parameters
    ----------
    config
        Strengths; zero switches a transform off.
    size_px
        Side ``S`` of the images.
    """
    steps = tuple(random_steps(config, size_px=size_px))
    return [RandomChaind(steps)] if steps else []


def random_steps(config: AugmentConfig, *, size_px: int) -> Iterator[RandomDistortiond]:
    """Yield the transforms that are switched on, in the order in which an image comes about.

    Geometry first, then grey levels, sharpness and size, and JPEG compression behind all that
    it compresses. The frame is erased last: with what the others left at the border.

    Parameters
    ----------
    config, size_px
        As in :func:`random_transforms`. ``resolution_px`` that is not below the side changes
        nothing and is left out.
    """
    geometry = UniformWarp(config)
    if geometry.extremes:
        yield RandomDistortiond(
            _KEYS, name="geometry", distort=distortions.warp, draw=geometry, prob=1.0
        )
    offset, sigma = config.brightness, config.blur_sigma_px
    by_chance: list[tuple[str, bool, Callable[..., torch.Tensor], Draw]] = [
        (
            "gamma",
            config.gamma_range != (1.0, 1.0),
            distortions.gamma,
            LogUniform(*config.gamma_range),
        ),
        (
            "contrast",
            config.contrast_range != (1.0, 1.0),
            distortions.contrast,
            LogUniform(*config.contrast_range),
        ),
        (
            "brightness",
            offset > 0,
            distortions.brightness,
            Uniform(-offset, offset, strongest=(-offset, offset)),
        ),
        ("blur", sigma > 0, distortions.blur, Uniform(0.0, sigma, strongest=(sigma,))),
        (
            "resolution",
            0 < config.resolution_px < size_px,
            distortions.resolution,
            UniformInteger(config.resolution_px, size_px - 1),
        ),
        (
            "jpeg",
            config.jpeg_quality > 0,
            distortions.jpeg,
            UniformInteger(config.jpeg_quality, BEST_JPEG_QUALITY),
        ),
        (
            "border_erase",
            config.border_erase_fraction > 0,
            distortions.border_erase,
            UniformFrame(config.border_erase_fraction),
        ),
    ]
    for name, wanted, distort, draw in by_chance:
        if wanted and config.probability > 0:
            yield RandomDistortiond(
                _KEYS, name=name, distort=distort, draw=draw, prob=config.probability
            )
