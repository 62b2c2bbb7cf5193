from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxrscreen import load_bundle
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import BundleError, DatasetError, QuantizationError
from cxrscreen.evaluation.metrics import roc_auc
from cxrscreen.model.bundle import CALIBRATION, CARD, DOCUMENT, packaged_bundles
from cxrscreen.model.int8_card import with_int8_section
from cxrscreen.model.predictor import Predictor
from cxrscreen.model.quantised import INT8_WEIGHTS, INT8_XML, CheckDocument
from cxrscreen.model.verify import verified
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.predict import screen_labelled
from cxrscreen.study.quantise import QuantizationLimits, quantise_bundle, require_alike, spread
from cxrscreen.vocabulary import Engine
from tests.int8_data import isolated
from tests.study_data import names_of, refused, rows_of, run, study

ENGINES = ("torch-float32", "torch-bfloat16", "openvino-float32", "openvino-int8")


@pytest.fixture(scope="session")
def bundle(int8):
    return load_bundle(int8, engine=Engine.OPENVINO_INT8)


@pytest.fixture(scope="session")
def calibrations(int8, study_folder, tmp_path_factory):
    """A site calibration for each engine that the bundle holds none for."""
    folder = tmp_path_factory.mktemp("engines")
    made = {}
    for engine in ("torch-bfloat16", "openvino-float32"):
        made[engine] = folder / f"{engine}.json"
        result = study(
            *("calibrate", "--bundle", int8, "--data", study_folder, "--part", "calibration"),
            *("--engine", engine, "--out", made[engine], "--quiet"),
        )
        assert result.exit_code == 0, result.output
    return made


def test_the_new_bundle_holds_all_of_the_old_one_and_an_int8_model(int8, released, bundle):
    old = load_bundle(released[1])
    assert set(names_of(int8)) - set(names_of(released[1])) == {
        *("int8.xml", "int8.bin", "quantization.json", "calibration-openvino-int8.json"),
    }
    assert set(bundle.document.files) == {*names_of(int8)} - {DOCUMENT}
    for name in set(names_of(released[1])) - {CARD, DOCUMENT}:
        assert (int8 / name).read_bytes() == (released[1] / name).read_bytes(), name
    assert bundle.on("torch-float32").default_point == old.default_point
    assert bundle.on("torch-float32").model_fingerprint == old.model_fingerprint
    assert old.sha256 != bundle.sha256


def test_thresholds_are_fitted_to_the_int8_model_s_own_scores(bundle, study_folder):
    part = bundle_part(bundle, study_folder, "calibration")
    rows = screen_labelled(bundle, part, ScreenOptions(workers=0, batch_size=5))
    logits = np.round([row.row.prediction.logit for row in rows], 6)
    held = bundle.calibration.scores
    # Of a fresh load, in batches of another size: the very same numbers.
    assert logits.tolist() == held.logits.tolist()
    document = bundle.calibration.document
    assert document.engine == "openvino-int8"
    assert document.model == bundle.model_fingerprint
    assert bundle.model_fingerprint != bundle.on("torch-float32").model_fingerprint
    point = bundle.default_point
    assert point.guarantees
    assert (held.logits[held.labels == 1] >= point.score).mean() >= 0.95
    assert point.score != bundle.on("torch-float32").default_point.score


def test_the_record_says_how_it_compares(bundle):
    check = bundle.quantization.check
    before = bundle.on("torch-float32").calibration
    first, second = before.scores, bundle.calibration.scores
    assert check.auc_float32 == pytest.approx(roc_auc(first.labels, first.logits), abs=1e-5)
    assert check.auc_int8 == pytest.approx(roc_auc(second.labels, second.logits), abs=1e-5)
    difference, low, high = check.auc_difference
    assert difference == pytest.approx(check.auc_int8 - check.auc_float32)
    assert low <= difference <= high
    changes = [
        abs(before.calibrator.probability(a) - before.calibrator.probability(b))
        for a, b in zip(first.logits, second.logits, strict=True)
    ]
    assert check.largest_probability_change == pytest.approx(max(changes), abs=1e-5)
    assert check.mean_probability_change == pytest.approx(np.mean(changes), abs=1e-5)
    assert 0 < check.largest_logit_change < 2
    score = before.default_point.score
    changed = ((first.logits >= score) != (second.logits >= score)).sum()
    assert check.decisions_changed == changed
    assert check.patients == len(set(first.patients.tolist()))


def test_ranges_come_from_training_images_alone(bundle, study_folder):
    ranges = bundle.quantization.ranges
    assert (ranges.part, ranges.images) == ("training", 24)
    shown = spread(bundle_part(bundle, study_folder, "training"), 24)
    assert {image.label for image in shown} == {0, 1}


