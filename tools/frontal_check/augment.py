"""Random views of images, in batches: geometry, grey scale, what lies on top.

One call of :func:`sampled` does all geometry by a single resampling: crop, zoom, stretch,
rotation, shift, mirror and warp. Grey-scale changes follow on the small result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cxrscreen.admission.frontal_network import INPUT_PX
from tools.frontal_check.shapes import chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WARP_KNOTS = 6
# Shrinking by more than this needs a blur first.
_ALIASING = 1.9


@dataclass(frozen=True)
class Window:
    """What of each image is seen, one row per image.

    Attributes
    ----------
    centre
        Middle of the view in the image, x and y in -1..1, ``[B, 2]``.
    half
        Half width and half height of the view; 1 is the whole image, ``[B, 2]``.
    angle
        Rotation in radians, ``[B]``.
    warp
        Standard deviation of the displacement at a few knots, ``[B]``.
    """

    centre: NDArray[np.float64]
    half: NDArray[np.float64]
    angle: NDArray[np.float64]
    warp: NDArray[np.float64]


def whole_window(rng: np.random.Generator, count: int) -> Window:
    """Return views as hospitals deliver them: some margin cut off, or air around."""
    half = np.exp(rng.normal(-0.02, 0.09, (count, 1)) + rng.normal(0.0, 0.07, (count, 2)))
    half = np.clip(half, 0.8, 1.3)
    padded = rng.random(count) < 0.2
    half[padded] *= rng.uniform(1.0, 1.6, (int(padded.sum()), 1))
    one_sided = rng.random(count) < 0.15
    half[one_sided, rng.integers(0, 2)] *= 1.35
    slack = np.abs(1.0 - half) + 0.04
    centre = rng.uniform(-1.0, 1.0, (count, 2)) * slack * 0.7
    angle = np.deg2rad(np.clip(rng.normal(0.0, 5.0, count), -14.0, 14.0))
    return Window(centre, half, angle, np.abs(rng.normal(0.0, 0.012, count)))


def cropped_window(rng: np.random.Generator, count: int) -> Window:
    """Return extreme crops: a corner, one lung, a band, a zoom."""
    half = np.empty((count, 2))
    centre = np.empty((count, 2))
    for row in range(count):
        kind = rng.choice((0, 1, 2, 2, 3))
        if kind == 0:  # a quarter or less, anywhere
            half[row] = rng.uniform(0.2, 0.5, 2)
        elif kind == 1:  # one side: a single lung
            half[row] = rng.uniform(0.25, 0.46), rng.uniform(0.55, 1.0)
        elif kind == 2:  # the upper or the lower part
            half[row] = rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.4)
        else:  # the middle, enlarged
            half[row] = rng.uniform(0.25, 0.5) * np.exp(rng.normal(0.0, 0.15, 2))
        reach = np.maximum(1.0 - half[row], 0.0)
        centre[row] = rng.uniform(-reach, reach)
        if kind == 1:
            centre[row, 0] = rng.choice((-1.0, 1.0)) * reach[0] * rng.uniform(0.7, 1.0)
        elif kind == 2:
            centre[row, 1] = rng.choice((-1.0, 1.0)) * reach[1] * rng.uniform(0.6, 1.0)
    return Window(centre, half, rng.normal(0.0, 0.06, count), np.zeros(count))


def any_window(rng: np.random.Generator, count: int, *, tilt: float = np.pi) -> Window:
    """Return views of what is refused in any case: any crop, zoom and rotation."""
    half = np.exp(rng.normal(-0.1, 0.3, (count, 1)) + rng.normal(0.0, 0.12, (count, 2)))
    half = np.clip(half, 0.35, 1.8)
    centre = rng.uniform(-1.0, 1.0, (count, 2)) * (np.abs(1.0 - half) * 0.8 + 0.05)
    quarter = rng.integers(0, 4, count) * (np.pi / 2) * (rng.random(count) < 0.3)
    angle = rng.uniform(-tilt, tilt, count) * (rng.random(count) < 0.5) + quarter
    angle += rng.normal(0.0, 0.05, count)
    return Window(centre, half, angle, np.abs(rng.normal(0.0, 0.03, count)))


def sampled(
    images: torch.Tensor, window: Window, rng: np.random.Generator, *, side: int = INPUT_PX
) -> torch.Tensor:
    """Resample images through their windows.

    Parameters
    ----------
    images
        float32 ``[B, S, S]`` in 0..1.

    Returns
    -------
    torch.Tensor
        float32 ``[B, side, side]``; outside the image lies black, white, grey, or its edge.
    """
    count = len(images)
    cos, sin = np.cos(window.angle), np.sin(window.angle)
    mirror = rng.choice((-1.0, 1.0), count)
    theta = np.zeros((count, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = cos * window.half[:, 0] * mirror, -sin * window.half[:, 1]
    theta[:, 1, 0], theta[:, 1, 1] = sin * window.half[:, 0] * mirror, cos * window.half[:, 1]
    theta[:, :, 2] = window.centre
    shape = (count, 1, side, side)
    places = functional.affine_grid(_tensor(theta), list(shape), align_corners=False)
    knots = (
        rng.standard_normal((count, 2, _WARP_KNOTS, _WARP_KNOTS)) * window.warp[:, None, None, None]
    )
    shift = functional.interpolate(_tensor(knots), size=(side, side), mode="bilinear")
    places = places + shift.permute(0, 2, 3, 1)
    # Half of the shrinking is left to a blur: bilinear sampling alone would alias.
    wide = torch.from_numpy(window.half.max(axis=1) * images.shape[-1] > _ALIASING * side)
    source = images
    if wide.any():
        source = images.clone()
        source[wide] = blurred(images[wide])
    seen = functional.grid_sample(
        source[:, None], places, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
    outside = _tensor((places.abs() > 1.0).any(dim=3).numpy())
    fill = rng.choice((0.0, 0.0, 0.0, 1.0, 0.5, -1.0), count)
    kept = _tensor(fill < 0.0)[:, None, None]
    level = _tensor(np.maximum(fill, 0.0))[:, None, None]
    return seen + outside * (1.0 - kept) * (level - seen)


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Return images blurred by about one pixel."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    out = functional.pad(images[:, None], (2, 2, 2, 2), mode="replicate")
    out = functional.conv2d(out, kernel.view(1, 1, 1, 5))
    return functional.conv2d(out, kernel.view(1, 1, 5, 1))[:, 0]


def regraded(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Change grey scale, shading, sharpness, resolution and noise, as devices do."""
    count = len(images)

    def rows(values: NDArray[np.float64]) -> torch.Tensor:
        return _tensor(values)[:, None, None]

    images = images.clamp(1e-4, 1.0) ** rows(np.exp(rng.normal(0.0, 0.35, count)))
    often = rng.random(count) < 0.4
    low = rng.uniform(0.0, 0.2, count) * often
    high = 1.0 - rng.uniform(0.0, 0.45, count) * (rng.random(count) < 0.3)
    images = ((images - rows(low)) / rows(high - low)).clamp(0.0, 1.0)
    bend = rng.uniform(0.0, 1.0, count) * (rng.random(count) < 0.3)
    images = images + rows(bend) * (images * images * (3.0 - 2.0 * images) - images)
    shading = functional.interpolate(
        _tensor(rng.standard_normal((count, 1, 3, 3))), size=images.shape[-2:], mode="bicubic"
    )[:, 0]
    images = images * (1.0 + rows(rng.uniform(0.0, 0.15, count)) * shading)
    images = images + rows(rng.uniform(-0.8, 1.0, count)) * (blurred(images) - images)
    coarse = functional.interpolate(
        functional.avg_pool2d(images[:, None], 2), scale_factor=2, mode="bilinear"
    )[:, 0]
    images = images + rows((rng.random(count) < 0.1).astype(float)) * (coarse - images)
    grain = rows(rng.uniform(0.0, 0.05, count) * (rng.random(count) < 0.5))
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32))
    return (images + grain * noise).clamp(0.0, 1.0)


