"""The lung's vessel tree and airways, grown from the hila by seeded branching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.phantom.splats import Cloud, merge, thread

if TYPE_CHECKING:
    from tools.phantom.anatomy import Anatomy
    from tools.phantom.solids import Array, Stack

MAIN_BRANCHES = 11
GENERATIONS = 7
SMALLEST_RADIUS = 0.3
# Branches that leave the hilum further down than this, in radians, go to the lower lobe.
LOWER_LOBE = 0.3


def _unit(vectors: Array) -> Array:
    """Scale vectors, ``(n, 3)``, to length 1."""
    return np.asarray(vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True)))


def _tubes(corners: list[Array], radius: Array, step: float) -> Cloud:
    """Return bent tubes of two pieces each that taper by a seventh.

    `corners` holds starts, middles and tips, each ``(n, 3)``.
    """
    clouds: list[Cloud] = []
    for start, end, size in zip(corners[:-1], corners[1:], (0.965, 0.895), strict=True):
        reach = np.sqrt(((end - start) ** 2).sum(axis=1))
        count = max(int(np.ceil(float(reach.max()) / step)), 1)
        share = (np.arange(count) + 0.5) / count
        points = start[:, None, :] + share[None, :, None] * (end - start)[:, None, :]
        thick = np.repeat(radius * size, count)
        volume = np.pi * thick**2 * np.repeat(reach / count, count)
        clouds.append(Cloud(points.reshape(-1, 3), volume, thick))
    return merge(clouds)


def _grow(
    rng: np.random.Generator, lung: Stack, start: tuple[Array, Array, Array], step: float
) -> list[Cloud]:
    """Grow one lung's branches generation by generation."""
    point, heading, radius = start
    clouds: list[Cloud] = []
    for _ in range(GENERATIONS):
        reach = ((5.0 + 7.0 * radius) * rng.uniform(0.75, 1.25, len(radius)))[:, None]
        middle = point + heading * reach / 2.0
        turned = _unit(heading + rng.normal(0.0, 0.12, heading.shape))
        tip = middle + turned * reach / 2.0
        # A side branch leaves at a wide angle, the trunk goes on nearly straight.
        away = rng.normal(0.0, 1.0, heading.shape)
        away = _unit(away - turned * (away * turned).sum(axis=1, keepdims=True))
        grows = lung.contains(tip)
        if not grows.any():
            break
        clouds.append(_tubes([point[grows], middle[grows], tip[grows]], radius[grows], step))
        courses = [
            (turned * np.cos(spread) + sign * away * np.sin(spread))[grows]
            for spread, sign in ((0.2, 1.0), (0.62, -1.0))
        ]
        heading = np.concatenate(courses)
        radius = np.concatenate([radius[grows] * 0.86, radius[grows] * 0.68])
        point = np.concatenate([tip[grows], tip[grows]])
        wide = radius > SMALLEST_RADIUS
        point, heading, radius = point[wide], heading[wide], radius[wide]
    return clouds


def vessel_tree(
    rng: np.random.Generator, child: Anatomy, lungs: tuple[Stack, Stack], step: float
) -> Cloud:
    """Grow the pulmonary vessels of both lungs.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the branching.
    child : Anatomy
        Sizes and the vessels' calibre.
    lungs : tuple of Stack
        Right and left lung; no vessel leaves its lung.
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Vessels as filled tubes of radius 0.3 to 4 mm.
    """
    clouds: list[Cloud] = []
    for side, lung, height in ((-1.0, lungs[0], 2.0), (1.0, lungs[1], 7.0)):
        root = np.array([side * 19.0 + child.heart_shift, 6.0, height])
        # Branches fan out from straight up to straight down through the lateral side.
        angle = np.pi * ((np.arange(MAIN_BRANCHES) + 0.5) / MAIN_BRANCHES - 0.5)
        angle = angle + rng.normal(0.0, 0.1, MAIN_BRANCHES)
        heading = _unit(
            np.stack(
                [
                    side * (0.25 + np.cos(angle)),
                    rng.normal(0.0, 0.45, MAIN_BRANCHES),
                    -1.15 * np.sin(angle),
                ],
                axis=1,
            )
        )
        # Lower lobe vessels are the wider ones in a child who stands.
        radius = child.vessels * rng.uniform(2.4, 3.4, MAIN_BRANCHES)
        radius = radius * np.where(angle > LOWER_LOBE, 1.2, 0.95)
        origin = root + heading * np.array([6.0, 6.0, 8.0])
        clouds += _grow(rng, lung, (origin, heading, radius), step)
    return merge(clouds)


def trachea(child: Anatomy, step: float) -> Cloud:
    """Return the air of the windpipe and main bronchi.

    Parameters
    ----------
    child : Anatomy
        Sizes.
    step : float
        Distance of the points in mm.

    Returns
    -------
    Cloud
        Air inside soft tissue; to be taken away from it.
    """
    shift = child.heart_shift * 0.5
    # The windpipe of a child bends slightly to the right above the carina at T4.
    carina = np.array([shift - 2.0, 14.0, 28.0])
    pipe = np.array(
        [(shift, 2.0, child.apex + 50.0, 4.2), (shift - 1.0, 8.0, 60.0, 4.2), (*carina, 4.4)]
    )
    right = np.array([(*carina, 3.4), (shift - 12.0, 14.0, 16.0, 3.2), (-22.0, 14.0, 2.0, 2.6)])
    left = np.array([(*carina, 3.1), (shift + 14.0, 14.0, 19.0, 2.9), (25.0, 14.0, 9.0, 2.3)])
    return merge([thread(path, step) for path in (pipe, right, left)])
