from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.curves import (
    decision_curve,
    precision_recall_curve,
    reliability,
    roc_curve,
    score_histogram,
)
from cxrscreen.evaluation.exact import clopper_pearson
from cxrscreen.evaluation.metrics import average_precision, calibration_error, confusion, roc_auc

CASES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda k: k / 20)), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_roc_and_precision_recall_are_scikit_learns(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = roc_curve(labels, scores)
    rate, recall, thresholds = oracle.roc_curve(labels, scores, drop_intermediate=False)
    assert found.false_alarm_rate == pytest.approx(rate)
    assert found.recall == pytest.approx(recall)
    assert np.array_equal(found.score, thresholds)
    assert np.trapezoid(found.recall, found.false_alarm_rate) == pytest.approx(
        roc_auc(labels, scores)
    )
    curve = precision_recall_curve(labels, scores)
    precision, recall, thresholds = oracle.precision_recall_curve(labels, scores)
    # scikit-learn runs the other way and adds the point (0, 1).
    assert curve.precision == pytest.approx(precision[:-1][::-1])
    assert curve.recall == pytest.approx(recall[:-1][::-1])
    assert np.array_equal(curve.score, thresholds[::-1])
    gained = np.diff(curve.recall, prepend=0)
    assert gained @ curve.precision == pytest.approx(average_precision(labels, scores))
    assert curve.prevalence == labels.mean()


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_reliability_comes_to_the_calibration_error(rows):
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    found = reliability(labels, probabilities)
    assert found.images.sum() == labels.size
    assert found.positives.sum() == labels.sum()
    gaps = np.abs(found.probability - found.share) * found.images
    assert gaps.sum() / labels.size == pytest.approx(calibration_error(labels, probabilities))
    for part, whole, low, high in zip(
        found.positives, found.images, found.low, found.high, strict=True
    ):
        limits = clopper_pearson(part, whole)
        assert (low, high) == pytest.approx((limits.low, limits.high))


def test_images_of_one_patient_count_once_in_the_limits():
    labels, probabilities = np.tile([0, 1], 50), np.linspace(0, 1, 100)
    alone = reliability(labels, probabilities, bins=2)
    grouped = reliability(labels, probabilities, np.arange(100) // 5, bins=2)
    assert np.array_equal(alone.share, grouped.share)
    assert grouped.low[0] == pytest.approx(clopper_pearson(5, 10).low)
    assert (grouped.high - grouped.low > alone.high - alone.low).all()


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_histograms_count_every_image_once(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = score_histogram(labels, scores, bins=7)
    assert found.edges.size == 8
    assert found.positives.sum() == labels.sum()
    assert found.negatives.sum() == (1 - labels).sum()


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(1, 19).map(lambda k: k / 20))
def test_net_benefit_is_counted_as_vickers_and_elkin_do(rows, threshold):
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    found = decision_curve(labels, probabilities, thresholds=[threshold])
    counts, n = confusion(labels, probabilities, threshold=threshold), labels.size
    odds = threshold / (1 - threshold)
    expected = counts.true_positives / n - counts.false_positives / n * odds
    assert found.model == pytest.approx([expected])
    everyone = labels.mean() - (1 - labels.mean()) * odds
    assert found.treat_all == pytest.approx([everyone])
    assert found.treat_none == [0]


def test_net_benefit_at_another_prevalence():
    labels, probabilities = [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]
    found = decision_curve(labels, probabilities, thresholds=[0.5], prevalence=0.1)
    assert found.model == pytest.approx([0.1 * 0.5 - 0.9 * 0.5])
    assert found.treat_all == pytest.approx([0.1 - 0.9])


@pytest.mark.parametrize("curve", [roc_curve, precision_recall_curve, decision_curve])
def test_one_class_has_no_curve(curve):
    with pytest.raises(MetricError, match="both classes"):
        curve([1, 1], [0.2, 0.4])


def test_bad_input_is_named():
    for thresholds in ([1.0], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(MetricError, match="threshold"):
            decision_curve([0, 1], [0.2, 0.4], thresholds=thresholds)
    with pytest.raises(MetricError, match="prevalence"):
        decision_curve([0, 1], [0.2, 0.4], prevalence=1.0)
    with pytest.raises(MetricError, match="no histogram"):
        score_histogram([], [])
    with pytest.raises(MetricError, match="level"):
        reliability([0, 1], [0.2, 0.4], level=2)
