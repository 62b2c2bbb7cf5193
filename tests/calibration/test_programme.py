from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from cxrscreen.calibration.programme import clustered_proportion, programme
from cxrscreen.errors import CalibrationError

FIGURES = (
    "recall",
    "specificity",
    "flagged",
    "missed",
    "false_alarms",
    "ppv",
    "npv",
    "number_needed_to_read",
)


def table(logits, labels, patients=None, *, score=0.0, prevalence=0.05, per=1000, level=0.95):
    patients = np.arange(len(logits)) if patients is None else patients
    (row,) = programme(
        logits,
        labels,
        patients,
        thresholds={"at": score},
        prevalence=prevalence,
        per=per,
        level=level,
    )
    return row


def test_at_the_prevalence_of_the_sample_the_figures_are_its_counts():
    logits = [-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    row = table(logits, labels, prevalence=0.5, per=8)
    counts = (row.flagged, row.missed, row.false_alarms)
    assert [one.value for one in counts] == pytest.approx([4, 1, 1])
    assert row.ppv.value == row.npv.value == pytest.approx(0.75)
    assert row.number_needed_to_read.value == pytest.approx(4 / 3)
    assert (row.name, row.per, row.prevalence) == ("at", 8, 0.5)


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=40
    ).filter(lambda drawn: len({label for _, label, _ in drawn}) == 2),
    st.floats(0.001, 0.9),
    st.sampled_from([-9.0, 0.0, 9.0]),
)
@settings(deadline=None, max_examples=60)
def test_figures_add_up_and_lie_in_their_intervals(drawn, prevalence, score):
    logits, labels, patients = zip(*drawn, strict=True)
    row = table(logits, labels, patients, score=score, prevalence=prevalence)
    found = 1000 * prevalence - row.missed.value
    assert row.flagged.value == pytest.approx(found + row.false_alarms.value)
    for name in FIGURES:
        one = getattr(row, name)
        high = math.inf if one.high is None else one.high
        assert 0 <= one.low <= high
        if one.value is not None:
            assert one.low - 1e-9 <= one.value <= high + 1e-9
    if row.ppv.value:
        assert row.number_needed_to_read.value == pytest.approx(1 / row.ppv.value)


def test_a_recall_of_one_has_a_lower_limit():
    row = table([1.0] * 59 + [-1.0] * 100, [1] * 59 + [0] * 100)
    exact = binomtest(59, 59).proportion_ci(0.95, method="exact")
    assert (row.recall.value, row.recall.high) == (1.0, 1.0)
    assert row.recall.low == pytest.approx(exact.low)
    assert row.missed.value == 0
    assert row.missed.high == pytest.approx(50 * (1 - exact.low))
    assert row.npv.value == 1
    assert 0.99 < row.npv.low < 1


def test_what_the_sample_does_not_say_is_left_open():
    logits, labels = [0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1]
    nothing = table(logits, labels, score=9.0)
    assert (nothing.ppv.value, nothing.number_needed_to_read.value) == (None, None)
    assert nothing.number_needed_to_read.high is None
    assert nothing.npv.value == pytest.approx(0.95)
    everything = table(logits, labels, score=-9.0)
    assert everything.npv.value is None
    assert everything.ppv.value == pytest.approx(0.05)


def test_each_threshold_has_its_row():
    rows = programme(
        [0.0, 1.0], [0, 1], ["a", "b"], thresholds={"low": -1.0, "high": 2.0}, prevalence=0.1
    )
    assert [(row.name, row.score) for row in rows] == [("low", -1.0), ("high", 2.0)]
    assert rows[0].flagged.value > rows[1].flagged.value


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.8, 0.95]))
@settings(deadline=None, max_examples=40)
def test_independent_images_have_the_interval_of_clopper_and_pearson(hits, misses, level):
    right = np.repeat([1, 0], [hits, misses])
    share, low, high = clustered_proportion(right, np.arange(right.size), level=level)
    exact = binomtest(hits, right.size).proportion_ci(level, method="exact")
    assert share == pytest.approx(hits / right.size)
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_copies_of_images_add_no_certainty():
    right = np.repeat([1, 0], [27, 3])
    once = clustered_proportion(right, np.arange(30), level=0.95)
    copied = clustered_proportion(np.repeat(right, 9), np.repeat(np.arange(30), 9), level=0.95)
    assert copied[0] == once[0]
    assert copied[1] <= once[1]
    assert copied[2] >= once[2]
    all_right = clustered_proportion(np.ones(270), np.repeat(np.arange(30), 9), level=0.95)
    assert all_right[1] <= clustered_proportion(np.ones(30), np.arange(30), level=0.95)[1]


def test_a_single_patient_says_next_to_nothing():
    _, low, high = clustered_proportion([1, 1, 1, 0], ["a"] * 4, level=0.95)
    assert high - low > 0.9


def simulate(rng, *, share, patients):
    """Return hits and owners, alike within a patient, of a true share."""
    owners = np.repeat(np.arange(patients), rng.choice([1, 1, 1, 2, 8], patients))
    own = rng.random(patients) < share
    alike = rng.random(owners.size) < 0.7
    return np.where(alike, own[owners], rng.random(owners.size) < share), owners


def test_intervals_cover_at_their_level():
    rng = np.random.default_rng(11)
    runs, recall, specificity, prevalence = 200, 0.95, 0.8, 0.05
    truth = {
        "recall": recall,
        "ppv": prevalence * recall / (prevalence * recall + (1 - prevalence) * (1 - specificity)),
        "flagged": 1000 * (prevalence * recall + (1 - prevalence) * (1 - specificity)),
    }
    covered = dict.fromkeys(truth, 0)
    for _ in range(runs):
        found, ill = simulate(rng, share=recall, patients=120)
        spared, well = simulate(rng, share=specificity, patients=120)
        row = table(
            np.concatenate((np.where(found, 1.0, -1.0), np.where(spared, -1.0, 1.0))),
            np.repeat([1, 0], [found.size, spared.size]),
            np.concatenate((ill, well + 1000)),
        )
        for name, value in truth.items():
            covered[name] += getattr(row, name).low <= value <= getattr(row, name).high
    least = 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    assert {name: count / runs for name, count in covered.items() if count / runs < least} == {}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"prevalence": 0.0}, "prevalence 0"),
        ({"prevalence": 5.0}, "prevalence 5"),
        ({"level": 1.0}, "level 1"),
        ({"per": 0}, "per 0 images"),
    ],
)
def test_numbers_out_of_range_are_refused(numbers, message):
    with pytest.raises(CalibrationError, match=message):
        table([0.0, 1.0], [0, 1], **numbers)


def test_a_programme_needs_both_classes():
    with pytest.raises(CalibrationError, match="no pneumonia image"):
        table([0.0, 1.0], [0, 0])
