"""Random transforms of training images, each switched by its strength in the config."""

from __future__ import annotations

import math

from monai.transforms.intensity.dictionary import RandAdjustContrastd, RandGaussianSmoothd
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd
from monai.transforms.transform import Transform
from monai.transforms.utility.dictionary import EnsureTyped

from cxrscreen.config import AugmentConfig

_KEYS = ("image",)
_HALF = 0.5


def random_transforms(config: AugmentConfig, *, size_px: int) -> list[Transform]:
    """Return the MONAI transforms for ``[1, S, S]`` images in 0..1.

    Rotation, zoom and shift are one affine map, so that the image is resampled once.

    Parameters
    ----------
    config
        Strengths; zero switches a transform off.
    size_px
        Side ``S`` of the images, to turn ``shift_fraction`` into pixels.
    """
    transforms: list[Transform] = []
    if config.horizontal_flip > 0:
        transforms.append(RandFlipd(_KEYS, prob=config.horizontal_flip, spatial_axis=1))
    if config.rotation_degrees or config.zoom_fraction or config.shift_fraction:
        angle = math.radians(config.rotation_degrees)
        zoom, shift = config.zoom_fraction, config.shift_fraction * size_px
        transforms.append(
            RandAffined(
                _KEYS,
                prob=1.0,
                rotate_range=(-angle, angle),
                # One range for both axes: they are drawn independently, which also stretches
                # the chest a little, as squashing radiographs of any shape to a square does.
                scale_range=((-zoom, zoom), (-zoom, zoom)),
                translate_range=((-shift, shift), (-shift, shift)),
                mode="bilinear",
                padding_mode="zeros",
            )
        )
    if config.gamma_range != (1.0, 1.0):
        transforms.append(RandAdjustContrastd(_KEYS, prob=_HALF, gamma=config.gamma_range))
    if config.blur_sigma_px > 0:
        sigma = (0.0, config.blur_sigma_px)
        transforms.append(RandGaussianSmoothd(_KEYS, prob=_HALF, sigma_x=sigma, sigma_y=sigma))
    # The affine map adds metadata to its tensor; what follows wants a plain one.
    transforms.append(EnsureTyped(_KEYS, track_meta=False))
    return transforms
