"""What an inspection repeats of a header."""

from __future__ import annotations

import numpy as np
import pytest

from cxrscreen.admission.inspection import inspect_image
from cxrscreen.records import IntendedUse, Source

CHILDREN = IntendedUse(population="children", age_range_years=(1, 5))
STORED = np.arange(4096).reshape(64, 64)
A_NAME = "SECRETX JOHN"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageType", ["ORIGINAL", A_NAME]),
        ("PresentationIntentType", A_NAME),
        ("PhotometricInterpretation", A_NAME),
        ("PresentationLUTShape", A_NAME),
        ("VOILUTFunction", A_NAME),
    ],
)
def test_a_name_in_the_place_of_a_term_is_not_repeated(make_dicom, keyword, value):
    found = inspect_image(Source(make_dicom(STORED, **{keyword: value})), CHILDREN)
    assert "SECRETX" not in repr((found.facts, found.header, found.pixels, found.image))
    assert "(not a defined term)" in found.facts[keyword]


def test_the_standard_s_terms_are_repeated(make_dicom):
    path = make_dicom(
        STORED,
        ImageType=["DERIVED", "PRIMARY"],
        PresentationLUTShape="IDENTITY",
        VOILUTFunction="SIGMOID",
    )
    facts = inspect_image(Source(path), CHILDREN).facts
    assert facts["ImageType"] == "DERIVED\\PRIMARY"
    assert facts["PresentationIntentType"] == "FOR PRESENTATION"
    assert facts["PhotometricInterpretation"] == "MONOCHROME2"
    assert facts["PresentationLUTShape"] == "IDENTITY"
    assert facts["VOILUTFunction"] == "SIGMOID"
