from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sr import codes
from pydicom.sr._snomed_dict import mapping

from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.header.view import read_examination, read_view
from cxrscreen.vocabulary import FRONTAL_VIEWS, View


def view_of(**elements: object):
    header = Dataset()
    with quiet_readers():
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        return read_view(header, read_examination(header))


def code(value: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", View.PA),
        ("AP", View.AP),
        ("P.A.", View.PA),
        ("a/p", View.AP),
        ("AP SUPINE", View.FRONTAL),
        ("FRONTAL", View.FRONTAL),
        ("LL", View.LATERAL),
        ("LATERAL LEFT", View.LATERAL),
        ("RLD", View.DECUBITUS),
        ("LAT DECUB", View.DECUBITUS),
        ("AP LORDOTIC", View.LORDOTIC),
        ("RAO", View.OBLIQUE),
        ("AP OBLIQUE", View.OBLIQUE),
        ("LLO", View.OBLIQUE),
        ("SWIMMER", View.OTHER),
        ("ERECT", View.UNKNOWN),
        ("UNKNOWN", View.UNKNOWN),
        ("", View.UNKNOWN),
    ],
)
def test_view_position(position, view):
    assert view_of(ViewPosition=position).view is view


def test_of_several_positions_all_count():
    assert view_of(ViewPosition=["PA", "LL"]).view is View.LATERAL


def test_the_evidence_has_the_value_if_it_is_a_code():
    assert view_of(ViewPosition="LL").evidence == "ViewPosition (LL)"
    assert "JANE" not in view_of(ViewPosition="DOE^JANE").evidence


@pytest.mark.parametrize(
    ("orientation", "view"),
    [
        (["L", "F"], View.UNKNOWN),
        (["F", "L"], View.UNKNOWN),
        (["A", "F"], View.LATERAL),
        (["P", "FL"], View.LATERAL),
        (["F", "A"], View.LATERAL),
        (["L", "P"], View.OTHER),
        (["X", "F"], View.UNKNOWN),
        (["A"], View.UNKNOWN),
        (["A", "F", "L"], View.UNKNOWN),
    ],
)
def test_patient_orientation(orientation, view):
    assert view_of(PatientOrientation=orientation).view is view


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"SeriesDescription": "W Chest Lat."}, View.LATERAL),
        ({"ProtocolName": "W034 Thorax seitl."}, View.LATERAL),
        ({"SeriesDescription": "THORAX DE PROFIL"}, View.LATERAL),
        ({"SeriesDescription": "CHEST AP L LAT DECUB"}, View.DECUBITUS),
        ({"StudyDescription": "CHEST PA LAT DECUB"}, View.UNKNOWN),
        ({"StudyDescription": "CHEST PA AND LATERAL"}, View.UNKNOWN),
        ({"StudyDescription": "CHEST 2 VIEWS"}, View.UNKNOWN),
        ({"SeriesDescription": "view: PA"}, View.UNKNOWN),
        ({"SeriesDescription": "LATERALIZED"}, View.UNKNOWN),
    ],
)
def test_a_description_refuses_but_does_not_vouch(elements, view):
    assert view_of(**elements).view is view


FRONTAL_CODES = {"399348003": View.AP, "272479007": View.PA, "399033003": View.FRONTAL}
STANDARD = {
    found.value: found.meaning
    for name in codes.CID4010.dir()
    for found in [getattr(codes.CID4010, name)]
}


@pytest.mark.parametrize("value", sorted(STANDARD))
def test_every_view_of_the_standard_by_its_code_alone(value):
    for shown in (value, mapping["SCT"][value]):
        view = view_of(ViewCodeSequence=[code(shown)]).view
        assert view is not View.UNKNOWN
        assert FRONTAL_CODES.get(value) == (view if view in FRONTAL_VIEWS else None)


@pytest.mark.parametrize("value", sorted(v for v in STANDARD if v in FRONTAL_CODES))
def test_a_frontal_view_by_its_meaning_alone(value):
    found = view_of(ViewCodeSequence=[code("LOCAL", STANDARD[value])]).view
    assert found in FRONTAL_VIEWS


def test_position_and_code_that_contradict_each_other_are_not_frontal():
    lateral = code("399067008")
    assert view_of(ViewPosition="PA", ViewCodeSequence=[lateral]).view is View.LATERAL
    frontal = code("399348003")
    assert view_of(ViewPosition="LL", ViewCodeSequence=[frontal]).view is View.LATERAL


@pytest.mark.parametrize(
    "elements",
    [{"PatientOrientation": ["A", "F"]}, {"SeriesDescription": "CHEST LATERAL"}],
)
def test_what_contradicts_a_stated_view_is_noted(elements):
    found = view_of(ViewPosition="PA", **elements)
    assert found.view is View.PA
    assert len(found.notes) == 1
    assert "contradicts ViewPosition (PA)" in found.notes[0]


def test_expiration_is_noted():
    assert "expiration" in view_of(SeriesDescription="CHEST PA EXP").notes[0]
    assert view_of(StudyDescription="CHEST INSP AND EXP").notes == ()
