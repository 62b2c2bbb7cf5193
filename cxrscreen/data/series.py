"""The series that an image of "Chest X-Ray Images (Pneumonia)" belongs to, by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

#: Normal children come in two series, pneumonia with two aetiologies.
NORMAL_SERIES: Final = ("IM", "NORMAL2")
PNEUMONIA_SERIES: Final = ("bacteria", "virus")
_NAME: Final = re.compile(r"^(?:person(\d+)_(bacteria|virus)_|(?:(NORMAL2)-)?IM-(\d+)-)")


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """Where an image stands.

    Attributes
    ----------
    series
        ``IM``, ``NORMAL2``, ``bacteria`` or ``virus``.
    number
        Of the patient within it: roughly the order in which they were taken in.
    """

    series: str
    number: int


def series_place(name: str) -> SeriesPlace | None:
    """Return the place of a file in its series, by its name; ``None`` if that tells none."""
    match = _NAME.match(PurePath(name).name)
    if match is None:
        return None
    person, aetiology, second, normal = match.groups()
    return SeriesPlace(aetiology or second or "IM", int(person or normal))


def series_of(name: str) -> str:
    """Return the series of a file, by its name; empty if that tells none."""
    place = series_place(name)
    return place.series if place else ""
