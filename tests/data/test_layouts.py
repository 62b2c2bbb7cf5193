"""Each layout on a small made-up copy of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

from cxrscreen.config import DataConfig
from cxrscreen.data.load import load_labelled, read_labelled
from cxrscreen.errors import DatasetError

EACH_FILE = DataConfig(patient_pattern="(.+)")


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def found(root: Path, config: DataConfig = EACH_FILE) -> list[tuple[str, int, str, str | None]]:
    return [(i.name, i.label, i.patient_key, i.part) for i in load_labelled(root, config)]


# --- class folders


def test_class_folders(tmp_path):
    write(tmp_path, "NORMAL/IM-1-1.png", "PNEUMONIA/sub/person1_virus_2.png", "NORMAL/.DS_Store")
    assert found(tmp_path, DataConfig()) == [
        ("NORMAL/IM-1-1.png", 0, "IM-1", None),
        ("PNEUMONIA/sub/person1_virus_2.png", 1, "person1-virus", None),
    ]


def test_class_folders_of_other_names(tmp_path):
    write(tmp_path, "healthy/a-1.png", "ill/b-1.png")
    config = DataConfig(negative_folder="healthy", positive_folder="ill", patient_pattern=r"^(\w)-")
    assert found(tmp_path, config) == [
        ("healthy/a-1.png", 0, "a", None),
        ("ill/b-1.png", 1, "b", None),
    ]


def test_without_a_pattern_every_name_must_be_of_the_known_data_set(tmp_path):
    write(tmp_path, "NORMAL/IM-1-1.png", "PNEUMONIA/scan.png")
    with pytest.raises(DatasetError) as raised:
        load_labelled(tmp_path, DataConfig())
    assert "scan.png" in raised.value.message
    assert "patient_pattern" in raised.value.hint
    assert "(.+)" in raised.value.hint
    assert [key for _, _, key, _ in found(tmp_path)] == ["IM-1-1.png", "scan.png"]


@pytest.mark.parametrize("present", [["NORMAL"], ["PNEUMONIA"]])
def test_a_missing_class_is_named(tmp_path, present):
    write(tmp_path, *(f"{folder}/IM-1-1.png" for folder in present))
    with pytest.raises(DatasetError, match="missing or empty"):
        load_labelled(tmp_path, EACH_FILE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_closed_folder_is_named(tmp_path):
    write(tmp_path, "NORMAL/a.png", "PNEUMONIA/b.png", "PNEUMONIA/closed/c.png")
    closed = tmp_path / "PNEUMONIA" / "closed"
    closed.chmod(0)
    try:
        with pytest.raises(DatasetError, match="closed: the folder cannot be listed"):
            load_labelled(tmp_path, EACH_FILE)
    finally:
        closed.chmod(0o700)


# --- Kaggle


@pytest.mark.parametrize("above", ["", "chest_xray/", "chest_xray/chest_xray/"])
def test_the_parts_of_the_kaggle_data_set(tmp_path, above):
    write(
        tmp_path,
        f"{above}train/NORMAL/IM-1-1.jpeg",
        f"{above}train/PNEUMONIA/person1_virus_2.jpeg",
        f"{above}test/NORMAL/NORMAL2-IM-7-1.jpeg",
        f"{above}test/PNEUMONIA/person3_bacteria_1.jpeg",
    )
    assert found(tmp_path, DataConfig()) == [
        ("test/NORMAL/NORMAL2-IM-7-1.jpeg", 0, "NORMAL2-IM-7", "test"),
        ("test/PNEUMONIA/person3_bacteria_1.jpeg", 1, "person3-bacteria", "test"),
        ("train/NORMAL/IM-1-1.jpeg", 0, "IM-1", "train"),
        ("train/PNEUMONIA/person1_virus_2.jpeg", 1, "person1-virus", "train"),
    ]


def test_a_part_of_the_kaggle_data_set_that_lacks_a_class(tmp_path):
    write(tmp_path, "train/NORMAL/a.png", "train/PNEUMONIA/b.png", "val/NORMAL/c.png")
    with pytest.raises(DatasetError, match="val: class folder PNEUMONIA/"):
        load_labelled(tmp_path, EACH_FILE)


# --- RSNA


@pytest.fixture
def rsna(tmp_path, make_dicom):
    """Three images, one with two boxes, one without view, age and sex."""
    root = tmp_path / "rsna"
    (root / "stage_2_train_images").mkdir(parents=True)
    pixels = np.zeros((4, 4))
    make_dicom(pixels, name="rsna/stage_2_train_images/aa-1.dcm", PatientAge="058Y")
    # Pixels that nothing can decode: only headers are read.
    make_dicom(
        pixels,
        syntax=JPEG2000Lossless,
        frame=b"none",
        name="rsna/stage_2_train_images/bb-2.dcm",
        ViewPosition="AP",
        PatientAge="007Y",
        PatientSex="M",
    )
    make_dicom(
        pixels,
        name="rsna/stage_2_train_images/cc-3.dcm",
        ViewPosition=None,
        PatientAge=None,
        PatientSex=None,
    )
    (root / "stage_2_train_labels.csv").write_text(
        "patientId,x,y,width,height,Target\n"
        "cc-3,,,,,0\nbb-2,264.0,152.0,213.0,379.0,1\nbb-2,562.0,152.0,256.0,453.0,1\naa-1,,,,,0\n"
    )
    return root


def test_the_rsna_challenge(rsna):
    data = read_labelled(rsna, DataConfig())
    assert [(i.name, i.label, i.age_years, i.sex, i.view) for i in data.images] == [
        ("stage_2_train_images/aa-1.dcm", 0, 58.0, "F", "PA"),
        ("stage_2_train_images/bb-2.dcm", 1, 7.0, "M", "AP"),
        ("stage_2_train_images/cc-3.dcm", 0, None, None, None),
    ]
    assert [image.patient_key for image in data.images] == ["aa-1", "bb-2", "cc-3"]
    assert "of its own" in data.notes[0]


def test_images_that_are_not_normal_either_are_counted(rsna):
    (rsna / "stage_2_detailed_class_info.csv").write_text(
        "patientId,class\naa-1,Normal\nbb-2,Lung Opacity\nbb-2,Lung Opacity\n"
        "cc-3,No Lung Opacity / Not Normal\n"
    )
    notes = read_labelled(rsna, DataConfig()).notes
    assert "images labelled normal that are not normal otherwise: 1 of 2" in notes
    (rsna / "stage_2_detailed_class_info.csv").write_text("patientId,class\naa-1,Lung Opacity\n")
    with pytest.raises(DatasetError, match="row 2: the class contradicts"):
        load_labelled(rsna, DataConfig())


def test_the_patients_of_the_rsna_challenge(rsna):
    mapping = rsna / "pneumonia-challenge-dataset-mappings_2018.json"
    entries = [
        {"subset_img_id": "aa-1", "img_id": "00000013_001.png"},
        {"subset_img_id": "bb-2", "img_id": "00000013_002.png"},
        {"subset_img_id": "cc-3", "img_id": "00000014_000.png"},
        {"subset_img_id": "of the test part", "img_id": "00000015_000.png"},
    ]
    mapping.write_text(json.dumps(entries))
    data = read_labelled(rsna, DataConfig())
    assert [image.patient_key for image in data.images] == ["00000013", "00000013", "00000014"]
    assert data.notes == ()
    mapping.write_text(json.dumps(entries[:2]))
    with pytest.raises(DatasetError, match="lacks 1 of the images, such as cc-3"):
        load_labelled(rsna, DataConfig())
    mapping.write_text("{}}")
    with pytest.raises(DatasetError, match="is no list"):
        load_labelled(rsna, DataConfig())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("aa-1,,,,,2\n", "row 2: Target is neither"),
        ("aa-1,,,,,0\naa-1,,,,,1\n", "row 3: an earlier row"),
        ("../aa-1,,,,,0\n", "row 2: patientId is none"),
        ("dd-4,,,,,0\n", "dd-4.dcm"),
    ],
)
def test_labels_of_the_rsna_challenge_that_are_wrong(rsna, rows, said):
    header = "patientId,x,y,width,height,Target\n"
    (rsna / "stage_2_train_labels.csv").write_text(header + rows)
    with pytest.raises(DatasetError, match=said):
        load_labelled(rsna, DataConfig())


# --- NIH

NIH_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000002_000.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,\n"
    "00000002_001.png,Infiltration|Pneumonia,1,2,414Y,F,AP,2500,2048,0.168,0.168,\n"
)
NIH_2020 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,"
    "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
    "00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143\n"
    "00000002_000.png,No Finding,0,2,80,M,PA,2500,2048,0.171,0.171\n"
    "00000002_001.png,Infiltration|Pneumonia,1,2,81,F,AP,2500,2048,0.168,0.168\n"
)


@pytest.fixture
def nih(tmp_path):
    write(
        tmp_path,
        "images_001/images/00000001_000.png",
        "images_001/images/00000002_000.png",
        "images_002/images/00000002_001.png",
    )
    (tmp_path / "Data_Entry_2017.csv").write_text(NIH_2017)
    return tmp_path


def test_chestxray14(nih):
    data = read_labelled(nih, DataConfig())
    assert [
        (i.name, i.label, i.patient_key, i.age_years, i.sex, i.view, i.part) for i in data.images
    ] == [
        ("images_001/images/00000002_000.png", 0, "2", 81.0, "M", "PA", None),
        ("images_002/images/00000002_001.png", 1, "2", None, "F", "AP", None),
    ]
    assert data.notes == (
        "left out, because they have other findings alone: 1",
        "impossible ages, taken as not known: 1",
    )


def test_the_later_table_of_chestxray14_counts(nih):
    (nih / "Data_Entry_2017_v2020.csv").write_text(NIH_2020)
    (nih / "train_val_list.txt").write_text("00000001_000.png\n00000002_000.png\n")
    (nih / "test_list.txt").write_text("00000002_001.png\n")
    images = load_labelled(nih, DataConfig())
    assert [(i.age_years, i.sex, i.part) for i in images] == [
        (80.0, "M", "train_val"),
        (81.0, "F", "test"),
    ]
    (nih / "test_list.txt").write_text("00000002_000.png\n")
    with pytest.raises(DatasetError, match="other list too"):
        load_labelled(nih, DataConfig())


def test_chestxray14_in_one_folder(tmp_path):
    write(tmp_path, "images/00000002_000.png", "images/00000002_001.png")
    (tmp_path / "Data_Entry_2017.csv").write_text(NIH_2017)
    assert [name for name, *_ in found(tmp_path)] == [
        "images/00000002_000.png",
        "images/00000002_001.png",
    ]


def test_images_of_chestxray14_that_are_missing_or_twice(nih):
    write(nih, "images_003/images/00000002_001.png")
    with pytest.raises(DatasetError, match=r"lies in .*images_002"):
        load_labelled(nih, DataConfig())
    for number in (2, 3):
        (nih / f"images_00{number}" / "images" / "00000002_001.png").unlink()
    with pytest.raises(DatasetError, match=r"missing: 1, such as 00000002_001"):
        load_labelled(nih, DataConfig())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("00000002_000.png,No Finding,0,2,81,M,PA,1,1,1,1,", "row 5: an image that came before"),
        ("00000003_000.png,No Finding,0,,81,M,PA,1,1,1,1,", "row 5: no image or no patient"),
        ("00000003_000.png,No Finding", "row 5: has 2 cells"),
    ],
)
def test_rows_of_chestxray14_that_are_wrong(nih, row, said):
    (nih / "Data_Entry_2017.csv").write_text(f"{NIH_2017}{row}\n")
    with pytest.raises(DatasetError, match=said):
        load_labelled(nih, DataConfig())


# --- which one


def test_what_is_no_layout(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        load_labelled(tmp_path / "nowhere", DataConfig())
    with pytest.raises(DatasetError, match=r"NORMAL/.*train/.*stage_2.*Data_Entry"):
        load_labelled(tmp_path, DataConfig())


def test_a_table_of_a_data_set_is_read_with_its_folder(nih, rsna):
    for path in (nih / "Data_Entry_2017.csv", rsna / "stage_2_train_labels.csv"):
        with pytest.raises(DatasetError, match="is a part of a data set") as raised:
            load_labelled(path, DataConfig())
        assert "folder" in raised.value.hint


def test_two_layouts_in_one_folder_need_a_word(nih):
    write(nih, "NORMAL/a.png", "PNEUMONIA/b.png")
    with pytest.raises(DatasetError, match="folders and nih") as raised:
        load_labelled(nih, EACH_FILE)
    assert "--layout" in raised.value.hint
    chosen = EACH_FILE.model_copy(update={"layout": "folders"})
    assert [name for name, *_ in found(nih, chosen)] == ["NORMAL/a.png", "PNEUMONIA/b.png"]


@pytest.mark.parametrize("layout", ["folders", "kaggle", "rsna", "nih"])
def test_a_layout_that_is_asked_for_and_not_there(tmp_path, layout):
    config = DataConfig(layout=layout)
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=str(tmp_path)):
            load_labelled(path, config)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatasetError, match="is a file"):
        load_labelled(tmp_path / "file", config)
