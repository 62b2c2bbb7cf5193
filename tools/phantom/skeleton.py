"""Bones of the chest as point clouds: ribs, clavicles, scapulae, upper arms, vertebrae."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.phantom.splats import Cloud, bone, merge, resample

if TYPE_CHECKING:
    from tools.phantom.anatomy import Anatomy
    from tools.phantom.solids import Array, Stack

VERTEBRA_PITCH = 13.2
FIRST_VERTEBRA = 78.0
# Where the dense rim of a vertebral body starts, as a share of its half height and half width.
END_PLATE = 0.75
SIDE_WALL = 0.82


def _path(*corners: tuple[float, float, float, float]) -> Array:
    """Return a smooth curve through few corners, ``(n, 4)``."""
    nodes = np.array(corners)
    at = np.linspace(0.0, 1.0, len(nodes))
    fine = np.linspace(0.0, 1.0, 33)
    fit = np.polynomial.Polynomial.fit
    return np.stack([fit(at, column, len(nodes) - 1)(fine) for column in nodes.T], axis=1)


def ribs(child: Anatomy, cage: Stack, step: float) -> Cloud:
    """Return twelve pairs of ribs around the rib cage.

    Parameters
    ----------
    child : Anatomy
        Sizes.
    cage : Stack
        Inner surface of the rib cage.
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Bone of the ribs.
    """
    clouds: list[Cloud] = []
    for index in range(12):
        root = FIRST_VERTEBRA - 1.0 - VERTEBRA_PITCH * index
        # Upper ribs are short rings that reach the front; the lowest two end at the side.
        end = (0.82, 0.80, 0.78, 0.76, 0.74, 0.72, 0.70, 0.67, 0.62, 0.56, 0.45, 0.32)[index]
        angle = np.linspace(0.06, end, 48) * np.pi
        drop = child.rib_drop * (0.55 + 0.06 * min(index, 8))
        fall = (1.0 - np.cos(angle)) / 2.0
        # The neck of a rib rises a little before the shaft falls.
        z = root + 4.0 * np.sin(np.minimum(angle * 3.0, np.pi)) - drop * fall
        _, right, front, back = cage.bounds(z)
        x = (right + 1.5) * np.sin(angle)
        middle, half = (front + back) / 2.0, (back - front) / 2.0
        y = middle + (half + 1.5) * np.cos(angle)
        size = np.interp(angle / np.pi, [0.0, 0.12, 0.5, end], [1.05, 0.85, 0.95, 1.15])
        for side in (-1.0, 1.0):
            curve = np.stack([side * x, y, z, size], axis=1)
            clouds.append(bone(curve, (2.7, 2.2), step, marrow=0.5))
    return merge(clouds)


def girdle(child: Anatomy, step: float) -> Cloud:
    """Return clavicles, shoulder blades and upper arms.

    Parameters
    ----------
    child : Anatomy
        Sizes and the angle of the arms.
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Their bone.
    """
    top, width = child.shoulder, child.width
    clouds: list[Cloud] = []
    for side, lift in ((-1.0, child.arms[0]), (1.0, child.arms[1])):
        clavicle = _path(
            (side * 13.0, -40.0, top - 16.0, 1.25),
            (side * 34.0, -40.0, top - 5.0, 1.0),
            (side * 58.0, -22.0, top + 0.0, 0.9),
            (side * (width - 10.0), -8.0, top + 8.0, 1.1),
        )
        clouds.append(bone(clavicle, (2.5, 2.5), step))
        joint = (side * (width + 4.0), 0.0, top + 2.0)
        reach = 72.0
        tip = (
            joint[0] + side * reach * np.cos(lift),
            0.0,
            joint[2] + reach * np.sin(lift),
        )
        shaft = np.array(
            [
                (*(joint[k] + (tip[k] - joint[k]) * t for k in range(3)), size)
                for t, size in ((0.0, 1.3), (0.06, 1.45), (0.16, 1.3), (0.3, 0.95), (1.0, 0.85))
            ]
        )
        clouds.append(bone(shaft, (5.6, 5.6), step, marrow=0.25))
        clouds.append(_blade(side, width, top, step))
    return merge(clouds)


def _blade(side: float, width: float, top: float, step: float) -> Cloud:
    """Return a shoulder blade: a thin triangle with thicker borders."""
    corners = np.array(
        [
            (side * (width - 4.0), 30.0, top - 2.0, 0.9),
            (side * (width - 20.0), 48.0, top - 62.0, 0.7),
            (side * (width - 48.0), 50.0, top - 8.0, 0.6),
        ]
    )
    lateral = bone(corners[[0, 1]], (2.4, 2.4), step)
    medial = bone(corners[[1, 2]], (1.6, 1.6), step)
    spine = bone(corners[[2, 0]] + np.array([0.0, 0.0, 3.0, 0.1]), (2.2, 2.2), step)
    grain = max(step, 0.8)
    count = int(np.ceil(60.0 / grain))
    a, b = np.meshgrid((np.arange(count) + 0.5) / count, (np.arange(count) + 0.5) / count)
    keep = a + b < 1.0
    a, b = a[keep], b[keep]
    flat = corners[0, :3] + np.outer(a, corners[1, :3] - corners[0, :3])
    flat = flat + np.outer(b, corners[2, :3] - corners[0, :3])
    sides = corners[1:, :3] - corners[0, :3]
    area = 0.5 * float(np.sqrt((np.cross(sides[0], sides[1]) ** 2).sum()))
    plate = Cloud(flat, np.full(len(flat), area * 0.45 / len(flat)), np.full(len(flat), 1.5))
    return merge([lateral, medial, spine, plate])


def vertebrae(step: float) -> Cloud:
    """Return the vertebral column from the neck to the loins.

    Parameters
    ----------
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Bodies with dense end plates, pedicles, transverse and spinous processes.
    """
    clouds: list[Cloud] = []
    grain = max(step, 0.7)
    for index in range(-5, 15):
        z = FIRST_VERTEBRA - VERTEBRA_PITCH * index
        half = 11.0 + 0.25 * index if index >= 0 else 10.0
        tall = 4.6 if index >= 0 else 3.8
        clouds.append(_body((0.0, 36.0, z), (half, 8.5, tall), grain))
        for side in (-1.0, 1.0):
            ring = np.linspace(0.0, 2.0 * np.pi, 17)
            pedicle = np.stack(
                [
                    side * half * 0.62 + 1.9 * np.cos(ring),
                    45.0 + 5.0 * np.linspace(0.0, 1.0, 17),
                    z + 1.0 + 3.0 * np.sin(ring),
                    np.full(17, 0.8),
                ],
                axis=1,
            )
            points, pieces = resample(pedicle, grain)
            radius = points[:, 3]
            clouds.append(Cloud(points[:, :3], np.pi * 0.8 * pieces, radius))
            if index >= 0:
                process = _path(
                    (side * half * 0.8, 49.0, z + 1.0, 1.0),
                    (side * half * 1.75, 54.0, z + 3.0, 0.8),
                )
                clouds.append(bone(process, (2.0, 2.0), step))
        spinous = _path((0.0, 50.0, z - 2.0, 1.0), (0.0, 63.0, z - 8.0, 0.9))
        clouds.append(bone(spinous, (2.6, 1.6), step))
    return merge(clouds)


def _body(
    centre: tuple[float, float, float], half: tuple[float, float, float], grain: float
) -> Cloud:
    """Return one vertebral body: a block of spongy bone with a waist and dense end plates."""
    axes = [(np.arange(max(int(np.ceil(2.0 * h / grain)), 3)) + 0.5) for h in half]
    unit = [2.0 * axis / len(axis) - 1.0 for axis in axes]
    x, y, z = (part.ravel() for part in np.meshgrid(*unit, indexing="ij"))
    waist = 0.9 + 0.1 * z**2
    shell = 0.30 + 0.55 * (np.abs(z) > END_PLATE) + 0.35 * (np.abs(x) > SIDE_WALL)
    cell = 8.0 * half[0] * half[1] * half[2] / len(x)
    points = np.stack(
        [centre[0] + half[0] * waist * x, centre[1] + half[1] * y, centre[2] + half[2] * z], axis=1
    )
    return Cloud(points, shell * cell * 0.19, np.full(len(x), 0.9))
