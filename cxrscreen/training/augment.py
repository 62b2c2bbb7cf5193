"""Random transforms of training images, each switched by its strength in the config.

The distortions of ``distortions.py`` as MONAI transforms. MONAI's own would be four times
slower as a whole: its affine map ten times, its blur three times.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform, Randomizable, RandomizableTransform, Transform

from cxrscreen.config import AugmentConfig
from cxrscreen.training import appearance, distortions
from cxrscreen.training.appearance import Appearance
from cxrscreen.training.draws import (
    Draw,
    LogUniform,
    Uniform,
    UniformDonor,
    UniformFrame,
    UniformInteger,
    UniformMargins,
    UniformNoise,
    UniformWarp,
)

Sample = Mapping[Hashable, Any]

#: Pillow's scale of JPEG quality ends in earnest here.
BEST_JPEG_QUALITY: Final = 95
_KEYS: Final = ("image",)
#: The label of an image on which the lungs cannot be seen.
_NEITHER: Final = 0.5
_LARGEST_SEED: Final = 2**32


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


class RandomLungsErasedd(RandomDistortiond):
    """Paint over the lungs of an image and make its label 0.5.

    What is left, the border, must tell nothing of the disease: a network that calls it either
    is corrected.
    """

    def __call__(self, data: Sample) -> dict[Hashable, Any]:
        """Return the sample; where it was painted over, with its label between the classes."""
        sample = super().__call__(data)
        if self.strength is not None and "label" in sample:
            sample["label"] = torch.full_like(sample["label"], _NEITHER)
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


def random_transforms(
    config: AugmentConfig, *, size_px: int, donors: Sequence[Appearance] = ()
) -> list[Transform]:
    """Return the MONAI transforms for ``[1, S, S]`` images in 0..1, under the key ``image``.

    One :class:`RandomChaind` with every transform that is switched on, or none.

    Parameters
    ----------
    config
        Strengths; zero switches a transform off.
    size_px
        Side ``S`` of the images.
    donors
        Appearances of the training images, for what is exchanged with them.
    """
    steps = tuple(random_steps(config, size_px=size_px, donors=donors))
    return [RandomChaind(steps)] if steps else []


def needs_donors(config: AugmentConfig) -> bool:
    """Return whether images take something from other ones."""
    return config.probability > 0 and bool(config.grey_level_exchange or config.sharpness_exchange)


def random_steps(
    config: AugmentConfig, *, size_px: int, donors: Sequence[Appearance] = ()
) -> Iterator[RandomDistortiond]:
    """Yield the transforms that are switched on, in the order in which an image comes about.

    Geometry first, then grey levels, sharpness and size, and JPEG compression behind all that
    it compresses. The frame is erased last: with what the others left at the border.

    Parameters
    ----------
    config, size_px, donors
        As in :func:`random_transforms`. ``resolution_px`` that is not below the side changes
        nothing and is left out, and so is an exchange without donors.
    """
    geometry = UniformWarp(config)
    if geometry.extremes:
        yield RandomDistortiond(
            _KEYS, name="geometry", distort=distortions.warp, draw=geometry, prob=1.0
        )
    for name, wanted, distort, draw in (
        *_of_grey_levels(config, donors),
        *_of_sharpness(config, size_px, donors),
        (
            "border_erase",
            config.border_erase_fraction > 0,
            distortions.border_erase,
            UniformFrame(config.border_erase_fraction),
        ),
    ):
        if wanted and config.probability > 0:
            yield RandomDistortiond(
                _KEYS, name=name, distort=distort, draw=draw, prob=config.probability
            )
    if config.lungs_erased > 0:
        yield RandomLungsErasedd(
            _KEYS,
            name="lungs_erased",
            distort=distortions.middle_erase,
            draw=UniformMargins(),
            prob=config.lungs_erased,
        )


_ByChance = tuple[str, bool, Callable[..., torch.Tensor], Draw]


def _of_grey_levels(config: AugmentConfig, donors: Sequence[Appearance]) -> Iterator[_ByChance]:
    offset = config.brightness
    yield (
        "grey_level_exchange",
        bool(donors) and config.grey_level_exchange > 0,
        appearance.grey_levels_of,
        UniformDonor(donors, config.grey_level_exchange),
    )
    yield (
        "gamma",
        config.gamma_range != (1.0, 1.0),
        distortions.gamma,
        LogUniform(*config.gamma_range),
    )
    yield (
        "contrast",
        config.contrast_range != (1.0, 1.0),
        distortions.contrast,
        LogUniform(*config.contrast_range),
    )
    yield (
        "brightness",
        offset > 0,
        distortions.brightness,
        Uniform(-offset, offset, strongest=(-offset, offset)),
    )


def _of_sharpness(
    config: AugmentConfig, size_px: int, donors: Sequence[Appearance]
) -> Iterator[_ByChance]:
    sigma = config.blur_sigma_px
    yield (
        "sharpness_exchange",
        bool(donors) and config.sharpness_exchange > 0,
        appearance.sharpness_of,
        UniformDonor(donors, config.sharpness_exchange),
    )
    yield "blur", sigma > 0, distortions.blur, Uniform(0.0, sigma, strongest=(sigma,))
    yield (
        "resolution",
        0 < config.resolution_px < size_px,
        distortions.resolution,
        UniformInteger(config.resolution_px, size_px - 1),
    )
    yield "noise", config.noise_std > 0, distortions.seeded_noise, UniformNoise(config.noise_std)
    yield (
        "jpeg",
        config.jpeg_quality > 0,
        distortions.jpeg,
        UniformInteger(config.jpeg_quality, BEST_JPEG_QUALITY),
    )
