from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from cxrscreen.admission import admit_header, admit_pixels
from cxrscreen.records import Admission, ImageRecord, IntendedUse, Permissions, PixelImage, Source
from cxrscreen.vocabulary import RejectCode, SourceKind, View

CHILDREN = IntendedUse(population="children", age_range_years=(1, 5))
CHEST = ImageRecord(
    source=Source(Path("a.dcm")),
    kind=SourceKind.DICOM,
    sop_class_uid=uid.DigitalXRayImageStorageForPresentation,
    sop_class="Digital X-Ray Image Storage - For Presentation",
    modality="DX",
    body_part="CHEST",
    named_parts=("CHEST",),
    view=View.PA,
    age_years=3.0,
)


def test_a_frontal_chest_of_a_child_is_admitted_without_a_warning():
    assert admit_header(CHEST, CHILDREN) == Admission.accept()


def of_class(found: uid.UID) -> dict[str, str]:
    return {"sop_class_uid": str(found), "sop_class": found.name}


def part(shown: str, *named: str) -> dict[str, object]:
    return {"body_part": shown, "named_parts": named}


SCREEN_SHOT = {**of_class(uid.SecondaryCaptureImageStorage), "modality": "OT"}
NO_PART = part("")


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"modality": "CT"}, RejectCode.WRONG_MODALITY, "Modality is CT, not CR or DX"),
        (
            {**of_class(uid.CTImageStorage), "modality": "CT"},
            RejectCode.WRONG_MODALITY,
            "CT Image Storage (Modality CT)",
        ),
        (of_class(uid.CTImageStorage), RejectCode.WRONG_MODALITY, "against Modality DX"),
        (
            {**of_class(uid.EncapsulatedPDFStorage), "modality": ""},
            RejectCode.WRONG_MODALITY,
            "Encapsulated PDF Storage, not a radiograph",
        ),
        (
            {"sop_class_uid": "1.2.3.4", "sop_class": "", "modality": "OT"},
            RejectCode.WRONG_MODALITY,
            "1.2.3.4, a private or unknown class",
        ),
        (SCREEN_SHOT, RejectCode.SECONDARY_CAPTURE, "Modality is OT"),
        ({**SCREEN_SHOT, "modality": ""}, RejectCode.SECONDARY_CAPTURE, "not given"),
        (of_class(uid.VLPhotographicImageStorage), RejectCode.SECONDARY_CAPTURE, "Photographic"),
        ({"modality": "XC"}, RejectCode.SECONDARY_CAPTURE, "XC"),
        (
            {**of_class(uid.SecondaryCaptureImageStorage), "modality": "CT"},
            RejectCode.WRONG_MODALITY,
            "CT",
        ),
        ({"modality": "RF", **NO_PART}, RejectCode.WRONG_MODALITY, "does not name a chest"),
        (
            {**of_class(uid.XRayRadiofluoroscopicImageStorage), **NO_PART},
            RejectCode.WRONG_MODALITY,
            "RF",
        ),
        ({"presentation_intent": "FOR PROCESSING"}, RejectCode.FOR_PROCESSING, "Intent"),
        (
            of_class(uid.DigitalXRayImageStorageForProcessing),
            RejectCode.FOR_PROCESSING,
            "For Processing",
        ),
        ({"animal_evidence": "it barks"}, RejectCode.NOT_HUMAN, "it barks"),
        ({"image_type": ("ORIGINAL", "LOCALIZER")}, RejectCode.WRONG_IMAGE_TYPE, "localiser"),
        ({"image_type": ("DERIVED", "PRIMARY", "MPR")}, RejectCode.WRONG_IMAGE_TYPE, "MPR"),
        (
            {"image_type": ("DERIVED", "PRIMARY", "", "SOFT_TISSUE")},
            RejectCode.WRONG_IMAGE_TYPE,
            "subtraction",
        ),
        (part("HAND", "HAND"), RejectCode.WRONG_BODY_PART, "BodyPartExamined is HAND"),
        (part("CHESTNUT", "OTHER"), RejectCode.WRONG_BODY_PART, "CHESTNUT"),
        (
            part("CHEST ABDOMEN", "CHEST", "ABDOMEN"),
            RejectCode.WRONG_BODY_PART,
            "ABDOMEN beside the chest",
        ),
        (part("BABYGRAM", "WHOLE BODY"), RejectCode.WRONG_BODY_PART, "BABYGRAM"),
        ({**NO_PART, "series_parts": ("KNEE",)}, RejectCode.WRONG_BODY_PART, "series names KNEE"),
        ({**NO_PART, "study_parts": ("KNEE",)}, RejectCode.WRONG_BODY_PART, "study names KNEE"),
        (
            {**NO_PART, "series_parts": ("ABDOMEN",), "study_parts": ("CHEST", "ABDOMEN")},
            RejectCode.WRONG_BODY_PART,
            "series names ABDOMEN",
        ),
        ({**NO_PART, "laterality": "L"}, RejectCode.WRONG_BODY_PART, "Laterality is L"),
        ({"view": View.LATERAL}, RejectCode.WRONG_VIEW, "lateral"),
        (
            {"view": View.OBLIQUE, "view_evidence": "ViewPosition (RAO)"},
            RejectCode.WRONG_VIEW,
            "oblique by ViewPosition (RAO)",
        ),
        ({"view": View.DECUBITUS}, RejectCode.WRONG_VIEW, "decubitus"),
        ({"age_years": 0.99}, RejectCode.OUTSIDE_AGE_RANGE, "age 11 months"),
        ({"age_years": 6.0}, RejectCode.OUTSIDE_AGE_RANGE, "age 6.0 years"),
        ({"age_years": 62.0}, RejectCode.OUTSIDE_AGE_RANGE, "intended 1 to 5"),
        (
            {"age_years": 3.0, "birth_date_age_years": 40.0},
            RejectCode.OUTSIDE_AGE_RANGE,
            "age 40.0 years by PatientBirthDate",
        ),
    ],
)
def test_what_the_header_excludes_is_refused_by_name(change, code, told):
    admission = admit_header(replace(CHEST, **change), CHILDREN)
    assert admission.code is code
    assert told in admission.reason


