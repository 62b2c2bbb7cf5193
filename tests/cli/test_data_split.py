"""``cxrscreen data split``, as somebody types it."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner, Result

from cxrscreen.cli.app import app
from cxrscreen.cli.data.options import Layout
from cxrscreen.config import DataConfig, load_training_config
from cxrscreen.data.load import load_split

CONFIG = Path(__file__).parents[2] / "configs" / "scratch_cnn.yaml"


@pytest.fixture
def data(tmp_path) -> Path:
    for number in range(20):
        for name in (f"NORMAL/IM-{number}-1.png", f"PNEUMONIA/person{number}_virus_1.png"):
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def split(tmp_path: Path, *options: object, data: Path | None = None) -> Result:
    given = ["--data", data or tmp_path / "data", "--out", tmp_path / "split.csv", *options]
    return CliRunner().invoke(app, ["data", "split", *map(str, given)])


def refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    for text in said:
        assert text in result.stderr


def parts(tmp_path: Path) -> dict[str, str]:
    with (tmp_path / "split.csv").open(newline="") as stream:
        return {row["path"]: row["part"] for row in csv.DictReader(stream)}


def test_a_split(tmp_path, data):
    result = split(tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    # One in seven of twenty patients of each class.
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["part", "images", "pneumonia", "patients", "share"],
        ["training", "28", "14", "28", "70.0%"],
        ["validation", "6", "3", "6", "15.0%"],
        ["calibration", "6", "3", "6", "15.0%"],
    ]
    assert len(set(map(len, result.stdout.splitlines()))) == 1
    assert len(parts(tmp_path)) == 40
    loaded = load_split(tmp_path / "split.csv", DataConfig(), seed=0)
    assert {name: len(part) for name, part in loaded.parts().items()} == {
        "training": 28,
        "validation": 6,
        "calibration": 6,
    }


def test_the_configuration_gives_fractions_and_seed(tmp_path, data):
    assert split(tmp_path, "--config", CONFIG).exit_code == 0
    first = parts(tmp_path)
    settings = load_training_config(CONFIG)
    in_memory = load_split(data, settings.data, seed=settings.train.seed)
    assert sorted(path for path, part in first.items() if part == "validation") == [
        f"data/{image.name}" for image in in_memory.validation
    ]
    assert split(tmp_path, "--config", CONFIG, "--force").exit_code == 0
    assert parts(tmp_path) == first
    assert split(tmp_path, "--config", CONFIG, "--force", "--seed", 7).exit_code == 0
    assert parts(tmp_path) != first
    assert split(tmp_path, "--config", CONFIG, "--force", "--calibration", 0).exit_code == 0
    assert "calibration" not in parts(tmp_path).values()


def test_pattern_and_layout(tmp_path, data):
    (data / "NORMAL" / "scan.png").write_text("new")
    refused(split(tmp_path), "scan.png", "--patient-pattern", "(.+)")
    refused(split(tmp_path, "--patient-pattern", "x"), "patient_pattern", "group")
    refused(split(tmp_path, "--layout", "kaggle"), "holds no train/")
    assert split(tmp_path, "--patient-pattern", "(.+)", "--layout", "folders").exit_code == 0
    assert len(parts(tmp_path)) == 41


def test_what_is_left_out_is_said(tmp_path, data):
    (tmp_path / "kaggle").mkdir()
    data.rename(tmp_path / "kaggle" / "train")
    for name in ("NORMAL/IM-90-1.png", "PNEUMONIA/person90_virus_1.png"):
        (tmp_path / "kaggle" / "test" / name).parent.mkdir(parents=True)
        (tmp_path / "kaggle" / "test" / name).write_text(name)
    result = split(tmp_path, data=tmp_path / "kaggle")
    assert result.stderr == "left out, because the data keep them for testing: 2\n"
    assert result.stdout.startswith("part ")
    assert split(tmp_path, "--force", "--quiet", data=tmp_path / "kaggle").stderr == ""


def test_a_table(tmp_path, data):
    rows = [
        f"data/{n},{n[0] == 'P':d},p{i}"
        for i, n in enumerate(
            sorted(file.relative_to(data).as_posix() for file in data.rglob("*.png"))
        )
    ]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,patient", *rows]) + "\n")
    assert split(tmp_path, data=tmp_path / "table.csv").exit_code == 0
    assert len(parts(tmp_path)) == 40


def test_an_existing_file_is_kept(tmp_path, data):
    assert split(tmp_path).exit_code == 0
    before = (tmp_path / "split.csv").read_bytes()
    refused(split(tmp_path), "exists already", "--force")
    assert split(tmp_path, "--force").exit_code == 0
    assert (tmp_path / "split.csv").read_bytes() == before
    (tmp_path / "split.csv").write_text("precious")
    refused(split(tmp_path, "--force"), "something else")
    assert (tmp_path / "split.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--validation", 0], "validation_fraction"),
        (["--validation", 0.7], "validation_fraction"),
        (["--calibration", -0.1], "calibration_fraction"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--validation", 0.01], "fewer than"),
        (["--out", "/nowhere/split.csv"], "does not exist"),
    ],
)
def test_wrong_options(tmp_path, data, options, said):
    refused(split(tmp_path, *options), said)
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize("options", [["--seed", "-1"], ["--layout", "zip"], ["--seed", "x"]])
def test_wrong_values(tmp_path, data, options):
    assert split(tmp_path, *options).exit_code == 2


def test_wrong_data(tmp_path, data):
    assert split(tmp_path).exit_code == 0
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    again = ("--out", tmp_path / "again.csv")
    for place, said in (
        ("nowhere", "no such folder"),
        ("empty", "neither NORMAL/"),
        ("photo.csv", "UTF-8"),
        ("split.csv", "is a split file already"),
    ):
        refused(split(tmp_path, *again, data=tmp_path / place), place, said)
    assert not (tmp_path / "again.csv").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_may_not_be_read(tmp_path, data):
    (data / "NORMAL" / "IM-3-1.png").chmod(0)
    refused(split(tmp_path), "IM-3-1.png", "Permission denied")


def test_the_layouts_are_those_of_the_schema():
    assert [layout.value for layout in Layout] == list(
        get_args(DataConfig.model_fields["layout"].annotation)
    )


def test_the_split_of_the_pediatric_set(real_data, tmp_path):
    data = real_data / "data" / "pediatric_cxr_224" / "train"
    result = split(tmp_path, "--config", CONFIG, data=data)
    assert result.exit_code == 0, result.output
    page = (CONFIG.parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    for line in result.stdout.splitlines()[1:]:
        assert f"| {' | '.join(line.split())} |" in page


def test_a_configuration_with_other_folders(tmp_path, data):
    content = yaml.safe_load(CONFIG.read_text())
    content["data"] |= {"negative_folder": "healthy"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    (data / "NORMAL").rename(data / "healthy")
    assert split(tmp_path, "--config", tmp_path / "c.yaml").exit_code == 0
