"""Thin structures (bones, vessels, airways) as clouds of weighted points.

A tube is too thin and too curved for a closed form, so its volume is spread over points that are
summed into the detector's pixels. The volume is the same in every view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from tools.phantom.solids import Array, View

# Spreads below this many pixels are shown as the detector's own.
SHARP = 0.3
# A bone this near to vertical, as a sine, has no upper side; its section is turned to x instead.
UPRIGHT = 0.2


@dataclass(frozen=True)
class Grid:
    """The detector: square pixels in a plane turned about the beam.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    pixel : float
        Pixel side in mm.
    centre : tuple of float
        Horizontal coordinate and height of the middle of the detector in mm.
    tilt : float
        Rotation about the beam in radians.
    """

    shape: tuple[int, int]
    pixel: float
    centre: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0

    def rays(self) -> tuple[Array, Array]:
        """Return the horizontal coordinate and height of every pixel's centre.

        Returns
        -------
        tuple of ndarray
            Two arrays of `shape`, in mm.
        """
        rows, columns = self.shape
        u = (np.arange(columns) - (columns - 1) / 2.0) * self.pixel
        v = ((rows - 1) / 2.0 - np.arange(rows)) * self.pixel
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        p = self.centre[0] + cos * u[None, :] - sin * v[:, None]
        z = self.centre[1] + sin * u[None, :] + cos * v[:, None]
        return p, z

    def locate(self, p: Array, z: Array) -> tuple[Array, Array]:
        """Return fractional rows and columns of points on the detector.

        Parameters
        ----------
        p, z : ndarray of float64
            Horizontal coordinate and height in mm, shape ``(n,)``.

        Returns
        -------
        tuple of ndarray
            Rows and columns, shape ``(n,)``; whole numbers are pixel centres.
        """
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        dp, dz = p - self.centre[0], z - self.centre[1]
        u = cos * dp + sin * dz
        v = -sin * dp + cos * dz
        rows, columns = self.shape
        return (rows - 1) / 2.0 - v / self.pixel, u / self.pixel + (columns - 1) / 2.0


@dataclass(frozen=True)
class Cloud:
    """Weighted points.

    Attributes
    ----------
    points : ndarray of float64
        Positions in mm, shape ``(n, 3)``.
    volume : ndarray of float64
        Volume that each point stands for in mm³ (times a relative density), shape ``(n,)``.
    radius : ndarray of float64
        Radius in mm over which each point's volume is spread, shape ``(n,)``.
    """

    points: Array
    volume: Array
    radius: Array


def merge(clouds: list[Cloud]) -> Cloud:
    """Join clouds into one.

    Parameters
    ----------
    clouds : list of Cloud
        At least one.

    Returns
    -------
    Cloud
        All points in order.
    """
    return Cloud(
        np.concatenate([cloud.points for cloud in clouds]),
        np.concatenate([cloud.volume for cloud in clouds]),
        np.concatenate([cloud.radius for cloud in clouds]),
    )


def deposit(cloud: Cloud, view: View, grid: Grid) -> Array:
    """Sum a cloud into path lengths per pixel.

    Parameters
    ----------
    cloud : Cloud
        What is projected.
    view : {"frontal", "lateral"}
        Direction of the rays.
    grid : Grid
        The detector.

    Returns
    -------
    ndarray of float64
        Path length in mm, shape ``grid.shape``, at least 0 for volumes of at least 0.
    """
    rows, columns = grid.shape
    total = np.zeros(grid.shape)
    horizontal = cloud.points[:, 0 if view == "frontal" else 1]
    row, column = grid.locate(horizontal, cloud.points[:, 2])
    # Points of like radius share one blur: a disc's profile is near enough a Gaussian of half
    # its radius, and a quarter of an octave is finer than the eye tells apart.
    sigma = cloud.radius / (2.0 * grid.pixel)
    classes = np.where(sigma < SHARP, -8, np.round(4.0 * np.log2(np.maximum(sigma, SHARP)))).astype(
        int
    )
    for klass in np.unique(classes):
        chosen = classes == klass
        plane = _bilinear(row[chosen], column[chosen], cloud.volume[chosen], (rows, columns))
        width = max(2.0 ** (float(klass) / 4.0), 0.45)
        total += gaussian_filter(plane, width, mode="constant", truncate=3.5)
    return total / grid.pixel**2


def _bilinear(row: Array, column: Array, weight: Array, shape: tuple[int, int]) -> Array:
    """Share each weight among the four pixels around it."""
    rows, columns = shape
    top, left = np.floor(row), np.floor(column)
    down, right = row - top, column - left
    plane = np.zeros(rows * columns)
    for dr in (0, 1):
        for dc in (0, 1):
            r, c = top.astype(np.int64) + dr, left.astype(np.int64) + dc
            inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
            share = (down if dr else 1.0 - down) * (right if dc else 1.0 - right) * weight
            plane += np.bincount(
                (r * columns + c)[inside], weights=share[inside], minlength=rows * columns
            )
    return plane.reshape(shape)


def resample(path: Array, step: float) -> tuple[Array, Array]:
    """Place points at even distances along a polyline.

    Parameters
    ----------
    path : ndarray of float64
        Corners in mm, shape ``(n, k)``; the first three columns are the position, further ones
        (a radius, say) are interpolated with it.
    step : float
        Wanted distance in mm.

    Returns
    -------
    tuple of ndarray
        Points, shape ``(m, k)``, at the middle of equal pieces, and the pieces' length in mm,
        shape ``(m,)``.
    """
    along = np.concatenate(
        ([0.0], np.cumsum(np.sqrt((np.diff(path[:, :3], axis=0) ** 2).sum(axis=1))))
    )
    count = max(int(np.ceil(along[-1] / step)), 1)
    at = (np.arange(count) + 0.5) * along[-1] / count
    points = np.stack([np.interp(at, along, column) for column in path.T], axis=1)
    return points, np.full(count, along[-1] / count)


def thread(path: Array, step: float) -> Cloud:
    """Return a filled tube of round section and varying radius.

    Parameters
    ----------
    path : ndarray of float64
        ``(x, y, z, radius)`` along the tube in mm, shape ``(n, 4)``.
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Points on the centre line, spread over the tube's radius when deposited.
    """
    points, pieces = resample(path, step)
    radius = points[:, 3]
    return Cloud(points[:, :3], np.pi * radius**2 * pieces, radius)


def bone(path: Array, half: tuple[float, float], step: float, *, marrow: float = 0.35) -> Cloud:
    """Return a bone of elliptic section: a dense shell around lighter marrow.

    Parameters
    ----------
    path : ndarray of float64
        ``(x, y, z, size)`` along the bone in mm, shape ``(n, 4)``; size multiplies `half`.
    half : tuple of float
        Half height in the frontal plane and half thickness along ``y`` in mm.
    step : float
        Distance of the points in mm.
    marrow : float
        Density of the inside relative to the shell, 0..1.

    Returns
    -------
    Cloud
        Points on three rings around the centre line.
    """
    points, pieces = resample(path, step)
    tangent = np.gradient(points[:, :3], axis=0) if len(points) > 1 else np.ones((1, 3))
    tangent /= np.sqrt((tangent**2).sum(axis=1, keepdims=True))
    # One normal lies as near to vertical as the bone allows, the other closes the frame.
    up = np.array([0.0, 0.0, 1.0]) - tangent * tangent[:, 2:3]
    norm = np.sqrt((up**2).sum(axis=1, keepdims=True))
    up = np.where(norm > UPRIGHT, up / np.maximum(norm, 1.0e-9), np.array([[1.0, 0.0, 0.0]]))
    out = np.cross(tangent, up)
    section = np.pi * half[0] * half[1]
    clouds: list[Cloud] = []
    # The inner rings are blurred into each other, or their limbs would show as lines.
    for size, density, soft in (
        (0.92, 0.45, 0.16),
        (0.62, marrow * 0.4, 0.45),
        (0.28, marrow * 0.2, 0.5),
    ):
        around = 2.0 * np.pi * size * max(half)
        count = max(int(np.ceil(around / step)), 6)
        angle = ((np.arange(count) + 0.5) * 2.0 * np.pi / count)[:, None, None]
        offset = np.cos(angle) * half[0] * up + np.sin(angle) * half[1] * out
        place = points[:, :3] + size * points[:, 3:4] * offset
        share = section * points[:, 3] ** 2 * pieces * density / count
        spread = np.full(count * len(points), max(0.3, soft * max(half)))
        clouds.append(Cloud(place.reshape(-1, 3), np.tile(share, count), spread))
    return merge(clouds)
