from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.metrics import (
    average_precision,
    brier_score,
    calibration_error,
    confusion,
    equal_mass_bins,
    log_loss,
    npv_at,
    ppv_at,
)

# Few distinct probabilities, so that ties are common.
CASES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda k: k / 20)), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


@settings(max_examples=80, deadline=None)
@given(CASES, st.integers(0, 20).map(lambda k: k / 20))
def test_metrics_equal_scikit_learns(rows, threshold):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    assert average_precision(labels, scores) == pytest.approx(
        oracle.average_precision_score(labels, scores)
    )
    assert brier_score(labels, scores) == pytest.approx(oracle.brier_score_loss(labels, scores))
    assert log_loss(labels, scores) == pytest.approx(oracle.log_loss(labels, scores))
    counts = confusion(labels, scores, threshold=threshold)
    flagged = scores >= threshold
    assert counts.f1 == pytest.approx(oracle.f1_score(labels, flagged))
    assert counts.images == labels.size
    assert counts.positives == labels.sum()
    if flagged.all():
        with pytest.raises(MetricError, match="NPV"):
            _ = counts.npv
    else:
        assert counts.npv == pytest.approx(oracle.precision_score(1 - labels, ~flagged))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_calibration_error_is_that_of_scikit_learns_bins(per_bin, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(10 * per_bin)
    labels = (rng.random(probabilities.size) < probabilities).astype(int)
    share, mean = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    expected = np.abs(share - mean).mean()
    assert calibration_error(labels, probabilities) == pytest.approx(expected)


def test_equal_probabilities_share_a_bin():
    assert list(equal_mass_bins(np.array([0.1, 0.9, 0.1, 0.1, 0.5, 0.7]), 3)) == [0, 2, 0, 0, 1, 2]
    # All in one bin: how far the mean probability is from the prevalence.
    assert calibration_error([0, 0, 0, 1], [0.5] * 4) == pytest.approx(0.25)


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30), st.integers(0, 30))
def test_at_its_own_prevalence_the_predictive_values_are_the_samples(tp, fp, tn, fn):
    labels = np.repeat([1, 0, 0, 1], [tp, fp, tn, fn])
    scores = np.repeat([1, 1, 0, 0], [tp, fp, tn, fn])
    counts = confusion(labels, scores, threshold=0.5)
    asked = counts.recall, counts.specificity, labels.mean()
    assert ppv_at(*asked) == pytest.approx(counts.precision)
    assert npv_at(*asked) == pytest.approx(counts.npv)


def test_predictive_values_by_hand():
    # Of 10,000 people 100 are ill; 90 of them are flagged, and 990 of the 9,900 others.
    assert ppv_at(0.9, 0.9, 0.01) == pytest.approx(90 / 1080)
    assert npv_at(0.9, 0.9, 0.01) == pytest.approx(8910 / 8920)


@pytest.mark.parametrize("value", [ppv_at, npv_at])
@pytest.mark.parametrize("asked", [(1.1, 0.5, 0.5), (0.5, -0.1, 0.5), (0.5, 0.5, 2)])
def test_shares_outside_0_to_1_are_named(value, asked):
    with pytest.raises(MetricError, match="outside 0 to 1"):
        value(*asked)


def test_predictive_values_of_nothing_are_undefined():
    with pytest.raises(MetricError, match="nothing is flagged"):
        ppv_at(0, 1, 0.5)
    with pytest.raises(MetricError, match="everything is flagged"):
        npv_at(1, 0, 0.5)


@pytest.mark.parametrize(
    "metric",
    [average_precision, brier_score, log_loss, calibration_error],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 2], [0.1, 0.2], "0 or 1"),
        (["a", "b"], [0.1, 0.2], "0 or 1"),
        ([0, np.nan], [0.1, 0.2], "0 or 1"),
        ([0, 1], [0.1, np.nan], "not finite"),
        ([0, 1], [0.1], "one length"),
        ([], [], "no"),
    ],
)
def test_bad_input_is_a_named_error(metric, labels, scores, message):
    with pytest.raises(MetricError, match=message):
        metric(labels, scores)


def test_no_positive_has_no_average_precision():
    with pytest.raises(MetricError, match="no positive"):
        average_precision([0, 0], [0.1, 0.2])


def test_logits_are_no_probabilities():
    for metric in (brier_score, log_loss, calibration_error):
        with pytest.raises(MetricError, match="outside 0 to 1"):
            metric([0, 1], [-2.0, 0.5])
    with pytest.raises(MetricError, match="at least one"):
        calibration_error([0, 1], [0.1, 0.9], bins=0)
