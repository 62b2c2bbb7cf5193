from __future__ import annotations

import dataclasses
import shutil

import pytest

from cxrscreen import load_bundle
from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.load import read_labelled
from cxrscreen.errors import DatasetError
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.study.images import study_images
from cxrscreen.study.predict import counts_of, screen_labelled
from tests.study_data import MARKER, write_table

HERE = ScreenOptions(workers=0)


@pytest.fixture(scope="module")
def bundle(released):
    return load_bundle(released[1])


def test_the_data_that_it_was_trained_on_are_known_as_a_whole(bundle, maker, study_folder):
    found = study_images(bundle, study_folder, part=None, config=DataConfig())
    assert found.trained_on == len(maker.split.training) < len(found.images)
    assert "trained on" in found.notes[-1]
    assert found.part == ""


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ("training", "trained on all of"),
        ("validation", "the epoch was chosen"),
        ("calibration", "thresholds were fitted"),
    ],
)
def test_a_part_is_known_as_asked_for_and_by_itself(
    bundle, maker, study_folder, tmp_path, part, note
):
    images = maker.split.parts()[part]
    asked = study_images(bundle, study_folder, part=part, config=DataConfig())
    assert (asked.images, asked.part) == (images, part)
    assert note in asked.notes[-1]
    rows = [
        {"path": image.path, "label": image.label, "patient": image.patient_key} for image in images
    ]
    alone = study_images(
        bundle, write_table(tmp_path / "t.csv", rows), part=None, config=DataConfig()
    )
    assert note in alone.notes[-1]
    assert alone.trained_on == (len(images) if part == "training" else 0)


def test_no_epoch_was_chosen_where_the_last_is_kept(bundle, study_folder):
    document = bundle.document.model_copy(deep=True)
    document.training.config["train"]["keep"] = "last"
    last = dataclasses.replace(bundle, document=document)
    found = study_images(last, study_folder, part="validation", config=DataConfig())
    assert "training was watched on these images" in found.notes[-1]


def test_single_training_images_are_known_among_others_and_under_other_names(
    bundle, maker, study_folder, tmp_path
):
    """Not by their names: by what they hold."""
    parts = maker.split.parts()
    images = [*parts["training"][:3], *parts["calibration"][:4]]
    rows = []
    for number, image in enumerate(images):
        copy = tmp_path / f"{number}{image.path.suffix}"
        shutil.copy(image.path, copy)
        rows.append({"path": copy, "label": image.label, "patient": f"p{number}"})
    found = study_images(
        bundle, write_table(tmp_path / "t.csv", rows), part=None, config=DataConfig()
    )
    assert found.trained_on == 3
    assert "trained on 3 of the 7 images" in found.notes[-1]


def test_other_images_are_other_images(bundle, packaged, ward_table, study_folder):
    for model, data in ((bundle, ward_table), (packaged, study_folder)):
        found = study_images(model, data, part=None, config=DataConfig())
        assert (found.part, found.trained_on) == ("", 0)
        assert not any("trained on" in note for note in found.notes)


def test_columns_go_with_the_image(ward_table, study_folder):
    found = read_labelled(ward_table, DataConfig(), columns=("ward", "sex"))
    wards = {image.name: dict(image.attributes) for image in found.images}
    assert wards["0-0.png"] == {"ward": "A"}
    assert wards["29-0.png"] == {"ward": "=B"}
    assert found.notes == ("columns that are not used: remark",)
    with pytest.raises(DatasetError, match="no column bed"):
        read_labelled(ward_table, DataConfig(), columns=("bed",))
    with pytest.raises(DatasetError, match="the layout folders have no column ward"):
        read_labelled(study_folder, DataConfig(), columns=("ward",))
    # What every layout may tell needs no column.
    assert read_labelled(study_folder, DataConfig(), columns=("sex",)).images


def labelled(path, **facts) -> LabelledImage:
    return LabelledImage(path, path.name, 1, MARKER, **facts)


def test_the_word_of_the_data_comes_before_the_header_s(make_dicom, pool, packaged):
    stored = (pool.grey(1.0) * 4095).astype("uint16")
    path = make_dicom(stored, PatientAge="003Y", PatientSex="F", Manufacturer="ACME")
    told = labelled(
        path, age_years=4.5, sex="M", view="AP", site="S", part="test", attributes=(("ward", "A"),)
    )
    plain, given = screen_labelled(packaged, [labelled(path), told], HERE)
    assert plain.attributes() == {
        "age_years": "3",
        "age_group": "3 to 5",
        "sex": "F",
        "view": "PA",
        "modality": "DX",
        "manufacturer": "ACME",
        "site": "",
        "part": "",
        "kind": "DICOM",
    }
    assert given.attributes() == {
        "age_years": "4.5",
        "age_group": "3 to 5",
        "sex": "M",
        "view": "AP",
        "modality": "DX",
        "manufacturer": "ACME",
        "site": "S",
        "part": "test",
        "kind": "DICOM",
        "ward": "A",
    }
    # The same file twice is judged twice, and of one patient.
    assert plain.row.prediction == given.row.prediction
    assert plain.patient == given.patient != MARKER


def test_counts_are_of_headers_and_leave_out_what_none_says(make_dicom, pool, packaged):
    stored = (pool.grey(0.0) * 4095).astype("uint16")
    silent = {"PatientAge": None, "PatientSex": None, "ViewPosition": None, "Manufacturer": None}
    images = [labelled(make_dicom(stored, **silent)), labelled(make_dicom(stored, Modality="CT"))]
    ticks = []
    rows = screen_labelled(packaged, images, HERE, on_image=lambda: ticks.append(1))
    assert len(ticks) == 2
    counts = counts_of(rows)
    assert sum(counts["reject_code"].values()) == 2
    assert counts["reject_code"][""] == 1
    # The refused one's header counts nowhere else.
    assert set(counts) == {"reject_code", "modality"}
    assert counts["modality"] == {"DX": 1}


def test_frames_are_refused_by_name(make_dicom, pool, packaged):
    stored = (pool.grey(0.0) * 4095).astype("<u2")
    path = make_dicom(
        stored, name="two.dcm", NumberOfFrames=2, PixelData=stored.tobytes() + stored.tobytes()
    )
    with pytest.raises(DatasetError, match=r"two\.dcm: holds several frames"):
        screen_labelled(packaged, [labelled(path)], HERE)
