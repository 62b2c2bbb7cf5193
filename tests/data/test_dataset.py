from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.config import DataConfig, load_training_config
from cxrscreen.data.dataset import LabelledImage, class_weights, fingerprint
from cxrscreen.data.layouts.folders import scan_labelled_folder
from cxrscreen.data.patients import patient_key
from cxrscreen.data.split import Split, split_by_patient
from cxrscreen.errors import DatasetError

CONFIG = load_training_config(Path(__file__).parents[2] / "configs" / "scratch_cnn.yaml").data


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("person12_bacteria_47.jpeg", "person12-bacteria"),
        ("person12_virus_47.jpeg", "person12-virus"),
        ("person1949_virus_4877_2.jpeg", "person1949-virus"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-0115"),
    ],
)
def test_patient_keys_of_the_pediatric_set(name, key):
    assert patient_key(Path(name), CONFIG.patient_pattern) == key


def test_a_name_without_a_patient_is_refused():
    with pytest.raises(DatasetError, match="patient_pattern"):
        patient_key(Path("scan.jpeg"), CONFIG.patient_pattern)


def test_a_labelled_folder(tmp_path):
    for name in ("NORMAL/IM-1-1.png", "PNEUMONIA/sub/person1_virus_2.png", "NORMAL/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    images = scan_labelled_folder(tmp_path, CONFIG)
    assert [(image.name, image.label) for image in images] == [
        ("NORMAL/IM-1-1.png", 0),
        ("PNEUMONIA/sub/person1_virus_2.png", 1),
    ]
    before = fingerprint(images)
    images[0].path.write_bytes(b"y")
    assert fingerprint(images) != before
    assert fingerprint(images[::-1]) == fingerprint(images)


def test_a_data_folder_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        scan_labelled_folder(tmp_path / "no", DataConfig(patient_pattern="(.)"))


@given(st.lists(st.integers(0, 1), min_size=2).filter(lambda y: 0 < sum(y) < len(y)))
def test_both_classes_weigh_the_same(labels):
    negative, positive = class_weights(labels)
    assert negative * labels.count(0) == pytest.approx(positive * labels.count(1))
    assert negative * labels.count(0) + positive * labels.count(1) == pytest.approx(len(labels))


def test_weights_of_one_class_are_undefined():
    with pytest.raises(DatasetError, match="one class"):
        class_weights([1, 1])


def labelled(patients: list[tuple[int, int]]) -> list[LabelledImage]:
    """Return ``count`` images of ``label`` for each patient."""
    return [
        LabelledImage(Path(f"{patient}-{k}"), f"{patient}-{k}", label, f"p{patient}")
        for patient, (label, count) in enumerate(patients)
        for k in range(count)
    ]


@settings(max_examples=60, deadline=None)
@given(
    negatives=st.lists(st.integers(1, 4), min_size=10, max_size=25),
    positives=st.lists(st.integers(1, 4), min_size=10, max_size=25),
    fraction=st.sampled_from([0.1, 0.15, 0.2, 0.3]),
    seed=st.integers(0, 5),
)
def test_no_patient_is_in_both_parts_and_no_image_is_lost(negatives, positives, fraction, seed):
    images = labelled([(0, n) for n in negatives] + [(1, n) for n in positives])
    split = split_by_patient(images, validation_fraction=fraction, seed=seed)
    training = {image.patient_key for image in split.training}
    assert not training & {image.patient_key for image in split.validation}
    assert sorted(i.name for i in split.training + split.validation) == sorted(
        image.name for image in images
    )
    for part in (split.training, split.validation):
        assert {image.label for image in part} == {0, 1}
    assert split == split_by_patient(images, validation_fraction=fraction, seed=seed)


def test_a_split_that_leaks_cannot_be_made():
    images = tuple(labelled([(0, 1), (1, 1)]))
    with pytest.raises(DatasetError, match="in training and in validation"):
        Split(training=images, validation=images)


def test_too_few_patients_are_an_error():
    with pytest.raises(DatasetError, match="fewer than"):
        split_by_patient(labelled([(0, 9), (1, 9)]), validation_fraction=0.15, seed=0)


def test_the_split_of_the_pediatric_set(real_data):
    images = scan_labelled_folder(real_data / "data" / "pediatric_cxr_224" / "train", CONFIG)
    assert len(images) == 1341 + 3875
    assert len({image.patient_key for image in images if image.label}) == 2443
    split = split_by_patient(images, validation_fraction=0.15, seed=0)
    share = sum(i.label for i in split.validation) / len(split.validation)
    assert share == pytest.approx(3875 / 5216, abs=0.01)
