from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path

import pytest

from cxrscreen.errors import OutputError
from cxrscreen.output import check_writable, new_file, new_folder


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
@pytest.mark.parametrize("make", [new_file, partial(new_folder, marker="old")])
def test_nothing_is_left_of_what_failed(tmp_path, make, error):
    def fail():
        with make(tmp_path / "a"):
            raise error

    with pytest.raises(error):
        fail()
    assert not os.listdir(tmp_path)


def test_what_stands_there_is_kept_without_force(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(OutputError, match="exists"):
        check_writable(path, force=False)
    with new_file(path, force=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_failed_replacement_keeps_the_old_folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old").write_text("")

    def fail():
        with new_folder(tmp_path / "b", marker="old", force=True):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path / "b") == ["old"]
    with new_folder(tmp_path / "b", marker="old", force=True) as temporary:
        (temporary / "new").write_text("")
    assert os.listdir(tmp_path / "b") == ["new"]
    assert os.listdir(tmp_path) == ["b"]


def test_a_missing_folder_and_a_folder_as_file_are_named(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.csv", force=False)
    with pytest.raises(OutputError, match="folder"), new_file(tmp_path, force=True):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev")  # noqa: PTH110
def test_a_place_that_refuses_files_is_one_error():
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable(Path("/proc/report.csv"), force=False)


def test_force_never_replaces_a_folder_of_something_else(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    with pytest.raises(OutputError, match="something else"):
        check_writable(tmp_path / "thesis", force=True, marker="bundle.json")
    with pytest.raises(OutputError, match="something else"):
        check_writable(tmp_path / "thesis", force=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"
