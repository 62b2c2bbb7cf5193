"""A real, tiny training run on phantoms, through the front door and from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from cxrscreen import load_bundle, screen
from cxrscreen.cli.app import app
from cxrscreen.config import TrainingConfig, load_training_config
from cxrscreen.data.dataset import class_weights, scan_labelled_folder
from cxrscreen.data.split import split_by_patient
from cxrscreen.errors import DatasetError, TrainingError
from cxrscreen.intake import open_image
from cxrscreen.preprocess import PreprocessSpec, to_tensor
from cxrscreen.records import Source
from cxrscreen.training import trainer
from cxrscreen.training.transforms import (
    LoadRadiographd,
    NormaliseRadiographd,
    ResizeRadiographd,
)
from tools.phantom import project, sample_anatomy

CONFIGS = Path(__file__).parents[2] / "configs"
CASES_PER_CLASS = 24


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """Two classes of phantoms, two images a patient."""
    folder = tmp_path_factory.mktemp("phantoms")
    rng = np.random.default_rng(3)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / name).mkdir()
        for case in range(CASES_PER_CLASS):
            anatomy = sample_anatomy(rng, pneumonia=bool(label))
            pixels = project(anatomy, view="frontal", shape=(128, 128), rng=rng)
            grey = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
            patient = case // 2
            file = f"person{patient}_virus_{case}.png" if label else f"IM-{patient:04}-{case}.png"
            grey.save(folder / name / file)
    return folder


@pytest.fixture(scope="module")
def config_path(tmp_path_factory) -> Path:
    content = yaml.safe_load((CONFIGS / "scratch_cnn.yaml").read_text())
    content["name"] = "tiny"
    content["data"]["validation_fraction"] = 0.25
    content["preprocess"]["size_px"] = 64
    content["network"].update(widths=[8, 16], dense_units=8, dropout=0.0)
    content["train"].update(epochs=6, batch_size=8, loader_workers=0, learning_rate=0.01)
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def bundle_folder(phantoms, config_path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "tiny"
    args = ["train", "--config", config_path, "--data", phantoms, "--out", out, "--device", "cpu"]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return out


def test_training_learns_what_the_phantoms_show(bundle_folder):
    assert load_bundle(bundle_folder).document.metrics.auc > 0.8


def test_the_bundle_holds_what_it_promises(bundle_folder, config_path):
    document = load_bundle(bundle_folder).document
    assert set(document.files) == {
        "weights.safetensors",
        "history.csv",
        "training_curves.png",
        "MODEL_CARD.md",
    }
    assert document.training.training.images + document.training.validation.images == 48
    history = pd.read_csv(bundle_folder / "history.csv")
    assert len(history) == 6
    best = history.validation_auc.max()
    assert document.metrics.auc == pytest.approx(best, abs=1e-6)
    assert document.training.best_epoch == history.epoch[history.validation_auc.idxmax()]
    with Image.open(bundle_folder / "training_curves.png") as curves:
        assert curves.size[0] > 500
    card = (bundle_folder / "MODEL_CARD.md").read_text()
    assert f"{document.metrics.auc:.4f}" in card
    # The config that came out is the config that went in.
    again = TrainingConfig.model_validate(document.training.config)
    assert again == load_training_config(config_path)


def test_the_new_bundle_screens_and_repeats_its_validation_scores(
    bundle_folder, phantoms, config_path
):
    config = load_training_config(config_path)
    images = scan_labelled_folder(phantoms, config.data)
    split = split_by_patient(images, validation_fraction=0.25, seed=config.train.seed)
    rows = list(screen([image.path for image in split.validation], load_bundle(bundle_folder)))
    counts = load_bundle(bundle_folder).document.metrics
    flagged = [row.decision == "POSITIVE" for row in rows]
    positives = [image.label for image in split.validation]
    assert sum(f and p for f, p in zip(flagged, positives, strict=True)) == counts.true_positives
    assert (
        sum(f and not p for f, p in zip(flagged, positives, strict=True)) == counts.false_positives
    )


def test_the_same_seed_gives_the_same_weights(phantoms, config_path):
    config = load_training_config(config_path)
    config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})})
    split = split_by_patient(
        scan_labelled_folder(phantoms, config.data), validation_fraction=0.25, seed=1
    )
    first, second = (
        trainer.train(config, split, device=torch.device("cpu")).network.state_dict()
        for _ in range(2)
    )
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0)


def test_monai_transforms_equal_the_transform_of_screening(phantoms):
    spec, path = PreprocessSpec(), next((phantoms / "NORMAL").iterdir())
    sample = {"image": str(path)}
    for transform in (
        LoadRadiographd("image"),
        ResizeRadiographd("image", spec),
        NormaliseRadiographd("image", spec),
    ):
        sample = transform(sample)
    expected = to_tensor(open_image(Source(path)).read_pixels().pixels, spec)
    torch.testing.assert_close(sample["image"], expected, rtol=0, atol=0)
    assert expected.shape == (3, 224, 224)


def test_class_weighted_loss_by_hand():
    # n / (2 n_c): 1343 and 3875 images give 1.94 and 0.67.
    weights = class_weights([0] * 1343 + [1] * 3875)
    assert weights == pytest.approx((1.94, 0.67), abs=0.005)
    loss = trainer.ClassWeightedLoss(weights)
    value = loss(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]))
    assert float(value) == pytest.approx(sum(weights) / 2 * np.log(2))


def test_an_unreadable_training_image_is_named(phantoms, config_path, tmp_path):
    for folder in ("NORMAL", "PNEUMONIA"):
        (tmp_path / folder).mkdir()
        for file in (phantoms / folder).iterdir():
            (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    victim = tmp_path / "NORMAL" / "IM-0003-6.png"
    victim.write_bytes(victim.read_bytes()[:200])
    config = load_training_config(config_path)
    for cache in (True, False):
        update = {"epochs": 1, "cache_images": cache}
        config = config.model_copy(update={"train": config.train.model_copy(update=update)})
        split = split_by_patient(
            scan_labelled_folder(tmp_path, config.data), validation_fraction=0.25, seed=1
        )
        with pytest.raises(DatasetError, match=r"IM-0003-6\.png"):
            trainer.train(config, split, device=torch.device("cpu"))


def test_a_diverging_loss_is_a_named_error(phantoms, config_path):
    config = load_training_config(config_path)
    update = {"learning_rate": 1e30, "epochs": 2}
    config = config.model_copy(update={"train": config.train.model_copy(update=update)})
    split = split_by_patient(
        scan_labelled_folder(phantoms, config.data), validation_fraction=0.25, seed=1
    )
    with pytest.raises(TrainingError, match="not finite"):
        trainer.train(config, split, device=torch.device("cpu"))
