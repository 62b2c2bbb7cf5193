"""Three-dimensional solids whose line integrals along one axis are known in closed form.

Coordinates are millimetres: ``x`` to the patient's left (image right), ``y`` to the back and
``z`` upwards. A frontal ray runs along ``y`` at a fixed ``(x, z)``, a lateral ray along ``x`` at
a fixed ``(y, z)``. A ray meets a convex solid in one interval, and what remains of one interval
after others are taken away is a list of disjoint intervals, so that lung minus heart minus
diaphragm has exact lengths and crisp borders at any pixel size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.float64]
Interval = tuple[Array, Array]
View = Literal["frontal", "lateral"]
Point = tuple[float, float, float]

# Where a ray misses a solid its interval is [FAR, FAR]: empty, and last when sorted.
FAR = 1.0e6


@dataclass(frozen=True)
class Ellipsoid:
    """An axis-aligned ellipsoid, turned in the frontal plane.

    Attributes
    ----------
    centre : tuple of float
        Centre ``(x, y, z)`` in mm.
    axes : tuple of float
        Semi-axes in mm before the turn.
    turn : float
        Rotation about the ``y`` axis in radians, ``x`` towards ``z``.
    """

    centre: Point
    axes: Point
    turn: float = 0.0

    def interval(self, view: View, p: Array, z: Array) -> Interval:
        """Return where rays enter and leave the ellipsoid.

        Parameters
        ----------
        view : {"frontal", "lateral"}
            Direction of the rays.
        p : ndarray of float64
            Horizontal coordinate of each ray in mm: ``x`` in a frontal view, else ``y``.
        z : ndarray of float64
            Height of each ray in mm, same shape.

        Returns
        -------
        tuple of ndarray
            Entry and exit in mm along the ray, same shape; both ``FAR`` where it misses.
        """
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        a, b, c = self.axes
        # The quadratic form of (x, z) after the turn; y stays on its own.
        xx = (cos / a) ** 2 + (sin / c) ** 2
        zz = (sin / a) ** 2 + (cos / c) ** 2
        xz = cos * sin * (1.0 / a**2 - 1.0 / c**2)
        dz = z - self.centre[2]
        if view == "frontal":
            dx = p - self.centre[0]
            rest = 1.0 - (xx * dx**2 + 2.0 * xz * dx * dz + zz * dz**2)
            half = b * np.sqrt(np.maximum(rest, 0.0))
            middle = np.full_like(half, self.centre[1])
        else:
            rest_y = 1.0 - ((p - self.centre[1]) / b) ** 2
            shift = -xz * dz / xx
            rest = rest_y - zz * dz**2 + xx * shift**2
            half = np.sqrt(np.maximum(rest, 0.0) / xx)
            middle = self.centre[0] + shift
        miss = rest <= 0.0
        return np.where(miss, FAR, middle - half), np.where(miss, FAR, middle + half)


@dataclass(frozen=True)
class Stack:
    """Superelliptic cross-sections stacked along ``z``, interpolated between levels.

    Attributes
    ----------
    z : tuple of float
        Heights of the levels in mm, ascending.
    left, right : tuple of float
        Smallest and largest ``x`` of each level in mm.
    front, back : tuple of float
        Smallest and largest ``y`` of each level in mm.
    power : float
        Exponent of the superellipse: 2 is an ellipse, larger is boxier.
    """

    z: tuple[float, ...]
    left: tuple[float, ...]
    right: tuple[float, ...]
    front: tuple[float, ...]
    back: tuple[float, ...]
    power: float = 2.0

    def bounds(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """Return the cross-section's bounds at given heights.

        Parameters
        ----------
        z : ndarray of float64
            Heights in mm.

        Returns
        -------
        tuple of ndarray
            Left, right, front and back in mm, each of the shape of `z`, held at the end levels.
        """
        nodes = np.array((self.left, self.right, self.front, self.back)).T
        curve = PchipInterpolator(np.array(self.z), nodes)
        found = curve(np.clip(z, self.z[0], self.z[-1]))
        return found[..., 0], found[..., 1], found[..., 2], found[..., 3]

    def interval(self, view: View, p: Array, z: Array) -> Interval:
        """Return where rays enter and leave the stack; see `Ellipsoid.interval`.

        Parameters
        ----------
        view : {"frontal", "lateral"}
            Direction of the rays.
        p, z : ndarray of float64
            Horizontal coordinate and height of each ray in mm.

        Returns
        -------
        tuple of ndarray
            Entry and exit in mm, both ``FAR`` where the ray misses.
        """
        left, right, front, back = self.bounds(z)
        across = (left, right) if view == "frontal" else (front, back)
        along = (front, back) if view == "frontal" else (left, right)
        radius = np.maximum((across[1] - across[0]) / 2.0, 1.0e-6)
        rest = 1.0 - np.abs((p - (across[0] + across[1]) / 2.0) / radius) ** self.power
        depth = (along[1] - along[0]) / 2.0
        half = depth * np.maximum(rest, 0.0) ** (1.0 / self.power)
        miss = (rest <= 0.0) | (z < self.z[0]) | (z > self.z[-1])
        middle = (along[0] + along[1]) / 2.0
        return np.where(miss, FAR, middle - half), np.where(miss, FAR, middle + half)

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Tell which points lie inside.

        Parameters
        ----------
        points : ndarray of float64
            Points in mm, shape ``(n, 3)``.

        Returns
        -------
        ndarray of bool
            Shape ``(n,)``.
        """
        low, high = self.interval("frontal", points[:, 0], points[:, 2])
        return np.asarray((low < points[:, 1]) & (points[:, 1] < high), dtype=np.bool_)


