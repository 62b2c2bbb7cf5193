from __future__ import annotations

import gc
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet

from cxrscreen import ScreenOptions, screen
from cxrscreen.errors import InputNotFoundError
from cxrscreen.intake import discover
from cxrscreen.vocabulary import RejectCode

HERE = ScreenOptions(workers=0)


@pytest.fixture
def medium(tmp_path, make_dicom, chest) -> Path:
    """A file-set of two radiographs as pydicom writes it, with other files beside it."""
    stored = np.rint(chest * 4095).astype(np.uint16)
    fileset = FileSet()
    for image in (stored, stored[:, ::-1]):
        fileset.add(
            make_dicom(
                image,
                PatientName="A",
                StudyDate="20200101",
                StudyTime="1200",
                StudyID="1",
                SeriesNumber=1,
                InstanceNumber=1,
                AccessionNumber="1",
            )
        )
    folder = tmp_path / "medium"
    fileset.write(folder)
    with warnings.catch_warnings():
        # It cleans up its temporary folder late, and Python warns of that.
        warnings.simplefilter("ignore", ResourceWarning)
        del fileset
        gc.collect()
    (folder / "README.TXT").write_text("no image")
    return folder


def images(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "PT000000").rglob("*") if path.is_file())


def test_a_medium_gives_its_files_and_its_directory_is_none(medium):
    found = [item.source.path for item in discover([medium])]
    assert found == [*images(medium), medium / "README.TXT"]


def test_the_directory_alone_stands_for_its_files(medium, packaged):
    rows = list(screen([medium / "DICOMDIR"], packaged, HERE))
    assert [row.record.source.path for row in rows] == images(medium)
    assert all(row.prediction is not None for row in rows)


def test_the_directory_given_beside_its_folder_changes_nothing(medium):
    alone = discover([medium])
    assert list(discover([medium / "DICOMDIR", medium])) == list(alone)


def test_a_file_that_the_directory_lists_and_that_is_not_there_has_its_row(medium):
    lost, kept = images(medium)
    lost.unlink()
    items = {item.source.path: item.refusal for item in discover([medium])}
    assert items[kept] is None
    assert items[lost].code is RejectCode.UNREADABLE_FILE
    assert "DICOMDIR lists" in items[lost].reason


def test_names_in_lower_case_are_found(medium):
    (medium / "PT000000").rename(medium / "away")
    shutil.copytree(medium / "away", medium / "pt000000")
    for path in sorted((medium / "pt000000").rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    shutil.rmtree(medium / "away")
    found = discover([medium / "DICOMDIR"])
    assert all(item.refusal is None for item in found)
    assert len(found) == 2


def test_a_medium_in_an_archive(medium, tmp_path):
    lost = images(medium)[0]
    with zipfile.ZipFile(tmp_path / "medium.zip", "w") as archive:
        for path in sorted(medium.rglob("*")):
            if path != lost:
                archive.write(path, path.relative_to(medium).as_posix())
    found = discover([tmp_path / "medium.zip"])
    refused = [item for item in found if item.refusal is not None]
    assert len(found) == 3
    assert [item.source.location for item in refused] == [
        f"{tmp_path}/medium.zip!{lost.relative_to(medium).as_posix()}"
    ]


def test_a_damaged_directory_is_an_input_of_its_own(medium):
    path = medium / "DICOMDIR"
    path.write_bytes(path.read_bytes()[:900])
    items = {item.source.path.name: item.refusal for item in discover([medium])}
    assert len(items) == 4
    assert items["DICOMDIR"].code is RejectCode.MALFORMED_DICOM


def test_a_directory_cannot_name_files_outside_its_folder(medium, tmp_path):
    (tmp_path / "OTHER").write_bytes(b"x")
    path = medium / "DICOMDIR"
    content = path.read_bytes()
    inside = b"PT000000\\ST000000\\SE000000\\IM000000"
    assert inside in content
    outside = b"..\\OTHER".ljust(len(inside))
    path.write_bytes(content.replace(inside, outside))
    found = discover([path])
    assert tmp_path / "OTHER" not in [item.source.path for item in found]
    assert RejectCode.ARCHIVE_REFUSED in {item.refusal.code for item in found if item.refusal}


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(InputNotFoundError):
        discover([tmp_path / "DICOMDIR"])
