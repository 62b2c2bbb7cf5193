"""``cxrscreen data preview`` on phantoms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.config import AugmentConfig, load_training_config
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError
from cxrscreen.training.appearance import appearances
from cxrscreen.training.augment import random_steps
from cxrscreen.training.preview import choose_images, in_words, switched_off
from tools.phantom import project, sample_anatomy

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    rng = np.random.default_rng(5)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / name).mkdir()
        for case in range(3):
            anatomy = sample_anatomy(rng, pneumonia=bool(label))
            pixels = project(anatomy, view="frontal", shape=(96, 110), rng=rng)
            file = f"person{case}_virus_1.png" if label else f"IM-{case:04}-1.png"
            grey = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
            grey.save(folder / name / file)
    return folder


def preview(data: Path, out: Path, *more: str):
    arguments = ["--config", SMOKE, "--data", data, "--out", out, *more]
    return CliRunner().invoke(app, ["data", "preview", *map(str, arguments)])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def test_a_picture_is_written_that_says_nothing_of_the_files(data, tmp_path):
    out = tmp_path / "preview.png"
    result = preview(data, out, "--images", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 2 images\n"
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 600
        assert picture.info["Software"] == "cxrscreen data preview"
        said = str(picture.info)
    assert "IM-" not in said
    assert str(data) not in said


def test_the_seed_decides_and_force_replaces(data, tmp_path):
    first, again, other = (tmp_path / name for name in ("first.png", "again.png", "other.png"))
    # Few transforms, for a picture that is quickly drawn.
    small = ["--images", "1", "--set", "augment={gamma_range: [0.5, 2]}", "--seed"]
    for out, seed in ((first, "3"), (again, "3"), (other, "4")):
        assert preview(data, out, *small, seed).exit_code == 0
    assert np.array_equal(pixels(first), pixels(again))
    before = pixels(first)
    refused = preview(data, first, *small, "4")
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    assert np.array_equal(pixels(first), before)
    assert preview(data, first, *small, "4", "--force").exit_code == 0
    assert np.array_equal(pixels(first), pixels(other))
    assert not np.array_equal(pixels(first), before)


def test_what_is_switched_off_takes_no_room(data, tmp_path):
    heights = []
    for settings in (
        [],
        ["augment.gamma_range=[1, 1]"],
        [f"augment.{key}=0" for key in ("rotation_degrees", "zoom_fraction", "horizontal_flip")],
    ):
        out = tmp_path / f"{len(heights)}.png"
        overrides = ["augment.gamma_range=[1, 1]", *settings] if len(heights) > 1 else settings
        arguments = [part for value in overrides for part in ("--set", value)]
        result = preview(data, out, "--images", "1", *arguments)
        assert result.exit_code == 0, result.output
        heights.append(pixels(out).shape[0])
    # Geometry, grey levels and draws; geometry and draws; nothing but the original.
    assert heights[0] > heights[1] > heights[2]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "augment.blurr=1"], "unknown key augment.blurr"),
        (["--set", "augment.probability"], "is not KEY=VALUE"),
        (["--data", "nowhere"], "no such folder"),
        (["--out", "nowhere/preview.png"], "does not exist"),
    ],
)
def test_wrong_usage_is_one_line(data, tmp_path, more, said):
    result = preview(data, tmp_path / "preview.png", *more)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert os.listdir(tmp_path) == []


def test_another_file_is_never_replaced(data, tmp_path):
    out = tmp_path / "chest.png"
    Image.new("L", (8, 8)).save(out)
    before = out.read_bytes()
    result = preview(data, out, "--force")
    assert result.exit_code == 2
    assert "something else" in result.stderr
    assert out.read_bytes() == before


def test_an_unreadable_image_is_named(data, tmp_path):
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / label).mkdir(parents=True)
    (tmp_path / "data" / "NORMAL" / "IM-1-1.png").write_bytes(b"nonsense")
    (tmp_path / "data" / "PNEUMONIA" / "person1_virus_1.png").write_bytes(b"nonsense")
    result = preview(tmp_path / "data", tmp_path / "preview.png")
    assert result.exit_code == 2
    assert "IM-1-1.png" in result.stderr
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize(
    ("negatives", "positives", "count", "expected"),
    [
        (5, 5, 4, [0, 0, 1, 1]),
        (5, 5, 3, [0, 0, 1]),
        (1, 5, 4, [0, 1, 1, 1]),
        (5, 1, 4, [0, 0, 0, 1]),
        (2, 2, 9, [0, 0, 1, 1]),
        (0, 3, 2, [1, 1]),
        (3, 0, 2, [0, 0]),
    ],
)
def test_both_classes_are_chosen(negatives, positives, count, expected):
    images = [
        LabelledImage(Path(f"{index}"), f"{index}", int(index >= negatives), f"{index}")
        for index in range(negatives + positives)
    ]
    chosen = choose_images(images, count, seed=1)
    assert [image.label for image in chosen] == expected
    assert len({image.name for image in chosen}) == len(chosen)


def test_no_image_to_choose_from():
    with pytest.raises(DatasetError, match="no image"):
        choose_images([], 4, seed=1)


def test_what_is_off_is_said():
    config = load_training_config(SMOKE).augment
    assert switched_off(config, size_px=64) == (
        "shift",
        "border crop",
        "contrast",
        "brightness",
        "grey levels of another image",
        "sharpness of another image",
        "blur",
        "resolution",
        "JPEG",
        "noise",
        "border erase",
        "lungs erased",
    )
    # Resolution is no less than the side of the image; nothing by chance has a chance.
    config = AugmentConfig(resolution_px=64, jpeg_quality=20)
    assert "resolution" in switched_off(config, size_px=64)
    assert "JPEG" not in switched_off(config, size_px=64)
    assert "JPEG" in switched_off(config.model_copy(update={"probability": 0.0}), size_px=64)


def test_every_strength_of_every_step_has_words():
    everything = {
        "rotation_degrees": 5,
        "horizontal_flip": 0.5,
        "gamma_range": (0.5, 2.0),
        "contrast_range": (0.5, 2.0),
        "brightness": 0.1,
        "grey_level_exchange": 1.0,
        "sharpness_exchange": 1.0,
        "blur_sigma_px": 1.0,
        "resolution_px": 20,
        "noise_std": 0.1,
        "jpeg_quality": 30,
        "border_erase_fraction": 0.1,
        "lungs_erased": 0.1,
    }
    config = AugmentConfig.model_validate(everything)
    donors = appearances([torch.rand(1, 64, 64), torch.rand(1, 64, 64) ** 2])
    steps = list(random_steps(config, size_px=64, donors=donors))
    assert len(steps) == 12
    for step in steps:
        for strength in step.draw.extremes:
            assert in_words(step.name, strength)


def test_strengths_in_words():
    assert in_words("sharpness_exchange", (None, 0.5)) == "sharpness of another\nimage, 50%"
    assert in_words("noise", (0.02, 7)) == "noise, std 0.020"
    assert in_words("jpeg", (30,)) == "JPEG, quality 30"
    assert in_words("border_erase", (0.05, "mean")) == "border erased 5.0%\nwith the mean"