def test_the_card_has_one_section_of_the_int8_model(int8, bundle):
    card = (int8 / CARD).read_text(encoding="utf-8")
    assert card.count("## The int8 model") == 1
    assert f"{bundle.quantization.check.auc_int8:.4f}" in card
    assert f"{bundle.default_point.score:.4f}" in card
    again = with_int8_section(
        card.replace("ROC AUC, int8", "stale"), bundle.quantization, bundle.calibration
    )
    assert again == card
    # What stands behind the section stays.
    later = with_int8_section(
        f"{card}\n## Later\n\nText.\n", bundle.quantization, bundle.calibration
    )
    assert later.count("## The int8 model") == later.count("## Later") == 1


def test_the_command_says_what_it_found(int8, bundle):
    said = (int8.parent / "said.txt").read_text(encoding="utf-8")
    check = bundle.quantization.check
    assert f"{check.auc_int8:.4f}" in said
    assert bundle.default_point.name in said
    assert "MB" in said


@pytest.mark.parametrize("name", [INT8_WEIGHTS, INT8_XML])
def test_a_changed_int8_model_is_refused_at_loading_and_at_starting(int8, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(int8, copy)
    loaded = load_bundle(copy, engine=Engine.OPENVINO_INT8)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match="has changed since"):
        Predictor(loaded, torch.device("cpu"))
    with pytest.raises(BundleError, match="its content is not"):
        load_bundle(copy)
    fault = verified(copy).fault
    assert fault is not None
    assert name in fault.message


