"""Labelled images, class weights, and the fingerprint of a set of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.data.content import sha256_of
from cxrscreen.errors import DatasetError


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a labelled data set.

    Attributes
    ----------
    path
        Where it lies.
    name
        Path below the data folder, with forward slashes: the same on every machine.
    label
        1 for pneumonia, 0 for normal.
    patient_key
        Same key, same patient.
    age_years, sex, view, site
        Where the data say so. ``sex`` is ``F``, ``M`` or ``O``; ``view`` and ``site`` are as
        the data write them.
    part
        The part that the data themselves assign the image to, such as ``train`` or ``test``.
    attributes
        Further columns of a table, as names and values; a value may be empty.
    """

    path: Path
    name: str
    label: int
    patient_key: str
    age_years: float | None = None
    sex: str | None = None
    view: str | None = None
    site: str | None = None
    part: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Labelled images, and what the reader of their layout has to say.

    Attributes
    ----------
    images
        Sorted by name.
    notes
        A sentence for each thing that a user should know: what was left out, and how much.
    """

    images: tuple[LabelledImage, ...]
    notes: tuple[str, ...] = ()


def class_weights(labels: Sequence[int]) -> tuple[float, float]:
    """Return the loss weight of a negative and of a positive image.

    ``n / (2 n_c)`` for class ``c`` of ``n_c`` among ``n`` images (King and Zeng, "Logistic
    regression in rare events data", 2001): both classes then weigh the same as a whole.

    Raises
    ------
    DatasetError
        A class has no image.
    """
    total, positives = len(labels), sum(labels)
    if not 0 < positives < total:
        message = f"{total} images with {positives} positives: one class is empty"
        raise DatasetError(message, hint="Class weights need images of both classes.")
    return total / (2 * (total - positives)), total / (2 * positives)


def fingerprint(images: Sequence[LabelledImage]) -> str:
    """Return the SHA-256 over names and contents of images, whatever their order.

    Raises
    ------
    DatasetError
        An image cannot be read.
    """
    digest = hashlib.sha256()
    for image in sorted(images, key=lambda image: image.name):
        # A name need not be UTF-8: its bytes count as they are.
        line = f"{sha256_of(image.path)}  {image.name}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
