from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrscreen.records import (
    Admission,
    ImageRecord,
    OperatingPoint,
    PixelImage,
    Prediction,
    RunSummary,
    ScreenRow,
    Source,
)
from cxrscreen.vocabulary import Decision, RejectCode, SourceKind

RECORD = ImageRecord(source=Source(Path("a")), kind=SourceKind.PNG)
REFUSED = Admission.refuse(RejectCode.BLANK, "blank")
JUDGED = Prediction(logit=0.0, probability=0.5)


@pytest.mark.parametrize("decision", [Decision.NEGATIVE, Decision.POSITIVE])
def test_an_image_without_a_prediction_can_never_get_a_decision(decision):
    with pytest.raises(ValueError, match="decision"):
        ScreenRow(RECORD, REFUSED, None, decision, 0.0)


def test_a_refused_image_can_never_carry_a_prediction():
    with pytest.raises(ValueError, match="refused"):
        ScreenRow(RECORD, REFUSED, JUDGED, Decision.NEGATIVE, 0.0)
    with pytest.raises(ValueError, match="decision"):
        ScreenRow(RECORD, Admission.accept(), JUDGED, Decision.NOT_SCREENED, 0.0)


@pytest.mark.parametrize(
    "values", [np.array([[0.0, np.nan]]), np.array([[-0.1]]), np.array([[1.1]]), np.zeros((0, 4))]
)
def test_pixels_outside_0_to_1_are_no_radiograph(values):
    with pytest.raises(ValueError, match="pixels"):
        PixelImage(pixels=values.astype(np.float32))


def test_pixels_must_be_float32():
    with pytest.raises(ValueError, match="float32"):
        PixelImage(pixels=np.zeros((4, 4)))


@pytest.mark.parametrize("logit", [float("nan"), float("inf")])
def test_a_prediction_is_finite(logit):
    with pytest.raises(ValueError, match="logit"):
        Prediction(logit=logit, probability=0.5)


def test_a_summary_adds_up():
    with pytest.raises(ValueError, match="inputs"):
        RunSummary(inputs=2, by_decision={Decision.NEGATIVE: 1})
    with pytest.raises(ValueError, match="codes"):
        RunSummary(inputs=1, by_decision={Decision.NOT_SCREENED: 1})


def test_a_threshold_is_a_probability():
    with pytest.raises(ValueError, match="threshold"):
        OperatingPoint("p", 0.0, 1.2, "m", "p", "e")


def test_a_refusal_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        Admission(admitted=False, code=RejectCode.BLANK)
