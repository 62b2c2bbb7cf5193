from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cxrscreen.errors import OutputError
from cxrscreen.model.bundle import DOCUMENT
from cxrscreen.output import (
    BUNDLE_DOCUMENT,
    REPORT_START,
    check_writable,
    is_bundle,
    is_report,
    new_file,
    new_folder,
)
from cxrscreen.reports.table import COLUMNS


def test_a_file_appears_whole_with_ordinary_permissions(tmp_path):
    with new_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").read_text() == "whole"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o666 & ~mask
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("make", [new_file, new_folder])
def test_nothing_is_left_of_what_failed(tmp_path, make, error):
    def fail():
        with make(tmp_path / "a"):
            raise error

    with pytest.raises(error):
        fail()
    assert not os.listdir(tmp_path)


def test_what_stands_there_is_kept_without_force(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(REPORT_START)
    with pytest.raises(OutputError, match="exists"):
        check_writable(path, force=False, replaceable=is_report)
    with new_file(path, force=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    # Now it is no report any more, and nothing replaces it.
    with pytest.raises(OutputError, match="something else"):
        check_writable(path, force=True, replaceable=is_report)


def test_a_failed_replacement_keeps_the_old_folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / BUNDLE_DOCUMENT).write_text("")

    def fail():
        with new_folder(tmp_path / "b", force=True):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path / "b") == [BUNDLE_DOCUMENT]
    with new_folder(tmp_path / "b", force=True) as temporary:
        (temporary / "new").write_text("")
    assert os.listdir(tmp_path / "b") == ["new"]
    assert os.listdir(tmp_path) == ["b"]


def test_a_missing_folder_and_a_folder_as_file_are_named(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.csv", force=False, replaceable=is_report)
    with pytest.raises(OutputError, match="something else"), new_file(tmp_path, force=True):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev")  # noqa: PTH110
def test_a_place_that_refuses_files_is_one_error():
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable(Path("/proc/report.csv"), force=False, replaceable=is_report)


def test_force_never_replaces_a_folder_of_something_else(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    for replaceable in (is_bundle, is_report):
        with pytest.raises(OutputError, match="something else"):
            check_writable(tmp_path / "thesis", force=True, replaceable=replaceable)
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"


def test_of_two_runs_to_one_name_the_second_does_not_replace_the_first(tmp_path):
    def overtaken():
        with new_file(tmp_path / "a") as temporary:
            temporary.write_text("second")
            (tmp_path / "a").write_text("first")

    with pytest.raises(OutputError, match="in the meantime"):
        overtaken()
    assert (tmp_path / "a").read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_that_is_too_long_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="too long"), new_file(tmp_path / ("x" * 300)):
        pass


def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        with new_file(tmp_path / str(number)) as temporary:
            temporary.write_text("x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_report_is_recognised_by_its_first_columns():
    header = ",".join(column.name for column in COLUMNS).encode()
    assert header.startswith(REPORT_START)
    assert BUNDLE_DOCUMENT == DOCUMENT
