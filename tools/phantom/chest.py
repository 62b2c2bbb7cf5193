"""Line integrals of attenuation through the chest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from tools.phantom import airways, skeleton
from tools.phantom.solids import Ellipsoid, Stack, disjoint, length, minus
from tools.phantom.splats import Grid, deposit

if TYPE_CHECKING:
    from tools.phantom.anatomy import Anatomy, Opacity
    from tools.phantom.solids import Array, Interval, Solid, View

# Effective attenuation at about 70 kV, per mm. Bone is what it adds to the tissue it displaces.
TISSUE = 0.0205
BONE_EXTRA = 0.075
# Standard deviations beyond which a consolidation is not integrated.
REACH = 3.5


def lung(child: Anatomy, side: float) -> Stack:
    """Return one lung's envelope, before heart, mediastinum and diaphragm are taken away.

    Parameters
    ----------
    child : Anatomy
        Sizes.
    side : float
        -1 for the right lung (left in the image), 1 for the left one.

    Returns
    -------
    Stack
        The envelope.
    """
    share = np.array([0.0, 0.03, 0.08, 0.17, 0.30, 0.50, 0.75, 1.0])
    outer = np.array([0.40, 0.53, 0.61, 0.71, 0.82, 0.93, 0.99, 1.01]) * child.width
    inner = np.array([0.38, 0.27, 0.20, 0.12, 0.09, 0.09, 0.09, 0.09]) * child.width
    front = np.array([0.10, -0.12, -0.28, -0.50, -0.76, -0.95, -1.0, -0.98]) * child.depth
    back = np.array([0.20, 0.42, 0.58, 0.74, 0.88, 0.98, 1.0, 1.0]) * child.depth
    z = child.apex - share * (child.apex - child.base)
    left, right = (inner, outer) if side > 0 else (-outer, -inner)
    columns = (z[::-1], left[::-1], right[::-1], front[::-1], back[::-1])
    levels, *bounds = (tuple(float(value) for value in column) for column in columns)
    return Stack(levels, bounds[0], bounds[1], bounds[2], bounds[3], power=2.6)


def cage(child: Anatomy) -> Stack:
    """Return the inner surface of the rib cage, both lungs wide.

    Parameters
    ----------
    child : Anatomy
        Sizes.

    Returns
    -------
    Stack
        The rib cage from above the apices to the loins.
    """
    one = lung(child, 1.0)
    low = child.base - 45.0
    z = (low, *one.z, child.apex + 8.0)
    right = (one.right[0] * 0.97, *one.right[:-1], one.right[-2] * 0.82, one.right[-2] * 0.55)
    front = (one.front[0], *one.front, 0.0)
    back = (one.back[0], *one.back[:-1], one.back[-2], one.back[-2])
    return Stack(z, tuple(-value for value in right), right, front, back)


def heart(child: Anatomy) -> Stack:
    """Return the heart with the roots of the great vessels.

    Parameters
    ----------
    child : Anatomy
        Sizes.

    Returns
    -------
    Stack
        The heart; its left border bulges over the apex, its right one over the atrium.
    """
    size, shift = child.heart, child.heart_shift
    top, bottom = 34.0, child.dome_left - 12.0
    share = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.92, 1.0])
    z = top - share * (top - bottom)
    left = np.array([-19.0, -25.0, -32.0, -37.0, -37.5, -34.0, -28.0]) * size + shift
    right = np.array([21.0, 28.0, 37.0, 49.0, 59.0, 62.0, 60.0]) * size + shift
    front = np.array([-32.0, -40.0, -46.0, -48.0, -48.0, -48.0, -46.0])
    back = np.array([14.0, 18.0, 21.0, 22.0, 20.0, 16.0, 12.0])
    columns = (z[::-1], left[::-1], right[::-1], front[::-1], back[::-1])
    levels, *bounds = (tuple(float(value) for value in column) for column in columns)
    return Stack(levels, bounds[0], bounds[1], bounds[2], bounds[3], power=2.5)


def _dense(child: Anatomy) -> list[Solid]:
    """Return what indents the lungs: mediastinum, spine, heart, aorta, diaphragm."""
    half, shift = child.mediastinum, child.heart_shift * 0.6
    deep = child.depth
    z = (child.base - 10.0, -20.0, 10.0, 32.0, 52.0, child.apex + 14.0)
    wide = (15.0, 16.0, 19.0, half, half + 1.0, half - 1.0)
    hila = Ellipsoid((-22.0 + shift, 8.0, 4.0), (8.0, 12.0, 15.0), 0.3)
    middle = Stack(
        z,
        tuple(shift - value for value in wide),
        tuple(shift + value * 1.04 for value in wide),
        (-0.5 * deep, -0.6 * deep, -0.7 * deep, -0.66 * deep, -0.55 * deep, -0.4 * deep),
        (deep, deep, deep, deep, deep, deep),
        power=2.6,
    )
    aorta = Ellipsoid((15.0 + shift, 10.0, 30.0), (10.0, 16.0, 10.0))
    right = Ellipsoid((-45.0, -2.0, child.dome_right - 66.0), (66.0, 82.0, 66.0))
    left = Ellipsoid((46.0, -2.0, child.dome_left - 66.0), (64.0, 82.0, 66.0))
    return [middle, heart(child), hila, aorta, right, left]


def _body(child: Anatomy) -> list[Solid]:
    """Return the soft tissue's outline: trunk, shoulders, upper arms, neck and head."""
    side, deep = child.width + child.wall, child.depth + child.wall * 0.8
    top = child.shoulder
    z = (-320.0, child.base - 60.0, child.base, 0.0, 35.0, top - 10.0, top + 12.0, top + 26.0)
    wide = (side, side - 2.0, side + 2.0, side, side - 1.0, side - 2.0, side - 22.0, 30.0)
    trunk = Stack(
        z,
        tuple(-value for value in wide),
        wide,
        (-deep, -deep, -deep, -deep, -deep + 2.0, -deep + 14.0, -deep + 26.0, -24.0),
        (deep, deep, deep, deep + 2.0, deep + 3.0, deep, deep - 10.0, 34.0),
        power=2.3,
    )
    neck = Stack(
        (top - 10.0, top + 20.0, top + 70.0),
        (-38.0, -29.0, -29.0),
        (38.0, 29.0, 29.0),
        (-26.0, -24.0, -26.0),
        (42.0, 40.0, 40.0),
    )
    head = Ellipsoid((0.0, -12.0, child.chin + 66.0), (62.0, 78.0, 66.0))
    solids: list[Solid] = [trunk, neck, head]
    for sign, lift in ((-1.0, child.arms[0]), (1.0, child.arms[1])):
        joint = (sign * (child.width + 1.0), 0.0, top - 2.0)
        turn = lift if sign > 0 else -lift
        arm = (joint[0] + sign * 42.0 * float(np.cos(lift)), 0.0, joint[2] + 42.0 * np.sin(lift))
        solids.append(Ellipsoid(joint, (26.0, 27.0, 25.0)))
        solids.append(Ellipsoid((arm[0], 0.0, float(arm[2])), (82.0, 27.0, 25.0), turn))
    return solids


