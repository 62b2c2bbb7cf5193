from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as oracle

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.assess import assess, judge
from cxrscreen.evaluation.delong import auc_interval
from cxrscreen.evaluation.estimates import (
    BOOTSTRAP,
    DELONG,
    EXACT,
    EXACT_PATIENTS,
    LIMITS,
    PAIRS,
    TITLES,
)
from cxrscreen.evaluation.metrics import calibration_error
from cxrscreen.evaluation.resampling import METRICS, draws, replicate


def study(n=300, seed=0, shift=2.0, patients=None):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(int)
    scores = rng.normal(size=n) + shift * labels - shift / 2
    keys = np.arange(n) if patients is None else rng.integers(patients, size=n)
    return labels, scores, 1 / (1 + np.exp(-shift * scores)), keys


def test_every_value_is_scikit_learns():
    labels, scores, probabilities, patients = study()
    found = assess(labels, scores, probabilities, patients, threshold_score=0.2, replicates=100)
    flagged = scores >= 0.2
    expected = {
        "accuracy": oracle.accuracy_score(labels, flagged),
        "precision": oracle.precision_score(labels, flagged),
        "recall": oracle.recall_score(labels, flagged),
        "specificity": oracle.recall_score(labels, flagged, pos_label=0),
        "f1": oracle.f1_score(labels, flagged),
        "npv": oracle.precision_score(labels, flagged, pos_label=0),
        "roc_auc": oracle.roc_auc_score(labels, scores),
        "pr_auc": oracle.average_precision_score(labels, scores),
        "brier": oracle.brier_score_loss(labels, probabilities),
        "calibration_error": calibration_error(labels, probabilities),
    }
    assert {one.name: one.value for one in found.estimates} == pytest.approx(expected)
    assert [one.name for one in found.estimates] == list(TITLES) == list(METRICS)
    assert all(one.interval.low <= one.value <= one.interval.high for one in found.estimates)
    assert (found.images, found.patients, found.positives) == (300, 300, labels.sum())


def test_one_image_each_has_exact_limits_and_delongs():
    labels, scores, probabilities, patients = study()
    found = assess(labels, scores, probabilities, patients, threshold_score=0, replicates=100)
    recall = found["recall"]
    expected = binomtest(recall.part, recall.whole).proportion_ci(method="exact")
    assert recall.method == EXACT
    assert recall.whole == found.positives == labels.sum()
    assert (recall.interval.low, recall.interval.high) == pytest.approx(tuple(expected))
    assert found["roc_auc"].method == DELONG
    assert found["roc_auc"].interval == auc_interval(labels, scores)
    # F1 by the share of images that are both positive and flagged.
    counts = found.confusion
    either = counts.images - counts.true_negatives
    share = binomtest(counts.true_positives, either).proportion_ci(method="exact")
    assert found["f1"].interval.low == pytest.approx(2 * share.low / (1 + share.low))
    assert not found.clustered
    # The patients need not be named.
    assert found == assess(labels, scores, probabilities, None, threshold_score=0, replicates=100)


def test_several_images_of_a_patient_make_the_limits_wider():
    labels, scores, probabilities, _ = study(n=200)
    copied = [np.repeat(values, 4) for values in (labels, scores, probabilities, np.arange(200))]
    single = assess(labels, scores, probabilities, None, threshold_score=0, replicates=400)
    ignored = assess(*copied[:3], None, threshold_score=0, replicates=400)
    found = assess(*copied, threshold_score=0, replicates=400)
    assert found.clustered
    for one in found.estimates:
        alone, naive = single[one.name], ignored[one.name]
        width = one.interval.high - one.interval.low
        assert one.method == (DELONG if one.name == "roc_auc" else BOOTSTRAP)
        # The same as without the copies, as far as two methods agree.
        assert width == pytest.approx(alone.interval.high - alone.interval.low, rel=0.2)
        assert width > 1.5 * (naive.interval.high - naive.interval.low)


def test_all_found_is_not_certain():
    labels, scores = np.repeat([0, 1], 40), np.repeat([-1.0, 1.0], 40) + np.tile([0, 0.1], 40)
    probabilities = 1 / (1 + np.exp(-scores))
    patients = np.arange(80) // 2
    found = assess(
        labels, scores, probabilities, patients, threshold_score=0, replicates=100, prevalence=0.05
    )
    for name in ("accuracy", "precision", "recall", "specificity", "f1", "npv"):
        assert found[name].value == 1
        assert found[name].method == EXACT_PATIENTS
        assert 0.7 < found[name].interval.low < found[name].interval.high == 1
    assert found["recall"].interval.low == pytest.approx(0.025 ** (1 / 20))
    assert found["roc_auc"].method == PAIRS
    assert found["roc_auc"].interval.low == pytest.approx(0.025 ** (1 / 20))
    assert found["ppv_at_prevalence"].method == LIMITS
    assert found["ppv_at_prevalence"].interval.low < 0.4
    assert found["pr_auc"].interval is None
    assert "no interval" in found["pr_auc"].reason