Solid = Ellipsoid | Stack


def disjoint(intervals: list[Interval]) -> list[Interval]:
    """Return the union of intervals as disjoint intervals in ascending order.

    Parameters
    ----------
    intervals : list of tuple of ndarray
        Entries and exits in mm, all of one shape.

    Returns
    -------
    list of tuple of ndarray
        As many intervals, none overlapping; an absorbed one has length 0.
    """
    lows = np.stack([low for low, _ in intervals])
    highs = np.stack([high for _, high in intervals])
    order = np.argsort(lows, axis=0, kind="stable")
    lows = np.take_along_axis(lows, order, axis=0)
    highs = np.take_along_axis(highs, order, axis=0)
    reach = np.full(lows.shape[1:], -FAR)
    result: list[Interval] = []
    for low, high in zip(lows, highs, strict=True):
        start = np.maximum(low, reach)
        reach = np.maximum(high, reach)
        result.append((start, np.maximum(reach, start)))
    return result


def minus(whole: Interval, parts: list[Interval]) -> list[Interval]:
    """Take intervals away from one interval.

    Parameters
    ----------
    whole : tuple of ndarray
        The interval to cut.
    parts : list of tuple of ndarray
        The intervals taken away, in any order; they may overlap.

    Returns
    -------
    list of tuple of ndarray
        The ``len(parts) + 1`` pieces that remain, some of length 0.
    """
    low, high = whole
    result: list[Interval] = []
    start = low
    for part_low, part_high in disjoint(parts):
        stop = np.clip(part_low, start, np.maximum(high, start))
        result.append((start, stop))
        start = np.clip(part_high, start, np.maximum(high, start))
    result.append((start, np.maximum(high, start)))
    return result


def length(intervals: list[Interval]) -> Array:
    """Return the summed length of disjoint intervals.

    Parameters
    ----------
    intervals : list of tuple of ndarray
        Entries and exits in mm.

    Returns
    -------
    ndarray of float64
        Length in mm, at least 0.
    """
    total = np.zeros_like(intervals[0][0])
    for low, high in intervals:
        total += high - low
    return total