def _gas(child: Anatomy) -> list[Solid]:
    """Return the stomach's bubble and some bowel gas under the left dome."""
    rng = np.random.default_rng((child.seed, 1))
    found: list[Solid] = []
    for _ in range(int(rng.integers(2, 6))):
        size = rng.uniform(5.0, 15.0)
        found.append(
            Ellipsoid(
                (
                    float(rng.uniform(18.0, 66.0)),
                    float(rng.uniform(-30.0, 10.0)),
                    child.dome_left - float(rng.uniform(24.0, 56.0)),
                ),
                (float(size * rng.uniform(1.0, 1.5)), float(size), float(size * 0.7)),
                float(rng.uniform(-0.6, 0.6)),
            )
        )
    return found


def _fill(opacity: Opacity, view: View, rays: tuple[Array, Array], air: list[Interval]) -> Array:
    """Integrate one Gaussian consolidation over the lung's air, in mm."""
    p, z = rays
    axis = 0 if view == "frontal" else 1
    along = 1 - axis
    across = ((p - opacity.centre[axis]) / opacity.sigma[axis]) ** 2
    across = across + ((z - opacity.centre[2]) / opacity.sigma[2]) ** 2
    total = np.zeros_like(p)
    rows, columns = (np.flatnonzero((across < REACH**2).any(axis=k)) for k in (1, 0))
    if not len(rows) or not len(columns):
        return total
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    sigma = opacity.sigma[along] * np.sqrt(2.0)
    inside = np.zeros_like(p[box])
    for low, high in air:
        near = high[box] > low[box]
        # Most pieces are empty in most places, and an error function is dear.
        if near.any():
            far = (high[box][near] - opacity.centre[along]) / sigma
            inside[near] += erf(far) - erf((low[box][near] - opacity.centre[along]) / sigma)
    width = opacity.density * opacity.sigma[along] * np.sqrt(np.pi / 2.0)
    total[box] = width * np.exp(-across[box] / 2.0) * np.maximum(inside, 0.0)
    return total


