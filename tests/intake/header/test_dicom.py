from __future__ import annotations

import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import Tag

from cxrscreen.admission import admit_header
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.dicom import describe, read_header
from cxrscreen.intake.header.view import EXAMINATION_ELEMENTS
from cxrscreen.records import IntendedUse, Source
from cxrscreen.vocabulary import RejectCode


def described(path: Path):
    return describe(read_header(Content(path)), source=Source(path))


def coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientSpeciesDescription": "Canis lupus familiaris"},
        {"PatientBreedDescription": "Labrador"},
        {"PatientSexNeutered": "ALTERED"},
        {"ResponsiblePersonRole": "OWNER"},
        {"ProtocolName": "CANINE THORAX"},
        {"StudyDescription": "Röntgen Hund, Thorax"},
        {"PatientSpeciesCodeSequence": [coded("125079008", "Canis familiaris")]},
        {"PatientBreedCodeSequence": [coded("1", "Beagle")]},
    ],
)
def test_an_animal_is_recognised(make_dicom, elements):
    found = described(make_dicom(**elements)).animal_evidence
    assert found
    assert "Labrador" not in found


@pytest.mark.parametrize(
    "elements",
    [
        {"StudyDescription": "CATHETER CHECK, CHEST"},
        {"StudyDescription": "CHEST, CAT SCAN FOLLOWS"},
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": [coded("337915000", "Homo sapiens")]},
        {"ResponsiblePersonRole": "PARENT", "PatientSexNeutered": ""},
    ],
)
def test_a_person_is_no_animal(make_dicom, elements):
    assert described(make_dicom(**elements)).animal_evidence == ""


def test_the_record_holds_no_name_and_no_identifier(make_dicom):
    assert "SECRET" not in repr(described(make_dicom()))


def test_what_the_header_says_of_the_image(make_dicom):
    path = make_dicom(
        ImageType=["DERIVED", "PRIMARY", "", "12^3"],
        ImageLaterality="L",
        BurnedInAnnotation="YES",
        PatientOrientation=["L", "F"],
        SeriesDescription="CHEST PA",
    )
    record = described(path)
    assert record.sop_class == "Digital X-Ray Image Storage - For Presentation"
    assert record.image_type == ("DERIVED", "PRIMARY", "", "")
    assert (record.laterality, record.burned_in) == ("L", True)
    assert record.patient_orientation == ("L", "F")
    assert (record.named_parts, record.series_parts, record.study_parts) == (
        ("CHEST",),
        ("CHEST",),
        (),
    )


def test_of_other_objects_only_what_identifies_them_is_read(make_dicom):
    path = make_dicom(
        SOPClassUID=uid.CTImageStorage, Modality="CT", ImageLaterality="L", PatientAge="003Y"
    )
    record = described(path)
    assert (record.modality, record.sop_class) == ("CT", "CT Image Storage")
    assert (record.study_instance_uid, record.series_instance_uid) == ("2.25.1", "2.25.2")
    assert record.age_years == 3
    assert record.laterality == ""


def test_a_dicomdir_is_named_by_its_file_meta_information(tmp_path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = uid.UID("2.25.7")
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    directory = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    directory.FileSetID = "X"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert described(tmp_path / "DICOMDIR").sop_class == "Media Storage Directory Storage"


KEYWORDS = [
    *EXAMINATION_ELEMENTS,
    *("SOPClassUID", "Modality", "ImageType", "BodyPartExamined", "ViewPosition"),
    *("ViewCodeSequence", "AnatomicRegionSequence", "PatientOrientation", "PatientAge"),
    *("PatientBirthDate", "StudyDate", "AcquisitionDate", "Laterality", "ImageLaterality"),
    *("BurnedInAnnotation", "PresentationIntentType", "PatientSpeciesDescription"),
    *("PatientSpeciesCodeSequence", "PixelSpacing", "PatientSex", "StudyInstanceUID"),
    *("SOPInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet"),
]
TEXT_VRS = ["CS", "LO", "SH", "PN", "DS", "IS", "AS", "DA", "UI", "UT", "OB", "US", "FD", "UN"]
SECRET = b"SECRET^NAME"


@st.composite
def raw_elements(draw) -> list[RawDataElement]:
    """Elements as a file may hold them: any VR with any bytes, a name among them."""
    value = st.one_of(
        st.binary(max_size=40),
        st.sampled_from([SECRET, b"CT", b"CHEST", b"LL", b"003Y", b"20200101", b"A\\F", b"1.2.3"]),
    )
    return [
        RawDataElement(Tag(keyword), draw(st.sampled_from(TEXT_VRS)), 0, found, 0, False, True)  # noqa: FBT003
        for keyword in draw(st.lists(st.sampled_from(KEYWORDS), unique=True))
        for found in [draw(value)]
    ]


@given(raw_elements())
@settings(max_examples=300, deadline=None)
def test_no_header_makes_it_crash_or_tell_a_name(elements):
    header = Dataset({element.tag: element for element in elements})
    record = describe(header, source=Source(Path("a")))
    admission = admit_header(record, IntendedUse("children", (1, 5)))
    assert "SECRET" not in repr(record) + repr(admission)


def test_a_sequence_in_the_place_of_a_text_is_no_text():
    person = Dataset()
    person.PatientName = "SECRET^NAME"
    header = Dataset()
    header.add(DataElement("Modality", "SQ", [person]))
    header.add(DataElement("BodyPartExamined", "SQ", [person]))
    assert "SECRET" not in repr(describe(header, source=Source(Path("a"))))


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
