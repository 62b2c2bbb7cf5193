"""Splits that hold back what is unlike the rest: a series, or the earliest patients of each.

A validation part that is drawn at random is as alike to the training part as can be. What a
model is worth elsewhere shows sooner on a series of another time or another protocol.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.series import SeriesPlace, series_place
from cxrscreen.data.split import Split
from cxrscreen.errors import DatasetError


def without_series(
    images: Sequence[LabelledImage],
    groups: Sequence[str],
    series: str,
    *,
    fraction: float = 0.25,
    seed: int = 0,
) -> Split:
    """Train on all series but one, and validate on that one.

    Of the other class, which is in both parts, a share of the patients is drawn at random.

    Parameters
    ----------
    images
        Of "Chest X-Ray Images (Pneumonia)": the names tell the series.
    groups
        What must not be torn apart, of each image (:func:`~cxrscreen.data.content.joined_groups`).
        A group of which a part is held back is held back as a whole.
    series
        The one to validate on: ``IM``, ``NORMAL2``, ``bacteria`` or ``virus``.
    fraction
        Share of the groups of the other class to validate on, between 0 and 1.
    seed
        Of the draw.

    Raises
    ------
    DatasetError
        A name tells no series, the series has no image, or nothing is left to train on.
    """
    places = _places(images)
    labels = {i.label for i, place in zip(images, places, strict=True) if place.series == series}
    if len(labels) != 1:
        message = f"the series {series} has no image, or images of both classes"
        known = ", ".join(sorted({place.series for place in places}))
        raise DatasetError(message, hint=f"These series are there: {known}.")
    other = sorted({g for i, g in zip(images, groups, strict=True) if i.label not in labels})
    count = max(1, round(fraction * len(other)))
    drawn = np.random.default_rng(seed).permutation(len(other))[:count]
    held = {other[index] for index in drawn}
    held |= {g for g, place in zip(groups, places, strict=True) if place.series == series}
    return _split(images, groups, held)


def without_end(
    images: Sequence[LabelledImage],
    groups: Sequence[str],
    end: Literal["low", "high"],
    *,
    fraction: float = 0.15,
) -> Split:
    """Train on all patients but those with the lowest or the highest numbers of each series.

    Numbers are roughly in the order in which the patients were taken in.

    Parameters
    ----------
    images, groups
        As in :func:`without_series`.
    end
        Which numbers are held back.
    fraction
        Share of the patients of each series, between 0 and 1.

    Raises
    ------
    DatasetError
        A name tells no series.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    places = _places(images)
    for place in places:
        numbers[place.series].add(place.number)
    held_numbers = {
        series: set(sorted(found, reverse=end == "high")[: math.ceil(fraction * len(found))])
        for series, found in numbers.items()
    }
    held = {
        group
        for group, place in zip(groups, places, strict=True)
        if place.number in held_numbers[place.series]
    }
    return _split(images, groups, held)


def _split(images: Sequence[LabelledImage], groups: Sequence[str], held: Collection[str]) -> Split:
    parts: tuple[list[LabelledImage], list[LabelledImage]] = ([], [])
    for image, group in zip(images, groups, strict=True):
        parts[group in held].append(image)
    return Split(training=tuple(parts[0]), validation=tuple(parts[1]))


def _places(images: Sequence[LabelledImage]) -> list[SeriesPlace]:
    places = []
    for image in images:
        place = series_place(image.name)
        if place is None:
            message = f"{image.name}: the name tells no series"
            hint = 'Give images of "Chest X-Ray Images (Pneumonia)" under their own names.'
            raise DatasetError(message, hint=hint)
        places.append(place)
    return places
