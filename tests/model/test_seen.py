from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen.errors import BundleError
from cxrscreen.model.seen import PARTS, parse_seen, seen_lines, short

HASHES = st.binary(max_size=4).map(lambda content: hashlib.sha256(content).hexdigest())


@given(st.fixed_dictionaries({part: st.lists(HASHES, max_size=8) for part in PARTS}))
def test_what_is_listed_is_known_again_and_nothing_else(parts):
    seen = parse_seen(seen_lines(parts), "here")
    assert {part: {short(one) for one in parts[part]} for part in PARTS} == seen


@pytest.mark.parametrize("text", ["training", "training abc", "test 0123456789abcdef", "x\n"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(BundleError, match="here: is no list"):
        parse_seen(text, "here")
