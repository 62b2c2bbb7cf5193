"""Labelled images with planted faults, for the tests of the audit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from cxrscreen.data.dataset import LabelledImage

CLASSES = ("NORMAL", "PNEUMONIA")


def texture(seed: int, *, blur: float = 1.5, side: int = 96) -> np.ndarray:
    """A picture unlike any other, uint8 ``[side, side]``."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.normal(size=(side, side)), 6)
    fine = gaussian_filter(rng.normal(size=(side, side)), blur)
    values = coarse / coarse.std() + fine / fine.std()
    low, high = values.min(), values.max()
    return np.rint(255 * (values - low) / (high - low)).astype(np.uint8)


def name(label: int, patient: int, number: int = 1) -> str:
    """A file name as those of the pediatric data set."""
    stem = f"person{patient}_virus_{number}" if label else f"IM-{patient:04}-{number:04}"
    return f"{CLASSES[label]}/{stem}.png"


def write_images(
    folder: Path, *, per_class: int = 14, blurs: tuple[float, float] = (1.5, 1.5)
) -> list[LabelledImage]:
    """Write one image for each patient and return them as labelled images."""
    images = []
    for label in (0, 1):
        (folder / CLASSES[label]).mkdir(parents=True)
        for patient in range(per_class):
            file = folder / name(label, patient)
            picture = texture(1000 * label + patient, blur=blurs[label])
            Image.fromarray(picture).save(file)
            images.append(labelled(folder, label, patient))
    return images


def labelled(
    folder: Path, label: int, patient: int, number: int = 1, part: str | None = None
) -> LabelledImage:
    """The labelled image of a file that :func:`name` names."""
    shown = name(label, patient, number)
    key = f"person{patient}-virus" if label else f"IM-{patient:04}"
    return LabelledImage(folder / shown, shown, label, key, part=part)


class DeadlyPath(type(Path())):
    """A file on which the process dies that opens it, as on a decoder that aborts."""

    def stat(self, **_options: bool) -> os.stat_result:
        os._exit(7)
