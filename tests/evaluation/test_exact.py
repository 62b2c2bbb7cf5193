from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.exact import clopper_pearson


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_is_scipys(part, rest, level):
    if part + rest == 0:
        return
    found = clopper_pearson(part, part + rest, level=level)
    expected = binomtest(part, part + rest).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.level == level


def test_all_of_some_is_not_certain():
    found = clopper_pearson(50, 50)
    assert found.low == pytest.approx(0.025 ** (1 / 50))
    assert found.high == 1


@pytest.mark.parametrize(
    ("part", "whole", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1), (1, 2, 0)]
)
def test_impossible_counts_and_levels_are_named(part, whole, level):
    with pytest.raises(MetricError):
        clopper_pearson(part, whole, level=level)