def overlaid(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Lay markers, tubes, collimation and white patches over some images, in place."""
    side = images.shape[-1]
    line = np.linspace(-1.0, 1.0, side)
    for image in images.numpy():
        for _ in range(int(rng.integers(0, 4)) if chance(rng, 0.35) else 0):
            _mark(image, rng)
        if chance(rng, 0.12):
            _tube(image, rng)
        if chance(rng, 0.25):
            shade = rng.choice((0.0, 0.0, 0.0, 1.0, rng.random()))
            for edge in range(4):
                if chance(rng, 0.5):
                    np.rot90(image, edge)[: int(rng.integers(1, side // 9)), :] = shade
        if chance(rng, 0.2):
            # A dense lung is white; it must not make a chest something else.
            middle, width = rng.uniform(-0.7, 0.7, 2), rng.uniform(0.1, 0.5, 2)
            patch = np.exp(
                -(((line[:, None] - middle[0]) / width[0]) ** 2)
                - ((line[None, :] - middle[1]) / width[1]) ** 2
            )
            image[:] += rng.uniform(0.2, 0.9) * patch.astype(np.float32) * (0.85 - image)
        if chance(rng, 0.06):
            _slanted_border(image, rng, line)
    return images.clamp_(0.0, 1.0)


def _mark(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    side = image.shape[-1]
    height, width = int(rng.integers(2, 9)), int(rng.integers(2, 16))
    top, left = int(rng.integers(0, side - height)), int(rng.integers(0, side - width))
    shade = rng.choice((1.0, 1.0, 0.0))
    # A letter is no solid block.
    glyph = rng.random((height, width)) < rng.uniform(0.4, 1.0)
    region = image[top : top + height, left : left + width]
    region[glyph] = shade


def _tube(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    side = image.shape[-1]
    steps = np.linspace(0.0, 1.0, 2 * side)
    ends = rng.uniform(0.0, side - 1, (3, 2))
    ends[0, 0] = 0.0
    path = (
        np.outer((1 - steps) ** 2, ends[0])
        + np.outer(2 * steps * (1 - steps), ends[1])
        + np.outer(steps**2, ends[2])
    ).astype(int)
    gain = rng.uniform(0.1, 0.5) * rng.choice((1.0, 1.0, -0.5))
    image[path[:, 0], path[:, 1]] = np.clip(image[path[:, 0], path[:, 1]] + gain, 0.0, 1.0)


def _slanted_border(
    image: NDArray[np.float32], rng: np.random.Generator, line: NDArray[np.float64]
) -> None:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    across = line[None, :] * np.cos(angle) + line[:, None] * np.sin(angle)
    image[across > rng.uniform(0.9, 1.3)] = rng.choice((0.0, 0.0, 1.0))


def _tensor(values: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
