"""Primitives of drawn images: chords through solids, noise fields, grey scales.

All are drawn on the square from -1 to 1, x to the right and y downward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    #: One recipe of drawn images, float64 ``[SIDE, SIDE]`` in 0..1.
    Draw = Callable[[np.random.Generator], Array]

#: Side of a drawn image in pixels.
SIDE = 192


@cache
def grid() -> tuple[Array, Array]:
    """Return x and y of every pixel, float64 ``[SIDE, SIDE]`` in -1..1."""
    line = (np.arange(SIDE) + 0.5) / SIDE * 2.0 - 1.0
    y, x = np.meshgrid(line, line, indexing="ij")
    return x, y


@dataclass(frozen=True)
class Point:
    """A point of the square."""

    x: float
    y: float

    def toward(self, angle: float, length: float) -> Point:
        """Return the point at a distance; angle in radians from the x axis, downward."""
        return Point(self.x + length * float(np.cos(angle)), self.y + length * float(np.sin(angle)))


def capsule(start: Point, end: Point, radius: tuple[float, float]) -> Array:
    """Return the chord through a tapered rod with round ends."""
    x, y = grid()
    along_x, along_y = end.x - start.x, end.y - start.y
    length = max(along_x**2 + along_y**2, 1e-6)
    share = np.clip(((x - start.x) * along_x + (y - start.y) * along_y) / length, 0.0, 1.0)
    away = (x - start.x - share * along_x) ** 2 + (y - start.y - share * along_y) ** 2
    thick = radius[0] + (radius[1] - radius[0]) * share
    return np.asarray(2.0 * np.sqrt(np.maximum(thick**2 - away, 0.0)))


def ellipsoid(centre: Point, axes: tuple[float, float], angle: float = 0.0) -> Array:
    """Return the chord through an ellipsoid of depth 1 in its middle."""
    x, y = grid()
    cos, sin = np.cos(angle), np.sin(angle)
    along = ((x - centre.x) * cos + (y - centre.y) * sin) / axes[0]
    across = (-(x - centre.x) * sin + (y - centre.y) * cos) / axes[1]
    return np.asarray(np.sqrt(np.maximum(1.0 - along**2 - across**2, 0.0)))


def shell(centre: Point, axes: tuple[float, float], wall: float, angle: float = 0.0) -> Array:
    """Return the chord through a hollow ellipsoid: bright at its rim."""
    inner = (max(axes[0] - wall, 1e-3), max(axes[1] - wall, 1e-3))
    hollow = ellipsoid(centre, inner, angle) * min(inner[0] / axes[0], inner[1] / axes[1])
    return np.asarray(np.maximum(ellipsoid(centre, axes, angle) - hollow, 0.0))


def bone(start: Point, end: Point, radius: float, flare: float = 1.4) -> Array:
    """Return a hollow shaft with thicker ends."""
    shaft = capsule(start, end, (radius, radius)) - 0.75 * capsule(
        start, end, (0.6 * radius, 0.6 * radius)
    )
    size = flare * radius
    ends = ellipsoid(start, (size, size)) + ellipsoid(end, (size, size))
    return np.asarray(np.maximum(shaft, 1.3 * radius * ends))


def chance(rng: np.random.Generator, share: float) -> bool:
    """Return true in a share of the cases."""
    return bool(rng.random() < share)


def field(rng: np.random.Generator, knots: int) -> Array:
    """Return a smooth random field of standard deviation about 1."""
    coarse = rng.standard_normal((knots, knots))
    smooth = zoom(coarse, SIDE / knots, order=1, mode="nearest", grid_mode=True)
    return np.asarray(gaussian_filter(smooth[:SIDE, :SIDE], SIDE / knots / 3.0))


def spectral_noise(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> Array:
    """Return noise whose amplitude falls with frequency as ``f ** -slope``, 0..1."""
    vertical = np.fft.fftfreq(SIDE)[:, None] * stretch
    horizontal = np.fft.rfftfreq(SIDE)[None, :] / stretch
    frequency = np.hypot(vertical, horizontal)
    frequency[0, 0] = 1.0
    spectrum = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
    return stretched(np.fft.irfft2(spectrum * frequency**-slope, s=(SIDE, SIDE)))


def stretched(image: Array) -> Array:
    """Return an image with its 1st and 99th percentile at 0 and 1."""
    low, high = np.percentile(image, (1.0, 99.0))
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), 0.0, 1.0))


def exposed(attenuation: Array, rng: np.random.Generator) -> Array:
    """Return the radiograph of an attenuation map: scatter, noise, grey scale, blur.

    Parameters
    ----------
    attenuation
        Line integrals, at least 0; any scale.

    Returns
    -------
    ndarray of float64
        Grey values 0..1, air dark.
    """
    uneven = attenuation * (1.0 + 0.08 * field(rng, int(rng.integers(3, 24))))
    veil = gaussian_filter(uneven, rng.uniform(10.0, 30.0)) * rng.uniform(0.0, 0.3)
    image = stretched(gaussian_filter(uneven + veil, rng.uniform(0.3, 1.2)))
    image = image ** rng.uniform(0.5, 1.6)
    grain = rng.standard_normal(image.shape) * rng.uniform(0.0, 0.04)
    return np.asarray(np.clip(image + grain, 0.0, 1.0))
