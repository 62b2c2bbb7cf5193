from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm, t

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.intervals import Interval
from cxrscreen.evaluation.limits import (
    calibration_error_interval,
    degrees_of_freedom,
    log_odds_interval,
    square_and_add,
    standard_error,
)


def test_the_standard_error_of_a_mean_is_that_of_normal_theory():
    rng = np.random.default_rng(0)
    values = rng.normal(size=20)
    means = rng.choice(values, (20_000, 20)).mean(axis=1)
    expected = values.std(ddof=1) / np.sqrt(20)
    assert standard_error(means, 20) == pytest.approx(expected, rel=0.02)
    # A few resamples without the metric do not count.
    means[:1000] = np.nan
    assert standard_error(means, 20) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("values", "patients", "message"),
    [
        ([0.1, 0.2], 1, "at least two"),
        ([0.1, 0.2, np.nan], 5, "undefined on 1 of 3"),
        ([0.1, 0.1], 5, "the same on every resample"),
    ],
)
def test_what_has_no_standard_error_is_named(values, patients, message):
    with pytest.raises(MetricError, match=message):
        standard_error(np.array(values), patients)


def test_the_limits_are_symmetric_on_log_odds():
    found = log_odds_interval(0.9, 0.02, freedom=30, level=0.9)
    half = t.ppf(0.95, 30) * 0.02 / 0.09
    assert logit([found.low, found.high]) == pytest.approx([logit(0.9) - half, logit(0.9) + half])
    assert found.high - 0.9 < 0.9 - found.low


def test_degrees_of_freedom_follow_the_few_who_matter():
    rng = np.random.default_rng(0)
    even = degrees_of_freedom(rng.normal(size=2000), 2000)
    assert even == pytest.approx(2000, rel=0.15)
    few = np.zeros(2000)
    few[:20] = rng.normal(size=20)
    assert degrees_of_freedom(few, 2000) == pytest.approx(20, rel=0.5)
    assert degrees_of_freedom(np.eye(2000)[0], 2000) == 3
    assert degrees_of_freedom(np.array([1.0, -1.0]), 2) == 1
    assert degrees_of_freedom(np.zeros(9), 9) == 8


def test_symmetric_limits_add_as_variances_do():
    z = norm.ppf(0.975)
    first, second = (0.6, Interval(0.5, 0.7, 0.95)), (0.8, Interval(0.75, 0.85, 0.95))
    for correlation in (0.0, 0.6):
        found = square_and_add(first, second, correlation=correlation)
        one, two = 0.1 / z, 0.05 / z
        half = z * np.sqrt(one**2 + two**2 - 2 * correlation * one * two)
        assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert square_and_add(first, first, correlation=1.0).low == pytest.approx(0)


def gaps_of(shift, seed=0, n=400, bins=10, replicates=400):
    """Gaps of a sample whose bins are off by ``shift``, and those of its resamples."""
    rng = np.random.default_rng(seed)
    bin_of = np.arange(n) % bins
    errors = rng.normal(shift, 0.4, n)
    drawn = rng.integers(n, size=(replicates, n))

    def gaps(rows):
        return np.bincount(bin_of[rows], weights=errors[rows], minlength=bins) / n

    return gaps(np.arange(n)), np.array([gaps(rows) for rows in drawn])


def test_a_calibration_error_that_chance_explains_may_be_0():
    calibrated = calibration_error_interval(*gaps_of(0.0), patients=400, level=0.95)
    assert calibrated.low == 0
    off = calibration_error_interval(*gaps_of(0.2), patients=400, level=0.95)
    assert 0.1 < off.low < 0.2 < off.high < 0.3


def test_gaps_that_do_not_vary_have_no_limits():
    with pytest.raises(MetricError, match="the same"):
        calibration_error_interval(np.ones(2), np.ones((5, 2)), patients=9, level=0.95)
    with pytest.raises(MetricError, match="at least two"):
        calibration_error_interval(np.ones(2), np.ones((5, 2)), patients=1, level=0.95)