def _grain(child: Anatomy, grid: Grid, size: float, key: int) -> Array:
    """Return a seeded random field of the given grain in mm, deviation 1 at most."""
    rng = np.random.default_rng((child.seed, key))
    # Drawn on a raster of fixed size in mm, so that the texture does not follow the pixels.
    cells = 260
    raw = rng.standard_normal((cells, cells))
    smooth = gaussian_filter(raw, 1.2, mode="wrap") * 1.2 * 2.0 * np.sqrt(np.pi)
    p, z = grid.rays()
    row, column = np.mod(z / size, cells), np.mod(p / size, cells)
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down, right = row - top, column - left
    below, beside = (top + 1) % cells, (left + 1) % cells
    top, left = top % cells, left % cells
    upper = smooth[top, left] * (1.0 - right) + smooth[top, beside] * right
    lower = smooth[below, left] * (1.0 - right) + smooth[below, beside] * right
    return np.asarray(upper * (1.0 - down) + lower * down, dtype=np.float64)


def attenuation(child: Anatomy, view: View, grid: Grid) -> Array:
    """Integrate the chest's attenuation along every ray.

    Parameters
    ----------
    child : Anatomy
        The child.
    view : {"frontal", "lateral"}
        Direction of the rays.
    grid : Grid
        The detector; its coordinates are those of a child of scale 1.

    Returns
    -------
    ndarray of float64
        Attenuation (dimensionless, 0 in free air and up to about 8), shape ``grid.shape``.
    """
    rays = grid.rays()
    step = 0.8 * grid.pixel
    lungs = (lung(child, -1.0), lung(child, 1.0))
    dense = [solid.interval(view, *rays) for solid in _dense(child)]
    # In a lateral view a ray meets both lungs, one after the other.
    pieces = [minus(one.interval(view, *rays), dense) for one in lungs]
    air = pieces[0] + pieces[1]
    aerated = length(air)
    tissue = length(disjoint([solid.interval(view, *rays) for solid in _body(child)]))
    gas = length(disjoint([solid.interval(view, *rays) for solid in _gas(child)]))

    consolidated = np.zeros_like(aerated)
    for opacity in child.opacities:
        consolidated += _fill(opacity, view, rays, air)
    if child.opacities:
        # Fluffy, not smooth: the texture modulates the patches and never takes anything away.
        rough = _grain(child, grid, 2.2, 2) + 0.6 * _grain(child, grid, 5.0, 3)
        consolidated *= np.exp(0.2 * np.clip(rough, -2.5, 2.5))
    consolidated += child.haze * aerated
    # Overlapping patches fill the lung they share and no more than that.
    filled = 1.0 - np.exp(-consolidated / np.maximum(aerated, 1.0e-9))

    texture = 0.018 * _grain(child, grid, 1.3, 4) + 0.02 * _grain(child, grid, 3.5, 5)
    pulp = child.lung_density * (1.0 + np.clip(texture, -0.2, 0.2))
    vessels = airways.vessel_tree(np.random.default_rng((child.seed, 6)), child, lungs, step)
    windpipe = deposit(airways.trachea(child, step), view, grid)
    # A vessel displaces air, so in consolidated lung it has nothing to stand out against.
    spongy = np.maximum(aerated - deposit(vessels, view, grid), 0.0)
    hollow = (1.0 - pulp) * spongy * (1.0 - filled)
    soft = tissue - np.minimum(gas, tissue) - hollow - np.minimum(windpipe, 0.3 * tissue)
    bones = (
        deposit(skeleton.ribs(child, cage(child), step), view, grid)
        + deposit(skeleton.girdle(child, step), view, grid)
        + deposit(skeleton.vertebrae(step), view, grid)
    )
    # Fat and muscle planes keep soft tissue from looking like gelatine.
    soft = soft * (1.0 + np.clip(0.012 * _grain(child, grid, 6.0, 7), -0.05, 0.05))
    return np.asarray(TISSUE * np.maximum(soft, 0.0) + BONE_EXTRA * bones, dtype=np.float64)
