from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kstest

from cxrscreen.drift.stability import (
    Stability,
    bins_for,
    permuted_stability,
    stability_index,
    word,
)

counts = arrays(np.float64, 6, elements=st.integers(0, 200).map(float)).filter(
    lambda values: values.sum() > 0
)


@given(counts, counts)
def test_the_index_is_symmetric_and_never_negative(one, other):
    index = float(stability_index(one, other))
    assert index >= 0
    assert index == pytest.approx(float(stability_index(other, one)))


@given(counts)
def test_equal_counts_have_an_index_of_zero(one):
    assert float(stability_index(one, one)) == pytest.approx(0, abs=1e-12)


def test_the_index_is_the_sum_that_the_textbook_gives():
    reference, period = np.array([1000.0, 1000.0]), np.array([4000.0, 6000.0])
    expected = (0.4 - 0.5) * np.log(0.4 / 0.5) + (0.6 - 0.5) * np.log(0.6 / 0.5)
    assert float(stability_index(reference, period)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("psi", "expected"),
    [
        (0.0, Stability.STABLE),
        (0.0999, Stability.STABLE),
        (0.1, Stability.LOOK),
        (0.25, Stability.LOOK),
        (0.2501, Stability.MOVED),
    ],
)
def test_the_usual_words(psi, expected):
    assert word(psi) is expected


def test_bins_hold_equal_shares_of_the_reference(rng):
    reference, period = rng.normal(size=1000), rng.normal(1.0, 1.0, size=500)
    edges = np.sort(reference)[np.arange(1, 10) * 100 - 1]
    both = [
        np.bincount(np.searchsorted(edges, scores, side="left"), minlength=10).astype(float)
        for scores in (reference, period)
    ]
    assert set(both[0]) == {100.0}
    psi, _, _ = permuted_stability(reference, period, draws=1, rng=rng)
    assert psi == pytest.approx(float(stability_index(*both)))


def test_few_scores_get_few_bins():
    assert (bins_for(1000, 49), bins_for(49, 1000), bins_for(50, 50)) == (5, 5, 10)


def test_p_is_uniform_without_a_change(rng):
    values = [
        permuted_stability(rng.normal(size=80), rng.normal(size=60), draws=99, rng=rng)[2]
        for _ in range(300)
    ]
    # Values of a grid of 1/100: a uniform one lies at most that far from the line.
    assert kstest(values, "uniform").statistic < 0.08 + 0.01


def test_a_large_index_of_few_scores_is_no_finding(rng):
    quiet = [
        permuted_stability(rng.normal(size=30), rng.normal(size=30), draws=99, rng=rng)
        for _ in range(50)
    ]
    assert max(psi for psi, _, _ in quiet) > 0.25
    assert np.mean([psi for psi, _, _ in quiet]) == pytest.approx(
        np.mean([by_chance for _, by_chance, _ in quiet]), rel=0.2
    )
    assert sum(p <= 0.05 for _, _, p in quiet) <= 8
    moved = permuted_stability(rng.normal(size=30), rng.normal(2, 1, 30), draws=99, rng=rng)
    assert moved[2] <= 0.01


def test_many_scores_take_the_chi_square_and_agree_with_shuffles(rng):
    reference, period = rng.normal(size=10_000), rng.normal(0.02, 1, size=10_001)
    large = permuted_stability(reference, period, draws=199, rng=rng)
    small = permuted_stability(reference, period[:-1], draws=199, rng=rng)
    assert large[0] == pytest.approx(small[0], abs=2e-4)
    assert large[1] == pytest.approx(small[1], rel=0.2)
    assert large[2] == pytest.approx(small[2], abs=0.12)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=5, max_size=60),
    st.lists(st.integers(-3, 3), min_size=5, max_size=60),
)
def test_ties_never_break_it(ours, theirs):
    one, other = (np.array(values, dtype=np.float64) for values in (ours, theirs))
    psi, by_chance, p = permuted_stability(one, other, draws=19, rng=np.random.default_rng(0))
    assert psi >= -1e-12
    assert by_chance >= -1e-12
    assert 0 < p <= 1
    if set(ours) == set(theirs) and len(set(ours)) == 1:
        assert (psi, p) == (pytest.approx(0), 1.0)