def test_predictive_values_at_another_prevalence():
    labels, scores, probabilities, patients = study()
    at_home = assess(
        labels,
        scores,
        probabilities,
        patients,
        threshold_score=0,
        replicates=400,
        prevalence=labels.mean(),
    )
    precision, ppv = at_home["precision"], at_home["ppv_at_prevalence"]
    assert ppv.value == pytest.approx(precision.value)
    assert at_home["npv_at_prevalence"].value == pytest.approx(at_home["npv"].value)
    rare = assess(
        labels,
        scores,
        probabilities,
        patients,
        threshold_score=0,
        replicates=400,
        prevalence=0.01,
    )["ppv_at_prevalence"]
    assert rare.interval.low < rare.value < rare.interval.high < ppv.interval.low
    assert rare.title == "PPV at prevalence 0.01"


@pytest.mark.parametrize(
    ("label", "there"), [(0, {"specificity", "accuracy"}), (1, {"recall", "accuracy"})]
)
def test_one_class_gives_what_it_can(label, there):
    _, scores, probabilities, patients = study(n=40, patients=25)
    found = assess(
        np.full(40, label),
        scores,
        probabilities,
        patients,
        threshold_score=0,
        replicates=100,
        prevalence=0.1,
    )
    given = {one.name for one in found.estimates if one.value is not None}
    assert given == there | {"brier", "calibration_error"}
    assert all(one.reason for one in found.estimates if one.value is None)
    assert all(one.interval is None for one in found.estimates if one.value is None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=30
    ),
    st.integers(-4, 4),
)
def test_whatever_the_data_the_table_is_consistent(rows, threshold):
    labels, scores, patients = (np.array(column) for column in zip(*rows, strict=True))
    found = assess(
        labels,
        scores,
        1 / (1 + np.exp(-scores)),
        patients,
        threshold_score=threshold,
        replicates=100,
        prevalence=0.2,
    )
    counts = found.confusion
    assert counts.images == found.images == labels.size
    assert counts.positives == found.positives == labels.sum()
    for one in found.estimates:
        if one.value is None:
            assert one.reason
            continue
        assert 0 <= one.value <= 1
        if one.whole is not None:
            assert one.value == one.part / one.whole
        if one.interval is None:
            assert one.reason
            continue
        assert 0 <= one.interval.low <= one.value + 1e-9
        assert one.value - 1e-9 <= one.interval.high <= 1
        assert one.interval.low < one.interval.high
        assert one.method


def test_the_seed_alone_decides():
    arrays = study(patients=150)
    runs = [assess(*arrays, threshold_score=0, replicates=200, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0]["brier"].interval != runs[2]["brier"].interval
    assert runs[0]["brier"].value == runs[2]["brier"].value


def test_every_resample_is_scikit_learns():
    labels, scores, probabilities, patients = study(n=60, patients=25)
    scores = np.round(scores * 2) / 2  # ties
    model = judge(labels, scores, probabilities, patients, threshold_score=0)
    (found,) = replicate([model], replicates=8, seed=3)
    weights = np.concatenate(list(draws(model.patients, 8, 3, wide=60)))[:, model.members]
    for row, weight in enumerate(weights):
        shared = {"sample_weight": weight}
        flagged = scores >= 0
        expected = {
            "accuracy": oracle.accuracy_score(labels, flagged, **shared),
            "precision": oracle.precision_score(labels, flagged, **shared),
            "recall": oracle.recall_score(labels, flagged, **shared),
            "specificity": oracle.recall_score(labels, flagged, pos_label=0, **shared),
            "f1": oracle.f1_score(labels, flagged, **shared),
            "npv": oracle.precision_score(labels, flagged, pos_label=0, **shared),
            "roc_auc": oracle.roc_auc_score(labels, scores, **shared),
            "pr_auc": oracle.average_precision_score(labels, scores, **shared),
            "brier": oracle.brier_score_loss(labels, probabilities, **shared),
        }
        assert {name: found.values[name][row] for name in expected} == pytest.approx(expected)


def test_the_size_of_a_block_does_not_matter():
    small, large = (np.concatenate(list(draws(40, 50, 7, wide=wide))) for wide in (10**6, 1))
    assert np.array_equal(small, large)
    assert (small.sum(axis=1) == 40).all()


def test_a_validation_set_takes_seconds():
    arrays = study(n=745, patients=500)
    begun = time.process_time()
    assess(*arrays, threshold_score=0)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": []}, "one length"),
        ({"labels": [0, 1, 2]}, "0 or 1"),
        ({"scores": [0, 1, np.nan]}, "not finite"),
        ({"probabilities": [0, 0.5, 1.5]}, "outside 0 to 1"),
        ({"probabilities": [0, 0.5]}, "one length"),
        ({"patients": ["a", "b"]}, "one for each"),
        ({"threshold_score": np.nan}, "threshold"),
        ({"level": 95}, "level"),
        ({"replicates": 10}, "too few"),
        ({"seed": -1}, "seed"),
        ({"prevalence": 5}, "prevalence"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {
        "labels": [0, 1, 1],
        "scores": [0, 1, 2],
        "probabilities": [0.1, 0.6, 0.7],
        "patients": ["a", "b", "c"],
        "threshold_score": 0.5,
        **change,
    }
    with pytest.raises(MetricError, match=message):
        assess(**given)


def test_no_image_is_nothing_to_assess():
    with pytest.raises(MetricError, match="no images"):
        assess([], [], [], [], threshold_score=0)
