"""How old a patient was when the image was taken, by everything that the header tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from cxrscreen.intake.header.elements import day, text

# PS3.5 section 6.2, VR AS: three digits and a unit. Many writers leave the unit out.
_AGE: Final = re.compile(r"\s*([0-9]{1,3})\s*([DWMY]?)\s*", re.IGNORECASE)
_DAYS_PER_YEAR: Final = 365.25
YEARS_PER_UNIT: Final = {
    "D": 1 / _DAYS_PER_YEAR,
    "W": 7 / _DAYS_PER_YEAR,
    "M": 1 / 12,
    "Y": 1.0,
    "": 1.0,
}
OLDEST_YEARS: Final = 130
#: ``PatientAge`` counts completed years: a year of difference is rounding, more is not.
TOLERANCE_YEARS: Final = 1.5
# The first that is there: de-identification often leaves only some of them.
_DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "AcquisitionDateTime", "ContentDate")
AGE_ELEMENTS: Final = ("PatientAge", "PatientBirthDate", *_DATES)


@dataclass(frozen=True, slots=True)
class Age:
    """Age at the study in years.

    Attributes
    ----------
    years
        By ``PatientAge`` or, without it, by the dates; ``None`` if unknown.
    other_years
        By the dates where they contradict ``PatientAge``, else ``None``.
    notes
        What had to be assumed, one sentence each. Never a date.
    """

    years: float | None
    other_years: float | None = None
    notes: tuple[str, ...] = ()


def read_age(header: Dataset) -> Age:
    """Return the age by ``PatientAge`` and by ``PatientBirthDate`` to the date of the study."""
    notes: list[str] = []
    stated = _stated_years(header, notes)
    counted = _counted_years(header, notes)
    if stated is None:
        return Age(counted, notes=tuple(notes))
    if counted is None or abs(stated - counted) <= TOLERANCE_YEARS:
        return Age(stated, notes=tuple(notes))
    notes.append(
        f"PatientAge tells {stated:.1f} years, PatientBirthDate {counted:.1f}: one is wrong"
    )
    return Age(stated, other_years=counted, notes=tuple(notes))


def _stated_years(header: Dataset, notes: list[str]) -> float | None:
    value = text(header, "PatientAge")
    if not value:
        return None
    match = _AGE.fullmatch(value)
    years = int(match[1]) * YEARS_PER_UNIT[match[2].upper()] if match else None
    if match is None or years is None or years > OLDEST_YEARS:
        notes.append("PatientAge is no age: not used")
        return None
    if not match[2]:
        notes.append("PatientAge has no unit: taken as years")
    return years


def _counted_years(header: Dataset, notes: list[str]) -> float | None:
    born = day(header, "PatientBirthDate")
    if born is None:
        return None
    taken = next((found for key in _DATES if (found := day(header, key)) is not None), None)
    if taken is None:
        return None
    years = (taken - born).days / _DAYS_PER_YEAR
    if not 0 <= years <= OLDEST_YEARS:
        notes.append("PatientBirthDate and the date of the study give no age: not used")
        return None
    return years
