"""Drawn radiographs of what is not a chest, and of a chest from the side.

They need not be beautiful: they have to be as unlike a frontal chest as the real thing is, in
as many ways as possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.frontal_check.shapes import (
    Point,
    bone,
    capsule,
    chance,
    ellipsoid,
    exposed,
    field,
    grid,
    shell,
)

if TYPE_CHECKING:
    from tools.frontal_check.shapes import Array, Draw


def _gas(rng: np.random.Generator, region: Array, share: float) -> Array:
    """Return irregular gas bubbles within a region, 0..1."""
    cloud = field(rng, int(rng.integers(5, 12)))
    level = np.quantile(cloud, 1.0 - share)
    return np.asarray((cloud > level) * np.minimum(cloud - level, 1.0) * (region > 0.2))


def limb(rng: np.random.Generator) -> Array:
    """Draw one or two long bones in flesh, with or without a joint."""
    angle = rng.normal(np.pi / 2, 0.25)
    middle = Point(rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.4))
    bend = rng.normal(0.0, 0.4)
    upper = middle.toward(angle + np.pi, 1.8)
    lower = middle.toward(angle + bend, 1.8)
    flesh = rng.uniform(0.25, 0.6)
    soft = np.maximum(
        capsule(upper, middle, (flesh * rng.uniform(0.8, 1.3), flesh)),
        capsule(middle, lower, (flesh, flesh * rng.uniform(0.6, 1.1))),
    )
    radius = flesh * rng.uniform(0.25, 0.45)
    gap = radius * 1.1
    total = rng.uniform(0.3, 1.0) * soft + bone(upper, middle.toward(angle + np.pi, gap), radius)
    start = middle.toward(angle + bend, gap)
    if chance(rng, 0.5):
        total += bone(start, lower, radius)
    else:
        side = angle + bend + np.pi / 2
        total += bone(start.toward(side, radius), lower.toward(side, radius), 0.7 * radius)
        total += bone(start.toward(side, -radius), lower.toward(side, -radius), 0.55 * radius)
    if chance(rng, 0.4):
        total += 0.5 * radius * ellipsoid(middle, (radius, radius))
    return exposed(total, rng)


def legs(rng: np.random.Generator) -> Array:
    """Draw two limbs side by side: dark between them, bright bones left and right."""
    total = np.zeros(grid()[0].shape)
    gap = rng.uniform(0.3, 0.6)
    flesh = gap * rng.uniform(0.6, 1.0)
    height = rng.uniform(-0.6, 0.6)
    for side in (-1.0, 1.0):
        top, bottom = Point(side * gap * rng.uniform(0.8, 1.3), -1.4), Point(side * gap, 1.4)
        knee = Point(side * gap, height)
        radius = flesh * rng.uniform(0.25, 0.4)
        total += rng.uniform(0.4, 0.8) * capsule(top, bottom, (flesh * 1.1, flesh * 0.8))
        total += bone(top, Point(knee.x, knee.y - radius), radius)
        total += bone(Point(knee.x, knee.y + radius), bottom, radius * 0.9)
    return exposed(total, rng)


def hand(rng: np.random.Generator) -> Array:
    """Draw a fan of jointed rays on a palm, as in a hand or a foot."""
    total = np.zeros(grid()[0].shape)
    soft = np.zeros_like(total)
    wrist = Point(rng.uniform(-0.2, 0.2), rng.uniform(0.4, 0.7))
    spread = rng.uniform(0.08, 0.3)
    size = rng.uniform(0.7, 1.2)
    for ray in range(5):
        angle = -np.pi / 2 + (ray - 2) * spread + rng.normal(0.0, 0.04)
        place = wrist.toward(angle, 0.2 * size)
        for length in (0.42, 0.28, 0.2, 0.13)[: 3 if ray == 0 else 4]:
            end = place.toward(angle, length * size * rng.uniform(0.85, 1.1))
            total += bone(place, end, 0.045 * size, 1.3)
            soft = np.maximum(soft, capsule(place, end, (0.1 * size, 0.09 * size)))
            place = end.toward(angle, 0.06 * size)
    palm = capsule(wrist, wrist.toward(-np.pi / 2, 0.45 * size), (0.28 * size, 0.36 * size))
    arm = capsule(wrist, Point(wrist.x, 1.6), (0.24 * size, 0.26 * size))
    soft = np.maximum(soft, np.maximum(0.6 * palm, 0.8 * arm))
    for side in (-0.09, 0.1):
        total += bone(Point(wrist.x + side * size, 1.6), wrist.toward(0.0, side * size), 0.07)
    return exposed(rng.uniform(0.2, 0.8) * soft + total, rng)


def _spine(rng: np.random.Generator, x: float, bend: float, thick: float) -> Array:
    """Return a column of vertebrae from top to bottom."""
    total = np.zeros(grid()[0].shape)
    height = rng.uniform(0.12, 0.3)
    y = -1.1
    while y < 1.2:
        place = x + bend * (1.0 - y**2)
        body = capsule(Point(place - thick, y), Point(place + thick, y), (height * 0.4,) * 2)
        total += body + 0.5 * height * shell(Point(place, y), (thick * 1.2, height * 0.42), 0.02)
        if chance(rng, 0.9):
            total += 0.08 * ellipsoid(Point(place, y + 0.4 * height), (0.25 * thick, 0.3 * height))
        y += height
    return total


def spine_front(rng: np.random.Generator) -> Array:
    """Draw an abdomen or a lumbar spine from the front: gas, psoas, last ribs, iliac wings."""
    x = rng.normal(0.0, 0.06)
    trunk = ellipsoid(Point(x, 0.0), (rng.uniform(0.8, 1.6), rng.uniform(1.4, 3.0)))
    total = rng.uniform(0.5, 1.5) * trunk + _spine(rng, x, rng.normal(0.0, 0.06), 0.14)
    total += 0.2 * capsule(Point(x, -0.4), Point(x - 0.45, 1.0), (0.06, 0.2))
    total += 0.2 * capsule(Point(x, -0.4), Point(x + 0.45, 1.0), (0.06, 0.2))
    if chance(rng, 0.6):
        for side in (-1.0, 1.0):
            for rib in range(int(rng.integers(1, 4))):
                start = Point(x + side * 0.15, -0.9 + 0.22 * rib)
                end = Point(x + side * rng.uniform(0.7, 1.0), start.y + rng.uniform(0.2, 0.5))
                total += 0.8 * capsule(start, end, (0.035, 0.03))
    if chance(rng, 0.6):
        total += _pelvis(rng, Point(x, rng.uniform(0.6, 1.1)), rng.uniform(0.7, 1.0))
    return exposed(np.maximum(total - 0.8 * _gas(rng, trunk, rng.uniform(0.02, 0.2)), 0.0), rng)


def _pelvis(rng: np.random.Generator, centre: Point, size: float) -> Array:
    total = np.zeros(grid()[0].shape)
    for side in (-1.0, 1.0):
        wing = Point(centre.x + side * 0.45 * size, centre.y - 0.25 * size)
        tilt = side * rng.uniform(0.5, 0.9)
        total += 0.3 * shell(wing, (0.28 * size, 0.42 * size), 0.06, tilt)
        total += 0.12 * ellipsoid(wing, (0.28 * size, 0.42 * size), tilt)
        hole = Point(centre.x + side * 0.2 * size, centre.y + 0.42 * size)
        total += 0.5 * shell(hole, (0.17 * size, 0.2 * size), 0.08, side * 0.4)
        socket = Point(centre.x + side * 0.58 * size, centre.y + 0.22 * size)
        total += 0.35 * ellipsoid(socket, (0.16 * size, 0.16 * size))
        hip = Point(centre.x + side * 0.8 * size, centre.y + 0.42 * size)
        total += capsule(socket, hip, (0.09 * size, 0.1 * size))
        total += bone(hip, Point(centre.x + side * 0.75 * size, centre.y + 1.6), 0.1 * size)
    return total + 0.3 * ellipsoid(Point(centre.x, centre.y - 0.15 * size), (0.2, 0.35))


def pelvis(rng: np.random.Generator) -> Array:
    """Draw a pelvis with hips, or one hip of it."""
    size = rng.uniform(0.7, 1.1)
    centre = Point(rng.normal(0.0, 0.08), rng.uniform(-0.25, 0.25))
    if chance(rng, 0.35):
        size, centre = 1.8, Point(rng.choice((-1.0, 1.0)) * rng.uniform(0.7, 1.1), 0.0)
    trunk = ellipsoid(Point(centre.x, centre.y - 0.5), (1.1 * size, 1.4 * size))
    thighs = capsule(
        Point(centre.x - 0.6 * size, centre.y + 0.4), Point(centre.x - 0.6 * size, 2.0), (0.5, 0.4)
    ) + capsule(
        Point(centre.x + 0.6 * size, centre.y + 0.4), Point(centre.x + 0.6 * size, 2.0), (0.5, 0.4)
    )
    total = rng.uniform(0.3, 0.9) * np.maximum(trunk, 0.8 * thighs)
    total += rng.uniform(0.7, 1.5) * _pelvis(rng, centre, size)
    if chance(rng, 0.7):
        total += _spine(rng, centre.x, 0.0, 0.12) * (grid()[1] < centre.y - 0.2 * size)
    return exposed(np.maximum(total - 0.4 * _gas(rng, trunk, rng.uniform(0.0, 0.1)), 0.0), rng)


def skull(rng: np.random.Generator) -> Array:
    """Draw a skull from the front or from the side, with neck."""
    size = rng.uniform(0.55, 0.95)
    centre = Point(rng.normal(0.0, 0.08), rng.uniform(-0.4, 0.0))
    side = chance(rng, 0.5)
    vault = (size * (1.05 if side else 0.8), size * 0.9)
    total = 1.5 * shell(centre, vault, 0.05 + 0.04 * rng.random()) + 0.6 * ellipsoid(centre, vault)
    jaw = Point(centre.x + (0.5 * size if side else 0.0), centre.y + 0.85 * size)
    total += 0.7 * ellipsoid(jaw, (0.45 * size, 0.5 * size))
    holes = ((0.75, 0.3),) if side else ((-0.32, 0.3), (0.32, 0.3), (0.0, 0.6))
    for dx, dy in holes:
        place = Point(centre.x + dx * size, centre.y + dy * size)
        total -= 0.4 * ellipsoid(place, (0.2 * size, 0.17 * size))
        total += 0.3 * shell(place, (0.22 * size, 0.19 * size), 0.03)
    for tooth in range(8):
        place = Point(jaw.x + (tooth - 3.5) * 0.07 * size, jaw.y + 0.1 * size)
        total += 0.4 * ellipsoid(place, (0.03 * size, 0.12 * size))
    neck = centre.x - (0.25 * size if side else 0.0)
    total += 0.5 * capsule(Point(neck, centre.y + size), Point(neck, 2.0), (0.4 * size, 0.6 * size))
    total += _spine(rng, neck, 0.03, 0.1 * size) * (grid()[1] > centre.y + 0.6 * size)
    return exposed(np.maximum(total, 0.0), rng)


def spine_side(rng: np.random.Generator) -> Array:
    """Draw a neck or a lumbar spine from the side."""
    x = rng.uniform(-0.4, 0.4)
    trunk = capsule(Point(x + 0.3, -2.0), Point(x + 0.2, 2.0), (rng.uniform(0.5, 1.2),) * 2)
    total = rng.uniform(0.4, 1.0) * trunk + 1.4 * _spine(rng, x, rng.normal(0.0, 0.25), 0.16)
    total -= 0.5 * _gas(rng, trunk, rng.uniform(0.0, 0.15))
    return exposed(np.maximum(total, 0.0), rng)


def shoulder(rng: np.random.Generator) -> Array:
    """Draw a shoulder: humerus, blade, collar bone, and some ribs with lung in a corner."""
    joint = Point(rng.uniform(-0.5, 0.0), rng.uniform(-0.3, 0.1))
    body = 0.6 * capsule(Point(joint.x + 0.9, -0.2), Point(joint.x + 0.9, 2.0), (0.8, 1.0))
    arm = 0.8 * capsule(joint, Point(joint.x - 0.25, 1.8), (0.35, 0.3))
    total = np.maximum(body, arm)
    total += bone(joint, Point(joint.x - 0.2, 1.8), 0.11, 1.7)
    total += 0.4 * shell(Point(joint.x + 0.5, joint.y + 0.4), (0.2, 0.5), 0.06, -0.4)
    total += 0.9 * capsule(Point(joint.x + 0.05, joint.y - 0.2), Point(1.1, -0.5), (0.05, 0.06))
    lung = ellipsoid(Point(joint.x + 1.1, joint.y + 0.9), (0.5, 0.9))
    total -= rng.uniform(0.3, 0.8) * lung
    for rib in range(6):
        start = Point(joint.x + 0.6, joint.y + 0.1 + 0.25 * rib)
        end = Point(joint.x + 1.6, start.y - 0.25)
        total += 0.5 * capsule(start, end, (0.05, 0.05)) * (lung > 0)
    return exposed(np.maximum(total, 0.0), rng)


def breast(rng: np.random.Generator) -> Array:
    """Draw a mammogram: half an ellipse at one edge, strands inside."""
    axes = (rng.uniform(0.6, 1.4), rng.uniform(0.6, 1.1))
    disc = ellipsoid(Point(-1.0, rng.uniform(-0.2, 0.2)), axes)
    strands = np.abs(field(rng, 14)) * disc
    return exposed(np.minimum(disc, 0.5) + rng.uniform(0.1, 0.8) * strands, rng)


def teeth(rng: np.random.Generator) -> Array:
    """Draw a dental panorama: two rows of teeth on curved jaws."""
    x, y = grid()
    bow = rng.uniform(0.1, 0.5)
    total = 0.5 * np.exp(-(((y - bow * (0.5 - x**2)) / 0.45) ** 2))
    for tooth in np.linspace(-0.8, 0.8, int(rng.integers(10, 17))):
        for side in (-1.0, 1.0):
            place = Point(float(tooth), bow * (0.5 - float(tooth) ** 2) + side * 0.16)
            total += rng.uniform(0.3, 0.6) * ellipsoid(place, (0.045, 0.16))
    return exposed(total, rng)


def lateral(rng: np.random.Generator) -> Array:
    """Draw a chest from the side: one lung field, spine behind, heart in front."""
    front, back = rng.uniform(-0.75, -0.45), rng.uniform(0.4, 0.75)
    middle, half = (front + back) / 2, (back - front) / 2
    trunk = np.maximum(
        ellipsoid(Point(middle, 0.2), (half * 1.25, 1.5)),
        0.8 * capsule(Point(middle, 0.3), Point(middle + rng.normal(0.0, 0.1), -1.5), (half, 0.3)),
    )
    arm = capsule(Point(middle, -0.6), Point(front - 0.4, -1.3), (0.22, 0.18))
    total = rng.uniform(0.5, 1.0) * trunk + rng.uniform(0.0, 0.6) * arm
    tilt = rng.normal(0.0, 0.12)
    lung = ellipsoid(Point(middle, rng.uniform(-0.15, 0.1)), (half * 0.95, 0.75), tilt)
    dome = rng.uniform(0.3, 0.6)
    x, y = grid()
    floor = (
        dome
        + rng.uniform(0.2, 0.6) * (x - front) * (x - middle)
        + rng.uniform(0.1, 0.5) * (x - middle)
    )
    air = lung * (1.0 / (1.0 + np.exp((y - floor) * 20.0)))
    total -= rng.uniform(0.5, 0.9) * air
    heart = Point(front + 0.35 * half, dome - 0.2)
    total += rng.uniform(0.1, 0.5) * ellipsoid(heart, (0.45 * half, 0.3), -0.6)
    total += 0.6 * _spine(rng, back - 0.18, rng.normal(0.06, 0.05), 0.09)
    slope = rng.uniform(0.1, 0.7)
    for rib in range(10):
        start = Point(back, -0.8 + 0.17 * rib)
        end = Point(front + 0.1, start.y + slope)
        total += rng.uniform(0.1, 0.4) * capsule(start, end, (0.03, 0.025)) * (lung > 0)
    hila = ellipsoid(Point(middle, -0.1), (0.2, 0.25))
    total += 0.25 * np.maximum(field(rng, 24), 0.0) * hila
    image = exposed(np.maximum(total, 0.0), rng)
    return image[:, ::-1] if chance(rng, 0.5) else image


BODIES: dict[str, Draw] = {
    "limb": limb,
    "legs": legs,
    "hand": hand,
    "abdomen": spine_front,
    "pelvis": pelvis,
    "skull": skull,
    "spine": spine_side,
    "shoulder": shoulder,
    "breast": breast,
    "teeth": teeth,
}
