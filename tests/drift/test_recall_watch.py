from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.drift.recall_watch import watch_recall
from cxrscreen.errors import MetricError


@pytest.mark.parametrize("floor", [0.6, 0.95])
def test_the_bet_is_fair(floor):
    """The expected wealth over every sequence is what was staked: the whole of the guarantee."""
    length = 9
    expected = sum(
        np.prod([1 - floor if miss else floor for miss in missed])
        * watch_recall(missed, floor).wealth[-1]
        for missed in itertools.product((False, True), repeat=length)
    )
    assert expected == pytest.approx(1.0)


@settings(max_examples=50)
@given(st.lists(st.booleans(), max_size=40), st.floats(0.5, 0.99))
def test_a_miss_wins_and_a_find_loses(missed, floor):
    before = (1.0, *watch_recall(missed, floor).wealth)[-1]
    assert watch_recall([*missed, True], floor).wealth[-1] > before
    assert watch_recall([*missed, False], floor).wealth[-1] < before


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 60))
def test_what_came_in_later_changes_nothing_before(missed, cut):
    assert watch_recall(missed[:cut], 0.9).wealth == watch_recall(missed, 0.9).wealth[:cut]


def test_the_alarm_is_the_first_time_that_the_wealth_is_reached():
    watch = watch_recall([True] * 5 + [False] * 200, 0.95, alpha=0.01)
    assert watch.alarm_after is not None
    assert watch.wealth[watch.alarm_after - 1] >= 100
    assert max((1.0, *watch.wealth[: watch.alarm_after - 1])) < 100
    # It stays, however small the wealth has become.
    assert watch.wealth[-1] < 100
    assert watch.p <= 0.01
    assert (watch.positives, watch.found) == (205, 200)


def test_before_the_first_positive():
    watch = watch_recall([], 0.9)
    assert (watch.positives, watch.highest, watch.p, watch.alarm_after) == (0, 1.0, 1.0, None)
    assert np.isnan(watch.recall)


def test_a_long_fall_stays_a_number():
    assert np.isfinite(watch_recall([True] * 3000, 0.95).highest)


@pytest.mark.parametrize(("floor", "alpha"), [(0.0, 0.05), (1.0, 0.05), (0.9, 0.0), (0.9, 1.0)])
def test_impossible_rates(floor, alpha):
    with pytest.raises(MetricError, match="between 0 and 1"):
        watch_recall([True], floor, alpha=alpha)
