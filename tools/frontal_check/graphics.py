"""Drawn slices, ultrasound fans, documents and textures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from tools.frontal_check.shapes import (
    SIDE,
    Point,
    capsule,
    chance,
    ellipsoid,
    field,
    grid,
    spectral_noise,
    stretched,
)

if TYPE_CHECKING:
    from tools.frontal_check.shapes import Array, Draw


def _inside(centre: Point, axes: tuple[float, float], angle: float = 0.0) -> Array:
    return np.asarray((ellipsoid(centre, axes, angle) > 0.0).astype(np.float64))


def _developed(image: Array, rng: np.random.Generator) -> Array:
    image = gaussian_filter(image, rng.uniform(0.3, 1.3))
    noise = rng.standard_normal(image.shape) * rng.uniform(0.0, 0.07)
    return np.asarray(np.clip(image + noise, 0.0, 1.0))


def slice_of_body(rng: np.random.Generator) -> Array:
    """Draw a transverse slice: rim, organs, spine, sometimes lungs, sometimes a table."""
    axes = (rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.75))
    image = np.full((SIDE, SIDE), rng.uniform(0.0, 0.5) if chance(rng, 0.3) else 0.0)
    image = np.where(_inside(Point(0.0, 0.0), axes) > 0, rng.uniform(0.1, 0.4), image)
    inner = (axes[0] * 0.9, axes[1] * 0.88)
    tissue = rng.uniform(0.4, 0.7)
    image = np.where(_inside(Point(0.0, 0.0), inner) > 0, tissue, image)
    if chance(rng, 0.5):
        for side in (-1.0, 1.0):
            place = Point(side * axes[0] * 0.48, rng.normal(0.0, 0.05))
            lung = _inside(place, (axes[0] * rng.uniform(0.3, 0.42), axes[1] * 0.72))
            vessels = np.maximum(field(rng, 30) - 1.2, 0.0) * rng.uniform(0.0, 0.7)
            image = np.where(lung > 0, rng.uniform(0.0, 0.3) + vessels, image)
        image += rng.uniform(0.0, 0.4) * _inside(Point(0.05, -0.1), (axes[0] * 0.3, axes[1] * 0.4))
    for _ in range(int(rng.integers(2, 10))):
        place = Point(rng.uniform(-0.6, 0.6) * axes[0], rng.uniform(-0.6, 0.6) * axes[1])
        organ = _inside(place, (rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.25)), rng.uniform(0, 3))
        image += organ * rng.normal(0.0, 0.12)
    image += 0.6 * _inside(Point(0.0, 0.6 * axes[1]), (0.12, 0.12))
    for rib in np.linspace(0.0, 2.0 * np.pi, int(rng.integers(0, 16)), endpoint=False):
        place = Point(float(np.cos(rib)) * inner[0] * 0.93, float(np.sin(rib)) * inner[1] * 0.93)
        image += 0.6 * _inside(place, (0.06, 0.025), float(rib) + np.pi / 2)
    if chance(rng, 0.6):
        curve = grid()[1] - axes[1] - 0.1 + rng.uniform(-0.3, 0.3) * grid()[0] ** 2
        image += 0.5 * (np.abs(curve) < 0.015)
    return _developed(image, rng)


def slice_of_head(rng: np.random.Generator) -> Array:
    """Draw a slice of a head: bright or dark ring, folded brain, ventricles."""
    axes = (rng.uniform(0.45, 0.8), rng.uniform(0.6, 0.9))
    centre = Point(rng.normal(0.0, 0.05), rng.normal(0.0, 0.05))
    ring = _inside(centre, axes) - _inside(centre, (axes[0] * 0.9, axes[1] * 0.92))
    brain = _inside(centre, (axes[0] * 0.87, axes[1] * 0.89))
    folds = np.abs(field(rng, int(rng.integers(10, 26))))
    image = ring * rng.choice((0.2, 1.0, 1.0)) + brain * (rng.uniform(0.3, 0.6) + 0.12 * folds)
    for side in (-1.0, 1.0):
        place = Point(centre.x + side * 0.13, centre.y)
        image -= 0.35 * _inside(place, (0.07, rng.uniform(0.1, 0.3)), side * 0.3)
    return _developed(np.maximum(image, 0.0), rng)


def fan(rng: np.random.Generator) -> Array:
    """Draw an ultrasound image: a fan of speckle on black."""
    x, y = grid()
    apex = rng.uniform(-1.3, -0.8)
    radius = np.hypot(x, y - apex)
    angle = np.arctan2(x, y - apex)
    inside = (radius > rng.uniform(0.0, 0.4)) & (radius < rng.uniform(1.5, 2.1))
    inside &= np.abs(angle) < rng.uniform(0.4, 1.0)
    speckle = np.abs(gaussian_filter(rng.standard_normal((SIDE, SIDE)), (1.2, 2.5))) * 4.0
    tissue = np.clip(0.5 + 0.35 * field(rng, int(rng.integers(4, 12))), 0.02, 1.0)
    return _developed(np.clip(speckle * tissue * inside, 0.0, 1.0) ** rng.uniform(0.5, 1.0), rng)


def document(rng: np.random.Generator) -> Array:
    """Draw a page of text, a form, or a screen with frames and curves."""
    paper, ink = (235, 20) if chance(rng, 0.7) else (15, 230)
    image = Image.new("L", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(7, 22))
    font = ImageFont.load_default(size)
    letters = np.array(list("abcdefghij klmnop qrstuvw xyz ABC 0123456789.,-"))
    if chance(rng, 0.7):
        y = int(rng.integers(4, 30))
        while y < SIDE - size:
            words = "".join(rng.choice(letters, int(rng.integers(4, 60))))
            draw.text((int(rng.integers(4, 30)), y), words, fill=ink, font=font)
            y += int(size * rng.uniform(1.1, 2.2))
    for _ in range(int(rng.integers(0, 8))):
        box = np.sort(rng.integers(0, SIDE, (2, 2)), axis=0)
        shade = int(rng.integers(0, 256)) if chance(rng, 0.5) else None
        draw.rectangle([*map(int, box[0]), *map(int, box[1])], fill=shade, outline=ink)
    for _ in range(int(rng.integers(0, 4))):
        heights = SIDE / 2 + np.cumsum(rng.normal(0.0, 8.0, 40))
        points = [(i * SIDE / 39, float(h)) for i, h in enumerate(heights)]
        draw.line(points, fill=int(rng.integers(0, 256)), width=int(rng.integers(1, 4)))
    return _developed(np.asarray(image, dtype=np.float64) / 255.0, rng)


def texture(rng: np.random.Generator) -> Array:
    """Draw noise of some colour, stripes, rings, checks, blobs, cells or a gradient."""
    x, y = grid()
    kind = int(rng.integers(0, 8))
    if kind in {0, 1}:
        return spectral_noise(rng, rng.uniform(0.0, 2.6), float(np.exp(rng.normal(0.0, 0.5))))
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(2.0, 40.0)
    across = x * np.cos(angle) + y * np.sin(angle)
    if kind == 2:
        image = np.sin(across * pitch + field(rng, 5) * rng.uniform(0.0, 2.0))
    elif kind == 3:
        image = np.sin(np.hypot(x - rng.normal(0, 0.3), y - rng.normal(0, 0.3)) * pitch)
    elif kind == 4:
        image = np.sign(np.sin(x * pitch) * np.sin(y * pitch * rng.uniform(0.7, 1.4)))
    elif kind == 5:
        image = field(rng, int(rng.integers(3, 20)))
        image = image > rng.normal(0.0, 0.5) if chance(rng, 0.5) else image
    elif kind == 6:
        seeds = rng.uniform(-1, 1, (int(rng.integers(5, 40)), 2))
        away = np.hypot(x[..., None] - seeds[:, 0], y[..., None] - seeds[:, 1])
        image = np.sort(away, axis=-1)[..., 0]
    else:
        image = across + 0.2 * field(rng, 6) * rng.random()
    return _developed(stretched(np.asarray(image, dtype=np.float64)), rng)


def solids(rng: np.random.Generator) -> Array:
    """Draw a heap of random rods and balls, often symmetric: radiographs of nothing."""
    image = np.zeros((SIDE, SIDE))
    for _ in range(int(rng.integers(2, 14))):
        place = Point(rng.uniform(-1, 1), rng.uniform(-1, 1))
        weight = rng.normal(0.3, 0.6)
        if chance(rng, 0.5):
            end = Point(rng.uniform(-1, 1), rng.uniform(-1, 1))
            image += weight * capsule(place, end, (rng.uniform(0.03, 0.5), rng.uniform(0.03, 0.5)))
        else:
            axes = (rng.uniform(0.05, 0.9), rng.uniform(0.05, 0.9))
            image += weight * ellipsoid(place, axes, rng.uniform(0, 3))
    if chance(rng, 0.5):
        image = image + image[:, ::-1]
    return _developed(stretched(image + rng.uniform(0.0, 0.1) * field(rng, 20)), rng)


GRAPHICS: dict[str, Draw] = {
    "body slice": slice_of_body,
    "head slice": slice_of_head,
    "ultrasound": fan,
    "document": document,
    "texture": texture,
    "solids": solids,
}
