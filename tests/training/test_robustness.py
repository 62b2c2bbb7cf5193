"""The robustness study: the right images, the right figures, the right threshold."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from torch import nn

from cxrscreen import load_bundle, preprocess
from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.load import load_split
from cxrscreen.errors import BundleError, DatasetError
from cxrscreen.model.bundle import DEFAULT_BUNDLE, DOCUMENT, ModelBundle, packaged_bundles
from cxrscreen.model.document import BundleDocument, PartDocument
from cxrscreen.model.predictor import Predictor
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.training.robustness import (
    ConditionFigures,
    Figures,
    ResizedImages,
    distorted_logits,
    judged_under,
    mean_figures,
    probabilities_of,
    read_resized,
    stratified,
    threshold_for_recall,
    worst_figures,
)
from cxrscreen.training.shifts import CONDITIONS
from tools import robustness as tool

SEED = 3
DATA = DataConfig(
    patient_pattern=r"^(?:(person\d+)_(virus)_|(IM-\d+)-)",
    validation_fraction=0.25,
    calibration_fraction=0.25,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Two classes; pneumonia is brighter, most of the time."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(5)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / name).mkdir()
        for case in range(20):
            level = rng.normal(100 + 25 * label, 20)
            pixels = np.clip(rng.normal(level, 30, (80, 72)), 0, 255).astype(np.uint8)
            file = f"person{case}_virus_1.png" if label else f"IM-{case:04}-1.png"
            Image.fromarray(pixels).save(folder / name / file)
    return folder


def document_of(packaged: ModelBundle, images: Path, **parts: object) -> BundleDocument:
    """The packaged model, as if it had been trained on other images."""
    split = load_split(images, DATA, seed=SEED)

    def part(members: tuple[LabelledImage, ...]) -> PartDocument:
        return PartDocument(
            images=len(members),
            positives=sum(image.label for image in members),
            patients=len({image.patient_key for image in members}),
            fingerprint=fingerprint(members),
        )

    training = packaged.document.training.model_copy(
        update={
            "config": {"data": DATA.model_dump(mode="json"), "train": {"seed": SEED}},
            "training": part(split.training),
            "validation": part(split.validation),
            "calibration": part(split.calibration),
            **parts,
        }
    )
    return packaged.document.model_copy(update={"training": training})


class MeanGrey(nn.Module):
    """Judges by brightness: what a distortion does to its logits is plain."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))[:, None]


@pytest.fixture
def bundle(packaged, images) -> ModelBundle:
    document = document_of(packaged, images)
    return dataclasses.replace(packaged, network=MeanGrey(), document=document)


@dataclass(frozen=True)
class Darker:
    """A distortion that spoils what it is given, and adds what it can tell of the index."""

    name: str = "darker"
    family: str = "grey"

    def distort(self, image: torch.Tensor, index: int) -> torch.Tensor:
        return image.mul_(0.5).add_(index / 100)


@pytest.mark.parametrize("part", ["training", "validation", "calibration"])
def test_the_part_is_that_of_the_training(bundle, images, part):
    expected = load_split(images, DATA, seed=SEED).parts()[part]
    assert expected
    assert bundle_part(bundle, images, part) == expected


def test_other_images_are_refused(bundle, images, tmp_path):
    copy = Path(shutil.copytree(images, tmp_path / "images"))
    for part in ("training", "validation", "calibration"):
        assert len(bundle_part(bundle, copy, part)) == len(bundle_part(bundle, images, part))
    victim = copy / bundle_part(bundle, images, "validation")[0].name
    victim.write_bytes(victim.read_bytes() + b"\0")
    with pytest.raises(DatasetError, match="not the one that cnn-pediatric was made with"):
        bundle_part(bundle, copy, "validation")
    bundle_part(bundle, copy, "training")


def test_a_bundle_without_the_part_or_with_a_strange_configuration(bundle, packaged, images):
    without = dataclasses.replace(bundle, document=document_of(packaged, images, calibration=None))
    with pytest.raises(BundleError, match="without a calibration part"):
        bundle_part(without, images, "calibration")
    for config in ({}, {"data": {}}, {"data": {"surprise": 1}, "train": {"seed": 1}}):
        strange = dataclasses.replace(bundle, document=document_of(packaged, images, config=config))
        with pytest.raises(BundleError, match="another version"):
            bundle_part(strange, images, "validation")


def test_the_packaged_bundle_knows_its_validation_part(packaged, real_data):
    part = bundle_part(packaged, real_data / "data" / "pediatric_cxr_224" / "train", "validation")
    assert (len(part), sum(image.label for image in part)) == (497, 369)
    assert packaged.document.metrics.auc > 0.98


def test_clean_logits_are_those_of_screening(packaged, bundle, images):
    part = bundle_part(bundle, images, "validation")
    read = read_resized(part, packaged.spec)
    assert read.pixels.shape == (len(part), 1, 224, 224)
    assert read.labels.tolist() == [image.label for image in part]
    inputs = [preprocess.normalise(pixels, packaged.spec) for pixels in read.pixels]
    expected = Predictor(packaged, torch.device("cpu")).logits(inputs)
    np.testing.assert_allclose(distorted_logits(packaged, read.pixels), expected, atol=1e-5)


