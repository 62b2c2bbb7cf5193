from __future__ import annotations

import numpy as np
import pytest

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.assess import assess
from cxrscreen.evaluation.subgroups import UNKNOWN, by_groups


def study(n=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(int)
    scores = rng.normal(size=n) + 2 * labels - 1
    return labels, scores, 1 / (1 + np.exp(-scores)), rng.integers(n // 2, size=n)


def test_each_group_is_assessed_alone():
    arrays = study()
    values = np.array(["F", "M"])[np.arange(200) % 3 % 2]
    found = by_groups(*arrays, values, column="sex", threshold_score=0, replicates=100)
    assert [(one.column, one.value) for one in found] == [("sex", "F"), ("sex", "M")]
    for one in found:
        here = values == one.value
        alone = assess(*(array[here] for array in arrays), threshold_score=0, replicates=100)
        assert one.assessment == alone
        assert not one.too_small
    assert sum(one.assessment.images for one in found) == 200


def test_small_groups_show_their_counts_and_no_figure():
    labels, scores, probabilities, _ = study()
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(labels == 0)
    values = np.full(200, "rest", dtype=object)
    values[positives[:9]] = values[negatives[:30]] = "few positives"
    values[positives[9:40]] = values[negatives[30:33]] = "few negatives"
    values[negatives[33:36]] = "tiny"
    found = by_groups(
        labels, scores, probabilities, None, values, column="x", threshold_score=0, replicates=100
    )
    groups = {one.value: one for one in found}
    given = {
        name: {one.name for one in group.assessment.estimates if one.value is not None}
        for name, group in groups.items()
    }
    assert given["few positives"] == {"specificity"}
    assert given["few negatives"] == {"recall"}
    assert given["tiny"] == set()
    assert len(given["rest"]) == 10
    assert groups["tiny"].too_small
    recall = groups["few positives"].assessment["recall"]
    assert (recall.value, recall.interval, recall.whole) == (None, None, 9)
    assert recall.reason == "too few patients to say: 9 positive, 10 are needed"
    assert groups["few positives"].assessment.confusion.positives == 9


def test_patients_count_and_not_their_images():
    labels, scores = np.repeat([0, 1], 40), np.linspace(-1, 1, 80)
    patients = np.r_[np.arange(40), np.repeat(np.arange(40, 48), 5)]
    (found,) = by_groups(
        labels,
        scores,
        (scores + 1) / 2,
        patients,
        ["a"] * 80,
        column="x",
        threshold_score=0.1,
        replicates=100,
    )
    assert found.assessment["recall"].value is None
    assert "8 positive" in found.assessment["recall"].reason
    assert found.assessment["specificity"].value is not None


def test_the_order_is_that_asked_for_and_unknown_comes_last():
    values = ["old", None, "child", "", "Z", "infant"] * 10
    arrays = [array[:60] for array in study()]
    options = {"threshold_score": 0, "replicates": 100}
    found = by_groups(*arrays, values, column="age", order=("infant", "child", "old"), **options)
    assert [one.value for one in found] == ["infant", "child", "old", "Z", UNKNOWN]
    assert found[-1].assessment.images == 20


def test_bad_input_is_named():
    arrays = study()
    with pytest.raises(MetricError, match="sex: 3 values for 200 labels"):
        by_groups(*arrays, ["F"] * 3, column="sex", threshold_score=0)
    with pytest.raises(MetricError, match="at least one"):
        by_groups(*arrays, ["F"] * 200, column="sex", threshold_score=0, least=0)
