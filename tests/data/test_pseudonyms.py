from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.pseudonyms import pseudonyms
from cxrscreen.errors import DatasetError


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for number in range(6):
        (folder / str(number)).write_text(f"content {number}")
    return [folder / str(number) for number in range(6)]


def images(files: list[Path], patients: list[str]) -> list[LabelledImage]:
    return [
        LabelledImage(path, path.name, number % 2, patient)
        for number, (path, patient) in enumerate(zip(files, patients, strict=True))
    ]


@given(
    patients=st.lists(st.text(max_size=3), min_size=6, max_size=6),
    order=st.permutations(range(6)),
)
def test_equal_for_one_patient_and_only_for_one_whatever_the_order(files, patients, order):
    given_images = images(files, patients)
    keys = pseudonyms(given_images)
    assert len(set(keys)) == len(set(patients)) == len(set(zip(patients, keys, strict=True)))
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)
    assert pseudonyms([given_images[n] for n in order]) == tuple(keys[n] for n in order)


def test_one_changed_image_changes_all(files, tmp_path):
    patients = list("aabbcc")
    before = pseudonyms(images(files, patients))
    (tmp_path / "0").write_text("content 0!")
    after = pseudonyms(images([tmp_path / "0", *files[1:]], patients))
    assert not set(before) & set(after)
    # So does one more image, or one less.
    assert not set(before) & set(pseudonyms(images(files[:5], patients[:5])))


def test_names_and_labels_are_no_part_of_it(files, tmp_path):
    patients = list("aabbcc")
    moved = [tmp_path / f"moved-{path.name}" for path in files]
    for path, place in zip(files, moved, strict=True):
        place.write_bytes(path.read_bytes())
    assert pseudonyms(images(moved, patients)) == pseudonyms(images(files, patients))


def test_a_key_is_no_plain_hash_of_the_patient(files):
    (key, *_) = pseudonyms(images(files, ["7"] * 6))
    tried = [hashlib.blake2b(b"7"), hashlib.sha256(b"7"), hashlib.md5(b"7", usedforsecurity=False)]
    assert all(not guess.hexdigest().startswith(key) for guess in tried)


def test_patients_who_share_a_file_are_one(files, tmp_path):
    (tmp_path / "copy").write_bytes(files[0].read_bytes())
    keys = pseudonyms(images([files[0], tmp_path / "copy", *files[1:5]], list("ababcd")))
    assert keys[0] == keys[1] == keys[2] == keys[3]
    assert len(set(keys)) == 3


def test_an_image_that_cannot_be_read(files, tmp_path):
    with pytest.raises(DatasetError, match=r"none\.png"):
        pseudonyms(images([*files[:5], tmp_path / "none.png"], list("aabbcc")))