def test_a_condition_acts_before_normalisation_and_spoils_nothing(bundle):
    count = 70  # more than two batches
    pixels = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = pixels.clone()
    logits = distorted_logits(bundle, pixels, Darker().distort)
    assert torch.equal(pixels, before)
    grey = before.mean(dim=(1, 2, 3)).double().numpy() / 2 + np.arange(count) / 100
    expected = (grey - bundle.spec.mean) / bundle.spec.std
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_figures_of_a_condition_against_scikit_learn(bundle):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 60)
    pixels = torch.from_numpy(rng.random((60, 1, 8, 8), dtype=np.float32))
    row = judged_under(Darker(), bundle, ResizedImages(pixels, labels), threshold=0.3)
    scores = expit(distorted_logits(bundle, pixels, Darker().distort))
    assert (row.name, row.family) == ("darker", "grey")
    assert row.figures.auc == pytest.approx(roc_auc_score(labels, scores))
    assert row.figures.recall == pytest.approx(np.mean(scores[labels == 1] >= 0.3))
    assert row.figures.specificity == pytest.approx(np.mean(scores[labels == 0] < 0.3))


@given(
    scores=arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)),
    recall=st.floats(0.01, 1.0),
    seed=st.integers(0, 9),
)
def test_the_threshold_is_the_highest_with_the_recall(scores, recall, seed):
    labels = np.random.default_rng(seed).integers(0, 2, scores.size)
    labels[0] = 1
    threshold = threshold_for_recall(labels, scores, recall)
    positives = scores[labels == 1]
    assert np.mean(positives >= threshold) >= recall - 1e-9
    above = positives[positives > threshold]
    if above.size:
        assert np.mean(positives >= above.min()) < recall
    with pytest.raises(DatasetError, match="positive"):
        threshold_for_recall(np.zeros_like(labels), scores, recall)


@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e4, 1e4)))
def test_probabilities_are_the_logistic(logits):
    np.testing.assert_allclose(probabilities_of(logits), expit(logits), atol=1e-12)


@given(labels=st.lists(st.integers(0, 1), max_size=60), limit=st.integers(2, 50))
def test_fewer_images_keep_both_classes_and_their_order(labels, limit):
    given_images = [
        LabelledImage(Path(f"{index}"), f"{index}", label, f"{index}")
        for index, label in enumerate(labels)
    ]
    kept = stratified(given_images, limit)
    assert [image for image in given_images if image in kept] == list(kept)
    assert {image.label for image in kept} == set(labels)
    assert len(kept) <= limit + 1
    assert len(kept) >= min(limit, len(labels)) - 1
    if len(labels) <= limit:
        assert list(kept) == given_images


def test_mean_and_worst_are_taken_column_by_column():
    rows = [
        ConditionFigures("a", "f", Figures(auc=0.9, recall=0.5, specificity=1.0)),
        ConditionFigures("b", "f", Figures(auc=0.8, recall=0.7, specificity=0.6)),
    ]
    assert worst_figures(rows) == Figures(auc=0.8, recall=0.5, specificity=0.6)
    assert mean_figures(rows).recall == pytest.approx(0.6)


@pytest.fixture
def folder(packaged, images, tmp_path) -> Path:
    """A bundle on disk that was made from the images."""
    place = Path(shutil.copytree(packaged_bundles()[DEFAULT_BUNDLE], tmp_path / "bundle"))
    (place / DOCUMENT).write_bytes(document_of(packaged, images).to_bytes())
    return place


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["robustness", *(str(argument) for argument in arguments)])
    return tool.main()


def test_the_tool_writes_the_same_table_after_an_interruption(
    folder, images, tmp_path, monkeypatch, capsys
):
    kept, out = tmp_path / "r.json", tmp_path / "r.md"
    asked = (folder, folder, "--data", images, "--limit", 4, "--json", kept)
    assert run(monkeypatch, *asked, "--out", out) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "clean: AUC" in said.err
    lines = out.read_text().splitlines()
    assert lines[0].count("|") == 8
    assert [line.split(" | ")[0][2:] for line in lines if line.startswith("| ")][2:3] == ["clean"]
    for condition in CONDITIONS:
        assert sum(line.startswith(f"| {condition.name} |") for line in lines) == 1
    assert any(line.startswith("| *blur: worst* |") for line in lines)
    assert load_bundle(folder).sha256[:12] in lines[-1]
    # What an interrupted run leaves: some conditions less.
    content = json.loads(kept.read_text())
    dropped = [row["name"] for row in content["studies"][0]["rows"][3:]]
    content["studies"][0]["rows"] = content["studies"][0]["rows"][:3]
    kept.write_text(json.dumps(content))
    assert run(monkeypatch, *asked) == 0
    said = capsys.readouterr()
    assert said.out == out.read_text()
    judged = [
        line.split(": ", 1)[1].split(": AUC")[0] for line in said.err.splitlines() if "AUC" in line
    ]
    assert judged == dropped


def test_the_threshold_of_a_recall_has_it_on_clean_images(
    folder, images, tmp_path, monkeypatch, capsys
):
    kept = tmp_path / "r.json"
    assert run(monkeypatch, folder, "--data", images, "--recall", 0.8, "--json", kept) == 0
    study = json.loads(kept.read_text())["studies"][0]
    clean = next(row for row in study["rows"] if row["name"] == "clean")
    assert clean["figures"]["recall"] >= 0.8
    assert "recall 0.8 on clean images" in capsys.readouterr().out


def test_what_cannot_be_studied_is_one_line(folder, images, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.json").write_text('{"made_by": "somebody"}')
    (tmp_path / "there.md").write_text("")
    for arguments, said in (
        ((folder,), "neither --data nor --split"),
        ((folder, "--data", tmp_path / "no"), "no such folder"),
        ((tmp_path / "no", "--data", images), "no such bundle folder"),
        ((folder, "--data", images, "--recall", 1.5), "--recall 1.5"),
        ((folder, "--data", images, "--json", tmp_path / "other.json"), "other.json"),
        ((folder, "--data", images, "--out", tmp_path / "there.md"), "exists already"),
    ):
        assert run(monkeypatch, *arguments) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
