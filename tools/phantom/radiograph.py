"""Radiographs of the phantom: what the scripts and tests call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.phantom import detector
from tools.phantom.chest import attenuation
from tools.phantom.hand import hand_attenuation
from tools.phantom.splats import Grid

if TYPE_CHECKING:
    import numpy as np

    from tools.phantom.anatomy import Anatomy
    from tools.phantom.solids import Array, View

HAND_FIELD = 150.0
# Fewer rows or columns show nothing.
SMALLEST = 16
# The beam is centred a little below the middle of the lungs, as the diaphragm must be seen.
CHEST_CENTRE = 4.0


def _check(shape: tuple[int, int]) -> None:
    """Raise `ValueError` for a detector too small to show anything."""
    if min(shape) < SMALLEST:
        given = f"{shape[0]} by {shape[1]}"
        message = f"a radiograph needs at least {SMALLEST} by {SMALLEST} pixels, not {given}"
        raise ValueError(message)


def detector_grid(child: Anatomy, *, view: View, shape: tuple[int, int]) -> Grid:
    """Return the detector in the coordinates of a child of scale 1.

    Parameters
    ----------
    child : Anatomy
        Size, tilt and span.
    view : {"frontal", "lateral"}
        Direction of the beam.
    shape : tuple of int
        Rows and columns, each at least 16.

    Returns
    -------
    Grid
        The detector, `child.span` mm wide in a frontal view.

    Raises
    ------
    ValueError
        If the detector has fewer than 16 rows or columns.
    """
    _check(shape)
    pixel = child.span / child.scale / shape[1]
    across = child.offset[0] if view == "frontal" else 0.0
    # A tilt in the frontal plane is seen from the side as next to nothing.
    tilt = child.tilt if view == "frontal" else 0.3 * child.tilt
    return Grid(shape, pixel, (across, CHEST_CENTRE + child.offset[1]), tilt)


def project(
    child: Anatomy, *, view: View, shape: tuple[int, int], rng: np.random.Generator
) -> Array:
    """Take a radiograph of the phantom child.

    Parameters
    ----------
    child : Anatomy
        The child.
    view : {"frontal", "lateral"}
        Direction of the beam.
    shape : tuple of int
        Rows and columns, each at least 16. A frontal image has the patient's right on its left.
    rng : numpy.random.Generator
        Source of the quantum noise.

    Returns
    -------
    ndarray of float64
        Grey values 0..1 with air dark, of `shape`.
    """
    grid = detector_grid(child, view=view, shape=shape)
    signal = detector.expose(
        attenuation(child, view, grid),
        detector.Exposure(grid.pixel, child.blur, child.photons, child.scatter),
        rng,
    )
    return detector.display(
        signal,
        pixel=grid.pixel,
        latitude=child.latitude,
        level=child.level,
        edge=child.edge,
    )


def project_hand(*, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Take a radiograph of a hand: a radiograph that is not of a chest.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, each at least 16.
    rng : numpy.random.Generator
        Source of the hand's small irregularities and of the quantum noise.

    Returns
    -------
    ndarray of float64
        Grey values 0..1 with air dark, of `shape`.

    Raises
    ------
    ValueError
        If the detector has fewer than 16 rows or columns.
    """
    _check(shape)
    grid = Grid(shape, HAND_FIELD / max(shape), (0.0, 0.0), float(rng.uniform(-0.1, 0.1)))
    signal = detector.expose(
        hand_attenuation(grid, rng),
        detector.Exposure(grid.pixel, blur=0.15, photons=2.0e5, scatter=0.03),
        rng,
    )
    return detector.display(signal, pixel=grid.pixel, latitude=1.2, level=0.1, edge=0.5)