@pytest.mark.parametrize(
    "change",
    [
        of_class(uid.ComputedRadiographyImageStorage),
        {"modality": "CR"},
        {"image_type": ("DERIVED", "PRIMARY", "", "RT", "", "150000")},
        {"laterality": "U"},
        {"patient_orientation": ("L", "F")},
        {"series_parts": ("CHEST",), "study_parts": ("CHEST", "KNEE")},
        part("PORT CHEST", "CHEST"),
        {"view": View.AP},
        {"age_years": 5.99},
        {"age_years": 1.0},
        {"birth_date_age_years": 5.5},
    ],
)
def test_what_belongs_to_the_intended_use_is_admitted(change):
    assert admit_header(replace(CHEST, **change), CHILDREN) == Admission.accept()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sop_class_uid": "", "sop_class": ""}, "does not tell: SOP class"),
        ({"modality": ""}, "does not tell: Modality"),
        ({"modality": "RF"}, "fluoroscopy"),
        ({"image_type": ("DERIVED", "SECONDARY")}, "SECONDARY"),
        ({"burned_in": True}, "identity"),
        ({"laterality": "R"}, "Laterality is R"),
        ({"series_parts": ("KNEE",)}, "described as KNEE"),
        ({**NO_PART, "series_parts": ("CHEST", "ABDOMEN")}, "CHEST and ABDOMEN"),
        ({"patient_orientation": ("F", "L")}, "on its side"),
        ({"patient_orientation": ("L", "H")}, "upside down"),
        ({"patient_orientation": ("R", "F")}, "exchanged"),
        ({"age_years": None}, "does not tell: age"),
    ],
)
def test_what_cannot_be_trusted_is_a_warning(change, told):
    admission = admit_header(replace(CHEST, **change), CHILDREN)
    assert admission.admitted
    assert len(admission.warnings) == 1
    assert told in admission.warnings[0]


def test_empty_elements_are_warnings_not_refusals():
    empty = ImageRecord(source=Source(Path("a")), kind=SourceKind.DICOM)
    admission = admit_header(empty, CHILDREN)
    assert admission.admitted
    missing = "the header does not tell: SOP class, Modality, body part, view, age"
    assert admission.warnings == (missing,)


