from __future__ import annotations

import os
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import NothingToScreenError, UsageError
from cxrscreen.intake import discover
from cxrscreen.intake.search.filters import InputFilter, described, matcher, parse_since

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
FILES = ("a.dcm", "ward/b.dcm", "ward/x/c.DCM", "ward/x/d.dcm", "notes.txt", "[1].dcm")


@pytest.fixture
def export(tmp_path) -> Path:
    root = tmp_path / "export"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    with zipfile.ZipFile(root / "night.zip", "w") as archive:
        archive.writestr("p/e.dcm", b"x")
        archive.writestr("p/f.jpg", b"x")
    return root


def named(root: Path, *patterns: str, **wanted) -> set[str]:
    found = discover([root], wanted=InputFilter(patterns, **wanted))
    return {item.source.location.removeprefix(f"{root}/") for item in found}


IN_ZIP = {"night.zip!p/e.dcm", "night.zip!p/f.jpg"}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.dcm"], {"a.dcm", "ward/b.dcm", "ward/x/d.dcm", "[1].dcm", "night.zip!p/e.dcm"}),
        (["*.DCM", "notes.*"], {"ward/x/c.DCM", "notes.txt"}),
        (["ward/*.dcm"], {"ward/b.dcm"}),
        (["ward/**"], {"ward/b.dcm", "ward/x/c.DCM", "ward/x/d.dcm"}),
        (["ward/"], {"ward/b.dcm", "ward/x/c.DCM", "ward/x/d.dcm"}),
        (["./ward/?/d.dcm"], {"ward/x/d.dcm"}),
        (["**/x/**/*.dcm"], {"ward/x/d.dcm"}),
        (["*/*"], {"ward/b.dcm"}),
        (["[ab].dcm"], {"a.dcm", "ward/b.dcm"}),
        (["[[]1].dcm"], {"[1].dcm"}),
        (["*.zip"], IN_ZIP),
        (["night.zip/p/*"], IN_ZIP),
        (["night.zip/**/*.jpg"], {"night.zip!p/f.jpg"}),
    ],
)
def test_a_pattern_names_files_below_the_folder_that_was_given(export, patterns, expected):
    assert named(export, *patterns) == expected


@given(st.lists(st.sampled_from(["a", "b", "ab", "**", "*", "a*"]), min_size=2, max_size=5))
@settings(deadline=None)
def test_patterns_mean_what_the_equivalent_expression_means(parts):
    one = {"**": "", "*": "[^/]*", "a*": "a[^/]*"}
    text = "".join("(?:[^/]+/)*" if p == "**" else f"{one.get(p, p)}/" for p in parts)
    matches = matcher("/".join(parts))
    for path in ("a", "a/b", "ab/a", "a/a/b", "b/ab/a/b", "a/b/a/b/ab"):
        assert matches(path) == bool(re.fullmatch(text, f"{path}/")), path


def test_what_is_left_out_is_counted_once_by_the_first_filter_that_does(export):
    os.utime(export / "ward" / "b.dcm", (0, 0))
    everything = len(discover([export]))
    found = discover([export], wanted=InputFilter(("*.dcm",), since=1000.0, limit=2))
    assert found.left_out == {"--glob": 3, "--since": 1, "--limit": 2}
    assert len(found) + sum(found.left_out.values()) == everything
    assert described(found.left_out) == "left out: 3 by --glob, 1 by --since, 2 by --limit"
    assert discover([export]).left_out == {}
    assert described({}) == ""


def test_a_file_that_is_given_itself_is_compared_by_its_name(export):
    found = discover([export / "ward" / "b.dcm"], wanted=InputFilter(("b.*",)))
    assert len(found) == 1


def test_the_working_folder_is_a_folder_like_any_other(export, monkeypatch):
    monkeypatch.chdir(export)
    found = discover([Path()], wanted=InputFilter(("ward/*.dcm",)))
    assert [item.source.location for item in found] == ["ward/b.dcm"]


def test_an_archive_counts_with_the_time_when_it_arrived(export):
    old = zipfile.ZipInfo("old.dcm", (1990, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(export / "night.zip", "a") as archive:
        archive.writestr(old, b"x")
    for file in export.rglob("*"):
        os.utime(file, (1000, 1000))
    os.utime(export / "night.zip", (3000, 3000))
    assert named(export, since=2000.0) == IN_ZIP | {"night.zip!old.dcm"}
    assert len(named(export, since=1000.0)) == len(FILES) + 3


def test_what_cannot_be_looked_into_is_never_left_out(export):
    (export / "broken.zip").write_bytes(b"PK\x03\x04 damaged")
    os.utime(export / "broken.zip", (0, 0))
    wanted = InputFilter(("*.dcm",), since=5.0)
    places = [item.source.path.name for item in discover([export], wanted=wanted)]
    assert "broken.zip" in places


def test_filters_that_leave_nothing_say_so(export):
    with pytest.raises(NothingToScreenError, match=r"left out: 8 by --glob"):
        discover([export], wanted=InputFilter(("*.png",)))


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(hours=24)),
        (" 1.5 d ", timedelta(days=1.5)),
        ("2W", timedelta(weeks=2)),
        ("2026-03-30T12:00:00Z", timedelta(days=1)),
        ("2026-03-30T12:00+02:00", timedelta(days=1, hours=2)),
    ],
)
def test_since_a_time_or_a_duration(text, back):
    assert parse_since(text, NOW) == pytest.approx((NOW - back).timestamp())


def test_since_a_date_is_local():
    assert parse_since("2026-03-01", NOW) == datetime(2026, 3, 1).timestamp()  # noqa: DTZ001


@pytest.mark.parametrize(
    "text", ["", "yesterday", "24", "h", "2026-13-01", "-3h", "1e99d", "9" * 400 + "d"]
)
def test_since_something_else_is_refused(text):
    with pytest.raises(UsageError, match="is no time"):
        parse_since(text, NOW)


def test_since_the_future_is_refused():
    with pytest.raises(UsageError, match="lies in the future"):
        parse_since("2026-04-02", NOW)


def test_filters_that_mean_nothing_are_refused():
    for wrong in ({"limit": 0}, {"patterns": ("",)}):
        with pytest.raises(ValueError, match=r"limit is 0|pattern is empty"):
            InputFilter(**wrong)
