from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from cxrscreen.calibration.operating_point import decide
from cxrscreen.calibration.probability import probability_of
from cxrscreen.records import OperatingPoint
from cxrscreen.vocabulary import Decision


@given(st.floats(-1e4, 1e4))
def test_probability_is_the_logistic(logit):
    assert probability_of(logit) == pytest.approx(float(expit(logit)), abs=1e-15)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_at_or_above_the_score_is_positive(logit, score):
    point = OperatingPoint("p", score, 0.5, "m", "p", "e")
    flagged = decide(logit, point) is Decision.POSITIVE
    assert flagged == (logit >= score)
    assert decide(np.nextafter(score, -100), point) is Decision.NEGATIVE


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 50))
def test_between_two_scores_is_indeterminate(logit, lower, width):
    upper = lower + width
    point = OperatingPoint("p", upper, 0.5, "m", "p", "e", lower_score=lower, lower_threshold=0.25)
    decision = decide(logit, point)
    assert (decision is Decision.POSITIVE) == (logit >= upper)
    assert (decision is Decision.NEGATIVE) == (logit < lower)
    assert (decision is Decision.INDETERMINATE) == (lower <= logit < upper)
