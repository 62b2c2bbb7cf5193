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


@given(st.floats(0, 1), st.floats(0, 1))
def test_at_or_above_the_threshold_is_positive(probability, threshold):
    point = OperatingPoint("p", threshold, None, "m", "p", "e")
    flagged = decide(probability, point) is Decision.POSITIVE
    assert flagged == (probability >= threshold)
    assert decide(np.nextafter(threshold, -1), point) is Decision.NEGATIVE
