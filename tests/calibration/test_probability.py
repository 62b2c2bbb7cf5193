from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm

from cxrscreen.calibration.probability import Calibrator, probability_of
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import CalibrationMethod

logits = st.floats(-50, 50)
steps = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=1, max_size=8)


@st.composite
def calibrators(draw):
    x, y = draw(st.floats(-10, 10)), draw(st.floats(-10, 10))
    knots = [(x, y)]
    for dx, dy in draw(steps):
        knots.append((knots[-1][0] + dx, knots[-1][1] + dy))
    return Calibrator(CalibrationMethod.ISOTONIC, tuple(knots), draw(st.floats(-5, 5)))


@given(st.floats(-1e4, 1e4))
def test_the_identity_is_the_logistic_to_the_last_bit(logit):
    assert Calibrator.identity().probability(logit) == probability_of(logit)


@given(calibrators(), logits, logits)
def test_a_higher_logit_has_a_higher_log_odds(calibrator, one, other):
    assume(abs(one - other) > 1e-6)
    low, high = calibrator.log_odds([min(one, other), max(one, other)])
    assert low < high


@given(calibrators(), st.floats(0.001, 0.999))
def test_a_probability_belongs_to_one_logit(calibrator, probability):
    assert calibrator.probability(calibrator.logit_of(probability)) == pytest.approx(probability)


@given(calibrators(), st.floats(0, 1))
def test_between_knots_the_map_is_linear(calibrator, share):
    x, y = np.array(calibrator.knots).T
    at = x[0] + share * (x[-1] - x[0])
    expected = np.interp(at, x, y) + calibrator.prevalence_shift
    assert calibrator.log_odds(at) == pytest.approx(expected, abs=1e-9)


@given(calibrators(), st.floats(0.1, 30))
def test_the_end_pieces_go_on(calibrator, distance):
    x, y = np.array(calibrator.knots).T
    slopes = np.diff(y) / np.diff(x)
    inside, outside = calibrator.log_odds([x[-1], x[-1] + distance])
    assert outside - inside == pytest.approx(slopes[-1] * distance, rel=1e-6, abs=1e-9)
    inside, outside = calibrator.log_odds([x[0], x[0] - distance])
    assert inside - outside == pytest.approx(slopes[0] * distance, rel=1e-6, abs=1e-9)


def test_arrays_keep_their_shape_and_agree_with_single_values():
    calibrator = Calibrator(CalibrationMethod.PLATT, ((0.0, -1.0), (1.0, 0.5)))
    values = np.linspace(-8, 8, 12).reshape(3, 4)
    probabilities = calibrator.probabilities(values)
    assert probabilities.shape == (3, 4)
    assert probabilities.ravel() == pytest.approx(
        [calibrator.probability(value) for value in values.ravel()]
    )
    assert math.isnan(calibrator.probabilities(math.nan))


@pytest.mark.parametrize("site", [0.01, 0.2, 0.7])
def test_prevalence_is_changed_by_the_rule_of_bayes(site):
    # Normal scores around -1, pneumonia around 1: the log-likelihood ratio is twice the score.
    fitted_at = 0.4
    offset = math.log(fitted_at / (1 - fitted_at))
    calibrator = Calibrator(CalibrationMethod.PLATT, ((0.0, offset), (1.0, offset + 2)))
    score = np.linspace(-3, 3, 13)
    ill, well = norm.pdf(score, 1), norm.pdf(score, -1)
    expected = site * ill / (site * ill + (1 - site) * well)
    adjusted = calibrator.at_prevalence(fitted_at, site)
    assert adjusted.probabilities(score) == pytest.approx(expected)
    # A second adjustment begins anew.
    assert adjusted.at_prevalence(fitted_at, fitted_at) == calibrator


@pytest.mark.parametrize(
    ("knots", "shift"),
    [
        ((), 0.0),
        (((0.0, 0.0),), 0.0),
        (((0.0, 0.0), (1.0,)), 0.0),
        (((0.0, 0.0), (1.0, 0.0)), 0.0),
        (((0.0, 0.0), (0.0, 1.0)), 0.0),
        (((0.0, 0.0), (1.0, 2.0), (2.0, 1.0)), 0.0),
        (((0.0, 0.0), (1.0, math.nan)), 0.0),
        (((0.0, 0.0), (math.inf, 1.0)), 0.0),
        (((0.0, 0.0), (5e-324, 1.0)), 0.0),
        (((0.0, 0.0), (1.0, 1.0)), math.inf),
    ],
)
def test_a_map_that_does_not_rise_is_refused(knots, shift):
    with pytest.raises(CalibrationError, match="calibration"):
        Calibrator(CalibrationMethod.ISOTONIC, knots, shift)


def test_no_calibration_cannot_have_knots_of_its_own():
    with pytest.raises(CalibrationError, match="no calibration"):
        Calibrator(CalibrationMethod.NONE, ((0.0, 0.0), (1.0, 2.0)))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_shares_that_have_no_log_odds_are_refused(value):
    calibrator = Calibrator.identity()
    with pytest.raises(CalibrationError, match="not between 0 and 1"):
        calibrator.logit_of(value)
    with pytest.raises(CalibrationError, match="prevalence"):
        calibrator.at_prevalence(0.5, value)
