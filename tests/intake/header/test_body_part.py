from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sr import codes
from pydicom.sr._snomed_dict import mapping

from cxrscreen.intake.header.body_part import parts_in, read_body_part
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.header.view import read_examination


def code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def found_in(**elements: object):
    header = Dataset()
    with quiet_readers():
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        return read_body_part(header, read_examination(header))


@pytest.mark.parametrize(
    "value",
    [
        *("CHEST", "THORAX", "LUNG", "TORAX", "TÓRAX", "THORAX PA", "POUMON", "CHEST_PA"),
        *("Brustkorb", "Lunge", "PECHO", "TORACE", "Thoraxübersicht", "XR CHEST 1V", "CHEST2V"),
        *(
            "PORT CHEST",
            "KLATKA PIERSIOWA",
            "płuca",
            "AKCİĞER",
            "胸部正面",
            "흉부",
            "Röntgenthorax",
        ),
        "ОРГАНЫ ГРУДНОЙ КЛЕТКИ",
    ],
)
def test_words_for_the_chest(value):
    assert parts_in(value) == ("CHEST",)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("XR KNEE 2V", "KNEE"),
        ("HAND LEFT", "HAND"),
        ("ABDOMEN AP", "ABDOMEN"),
        ("PELVIS", "PELVIS"),
        ("Hüfte links", "HIP"),
        ("HUEFTE", "HIP"),
        ("GENOU DE FACE", "KNEE"),
        ("épaule", "SHOULDER"),
        ("RIBS LT", "RIB"),
        ("THORACIC SPINE", "SPINE"),
        ("T-SPINE", "SPINE"),
        ("HWS 2 Ebenen", "SPINE"),
        ("Schädel", "SKULL"),
        ("CRÁNEO", "SKULL"),
        ("BABYGRAM", "WHOLE BODY"),
        ("腹部", "ABDOMEN"),
        ("胸椎", "SPINE"),
        ("ГРУДНОЙ ОТДЕЛ ПОЗВОНОЧНИКА", "SPINE"),
    ],
)
def test_words_for_other_parts(value, part):
    assert parts_in(value) == (part,)


@pytest.mark.parametrize(
    "value",
    [
        *("", "CHESTNUT", "THE MAIN HOSPITAL", "C-ARM", "BACKUP", "LINE PLACEMENT", "PE?"),
        *("SECRET^NAME", "No Finding", "HANDLING", "SHIP", "e+1"),
    ],
)
def test_words_that_name_no_part(value):
    assert parts_in(value) == ()


def test_a_chest_beside_another_part_names_both():
    assert parts_in("ABDOMEN AND CHEST, CHEST") == ("ABDOMEN", "CHEST")


def test_only_a_code_is_repeated():
    assert found_in(BodyPartExamined="hand").body_part == "HAND"
    named = found_in(BodyPartExamined="DOE^JANE")
    assert named.body_part == "(not a code)"
    assert named.named == ("OTHER",)


@pytest.mark.parametrize("value", ["", "UNKNOWN", "N/A", "Unspecified"])
def test_placeholders_name_nothing(value):
    found = found_in(BodyPartExamined=value)
    assert (found.body_part, found.named) == ("", ())


def test_of_several_values_all_count():
    found = found_in(BodyPartExamined=["CHEST", "ABDOMEN"])
    assert (found.body_part, found.named) == ("CHEST ABDOMEN", ("CHEST", "ABDOMEN"))


def test_series_and_study_are_told_apart():
    found = found_in(StudyDescription="CHEST AND KNEE", ProtocolName="KNEE LAT")
    assert (found.named, found.in_series, found.in_study) == ((), ("KNEE",), ("CHEST", "KNEE"))


def test_a_coded_procedure_describes_too():
    assert found_in(ProcedureCodeSequence=[code("1", "XR HIP", "LOCAL")]).in_study == ("HIP",)
    assert found_in(PerformedProtocolCodeSequence=[code("1", "Knie", "X")]).in_series == ("KNEE",)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("51185008", "thorax"), ("816094009", ""), ("T-D3000", "x"), ("0", "Chest")],
)
def test_a_coded_region_of_the_chest(value, meaning):
    assert found_in(AnatomicRegionSequence=[code(value, meaning)]).named == ("CHEST",)


CHEST_REGIONS = {"51185008", "43799004", "816094009", "39607008"}
REGIONS = {
    found.value: found.meaning
    for name in codes.CID4009.dir()
    for found in [getattr(codes.CID4009, name)]
    if found.value not in CHEST_REGIONS
}


@pytest.mark.parametrize("value", sorted(REGIONS))
def test_every_other_region_of_the_standard_is_no_chest_alone(value):
    retired = mapping["SCT"].get(value, value)
    for shown in (value, retired):
        named = found_in(AnatomicRegionSequence=[code(shown, REGIONS[value])]).named
        assert named
        assert set(named) != {"CHEST"}
