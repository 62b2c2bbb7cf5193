from __future__ import annotations

import json
import re

import pytest

from cxrscreen.errors import OutputError
from cxrscreen.maps.folder import DOCUMENT, MapFolder

PIXELS = bytes(range(16))


@pytest.fixture
def folder(tmp_path):
    made = MapFolder(tmp_path / "maps")
    made.check(replaceable=False)
    made.begin("run-1")
    made.write(made.picture(6, PIXELS), lambda path: path.write_bytes(b"picture"))
    made.write(made.array(6, PIXELS), lambda path: path.write_bytes(b"array"))
    return made


def names(folder):
    return sorted(file.name for file in folder.path.iterdir())


def test_names_are_a_number_and_a_hash(folder):
    assert names(folder) == ["000007-000102030405.npz", "000007-000102030405.png", DOCUMENT]
    assert re.fullmatch(r"\d{6}-[0-9a-f]{12}\.png", folder.picture(6, PIXELS).name)


def test_the_same_run_goes_on_with_its_maps_and_another_begins_anew(folder):
    (folder.path / ".cxrscreen-abc.part").write_bytes(b"half")
    folder.check(replaceable=True)
    folder.begin("run-1")
    assert len(names(folder)) == 3
    folder.begin("run-2")
    assert names(folder) == [DOCUMENT]
    assert json.loads((folder.path / DOCUMENT).read_text())["run"] == "run-2"


def test_maps_of_an_earlier_run_are_not_replaced_unasked(folder):
    with pytest.raises(OutputError, match="maps of an earlier run"):
        folder.check(replaceable=False)


@pytest.mark.parametrize("foreign", ["patient.png", "notes.txt", "000001-zz.png", "folder"])
def test_a_folder_with_anything_else_is_not_used(folder, foreign):
    if foreign == "folder":
        (folder.path / foreign).mkdir()
    else:
        (folder.path / foreign).write_bytes(b"somebody's own")
    with pytest.raises(OutputError, match=re.escape(foreign)):
        folder.check(replaceable=True)


def test_a_folder_without_its_document_is_not_ours(folder):
    (folder.path / DOCUMENT).unlink()
    with pytest.raises(OutputError, match="something else than maps"):
        folder.check(replaceable=True)
    (folder.path / DOCUMENT).write_text('{"kind": "another"}')
    with pytest.raises(OutputError, match="something else than maps"):
        folder.check(replaceable=True)


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    MapFolder(tmp_path / "empty").check(replaceable=False)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("file", "link"):
        with pytest.raises(OutputError, match="is no folder of maps"):
            MapFolder(tmp_path / name).check(replaceable=True)
    with pytest.raises(OutputError, match="does not exist"):
        MapFolder(tmp_path / "no" / "maps").check(replaceable=True)
