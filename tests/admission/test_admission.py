from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen.admission import admit_header, admit_pixels
from cxrscreen.records import Admission, ImageRecord, IntendedUse, Permissions, PixelImage, Source
from cxrscreen.vocabulary import RejectCode, SourceKind, View

CHILDREN = IntendedUse(population="children", age_range_years=(1, 5))
CHEST = ImageRecord(
    source=Source(Path("a.dcm")),
    kind=SourceKind.DICOM,
    modality="DX",
    body_part="CHEST",
    view=View.PA,
    age_years=3.0,
)


def test_a_frontal_chest_of_a_child_is_admitted_without_a_warning():
    assert admit_header(CHEST, CHILDREN) == Admission.accept()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"modality": "CT"}, RejectCode.WRONG_MODALITY),
        ({"presentation_intent": "FOR PROCESSING"}, RejectCode.FOR_PROCESSING),
        ({"is_animal": True}, RejectCode.NOT_HUMAN),
        ({"body_part": "HAND"}, RejectCode.WRONG_BODY_PART),
        ({"body_part": "CHESTNUT"}, RejectCode.WRONG_BODY_PART),
        ({"view": View.LATERAL}, RejectCode.WRONG_VIEW),
        ({"view": View.OBLIQUE}, RejectCode.WRONG_VIEW),
        ({"age_years": 0.9}, RejectCode.OUTSIDE_AGE_RANGE),
        ({"age_years": 6.0}, RejectCode.OUTSIDE_AGE_RANGE),
        ({"age_years": 62.0}, RejectCode.OUTSIDE_AGE_RANGE),
    ],
)
def test_what_the_header_excludes_is_refused_by_name(change, code):
    admission = admit_header(replace(CHEST, **change), CHILDREN)
    assert admission.code is code
    assert admission.reason


@pytest.mark.parametrize(
    "change",
    [
        {"body_part": "THORAX"},
        {"body_part": "PORT CHEST"},
        {"view": View.AP},
        {"age_years": 5.99},
        {"age_years": 1.0},
    ],
)
def test_what_belongs_to_the_intended_use_is_admitted(change):
    assert admit_header(replace(CHEST, **change), CHILDREN).admitted


def test_empty_elements_are_warnings_not_refusals():
    empty = ImageRecord(source=Source(Path("a")), kind=SourceKind.DICOM)
    admission = admit_header(empty, CHILDREN)
    assert admission.admitted
    assert admission.warnings == ("the header does not tell: Modality, body part, view, age",)


def test_out_of_scope_can_be_judged_on_request_and_is_marked():
    adult = replace(CHEST, age_years=40.0)
    admission = admit_header(adult, CHILDREN, Permissions(out_of_scope=True))
    assert admission.admitted
    assert any("out of scope" in warning for warning in admission.warnings)


def test_out_of_scope_does_not_open_anything_else():
    hand = replace(CHEST, body_part="HAND")
    assert not admit_header(hand, CHILDREN, Permissions(out_of_scope=True)).admitted


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
