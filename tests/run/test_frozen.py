from __future__ import annotations

import zipfile

import pytest

from cxrscreen.intake import discover
from cxrscreen.records import Admission, ImageRecord, ScreenRow, Source
from cxrscreen.run import FrozenInputs
from cxrscreen.vocabulary import Decision, RejectCode, SourceKind


def refused(source: Source, code: RejectCode) -> ScreenRow:
    record = ImageRecord(source=source, kind=SourceKind.OTHER)
    return ScreenRow(record, Admission.refuse(code, "why"), None, Decision.NOT_SCREENED, 0.0)


def lost(frozen: FrozenInputs, place: int, code: RejectCode = RejectCode.UNREADABLE_FILE):
    return frozen.lost(place, refused(frozen.inputs[place].source, code))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_file_that_cannot_be_read_is_not_a_lost_share(folder):
    frozen = FrozenInputs(discover([folder]), [folder])
    (folder / "b.png").unlink()
    (folder / "sub" / "c.png").unlink()
    (folder / "sub").rmdir()
    assert lost(frozen, 1) is None
    assert lost(frozen, 2) is None


def test_a_folder_that_was_named_and_is_gone(folder, tmp_path):
    paths = [folder / "a.png", folder / "sub"]
    frozen = FrozenInputs(discover(paths), paths)
    assert lost(frozen, 0) is None
    (folder / "sub").rename(tmp_path / "away")
    assert lost(frozen, 1) == folder / "sub"
    # What such a row says has nothing to do with reading.
    assert lost(frozen, 1, RejectCode.WRONG_VIEW) is None


def test_an_archive_that_is_gone(folder):
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr("m.png", b"m")
        archive.writestr("n.png", b"n")
    frozen = FrozenInputs(discover([folder]), [folder])
    assert len(frozen.inputs) == 5
    assert lost(frozen, 3) is None
    (folder / "z.zip").unlink()
    assert lost(frozen, 4) == folder / "z.zip"
    assert lost(frozen, 1) is None


def test_the_digest_is_of_path_size_and_time_and_not_of_how_they_are_listed(folder):
    frozen = FrozenInputs(discover([folder]), [folder])
    assert FrozenInputs(list(discover([folder])), [folder]).digests == frozen.digests
    assert frozen.first_difference(frozen.digests) == ""
    assert len(frozen.digests) == 3 * 8
    fewer = FrozenInputs(discover([folder / "a.png"]), [folder])
    assert frozen.first_difference(fewer.digests) == (
        f"1 then, 3 now; the first that is new is {folder / 'b.png'}"
    )
    assert "the last ones are gone" in fewer.first_difference(frozen.digests)
