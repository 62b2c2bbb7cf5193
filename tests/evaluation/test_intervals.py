from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.intervals import clustered_bootstrap, resampled_auc


def delong_standard_error(labels, scores):
    """DeLong, DeLong and Clarke-Pearson, Biometrics 1988, for one curve."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    above = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    by_positive, by_negative = above.mean(axis=1), above.mean(axis=0)
    return np.sqrt(
        by_positive.var(ddof=1) / positives.size + by_negative.var(ddof=1) / negatives.size
    )


def sample(n=400, shift=1.0, seed=3):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.int64)
    return labels, rng.normal(size=n) + shift * labels


def test_the_interval_of_independent_images_is_that_of_delong():
    labels, scores = sample()
    (found,) = clustered_bootstrap(
        [resampled_auc(labels, scores)], np.arange(labels.size), seed=0, replicates=4000
    )
    auc = roc_auc_score(labels, scores)
    half = norm.ppf(0.975) * delong_standard_error(labels, scores)
    assert found.low == pytest.approx(auc - half, abs=0.1 * half)
    assert found.high == pytest.approx(auc + half, abs=0.1 * half)


def test_copies_of_images_do_not_make_the_interval_narrower():
    labels, scores = sample(n=200)
    patients = np.arange(labels.size)
    single = clustered_bootstrap([resampled_auc(labels, scores)], patients, seed=1)
    copied = clustered_bootstrap(
        [resampled_auc(np.tile(labels, 5), np.tile(scores, 5))], np.tile(patients, 5), seed=1
    )
    assert copied == single


def test_the_interval_of_a_mean_is_that_of_normal_theory():
    values = np.random.default_rng(0).normal(size=500)
    (found,) = clustered_bootstrap(
        [lambda weights: float(weights @ values / weights.sum())],
        np.arange(500),
        seed=0,
        replicates=4000,
        level=0.9,
    )
    half = norm.ppf(0.95) * values.std() / np.sqrt(500)
    assert found.level == 0.9
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_seed_alone_decides():
    labels, scores = sample(n=60)
    statistic = resampled_auc(labels, scores)
    runs = [clustered_bootstrap([statistic], np.arange(60), seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=40
    )
)
def test_the_weighted_auc_is_that_of_scikit_learn(rows):
    labels, scores, weights = (np.array(column, dtype=np.float64) for column in zip(*rows))  # noqa: B905
    found = resampled_auc(labels, scores)(weights)
    kept = weights > 0
    if np.unique(labels[kept]).size < 2:
        assert np.isnan(found)
    else:
        expected = roc_auc_score(labels[kept], scores[kept], sample_weight=weights[kept])
        assert found == pytest.approx(expected)


def test_one_patient_has_no_interval():
    with pytest.raises(MetricError, match="at least two"):
        clustered_bootstrap([resampled_auc([0, 1], [0, 1])], ["a", "a"], seed=0)


def test_a_class_of_one_patient_has_no_interval():
    labels, scores = [1, *[0] * 20], np.arange(21)
    with pytest.raises(MetricError, match="lack a class"):
        clustered_bootstrap([resampled_auc(labels, scores)], np.arange(21), seed=0)
