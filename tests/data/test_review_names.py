from __future__ import annotations

import os
from pathlib import Path

import pytest

from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.pseudonyms import pseudonyms


@pytest.fixture
def images(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    try:
        path.write_bytes(b"image")
    except OSError:
        pytest.skip("file names must be UTF-8 here")
    (tmp_path / "b.png").write_bytes(b"other")
    return (
        LabelledImage(path, path.name, 1, path.stem),
        LabelledImage(tmp_path / "b.png", "b.png", 0, "b"),
    )


def test_a_file_name_that_is_not_utf_8_has_a_fingerprint(images):
    assert fingerprint(images) == fingerprint(images[::-1])
    assert fingerprint(images) != fingerprint(images[1:])


def test_a_patient_whose_name_is_not_utf_8_has_a_pseudonym(images):
    first, second = pseudonyms(images)
    assert first != second
