from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from cxrscreen import load_bundle
from cxrscreen.calibration.document import CalibrationDocument
from cxrscreen.errors import BundleError, FingerprintMismatchError
from cxrscreen.model.bundle import (
    CALIBRATION,
    DEFAULT_BUNDLE,
    DOCUMENT,
    WEIGHTS,
    packaged_bundles,
)
from cxrscreen.model.document import BundleDocument
from cxrscreen.model.files import sha256_of_file
from cxrscreen.pipeline import screen_inputs
from cxrscreen.records import Input, Source


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(packaged_bundles()[DEFAULT_BUNDLE], tmp_path / "bundle"))


def test_the_packaged_bundle_loads_by_default_by_name_and_by_folder(packaged, copy):
    for bundle in (load_bundle(DEFAULT_BUNDLE), load_bundle(copy)):
        assert bundle.sha256 == packaged.sha256
    assert packaged.default_point.model == packaged.model_fingerprint


def test_a_folder_in_the_working_directory_does_not_replace_a_packaged_bundle(
    copy, monkeypatch, packaged
):
    copy.rename(copy.with_name(DEFAULT_BUNDLE))
    (copy.with_name(DEFAULT_BUNDLE) / WEIGHTS).write_bytes(b"")
    monkeypatch.chdir(copy.parent)
    assert load_bundle(DEFAULT_BUNDLE).sha256 == load_bundle().sha256 == packaged.sha256
    with pytest.raises(BundleError):
        load_bundle(f"./{DEFAULT_BUNDLE}")


def test_the_packaged_bundle_is_small_enough():
    folder = packaged_bundles()[DEFAULT_BUNDLE]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000


def test_the_network_gives_one_logit_an_image(packaged):
    side = packaged.spec.size_px
    with torch.inference_mode():
        assert packaged.network(torch.zeros(2, 3, side, side)).shape == (2, 1)
    assert not packaged.network.training


def files() -> list[str]:
    return [DOCUMENT, *load_bundle().document.files]


@pytest.mark.parametrize("name", files())
@pytest.mark.parametrize("where", [0.0, 0.37, 0.9999])
def test_one_changed_byte_is_refused(copy, name, where):
    path = copy / name
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="bundle"):
        load_bundle(copy)


def test_a_threshold_cannot_be_moved_by_hand(copy):
    path = copy / CALIBRATION
    score = load_bundle(copy).default_point.score
    moved = path.read_text().replace(f'"score": {score}', f'"score": {score + 1}')
    assert moved != path.read_text()
    path.write_text(moved)
    with pytest.raises(BundleError, match=r"calibration\.json: its content is not"):
        load_bundle(copy)
    # Not even by someone who vouches for the file in the document.
    files = load_bundle().document.files
    rewritten_document(copy, files={**files, CALIBRATION: sha256_of_file(path)})
    with pytest.raises(BundleError, match="its own SHA-256"):
        load_bundle(copy)


@pytest.mark.parametrize("name", files())
def test_a_missing_file_is_refused(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        load_bundle(copy)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "{", '{"sha256": 1}', "\x00"])
def test_what_is_no_document_is_refused(copy, content):
    (copy / DOCUMENT).write_text(content)
    with pytest.raises(BundleError):
        load_bundle(copy)


def test_an_unknown_key_and_another_schema_are_named(copy):
    path = copy / DOCUMENT
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "surprise": 1}))
    with pytest.raises(BundleError, match="unknown key surprise"):
        load_bundle(copy)
    path.write_text(json.dumps({**document, "schema_version": 1}))
    with pytest.raises(BundleError, match="schema_version"):
        load_bundle(copy)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="no such bundle folder"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=DOCUMENT.replace(".", r"\.")):
        load_bundle(tmp_path)


def rewritten(folder: Path, **update: object) -> None:
    """Change a document and vouch for it again, as another tool could."""
    rewritten_document(folder, **{**load_bundle(folder).document.model_dump(), **update})


def rewritten_document(folder: Path, **update: object) -> None:
    document = load_bundle().document.model_dump()
    changed = BundleDocument.model_validate({**document, **update})
    (folder / DOCUMENT).write_bytes(changed.to_bytes())


def rewritten_calibration(folder: Path, **update: object) -> None:
    """Change the calibration of a bundle and vouch for everything again."""
    document = load_bundle(folder).calibration.document
    changed = CalibrationDocument.model_validate({**document.model_dump(), **update})
    (folder / CALIBRATION).write_bytes(changed.to_bytes())
    files = load_bundle().document.files
    rewritten_document(folder, files={**files, CALIBRATION: sha256_of_file(folder / CALIBRATION)})


@pytest.mark.parametrize("field", ["model", "preprocessing", "engine"])
def test_an_operating_point_of_something_else_is_refused(copy, field):
    other = "openvino" if field == "engine" else "0" * 64
    rewritten_calibration(copy, **{field: other})
    with pytest.raises(FingerprintMismatchError, match=field):
        screen_inputs([Input(Source(copy / DOCUMENT))], load_bundle(copy))


def test_changed_preprocessing_is_refused_even_if_vouched_for(copy):
    rewritten(copy, preprocess={"size_px": 192})
    with pytest.raises(FingerprintMismatchError, match="preprocessing"):
        screen_inputs([Input(Source(copy / DOCUMENT))], load_bundle(copy))


def test_weights_of_another_network_are_refused(copy):
    network = load_bundle(copy).document.network.model_dump()
    rewritten(copy, network={**network, "dense_units": 7})
    with pytest.raises(BundleError, match=WEIGHTS.replace(".", r"\.")):
        load_bundle(copy)


def test_a_document_cannot_name_files_outside_the_bundle(copy):
    rewritten(copy, files={"../outside": "0" * 64})
    with pytest.raises(BundleError, match="outside"):
        load_bundle(copy)
