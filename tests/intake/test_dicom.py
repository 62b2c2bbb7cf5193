from __future__ import annotations

import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.intake.content import Content
from cxrscreen.intake.dicom import describe, read_header
from cxrscreen.records import Source
from cxrscreen.vocabulary import RejectCode, View


def described(path: Path):
    return describe(read_header(Content(path)), source=Source(path))


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "003Y"}, 3),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "052W"}, 52 * 7 / 365.25),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientAge": "81"}, 81),
        ({"PatientAge": "", "PatientBirthDate": "20200101", "StudyDate": "20230101"}, 3.0),
        ({"PatientAge": "", "PatientBirthDate": "20240101", "StudyDate": "20230101"}, None),
        ({"PatientAge": "xyz"}, None),
        ({"PatientAge": "999Y"}, None),
        ({"PatientAge": None}, None),
    ],
)
def test_age(make_dicom, elements, age):
    found = described(make_dicom(**elements)).age_years
    assert found == (None if age is None else pytest.approx(age, abs=0.01))


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "PA"}, View.PA),
        ({"ViewPosition": "AP SUPINE"}, View.FRONTAL),
        ({"ViewPosition": "LL"}, View.LATERAL),
        ({"ViewPosition": "LATERAL LEFT"}, View.LATERAL),
        ({"ViewPosition": "RAO"}, View.OBLIQUE),
        ({"ViewPosition": "AP OBLIQUE"}, View.OBLIQUE),
        ({"ViewPosition": "SWIMMER"}, View.OTHER),
        ({"ViewPosition": None}, View.UNKNOWN),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, View.LATERAL),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, View.UNKNOWN),
        ({"ViewPosition": "", "SeriesDescription": "W Chest Lat."}, View.LATERAL),
        ({"ViewPosition": "", "StudyDescription": "CHEST PA AND LATERAL"}, View.UNKNOWN),
    ],
)
def test_view(make_dicom, elements, view):
    assert described(make_dicom(**elements)).view is view


def test_view_code_meaning(make_dicom):
    code = Dataset()
    code.CodeMeaning = "lateral"
    path = make_dicom(ViewPosition="", ViewCodeSequence=[code])
    assert described(path).view is View.LATERAL


@pytest.mark.parametrize(
    "elements",
    [{"PatientSpeciesDescription": "Canis lupus familiaris"}, {"ProtocolName": "CANINE THORAX"}],
)
def test_an_animal_is_recognised(make_dicom, elements):
    assert described(make_dicom(**elements)).is_animal


@pytest.mark.parametrize(
    "elements",
    [
        {"StudyDescription": "CATHETER CHECK, CHEST"},
        {"StudyDescription": "CHEST, CAT SCAN FOLLOWS"},
        {"PatientSpeciesDescription": "Homo sapiens"},
    ],
)
def test_a_person_is_no_animal(make_dicom, elements):
    assert not described(make_dicom(**elements)).is_animal


def test_the_record_holds_no_name_and_no_identifier(make_dicom):
    assert "SECRET" not in repr(described(make_dicom()))


def test_the_coded_region_stands_in_for_the_body_part(make_dicom):
    region = Dataset()
    region.CodeMeaning = "Hand"
    path = make_dicom(BodyPartExamined=None, AnatomicRegionSequence=[region])
    assert described(path).body_part == "HAND"


def test_garbage_behind_a_preamble_has_no_pixels(tmp_path):
    path = tmp_path / "x.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 8)
    opened = open_image(Source(path))
    assert opened.record.modality == ""
    with pytest.raises(ImageRefusedError) as caught:
        opened.read_pixels()
    assert caught.value.code is RejectCode.NO_PIXEL_DATA


def test_reading_in_threads_leaves_warnings_and_logs_as_they_were(make_dicom):
    paths = [make_dicom(PatientAge="xyz") for _ in range(40)]
    logger, filters = logging.getLogger("pydicom"), warnings.filters[:]
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(described, paths))) == 40
    assert not logger.disabled
    assert warnings.filters == filters