def test_a_radiograph_that_was_converted_keeps_its_modality():
    converted = replace(CHEST, **of_class(uid.SecondaryCaptureImageStorage), modality="CR")
    admission = admit_header(converted, CHILDREN)
    assert admission.admitted
    assert "secondary capture" in admission.warnings[0]


PERMITTED = [
    ({"age_years": 40.0}, "out_of_scope", "out of scope"),
    ({"age_years": 3.0, "birth_date_age_years": 40.0}, "out_of_scope", "out of scope"),
    (SCREEN_SHOT, "secondary_capture", "secondary capture"),
    (of_class(uid.VLPhotographicImageStorage), "secondary_capture", "secondary capture"),
    ({"presentation_intent": "FOR PROCESSING"}, "for_processing", "raw detector data"),
    (of_class(uid.DigitalXRayImageStorageForProcessing), "for_processing", "raw detector data"),
]


@pytest.mark.parametrize(("change", "permission", "told"), PERMITTED)
def test_what_the_user_asks_for_is_judged_and_marked(change, permission, told):
    record = replace(CHEST, **change)
    assert not admit_header(record, CHILDREN).admitted
    admission = admit_header(record, CHILDREN, Permissions(**{permission: True}))
    assert admission.admitted
    assert told in admission.warnings[0]


@pytest.mark.parametrize(("change", "permission", "told"), PERMITTED)
def test_a_permission_does_not_open_anything_else(change, permission, told):
    others = {"out_of_scope", "secondary_capture", "for_processing"} - {permission}
    record = replace(CHEST, **change)
    assert not admit_header(record, CHILDREN, Permissions(**dict.fromkeys(others, True))).admitted
    hand = replace(record, **part("HAND", "HAND"))
    assert not admit_header(hand, CHILDREN, Permissions(True, True, True)).admitted  # noqa: FBT003


def test_a_bundle_decides_on_its_modalities():
    only_dx = replace(CHILDREN, modalities=("DX",))
    computed = replace(CHEST, **of_class(uid.ComputedRadiographyImageStorage), modality="")
    assert admit_header(CHEST, only_dx).admitted
    assert admit_header(computed, only_dx).code is RejectCode.WRONG_MODALITY


@given(st.floats(0, 130))
def test_nobody_outside_the_ages_is_admitted(age):
    admitted = admit_header(replace(CHEST, age_years=age), CHILDREN).admitted
    assert admitted == (1 <= age < 6)


def image(pixels: np.ndarray, colourfulness: float = 0.0) -> PixelImage:
    return PixelImage(pixels=pixels.astype(np.float32), colourfulness=colourfulness)


def test_pixels_of_a_radiograph_are_admitted(chest):
    assert admit_pixels(image(chest), Admission.accept(("w",))) == Admission.accept(("w",))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_image_is_refused(value):
    blank = image(np.full((300, 300), value))
    assert admit_pixels(blank, Admission.accept()).code is RejectCode.BLANK


def test_small_and_coloured_images_are_refused(chest):
    assert admit_pixels(image(chest[:100]), Admission.accept()).code is RejectCode.TOO_SMALL
    coloured = image(chest, colourfulness=0.2)
    assert admit_pixels(coloured, Admission.accept()).code is RejectCode.COLOUR


def test_a_refusal_stays_the_first_one(chest):
    refusal = Admission.refuse(RejectCode.WRONG_VIEW, "lateral")
    assert admit_pixels(image(chest[:10]), refusal) is refusal


def test_a_tilted_page_around_a_chest_is_refused_and_told(chest):
    rows, columns = np.indices(chest.shape)
    for corner in (rows + columns, rows + columns[:, ::-1]):
        tilted = chest.copy()
        tilted[corner < 60] = 1.0
        refused = admit_pixels(image(tilted), Admission.accept())
        assert refused.code is RejectCode.NOT_FRONTAL_CHEST
        assert refused.reason.endswith("a frame or a page around the radiograph")
        tilted[corner < 60] = 0.0
        assert admit_pixels(image(tilted), Admission.accept()).admitted
