from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.delong import auc_difference, auc_interval, delong

# At least two of each class; few distinct scores, so that ties are common.
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-4, 4), st.integers(-4, 4), st.integers(0, 8)),
    min_size=4,
    max_size=40,
).filter(lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2)


def by_pairs(labels, *models):
    """DeLong 1988 as written: every positive against every negative."""
    above, below = [], []
    for scores in models:
        one, other = scores[labels == 1][:, None], scores[labels == 0]
        wins = (one > other) + 0.5 * (one == other)
        above.append(wins.mean(axis=1))
        below.append(wins.mean(axis=0))
    positives, negatives = int(labels.sum()), int((1 - labels).sum())
    return np.atleast_2d(np.cov(above)) / positives + np.atleast_2d(np.cov(below)) / negatives


def obuchowski(labels, scores, clusters):
    """Obuchowski 1997, equations 5 to 8, cluster by cluster."""
    one, other = scores[labels == 1], scores[labels == 0]
    wins = (one[:, None] > other) + 0.5 * (one[:, None] == other)
    auc, names = wins.mean(), np.unique(clusters)
    of_one, of_other = clusters[labels == 1], clusters[labels == 0]
    tens = np.array([(wins.mean(axis=1) - auc)[of_one == name].sum() for name in names])
    ones = np.array([(wins.mean(axis=0) - auc)[of_other == name].sum() for name in names])
    i10, i01, i = np.unique(of_one).size, np.unique(of_other).size, names.size
    m, n = one.size, other.size
    s10 = i10 / ((i10 - 1) * m) * (tens @ tens)
    s01 = i01 / ((i01 - 1) * n) * (ones @ ones)
    s11 = i / (i - 1) * (tens @ ones)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_the_variance_is_that_of_all_pairs(rows):
    labels, first, second, _ = (np.array(column) for column in zip(*rows, strict=True))
    found = delong(labels, first)
    assert found.value == pytest.approx(roc_auc_score(labels, first))
    assert found.variance == pytest.approx(by_pairs(labels, first)[0, 0], abs=1e-12)
    difference = auc_difference(labels, first, second)
    expected = by_pairs(labels, first, second)
    assert difference.covariance == pytest.approx(expected[0, 1], abs=1e-12)
    assert difference.variances == pytest.approx(tuple(np.diag(expected)), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_the_clustered_variance_is_obuchowskis(rows):
    labels, scores, _, clusters = (np.array(column) for column in zip(*rows, strict=True))
    if min(np.unique(clusters[labels == k]).size for k in (0, 1)) < 2:
        with pytest.raises(MetricError, match="at least two"):
            delong(labels, scores, clusters=clusters)
        return
    found = delong(labels, scores, clusters=clusters)
    assert found.variance == pytest.approx(obuchowski(labels, scores, clusters), abs=1e-12)
    # No patient serves twice.
    assert found.pairs <= np.unique(clusters).size // 2


def sample(n=300, seed=0, shift=1.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    common = rng.normal(size=n) + shift * labels
    return labels, common + 0.3 * rng.normal(size=n), common + 0.6 * rng.normal(size=n)


def test_copies_do_not_make_the_interval_narrower():
    labels, scores, other = sample()
    patients = np.arange(labels.size)
    copied = [np.tile(values, 4) for values in (labels, scores, other, patients)]
    single = auc_interval(labels, scores)
    many = auc_interval(copied[0], copied[1], clusters=copied[3])
    assert (many.low, many.high) == pytest.approx((single.low, single.high))
    one = auc_difference(labels, scores, other)
    four = auc_difference(*copied[:3], clusters=copied[3])
    assert four.p_value == pytest.approx(one.p_value)
    assert four.interval.low == pytest.approx(one.interval.low)


def test_the_interval_lies_on_log_odds():
    labels, scores, _ = sample()
    found, auc = auc_interval(labels, scores, level=0.9), delong(labels, scores)
    half = t.ppf(0.95, auc.freedom) * np.sqrt(auc.variance) / (auc.value * (1 - auc.value))
    odds = np.log(auc.value / (1 - auc.value))
    limits = np.log([found.low / (1 - found.low), found.high / (1 - found.high)])
    assert limits == pytest.approx([odds - half, odds + half])


def test_order_and_units_of_scores_do_not_matter():
    labels, scores, other = sample()
    assert auc_interval(labels, scores) == auc_interval(labels, np.exp(scores / 3))
    forward, back = auc_difference(labels, scores, other), auc_difference(labels, other, scores)
    assert forward.difference == -back.difference
    assert forward.p_value == back.p_value
    assert forward.interval.low == pytest.approx(-back.interval.high)


def test_separation_without_error_is_not_certain():
    labels = np.repeat([0, 1], [30, 50])
    found = auc_interval(labels, labels)
    assert found.high == 1
    assert found.low == pytest.approx(0.025 ** (1 / 30))
    assert auc_interval(labels, -labels).high == pytest.approx(1 - found.low)
    # Ten patients with three images of each class make five pairs.
    clusters = np.tile(np.arange(10), 6)
    both = np.repeat([0, 1], 30)
    assert auc_interval(both, both, clusters=clusters).low == pytest.approx(0.025 ** (1 / 5))


def test_two_models_without_error_are_not_known_to_be_equal():
    labels = np.repeat([0, 1], 30)
    jitter = np.random.default_rng(0).random(60) / 10
    found = auc_difference(labels, labels, labels + jitter)
    assert found.difference == 0
    assert found.p_value is None
    assert found.interval.low == -found.interval.high < -0.1


def test_a_model_does_not_differ_from_itself():
    labels, scores, _ = sample()
    found = auc_difference(labels, scores, 2 * scores + 1)
    assert (found.difference, found.p_value) == (0, 1)
    assert (found.interval.low, found.interval.high) == (0, 0)


@pytest.mark.parametrize(
    ("labels", "clusters", "message"),
    [
        ([0, 0, 0, 0], None, "both classes"),
        ([0, 1, 1, 1], None, "at least two"),
        ([0, 0, 1, 1], ["a", "b", "c", "c"], "at least two"),
        ([0, 0, 1, 1], ["a", "b"], "one for each"),
    ],
)
def test_what_has_no_variance_is_named(labels, clusters, message):
    with pytest.raises(MetricError, match=message):
        delong(labels, [1, 2, 3, 4], clusters=clusters)


def test_an_impossible_level_is_named():
    with pytest.raises(MetricError, match="level"):
        auc_interval([0, 0, 1, 1], [1, 3, 2, 4], level=95)
