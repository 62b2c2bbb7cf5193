from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2_contingency, fisher_exact

from cxrscreen.drift.categories import compare_categories, holm


def test_two_categories_are_fishers(rng):
    found = compare_categories({"a": 8, "b": 92}, {"a": 20, "b": 60}, draws=9, rng=rng)
    assert found is not None
    assert found.p == pytest.approx(fisher_exact([[8, 92], [20, 60]])[1])
    assert found.moved in ("a", "b")


def test_many_categories_are_pearsons_where_counts_are_large(rng):
    ours, theirs = {"a": 300, "b": 500, "c": 200}, {"a": 120, "b": 190, "c": 110}
    found = compare_categories(ours, theirs, draws=4999, rng=rng)
    oracle = chi2_contingency([list(ours.values()), list(theirs.values())])
    assert found is not None
    assert found.statistic == pytest.approx(oracle.statistic)
    assert found.p == pytest.approx(oracle.pvalue, abs=0.02)


def test_a_new_category_counts(rng):
    found = compare_categories({"A": 200}, {"A": 150, "B": 50}, draws=9, rng=rng)
    assert found is not None
    assert found.p < 1e-9
    assert np.isfinite(found.psi)


@pytest.mark.parametrize(("ours", "theirs"), [({}, {"a": 1}), ({"a": 5}, {"a": 9}), ({}, {})])
def test_nothing_to_compare(rng, ours, theirs):
    assert compare_categories(ours, theirs, draws=9, rng=rng) is None


def test_the_least_p_says_when_so_few_can_never_be_a_finding(rng):
    few = compare_categories({"": 300, "x": 0}, {"": 299, "x": 1}, draws=9, rng=rng)
    more = compare_categories({"": 300, "x": 0}, {"": 290, "x": 10}, draws=9, rng=rng)
    assert few is not None
    assert more is not None
    assert few.least_p > 0.05 > more.least_p
    assert more.p == pytest.approx(more.least_p, rel=0.01)


@given(st.tuples(*[st.integers(0, 30)] * 4).filter(lambda t: t[0] + t[1] and t[2] + t[3]))
def test_no_table_is_below_the_least_p_of_its_margins(table):
    a, b, c, d = table
    found = compare_categories(
        {"x": a, "y": b}, {"x": c, "y": d}, draws=1, rng=np.random.default_rng(0)
    )
    if found is not None:
        assert found.p >= found.least_p * (1 - 1e-6)


@given(arrays(np.float64, st.integers(0, 12), elements=st.floats(0, 1)))
def test_holm_is_its_definition(p):
    adjusted = holm(p)
    order = np.argsort(p, kind="stable")
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (p.size - rank) * p[index]))
        assert adjusted[index] == pytest.approx(running)
    assert (adjusted >= p).all()
