from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.assess import assess
from cxrscreen.evaluation.compare import COMPARED, Contender, compare
from cxrscreen.evaluation.delong import auc_difference
from cxrscreen.evaluation.intervals import resampled_auc
from cxrscreen.evaluation.paired import mcnemar, paired_bootstrap, paired_delong, share_limits


def contender(name, scores, threshold=0.0):
    return Contender(name, scores, 1 / (1 + np.exp(-scores)), threshold)


def study(n=300, seed=0, patients=None, worse=1.0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(int)
    first = rng.normal(size=n) + 2 * labels - 1
    second = first + worse * rng.normal(size=n)
    keys = None if patients is None else rng.integers(patients, size=n)
    return labels, keys, [contender("first", first), contender("second", second)]


def test_each_model_has_its_own_assessment():
    labels, patients, models = study(patients=200)
    found = compare(models, labels, patients, replicates=200, seed=4, prevalence=0.1)
    assert found.names == ("first", "second")
    for model, own in zip(models, found.assessments, strict=True):
        assert own == assess(
            labels,
            model.scores,
            model.probabilities,
            patients,
            threshold_score=0,
            replicates=200,
            seed=4,
            prevalence=0.1,
        )
    (versus,) = found.versus
    assert [one.metric for one in versus.differences] == list(COMPARED)
    for one in versus.differences:
        values = [own[one.metric].value for own in found.assessments]
        assert (one.first, one.second) == tuple(values)
        assert one.difference == pytest.approx(values[1] - values[0])
        assert one.interval.low <= one.difference <= one.interval.high
        assert 0 <= one.p_value <= 1


def test_a_clearly_worse_model_is_seen_to_be_worse():
    labels, _, models = study(n=600, worse=3)
    (versus,) = compare(models, labels, None, replicates=200).versus
    for one in versus.differences:
        assert one.p_value < 0.01, one
        assert one.interval.low > 0 if one.metric == "brier" else one.interval.high < 0


def test_the_order_of_two_models_only_turns_the_signs():
    labels, patients, models = study(patients=200)
    (forward,) = compare(models, labels, patients, replicates=200).versus
    (back,) = compare(models[::-1], labels, patients, replicates=200).versus
    for one, other in zip(forward.differences, back.differences, strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert one.p_value == pytest.approx(other.p_value)
        assert one.interval.low == pytest.approx(-other.interval.high)


def test_independent_images_are_tested_by_mcnemar():
    labels, _, models = study()
    (versus,) = compare(models, labels, None, replicates=100).versus
    right = [(model.scores >= 0) == labels for model in models]
    lost, gained = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (versus.errors.only_first, versus.errors.only_second) == (lost, gained)
    expected = binomtest(gained, lost + gained).pvalue
    assert versus["accuracy"].p_value == versus.errors.p_value == pytest.approx(expected)
    positive = labels == 1
    lost = int((right[0] & ~right[1])[positive].sum())
    gained = int((right[1] & ~right[0])[positive].sum())
    assert versus["recall"].p_value == pytest.approx(binomtest(gained, lost + gained).pvalue)


def test_models_that_decide_alike_are_not_known_to_be_equal():
    labels, patients, models = study(patients=200)
    moved = contender("moved", models[0].scores * 2)
    (versus,) = compare([models[0], moved], labels, patients, replicates=100).versus
    for metric in ("accuracy", "recall", "specificity"):
        one = versus[metric]
        assert (one.difference, one.p_value) == (0, 1)
        assert -0.1 < one.interval.low == -one.interval.high < 0
    for metric in ("precision", "f1"):
        assert versus[metric].interval is None
        assert "the same on every resample" in versus[metric].reason
    # The order is the same, the probabilities are not.
    assert versus["roc_auc"].p_value == 1
    assert versus["brier"].difference != 0


def test_copies_change_nothing():
    labels, _, models = study(n=150)
    patients = np.arange(150)
    copied = [
        Contender(one.name, np.tile(one.scores, 3), np.tile(one.probabilities, 3), 0)
        for one in models
    ]
    (single,) = compare(models, labels, patients, replicates=300).versus
    (many,) = compare(copied, np.tile(labels, 3), np.tile(patients, 3), replicates=300).versus
    for one, three in zip(single.differences, many.differences, strict=True):
        width = three.interval.high - three.interval.low
        assert width == pytest.approx(one.interval.high - one.interval.low, rel=0.25)


def test_what_one_model_lacks_is_not_compared():
    labels, _, (first, second) = study()
    silent = Contender("silent", second.scores, second.probabilities, 100.0)
    (versus,) = compare([first, silent], labels, None, replicates=100).versus
    assert versus["precision"].second is None
    assert versus["precision"].difference is None
    assert "one of the two" in versus["precision"].reason
    assert versus["recall"].second == 0


def test_too_few_of_a_class_have_no_interval():
    labels = np.array([1, 0, 0, 0, 0, 0])
    models = [
        contender(name, np.linspace(*ends, 6)) for name, ends in (("a", (1, 0)), ("b", (0, 1)))
    ]
    (versus,) = compare(models, labels, None, replicates=100).versus
    assert versus["roc_auc"].difference == -1
    assert versus["roc_auc"].interval is None
    assert "at least two" in versus["roc_auc"].reason


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 100))
def test_shares_of_independent_images_have_bonett_and_prices_limits(lost, gained, same):
    n = lost + gained + same
    first = np.repeat([True, False, True], [lost, gained, same])
    second = np.repeat([False, True, True], [lost, gained, same])
    found, p_value = share_limits(first, second, np.arange(n), level=0.95)
    one, two = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    error = np.sqrt((one + two - (two - one) ** 2) / (n + 1))  # n + 2 - 1: Student's form
    half = t.ppf(0.975, n + 1) * error
    assert found.low == pytest.approx(max(-1, two - one - half))
    assert found.high == pytest.approx(min(1, two - one + half))
    assert (p_value < 0.05) == (found.low > 0 or found.high < 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_scipys_binomial_test(lost, gained):
    labels = np.ones(lost + gained + 5, dtype=int)
    first = np.repeat([1, 0, 1], [lost, gained, 5])
    second = np.repeat([0, 1, 1], [lost, gained, 5])
    found = mcnemar(labels, first, second)
    assert (found.only_first, found.only_second) == (lost, gained)
    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1
    assert found.p_value == pytest.approx(expected)


def test_any_statistic_can_be_compared():
    labels, patients, (first, second) = study(patients=250)
    statistics = [resampled_auc(labels, model.scores) for model in (first, second)]
    interval, p_value = paired_bootstrap(*statistics, patients, seed=0, replicates=1000)
    delong = auc_difference(labels, first.scores, second.scores, clusters=patients)
    error = np.sqrt(sum(delong.variances) - 2 * delong.covariance)
    assert interval.high - interval.low == pytest.approx(2 * 1.97 * error, rel=0.1)
    assert p_value == pytest.approx(delong.p_value, abs=0.02)


def test_the_paired_delong_is_delongs():
    labels, patients, (first, second) = study(patients=250)
    found = paired_delong(labels, first.scores, second.scores, patients=patients)
    expected = auc_difference(labels, first.scores, second.scores, clusters=patients)
    assert (found.difference, found.p_value) == (expected.difference, expected.p_value)
    assert found.interval == expected.interval


def test_bad_input_is_named():
    labels, _, (first, second) = study(n=20)
    for models in ([], [first], [first, first]):
        with pytest.raises(MetricError, match="at least two"):
            compare(models, labels, None)
    with pytest.raises(MetricError, match="one length"):
        compare([first, contender("short", second.scores[:-1])], labels, None)
    with pytest.raises(MetricError, match="0 or 1"):
        mcnemar([0, 1], [0, 1], [0, 2])
    with pytest.raises(MetricError, match="at least two"):
        paired_bootstrap(np.sum, np.sum, ["a", "a"], seed=0)
    with pytest.raises(MetricError, match="no images"):
        share_limits(*np.zeros((3, 0), dtype=bool), level=0.95)
