"""Labels, ages and sexes, as people write them into tables."""

from __future__ import annotations

import re
from typing import Final

from cxrscreen.intake.header.age import OLDEST_YEARS, YEARS_PER_UNIT

_AGE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([DWMY]?)", re.IGNORECASE)
_LABELS: Final = {"0": 0, "normal": 0, "1": 1, "pneumonia": 1}
_SEXES: Final = {
    "f": "F",
    "female": "F",
    "m": "M",
    "male": "M",
    "o": "O",
    "other": "O",
    "": None,
    "u": None,
    "unknown": None,
}


def label_of(text: str) -> int:
    """Return 0 for ``0`` and ``normal``, 1 for ``1`` and ``pneumonia``, in any case.

    Raises
    ------
    ValueError
        It is none of these.
    """
    label = _LABELS.get(text.strip().casefold())
    if label is None:
        message = "the label is none of 0, 1, normal and pneumonia"
        raise ValueError(message)
    return label


def age_years_of(text: str) -> float | None:
    """Return an age in years, ``None`` for an empty text.

    A number is in years; a unit may follow as in DICOM (PS3.5 section 6.2, VR AS): ``058Y``,
    ``006M``, ``010D``.

    Raises
    ------
    ValueError
        It is no age, or one above 130 years.
    """
    if not text.strip():
        return None
    match = _AGE.fullmatch(text.strip())
    years = float(match[1]) * YEARS_PER_UNIT[match[2].upper()] if match else None
    if years is None or years > OLDEST_YEARS:
        message = f"the age is no number of years from 0 to {OLDEST_YEARS}"
        raise ValueError(message)
    return years


def sex_of(text: str) -> str | None:
    """Return ``F``, ``M`` or ``O``; ``None`` where it is not known.

    Raises
    ------
    ValueError
        It is none of F, M, O, U and their words.
    """
    key = text.strip().casefold()
    if key not in _SEXES:
        message = "the sex is none of F, M, O and U"
        raise ValueError(message)
    return _SEXES[key]
