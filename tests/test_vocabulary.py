from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen.vocabulary import AGE_GROUPS, age_group

NAMES = [name for _, name in AGE_GROUPS]


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (0, "under 1"),
        (0.99, "under 1"),
        (1, "1 to 2"),
        (2.99, "1 to 2"),
        (3, "3 to 5"),
        (5.99, "3 to 5"),
        (6, "6 to 11"),
        (12, "12 to 17"),
        (17.99, "12 to 17"),
        (18, "18 to 39"),
        (40, "40 to 64"),
        (65, "65 and over"),
        (199, "65 and over"),
        (None, ""),
    ],
)
def test_the_groups_of_ages(age, group):
    assert age_group(age) == group


@given(st.floats(0, 199), st.floats(0, 199))
def test_the_older_is_never_in_a_younger_group(one, other):
    young, old = sorted((one, other))
    assert NAMES.index(age_group(young)) <= NAMES.index(age_group(old))
