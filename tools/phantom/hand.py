"""Attenuation of a child's hand, seen from the palm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.phantom.splats import Cloud, Grid, bone, deposit, merge

if TYPE_CHECKING:
    from tools.phantom.solids import Array

TISSUE = 0.028
BONE_EXTRA = 0.09

# Root (x, z), direction in degrees from straight up, and the lengths in mm of the metacarpal and
# the phalanges of each ray, thumb first.
RAYS: tuple[tuple[tuple[float, float], float, tuple[float, ...]], ...] = (
    ((-16.0, -30.0), 42.0, (25.0, 17.0, 13.0)),
    ((-9.0, -22.0), 11.0, (36.0, 23.0, 14.0, 10.0)),
    ((-1.0, -21.0), 1.0, (34.0, 25.0, 16.0, 11.0)),
    ((7.0, -22.0), -8.0, (31.0, 23.0, 15.0, 11.0)),
    ((14.0, -25.0), -19.0, (28.0, 18.0, 11.0, 10.0)),
)
CARPALS: tuple[tuple[float, float, float], ...] = (
    (-12.0, -33.0, 3.6), (-3.0, -30.0, 4.6), (6.0, -31.0, 4.8), (13.0, -34.0, 3.2),
    (-7.0, -40.0, 4.0), (2.0, -41.0, 4.4), (10.0, -40.0, 3.6),
)  # fmt: skip

CARPAL_CUTS = (-0.98, -0.85, -0.5, 0.0, 0.5, 0.85, 0.98)


def _capsule(grid: Grid, start: Array, end: Array, radius: tuple[float, float]) -> Array:
    """Return the chord in mm through a tapered rod with round ends."""
    p, z = grid.rays()
    axis = end - start
    along = ((p - start[0]) * axis[0] + (z - start[1]) * axis[1]) / float(axis @ axis)
    along = np.clip(along, 0.0, 1.0)
    away = (p - start[0] - along * axis[0]) ** 2 + (z - start[1] - along * axis[1]) ** 2
    thick = radius[0] + (radius[1] - radius[0]) * along
    return np.asarray(2.0 * np.sqrt(np.maximum(thick**2 - away, 0.0)), dtype=np.float64)


def _shaft(start: Array, end: Array, half: float, step: float) -> Cloud:
    """Return a long bone that is thicker at its ends."""
    share = np.array([0.0, 0.08, 0.22, 0.5, 0.78, 0.92, 1.0])
    size = np.array([1.15, 1.3, 0.95, 0.75, 0.9, 1.2, 1.05])
    place = start[None, :] + share[:, None] * (end - start)[None, :]
    path = np.stack([place[:, 0], np.zeros(7), place[:, 1], size], axis=1)
    return bone(path, (half, half), step, marrow=0.4)


def hand_attenuation(grid: Grid, rng: np.random.Generator) -> Array:
    """Integrate the hand's attenuation along every ray.

    Parameters
    ----------
    grid : Grid
        The detector, about 150 mm wide.
    rng : numpy.random.Generator
        Source of the irregular angles of the fingers.

    Returns
    -------
    ndarray of float64
        Attenuation, 0 in free air, shape ``grid.shape``.
    """
    step = 0.8 * grid.pixel
    soft = np.zeros(grid.shape)
    clouds: list[Cloud] = []
    for index, (root, degrees, lengths) in enumerate(RAYS):
        angle = np.deg2rad(degrees + float(rng.normal(0.0, 1.5)))
        start = np.array(root)
        for joint, size in enumerate(lengths):
            course = np.array([-np.sin(angle), np.cos(angle)])
            end = start + course * size
            half = (4.0, 3.4, 2.8, 2.2)[joint]
            clouds.append(_shaft(start, end, half, step))
            flesh = (11.0, 7.6, 6.8, 6.2)[joint] * (1.05 if index < 1 else 1.0)
            soft = np.maximum(soft, _capsule(grid, start, end + course, (flesh, flesh * 0.94)))
            start = end + course * 2.2
            angle += float(rng.normal(0.0, 0.03))
    palm = np.array([[-3.0, -30.0], [1.0, 8.0]])
    soft = np.maximum(soft, 0.62 * _capsule(grid, palm[0], palm[1], (24.0, 22.0)))
    clouds += [
        _shaft(np.array([across * 0.9, -130.0]), np.array([across, -49.0]), 5.2, step)
        for across in (-8.0, 9.0)
    ]
    arm = np.array([[0.0, -130.0], [0.0, -42.0]])
    soft = np.maximum(soft, 0.8 * _capsule(grid, arm[0], arm[1], (24.0, 20.0)))
    for x, z, radius in CARPALS:
        pebble = np.array([(x + radius * t, 0.0, z, np.sqrt(1.0 - t**2)) for t in CARPAL_CUTS])
        clouds.append(bone(pebble, (radius, radius), step, marrow=0.6))
    bones = deposit(merge(clouds), "frontal", grid)
    return np.asarray(TISSUE * soft + BONE_EXTRA * bones, dtype=np.float64)
