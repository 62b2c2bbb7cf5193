"""Distortions of a radiograph, each with a given strength: pure functions of tensors.

All take and return float32 ``[1, S, S]`` in 0..1, air dark; none changes its argument. Random
transforms (``augment.py``) draw their strengths, robustness tables (``shifts.py``) fix them.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

#: A Gaussian is cut off at so many standard deviations, as scipy.ndimage does.
_TRUNCATE: Final = 4.0
_LARGEST_GREY: Final = 255.0


@dataclass(frozen=True, slots=True)
class Warp:
    """A change of geometry, in this order: crop, flip, zoom, rotate, shift.

    Attributes
    ----------
    rotation_degrees
        About the centre; positive is counterclockwise.
    zoom
        Factor along x and y; 1.1 shows the chest a tenth larger.
    shift
        Along x (to the right) and y (down), as a share of the side.
    flip
        Left-right.
    crop
        Shares of the side that are cut off at the left, right, top and bottom, rounded to
        whole pixels; what is left is stretched to the whole square.
    """

    rotation_degrees: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    crop: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def resamples(self) -> bool:
        """Whether pixels come to lie between those of the image."""
        return (self.rotation_degrees, self.zoom, self.shift) != (0.0, (1.0, 1.0), (0.0, 0.0)) or (
            any(self.crop)
        )


def warp(image: torch.Tensor, change: Warp) -> torch.Tensor:
    """Change the geometry with one bilinear resampling; air comes in from outside.

    The same as torch's ``affine_grid`` and ``grid_sample``; the grid, a sum of a row and a
    column, is made here, in a tenth of the time.
    """
    # Cropped as a view, so that what is cut off cannot come back at a corner that is turned in.
    cropped = _cut(image, change.crop)
    if change.flip:
        cropped = cropped.flip(-1)
    if not change.resamples:
        return cropped
    rows, columns = image.shape[-2:]
    (xx, xy, x0), (yx, yy, y0) = inverse_map(change)
    x = (torch.arange(columns) * 2 + 1) / columns - 1
    y = (torch.arange(rows) * 2 + 1) / rows - 1
    grid = torch.empty(1, rows, columns, 2)
    torch.add((x * xx)[None], (y * xy + x0)[:, None], out=grid[0, ..., 0])
    torch.add((x * yx)[None], (y * yy + y0)[:, None], out=grid[0, ..., 1])
    sampled = functional.grid_sample(
        cropped[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return sampled[0].clamp_(0.0, 1.0)


def inverse_map(change: Warp) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return where a pixel of the result comes from: two rows of an affine matrix.

    Coordinates run from -1 to 1 over what crop and flip have left, as in torch's
    ``affine_grid`` without ``align_corners``.
    """
    angle = math.radians(change.rotation_degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    # With y downward, a counterclockwise turn is undone by this matrix.
    turn = ((cosine, -sine), (sine, cosine))
    dx, dy = 2 * change.shift[0], 2 * change.shift[1]
    first, second = (
        (a / zoom, b / zoom, -(a * dx + b * dy) / zoom)
        for (a, b), zoom in zip(turn, change.zoom, strict=True)
    )
    return first, second


def border_crop(
    image: torch.Tensor, left: float, right: float, top: float, bottom: float
) -> torch.Tensor:
    """Cut shares of the side off each edge, in whole pixels, and enlarge to the old size."""
    cropped = _cut(image, (left, right, top, bottom))
    if cropped.shape == image.shape:
        return image
    return _resized(cropped, tuple(image.shape[-2:]))


def gamma(image: torch.Tensor, exponent: float) -> torch.Tensor:
    """Raise to a power; above 1 darkens the middle grey levels."""
    if exponent == 1.0:
        return image
    # A third of the time of torch.pow; log(0) = -inf comes back as 0.
    return image.log().mul_(exponent).exp_().clamp_(0.0, 1.0)


def contrast(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Scale the difference to the image's mean; below 1 is flatter."""
    if factor == 1.0:
        return image
    return torch.lerp(image.mean(), image, factor).clamp_(0.0, 1.0)


def brightness(image: torch.Tensor, offset: float) -> torch.Tensor:
    """Add an offset."""
    if offset == 0.0:
        return image
    return (image + offset).clamp_(0.0, 1.0)


def blur(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Convolve with a Gaussian; the edge pixels go on beyond the edge.

    As ``scipy.ndimage.gaussian_filter(mode="nearest")``.
    """
    radius = int(_TRUNCATE * sigma_px + 0.5)
    if radius == 0:
        return image
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma_px) ** 2)
    weights /= weights[0] + 2.0 * weights[1:].sum()
    half = weights.tolist()
    padded = functional.pad(image, (0, 0, radius, radius), mode="replicate")
    along_y = _convolve(padded, half, dimension=1)
    padded = functional.pad(along_y, (radius, radius, 0, 0), mode="replicate")
    return _convolve(padded, half, dimension=2).clamp_(0.0, 1.0)


def unsharp(image: torch.Tensor, sigma_px: float, amount: float) -> torch.Tensor:
    """Sharpen: add so many times what a Gaussian of that width takes away."""
    if amount == 0.0:
        return image
    return torch.lerp(blur(image, sigma_px), image, 1.0 + amount).clamp_(0.0, 1.0)


def resolution(image: torch.Tensor, side_px: int) -> torch.Tensor:
    """Reduce to a side and enlarge again, as an image that was stored small.

    Both with the interpolation of preprocessing. A side that is not below that of the image
    leaves it as it is.
    """
    size = tuple(image.shape[-2:])
    if side_px >= min(size):
        return image
    return _resized(_resized(image, (side_px, side_px)), size)


def jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    """Encode as 8-bit grey JPEG and decode.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    quality
        1..95, as libjpeg counts it.
    """
    grey = (image[0] * _LARGEST_GREY).round_().to(torch.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey.numpy()).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        pixels = np.asarray(decoded, dtype=np.float32)
    return torch.from_numpy(pixels / np.float32(_LARGEST_GREY))[None]


def border_erase(
    image: torch.Tensor, width: float, fill: Literal["air", "mean"] = "air"
) -> torch.Tensor:
    """Paint a frame over the border.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    width
        Of the frame, as a share of the side, rounded to whole pixels.
    fill
        0, or the mean of the image.
    """
    rows, columns = image.shape[-2:]
    x, y = round(width * columns), round(width * rows)
    if x == y == 0:
        return image
    value = float(image.mean()) if fill == "mean" else 0.0
    framed = torch.full_like(image, value)
    inside = (..., slice(y, rows - y), slice(x, columns - x))
    framed[inside] = image[inside]
    return framed


def noise(image: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise from a generator."""
    if std == 0.0:
        return image
    grain = torch.randn(image.shape, generator=generator, dtype=image.dtype)
    return torch.add(image, grain, alpha=std).clamp_(0.0, 1.0)


def _cut(image: torch.Tensor, shares: tuple[float, float, float, float]) -> torch.Tensor:
    rows, columns = image.shape[-2:]
    left, right = (round(share * columns) for share in shares[:2])
    top, bottom = (round(share * rows) for share in shares[2:])
    if left + right >= columns or top + bottom >= rows:
        message = f"crop {shares} leaves nothing"
        raise ValueError(message)
    return image[..., top : rows - bottom, left : columns - right]


def _resized(image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    resized = functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)
    return resized[0].clamp_(0.0, 1.0)


def _convolve(padded: torch.Tensor, half: list[float], *, dimension: int) -> torch.Tensor:
    """Convolve along one axis with a symmetric kernel, given from its centre outward.

    Sums of shifted views: for one channel half the time of torch's convolution or less.
    """
    radius = len(half) - 1
    length = padded.shape[dimension] - 2 * radius
    total = padded.narrow(dimension, radius, length) * half[0]
    for distance, weight in enumerate(half[1:], start=1):
        before = padded.narrow(dimension, radius - distance, length)
        after = padded.narrow(dimension, radius + distance, length)
        total.add_(before + after, alpha=weight)
    return total