def test_a_part_of_an_int8_model_is_none(int8, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(int8, copy)
    document = load_bundle(int8).document
    files = {name: sha for name, sha in document.files.items() if name != INT8_XML}
    (copy / DOCUMENT).write_bytes(document.model_copy(update={"files": files}).to_bytes())
    with pytest.raises(BundleError, match="not for all of the int8 model"):
        load_bundle(copy)
    # Nor is one of other weights.
    other = {**document.files, INT8_XML: "0" * 64}
    (copy / DOCUMENT).write_bytes(document.model_copy(update={"files": other}).to_bytes())
    with pytest.raises(BundleError):
        load_bundle(copy)


CHECK = CheckDocument(
    images=200,
    positives=100,
    patients=150,
    auc_float32=0.99,
    auc_int8=0.988,
    auc_difference=(-0.002, -0.008, 0.004),
    level=0.95,
    largest_probability_change=0.2,
    mean_probability_change=0.01,
    largest_logit_change=0.7,
    point="recall-0.95",
    decisions_changed=4,
)


def test_an_int8_model_has_to_stay_within_limits():
    require_alike(CHECK, QuantizationLimits(auc_loss=0.008, decisions_changed=0.02))
    with pytest.raises(QuantizationError, match=r"by -0\.0020, and may by -0\.0080"):
        require_alike(CHECK, QuantizationLimits(auc_loss=0.0079))
    with pytest.raises(QuantizationError, match=r"4 of 200 images otherwise at recall-0\.95"):
        require_alike(CHECK, QuantizationLimits(decisions_changed=0.019))


def test_a_refused_int8_model_leaves_nothing(released, study_folder, tmp_path):
    pytest.importorskip("nncf")
    limits = QuantizationLimits(auc_loss=0.0, decisions_changed=0.0)
    options = ScreenOptions(workers=0, device="cpu")
    with pytest.raises(QuantizationError):
        quantise_bundle(
            load_bundle(released[1]),
            study_folder,
            tmp_path / "out",
            limits=limits,
            images=4,
            options=options,
        )
    assert names_of(tmp_path) == []


def test_what_cannot_be_quantised_is_refused_first(released, ward_table, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    bundle = load_bundle(released[1])
    with pytest.raises(DatasetError):
        quantise_bundle(bundle, ward_table, tmp_path / "out")
    command = ("bundle", "quantize", released[1], "--data", ward_table, "--out")
    refused(run(*command, released[1], "--force"), "is the bundle that is to be quantised")
    monkeypatch.setitem(sys.modules, "nncf", None)
    refused(
        run(*command, tmp_path / "out"),
        "NNCF is not installed",
        "pip install 'cxrscreen[quantize]'",
        out=tmp_path / "out",
    )


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(1, 70))
def test_images_for_ranges_are_spread_over_both_classes(labels, count):
    image = LabelledImage(path=None, name="", label=0, patient_key="")
    images = [replace(image, name=str(i), label=label) for i, label in enumerate(labels)]
    chosen = spread(images, count)
    assert len(chosen) == min(count, len(images))
    assert [int(one.name) for one in chosen] == sorted({int(one.name) for one in chosen})
    positives = sum(one.label for one in chosen)
    assert abs(positives - len(chosen) * sum(labels) / len(labels)) <= 1.0


def screening(int8, calibrations, images, folder):
    """Return commands that screen images with every engine, and their reports."""
    commands, reports = [], {}
    for engine in ENGINES:
        reports[engine] = folder / f"{engine}.csv"
        site = ("--calibration", calibrations[engine]) if engine in calibrations else ()
        commands.append(
            (
                *("screen", images, "--bundle", int8, "--engine", engine, *site),
                *("--out", reports[engine], "--workers", 0, "--quiet"),
            )
        )
    return commands, reports


@pytest.fixture(scope="module")
def wards(ward_table):
    return ward_table.parent / "images"


def test_no_engine_reaches_for_the_network(int8, calibrations, wards, tmp_path):
    commands, reports = screening(int8, calibrations, wards, tmp_path)
    made = isolated(commands, tmp_path / "home")
    assert made.returncode == 3, made.stderr
    for engine, report in reports.items():
        rows = rows_of(report)
        assert {row["engine"] for row in rows} == {engine}
        assert {"POSITIVE", "NEGATIVE"} <= {row["decision"] for row in rows}
    # Nor does any leave the number that it would be counted by.
    left = [path.name for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [name for name in left if "telemetry" in name or "_ga" in name], left
    # And an attempt would have been noticed, though nobody speaks of it.
    assert isolated([["reach out"]], tmp_path / "home").returncode == 99


def test_every_engine_screens_where_there_is_no_network(int8, calibrations, wards, tmp_path):
    alone = ("unshare", "--map-root-user", "--net")
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare cannot take the network away here")
    commands, reports = screening(int8, calibrations, wards, tmp_path)
    made = isolated(commands, tmp_path / "home", before=alone)
    assert made.returncode == 3, made.stderr
    assert all(len(rows_of(report)) == len(names_of(wards)) for report in reports.values())


def test_engines_are_compared_by_name(int8, ward_table, tmp_path):
    result = study(
        *("compare", int8, int8, "--engine", "torch-float32", "--engine", "openvino-int8"),
        *("--data", ward_table, "--out", tmp_path / "sides", "--replicates", 100),
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "sides" / "comparison.md").read_text(encoding="utf-8")
    assert "study on torch-float32" in page
    assert "study on openvino-int8" in page
    command = ("compare", int8, int8, "--data", ward_table, "--out", tmp_path / "no")
    three = ("--engine", "auto") * 3
    refused(study(*command, *three), "3 engines for 2 bundles", out=tmp_path / "no")


def test_predictions_and_drift_know_their_engine(int8, calibrations, wards, ward_table, tmp_path):
    out = tmp_path / "ev"
    command = ("evaluate", "--bundle", int8, "--data", ward_table, "--replicates", 100)
    made = study(*command, "--out", out, "--gallery", 0, "--engine", "openvino-int8")
    assert made.exit_code == 0, made.output
    predictions = ("--predictions", out / "predictions.csv")
    again = study(*command, "--out", tmp_path / "again", "--gallery", 1, *predictions)
    assert again.exit_code == 0, again.output
    refused(
        study(*command, "--out", tmp_path / "no", *predictions, "--engine", "openvino-int8"),
        "Leave out --engine",
    )
    report = tmp_path / "now.csv"
    screened = run(
        *("screen", wards, "--bundle", int8, "--engine", "openvino-int8"),
        *("--out", report, "--workers", 0, "--quiet"),
    )
    assert screened.exit_code == 3
    drifted = run("drift", "--reference", int8, "--report", report, "--quiet")
    assert drifted.exit_code in (0, 3), drifted.output
    other = run("drift", "--reference", packaged_bundles()["cnn-pediatric"], "--report", report)
    refused(other, "another model, engine")


def test_the_calibration_of_the_default_engine_is_no_other_s(int8, calibrations, wards, tmp_path):
    out = tmp_path / "no.csv"
    command = ("screen", wards, "--bundle", int8, "--out", out)
    refused(
        run(*command, "--calibration", calibrations["openvino-float32"]),
        "was fitted with another engine, openvino-float32. Give --engine openvino-float32",
        out=out,
    )
    refused(
        run(*command, "--calibration", int8 / CALIBRATION, "--engine", "openvino-int8"),
        "was fitted with another model, engine",
        out=out,
    )
    refused(run(*command, "--engine", "openvino-float32"), "cxrscreen calibrate", out=out)
