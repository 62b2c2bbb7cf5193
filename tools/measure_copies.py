"""Measure by how much copies of an image, and different images, correlate in the audit.

``python -m tools.measure_copies FOLDER`` prints the table from which the limit of
``cxrscreen/data/audit/duplicates.py`` was taken: docs/audit.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from cxrscreen.config import DataConfig
from cxrscreen.data.audit.duplicates import SAME_PICTURE, local_contrast
from cxrscreen.data.audit.measure import Measurement, measure_all, thumbnail
from cxrscreen.data.load import load_labelled

_COPIES: Final = 150


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def _gamma(image: Image.Image, exponent: float) -> Image.Image:
    return image.point(lambda value: 255 * (value / 255) ** exponent)


def _cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    x, y = round(width * share), round(height * share)
    return image.crop((x, y, width - x, height - y))


CHANGES: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "JPEG of quality 75": lambda image: _jpeg(image, 75),
    "JPEG of quality 30": lambda image: _jpeg(image, 30),
    "JPEG of quality 10": lambda image: _jpeg(image, 10),
    "half of the size": lambda image: image.reduce(2),
    "a third of the size": lambda image: image.reduce(3),
    "gamma 0.75": lambda image: _gamma(image, 0.75),
    "gamma 1.3": lambda image: _gamma(image, 1.3),
    "80% of the contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "blurred by 2 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "1% cropped from each edge": lambda image: _cropped(image, 0.01),
    "2% cropped from each edge": lambda image: _cropped(image, 0.02),
    "turned by 1 degree": lambda image: image.rotate(1, Image.Resampling.BILINEAR),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Labelled images, 8 bits, as for train.")
    images = load_labelled(parser.parse_args().folder, DataConfig())
    paths = [image.path for image in images]
    chosen = np.random.default_rng(0).permutation(len(paths))[:_COPIES]
    originals = [Image.open(paths[position]).convert("L") for position in chosen]
    vectors = _vectors(originals)
    for name, change in CHANGES.items():
        found = (_vectors([change(image) for image in originals]) * vectors).sum(axis=1)
        _say(name, f"{found.min():.3f} to {found.max():.3f}, median {np.median(found):.3f}")
    results = measure_all(paths, workers=2)
    kept: dict[str, tuple[str, Measurement]] = {}
    for image, result in zip(images, results, strict=True):
        if isinstance(result, Measurement):
            kept.setdefault(result.sha256, (image.patient_key, result))
    patients = np.array([patient for patient, _ in kept.values()])
    vectors = local_contrast(np.stack([m.thumbnail for _, m in kept.values()]))
    first, second = np.triu_indices(len(vectors), 1)
    correlation = (vectors @ vectors.T)[first, second]
    same = patients[first] == patients[second]
    for name, values in (("one patient", correlation[same]), ("two patients", correlation[~same])):
        _say(
            name,
            f"median {np.median(values):.3f}, largest {values.max():.3f}, "
            f"{int((values >= SAME_PICTURE).sum())} of {values.size} from {SAME_PICTURE} on",
        )


def _say(name: str, text: str) -> None:
    sys.stdout.write(f"{name:32} {text}\n")


def _vectors(images: list[Image.Image]) -> NDArray[np.float32]:
    grey = (np.asarray(image.convert("L"), dtype=np.float32) for image in images)
    return local_contrast(np.stack([thumbnail(one / np.float32(255)) for one in grey]))


if __name__ == "__main__":
    main()
