from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from cxrscreen.intake.header.age import read_age
from cxrscreen.intake.header.dicom import quiet_readers


def age_of(**elements: str):
    header = Dataset()
    with quiet_readers():
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        return read_age(header)


@pytest.mark.parametrize(
    ("value", "years"),
    [
        ("003Y", 3),
        ("018M", 1.5),
        ("052W", 52 * 7 / 365.25),
        ("010D", 10 / 365.25),
        ("3y", 3),
        ("81", 81),
        ("000Y", 0),
        ("xyz", None),
        ("999Y", None),
        ("-03Y", None),
        ("٣Y", None),  # Arabic digits are no digits of VR AS
        ("", None),
    ],
)
def test_patient_age(value, years):
    assert age_of(PatientAge=value).years == (None if years is None else pytest.approx(years))


@pytest.mark.parametrize(
    "dates",
    [
        {"StudyDate": "20230101"},
        {"StudyDate": "2023.01.01"},
        {"SeriesDate": "20230101"},
        {"StudyDate": "", "AcquisitionDate": "20230101"},
        {"StudyDate": "nonsense", "ContentDate": "20230101"},
        {"AcquisitionDateTime": "20230101101500.000000"},
    ],
)
def test_birth_date_and_the_first_date_of_the_examination(dates):
    assert age_of(PatientBirthDate="20200101", **dates).years == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("born", ["20240101", "18000101", "20201301", "2020", "unknown"])
def test_a_birth_date_that_gives_no_age_is_not_used(born):
    assert age_of(PatientBirthDate=born, StudyDate="20230101").years is None


def test_no_note_repeats_a_date():
    found = age_of(PatientAge="000Y", PatientBirthDate="20160711", StudyDate="20230101")
    assert found.years == 0
    assert found.other_years == pytest.approx(6.48, abs=0.01)
    assert len(found.notes) == 1
    assert "2016" not in found.notes[0]


def test_completed_years_and_dates_agree():
    found = age_of(PatientAge="005Y", PatientBirthDate="20140422", StudyDate="20200125")
    assert (found.years, found.other_years, found.notes) == (5, None, ())


@pytest.mark.parametrize(("value", "word"), [("81", "unit"), ("xyz", "no age")])
def test_what_was_assumed_is_noted(value, word):
    assert word in age_of(PatientAge=value).notes[0]
