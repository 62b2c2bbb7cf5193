"""The robustness study: the right images, the right figures, the right threshold."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

from cxrscreen import load_bundle, preprocess
from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.load import load_split
from cxrscreen.errors import BundleError, DatasetError
from cxrscreen.model.bundle import CARD, DEFAULT_BUNDLE, DOCUMENT, ModelBundle, packaged_bundles
from cxrscreen.model.card_section import with_section
from cxrscreen.model.document import BundleDocument, PartDocument
from cxrscreen.model.predictor import Predictor
from cxrscreen.model.robustness import (
    ROBUSTNESS,
    RobustnessDocument,
    robustness_section,
)
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.release_robustness import write_with_robustness
from cxrscreen.training.robustness import (
    Judge,
    ResizedImages,
    balanced,
    distorted_logits,
    read_resized,
    stratified,
    threshold_for_recall,
)
from cxrscreen.training.shift_table import (
    ConditionFigures,
    Cut,
    Figures,
    PointFigures,
    by_family,
    conditions_for,
    overall,
    reference_of,
    shift_table,
)
from cxrscreen.training.shifts import CONDITIONS, DIAGNOSTICS, QUICK, Condition
from tools import robustness as tool
from tools.robustness_table import BEGIN, END

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


def darker(image: torch.Tensor, index: int) -> torch.Tensor:
    """Spoil what is given, and add what can be told of the index."""
    return image.mul_(0.5).add_(index / 100)


def judge_of(bundle: ModelBundle) -> Judge:
    return Judge(bundle.network, bundle.spec)


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
    np.testing.assert_allclose(
        distorted_logits(judge_of(packaged), read.pixels), expected, atol=1e-5
    )


def test_a_condition_acts_before_normalisation_and_spoils_nothing(bundle):
    count = 70  # more than two batches
    pixels = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = pixels.clone()
    logits = distorted_logits(judge_of(bundle), pixels, darker)
    assert torch.equal(pixels, before)
    grey = before.mean(dim=(1, 2, 3)).double().numpy() / 2 + np.arange(count) / 100
    expected = (grey - bundle.spec.mean) / bundle.spec.std
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_figures_of_a_condition_against_scikit_learn(bundle):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 60)
    series = np.where(labels, rng.choice(["bacteria", "virus"], 60), "IM")
    pixels = torch.from_numpy(rng.random((60, 1, 8, 8), dtype=np.float32))
    images = ResizedImages(pixels, labels, tuple(series))
    cuts = [Cut("one", 0.3, 0.3), Cut("two", 0.4, 0.2)]
    told = []
    [row] = shift_table(
        judge_of(bundle),
        images,
        [Condition("darker", "grey", darker)],
        cuts=cuts,
        on_row=told.append,
    )
    scores = distorted_logits(judge_of(bundle), pixels, darker)
    assert told == [row]
    assert (row.name, row.family) == ("darker", "grey")
    assert row.figures.auc == pytest.approx(roc_auc_score(labels, scores))
    for point, found, flagged in zip(row.figures.points, (0.3, 0.2), (0.3, 0.4), strict=True):
        assert point.recall == pytest.approx(np.mean(scores[labels == 1] >= found))
        assert point.specificity == pytest.approx(np.mean(scores[labels == 0] < flagged))
    assert [(p.normal, p.pneumonia) for p in row.figures.pairs] == [
        ("IM", "bacteria"),
        ("IM", "virus"),
    ]
    for pair in row.figures.pairs:
        chosen = (labels == 0) | (series == pair.pneumonia)
        assert pair.auc == pytest.approx(roc_auc_score(labels[chosen], scores[chosen]))


def test_without_operating_points_the_clean_images_give_them(bundle):
    rng = np.random.default_rng(4)
    labels = np.arange(80) % 2
    pixels = torch.from_numpy(rng.random((80, 1, 8, 8), dtype=np.float32))
    [row] = shift_table(judge_of(bundle), ResizedImages(pixels, labels), CONDITIONS[:1])
    assert [point.point for point in row.figures.points] == ["recall-0.95", "recall-0.98"]
    assert row.figures.points[0].recall == pytest.approx(38 / 40)
    assert row.figures.points[1].recall == pytest.approx(40 / 40)
    assert row.figures.pairs == ()


def test_all_images_need_labels_and_series():
    with pytest.raises(ValueError, match="differ in number"):
        ResizedImages(torch.zeros(2, 1, 8, 8), np.array([0, 1]), ("IM",))


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


@given(labels=st.lists(st.integers(0, 1), max_size=60), limit=st.integers(2, 50))
def test_a_balanced_choice_has_as_many_of_each_class_as_there_are(labels, limit):
    given_images = [
        LabelledImage(Path(f"{index}"), f"{index}", label, f"{index}")
        for index, label in enumerate(labels)
    ]
    kept = balanced(given_images, limit)
    assert [image for image in given_images if image in kept] == list(kept)
    assert len(kept) == min(len(labels), limit)
    if len(labels) > limit:
        counts = [sum(image.label == label for image in kept) for label in (0, 1)]
        rarest = min(labels.count(0), labels.count(1))
        assert min(counts) == min(limit // 2, rarest)


def test_mean_and_worst_are_taken_column_by_column_and_leave_diagnostics_out():
    rows = [
        ConditionFigures("a", "f", Figures(0.9, (PointFigures("p", 0.5, 1.0),))),
        ConditionFigures("b", "f", Figures(0.8, (PointFigures("p", 0.7, 0.6),))),
        ConditionFigures("c", "g", Figures(0.7, (PointFigures("p", 0.9, 0.9),))),
        ConditionFigures("d", "diagnostic", Figures(0.1, (PointFigures("p", 0.0, 0.0),))),
    ]
    families = by_family(rows)
    assert list(families) == ["f", "g", "diagnostic"]
    assert families["f"].worst == Figures(0.8, (PointFigures("p", 0.5, 0.6),))
    assert families["f"].mean.points[0].recall == pytest.approx(0.6)
    assert overall(rows).worst == Figures(0.7, (PointFigures("p", 0.5, 0.6),))
    assert overall(rows).mean.auc == pytest.approx(0.8)


def test_a_quick_look_is_a_selection_that_has_all_it_names(bundle, images):
    part = bundle_part(bundle, images, "validation")
    read = read_resized(part, bundle.spec)
    assert set(read.series) == {"IM", "virus"}
    reference = reference_of(bundle_part(bundle, images, "training"), bundle.spec)
    every = conditions_for(read, reference)
    names = [condition.name for condition in every]
    assert len(set(names)) == len(names)
    quick = [condition.name for condition in conditions_for(read, reference, quick=True)]
    assert quick == [name for name in names if name in QUICK]
    assert len(quick) == len(QUICK)


@pytest.fixture
def folder(packaged, images, tmp_path) -> Path:
    """A bundle on disk that was made from the images."""
    place = Path(shutil.copytree(packaged_bundles()[DEFAULT_BUNDLE], tmp_path / "cnn-pediatric"))
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
    # Of each bundle the AUC, and two figures at each of three operating points.
    assert lines[0].count("|") == 16
    assert [line.split(" | ")[0][2:] for line in lines if line.startswith("| ")][2:3] == ["clean"]
    for condition in (*CONDITIONS, *DIAGNOSTICS):
        assert sum(line.startswith(f"| {condition.name} |") for line in lines) == 1
    assert any(line.startswith("| IM against virus |") for line in lines)
    assert any(line.startswith("| *blur: worst* |") for line in lines)
    assert load_bundle(folder).model_fingerprint[:12] in lines[-1]
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
    assert (
        run(monkeypatch, folder, "--data", images, "--recall", 0.8, "--json", kept, "--quick") == 0
    )
    study = json.loads(kept.read_text())["studies"][0]
    clean = next(row for row in study["rows"] if row["name"] == "clean")
    assert clean["figures"]["points"][0]["recall"] >= 0.8
    assert "recall 0.8 on clean images" in capsys.readouterr().out


def test_a_bundle_and_a_page_take_the_results(folder, images, tmp_path, monkeypatch, capsys):
    page, kept, cards = tmp_path / "page.md", tmp_path / "r.json", tmp_path / "cards"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n")
    asked = (folder, "--data", images, "--json", kept, "--page", page, "--cards", cards)
    assert run(monkeypatch, *asked) == 0
    text = page.read_text()
    assert text.startswith(f"# Before\n\n{BEGIN}\n\n| condition | AUC |")
    assert text.endswith(f"\n\n{END}\n\nAfter\n")
    assert "old" not in text
    before, after = load_bundle(folder), load_bundle(cards / "cnn-pediatric")
    assert after.model_fingerprint == before.model_fingerprint
    assert after.calibration.document == before.calibration.document
    assert after.sha256 != before.sha256
    assert set(after.document.files) == {*before.document.files, ROBUSTNESS}
    document = RobustnessDocument.model_validate_json(
        (cards / "cnn-pediatric" / ROBUSTNESS).read_bytes()
    )
    names = [row.name for row in (*document.rows, *document.diagnostics)]
    study = json.loads(kept.read_text())["studies"][0]
    assert names == [row["name"] for row in study["rows"]]
    assert [point.point for point in document.mean.points] == [
        "recall-0.95",
        "recall-0.98",
        "recall-0.9",
    ]
    card = (cards / "cnn-pediatric" / CARD).read_text(encoding="utf-8")
    assert robustness_section(document) in card
    for row in study["rows"]:
        assert f"| {row['name']} | " in card
        for point in row["figures"]["points"] if row["family"] != "diagnostic" else ():
            assert f"{point['recall']:.3f}" in card
            assert f"{point['specificity']:.3f}" in card
    # All else of the card stays, and the section is replaced, not added.
    plain = (folder / CARD).read_text(encoding="utf-8")
    assert card.replace(robustness_section(document) + "\n", "") == plain
    capsys.readouterr()
    assert run(monkeypatch, *asked, "--force") == 0
    assert ": AUC" not in capsys.readouterr().err
    assert (cards / "cnn-pediatric" / CARD).read_text(encoding="utf-8") == card
    assert with_section("# A card\n", robustness_section(document)) == (
        f"# A card\n\n{robustness_section(document)}"
    )
    # Another model does not take the results.
    other = document.model_copy(update={"model": "0" * 64})
    with pytest.raises(BundleError, match="of another model"):
        write_with_robustness(load_bundle(folder), tmp_path / "other", other)


def test_what_cannot_be_studied_is_one_line(folder, images, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.json").write_text('{"made_by": "somebody"}')
    (tmp_path / "there.md").write_text("")
    for arguments, said in (
        ((folder,), "neither --data nor --split"),
        ((folder, "--data", tmp_path / "no"), "no such folder"),
        ((tmp_path / "no", "--data", images), "no such bundle folder"),
        ((folder, "--data", images, "--recall", 1.5), "--recall 1.5"),
        ((folder, "--data", images, "--limit", 1), "--limit 1"),
        ((folder, "--data", images, "--quick", "--cards", tmp_path / "c"), "--quick"),
        ((folder, folder, "--data", images, "--cards", tmp_path / "c"), "different names"),
        ((folder, "--data", images, "--cards", folder.parent), "exists already"),
        ((folder, "--data", images, "--page", tmp_path / "there.md"), "no place for the tables"),
        ((folder, "--data", images, "--page", tmp_path / "no.md"), "no.md: cannot be read"),
        ((folder, "--data", images, "--json", tmp_path / "other.json"), "other.json"),
        ((folder, "--data", images, "--out", tmp_path / "there.md"), "exists already"),
    ):
        assert run(monkeypatch, *arguments) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
