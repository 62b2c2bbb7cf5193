from __future__ import annotations

import shutil

import pytest

from cxrscreen import load_bundle
from cxrscreen.model.bundle import CALIBRATION, CARD, DOCUMENT, WEIGHTS, packaged_bundles
from tests.study_data import refused, run


@pytest.fixture
def copy(released, tmp_path):
    return shutil.copytree(released[1], tmp_path / "copy")


def test_list_names_what_ships(packaged):
    result = run("bundle", "list")
    assert result.exit_code == 0, result.output
    for name in packaged_bundles():
        assert name in result.stdout
    assert "torch-float32" in result.stdout
    words = packaged.document.intended_use.population.split()
    assert all(word in result.stdout for word in words)


def test_show_prints_card_engines_points_and_files(packaged):
    result = run("bundle", "show")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"# {packaged.name}\n")
    assert (packaged.folder / CARD).read_text(encoding="utf-8").strip() in result.stdout
    after = result.stdout.partition("Engines and operating points")[2]
    for point in packaged.calibration.points:
        assert point.name in after
    for name in (*packaged.document.files, DOCUMENT):
        assert name in after
    for fingerprint in (packaged.sha256, packaged.model_fingerprint, packaged.spec.fingerprint()):
        assert fingerprint in after


def test_show_and_verify_know_every_engine(int8):
    for command in ("show", "verify"):
        result = run("bundle", command, int8)
        assert result.exit_code == 0, result.output
        assert "openvino-int8" in result.stdout


def test_verify_reads_every_file(copy):
    result = run("bundle", "verify", copy)
    assert result.exit_code == 0, result.output
    bundle = load_bundle(copy)
    assert f"whole, SHA-256 {bundle.sha256}" in result.stdout
    assert result.stdout.count("as made") == len(bundle.document.files) + 1
    assert run("bundle", "verify", copy, "--quiet").stdout == ""
    (copy / "notes.txt").write_text("mine")
    result = run("bundle", "verify", copy)
    assert result.exit_code == 0
    assert "not of the bundle" in result.stdout


@pytest.mark.parametrize("name", [WEIGHTS, CALIBRATION, CARD, DOCUMENT])
def test_verify_finds_a_changed_byte(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 3] ^= 1
    (copy / name).write_bytes(content)
    result = run("bundle", "verify", copy)
    assert result.exit_code == 2
    assert name in result.stderr
    refused(run("bundle", "verify", copy, "--quiet"), name)
    refused(run("bundle", "show", copy), name)


def test_verify_names_all_that_is_damaged(copy):
    files = load_bundle(copy).document.files
    (copy / CARD).unlink()
    (copy / WEIGHTS).write_bytes(b"")
    result = run("bundle", "verify", copy)
    assert result.exit_code == 2
    assert "(2 files are damaged)" in result.stderr
    assert result.stdout.count("as made") == len(files) - 1


def test_verify_finds_a_calibration_of_another_model(copy, packaged):
    # Vouched for by someone who did not look.
    shutil.copyfile(packaged.folder / CALIBRATION, copy / CALIBRATION)
    document = load_bundle(packaged.folder).document
    files = {**_document(copy).files, CALIBRATION: document.files[CALIBRATION]}
    changed = _document(copy).model_copy(update={"files": files})
    (copy / DOCUMENT).write_bytes(changed.to_bytes())
    refused(run("bundle", "verify", copy, "--quiet"), "was fitted with another model")


def _document(folder):
    from cxrscreen.model.folder import read_document  # noqa: PLC0415 - of this test alone

    return read_document(folder)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_what_is_no_bundle_is_named(command, tmp_path):
    refused(run("bundle", command, tmp_path / "none"), "no such bundle folder")
    refused(run("bundle", command, tmp_path), DOCUMENT)
