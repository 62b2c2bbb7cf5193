"""What can be wrong before training starts. Training itself: tests/training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cxrscreen.cli.app import app

CONFIG = Path(__file__).parents[2] / "configs" / "scratch_cnn.yaml"


@pytest.fixture
def data(tmp_path) -> Path:
    for folder in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(12):
        (tmp_path / "data" / "NORMAL" / f"IM-{number}-1.png").write_bytes(b"normal %d" % number)
        (tmp_path / "data" / "PNEUMONIA" / f"person{number}_virus_1.png").write_bytes(
            b"ill %d" % number
        )
    return tmp_path / "data"


def refused(tmp_path: Path, *said: str, flags: tuple[str, ...] = (), **options: object) -> None:
    given = {"config": CONFIG, "data": tmp_path / "data", "out": tmp_path / "bundle", **options}
    arguments = [str(part) for name, value in given.items() for part in (f"--{name}", value)]
    before = sorted(os.listdir(tmp_path))
    result = CliRunner().invoke(app, ["train", *arguments, *flags])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for text in said:
        assert text in result.stderr
    assert sorted(os.listdir(tmp_path)) == before


def test_an_unknown_key(tmp_path, data):
    content = yaml.safe_load(CONFIG.read_text())
    content["train"]["epochz"] = 3
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(content))
    refused(tmp_path, "unknown key train.epochz", config=config)


def test_a_data_folder_with_one_class(tmp_path, data):
    for file in (data / "NORMAL").iterdir():
        file.unlink()
    refused(tmp_path, "NORMAL/ is missing or empty")


def test_a_file_without_a_patient(tmp_path, data):
    (data / "NORMAL" / "scan.png").write_bytes(b"")
    refused(tmp_path, "scan.png", "patient_pattern")


def test_too_few_patients(tmp_path, data):
    for number in range(2, 12):
        (data / "NORMAL" / f"IM-{number}-1.png").unlink()
    refused(tmp_path, "fewer than 7 patients")


def test_missing_paths(tmp_path, data):
    refused(tmp_path, "no such folder", data=tmp_path / "nowhere")
    refused(tmp_path, "No such file", config=tmp_path / "no.yaml")
    refused(tmp_path, "does not exist", out=tmp_path / "no" / "bundle")


def test_an_existing_bundle_is_kept(tmp_path, data):
    (tmp_path / "bundle").mkdir()
    refused(tmp_path, "exists already", "--force")
    refused(tmp_path, "something else", flags=("--force",))


@pytest.mark.parametrize("out", ["/proc/bundle"])
def test_an_unwritable_bundle(tmp_path, data, out):
    refused(tmp_path, out, out=out)


def test_an_empty_file(tmp_path, data):
    (data / "NORMAL" / "IM-3-1.png").write_bytes(b"")
    refused(tmp_path, "IM-3-1.png: is empty", "Remove the file")


def test_an_image_that_cannot_be_read(tmp_path, data):
    refused(tmp_path, "neither DICOM nor JPEG nor PNG", "Remove the file", flags=("--quiet",))


@pytest.mark.parametrize("out", [".", "", ".."])
def test_a_bundle_without_a_name_of_its_own(tmp_path, data, monkeypatch, out):
    (tmp_path / "bundle.json").write_text("{}")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner" if out == ".." else tmp_path)
    refused(tmp_path, "has no name of its own", flags=("--force",), out=out)


def test_a_date_that_there_is_not(tmp_path, data):
    config = tmp_path / "c.yaml"
    config.write_text("name: 2024-99-99\n")
    refused(tmp_path, "not valid YAML", config=config)
