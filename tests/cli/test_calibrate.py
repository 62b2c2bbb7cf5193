from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscreen.calibration.calibration import read_calibration
from cxrscreen.calibration.guarantee import units_needed
from cxrscreen.model.bundle import DEFAULT_BUNDLE, packaged_bundles
from cxrscreen.output import is_calibration, is_programme
from tests.study_data import (
    MARKER,
    json_of,
    names_of,
    refused,
    rewritten,
    rows_of,
    run,
    study,
    texts_of,
    write_table,
)


@pytest.fixture(scope="module")
def few(pool, tmp_path_factory) -> Path:
    """Five patients of each class: enough for a policy that guarantees nothing."""
    folder = tmp_path_factory.mktemp("few")
    for case in range(5):
        pool.save(folder / "PNEUMONIA" / f"person{case}_virus_0.png", 0.6 + 0.05 * case)
        pool.save(folder / "NORMAL" / f"IM-{case:04}-0001.png", 0.1 * case)
    return folder


@pytest.fixture(scope="module")
def pictures(study_folder, tmp_path_factory) -> Path:
    """A few images of the study, both kinds, surely judged wrong ones among them."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("PNEUMONIA/person5_virus_0", "PNEUMONIA/person9_virus_0", "NORMAL/IM-0003-0000"):
        shutil.copy(study_folder / f"{name}.png", folder)
    for case in (0, 1, 4):
        shutil.copy(study_folder / "NORMAL" / f"IM-{case:04}-0000.png", folder)
    return folder


def screened(pictures: Path, out: Path, *arguments: object) -> list[dict[str, str]]:
    result = run("screen", pictures, "--out", out, "--workers", 0, "--quiet", *arguments)
    assert result.exit_code == 0, result.output
    return rows_of(out)


def test_what_was_asked_for_is_in_the_file(site, site_table):
    result, out = site
    assert result.exit_code == 0, result.output
    calibration = read_calibration(out)
    assert [point.name for point in calibration.points] == [
        *("recall-0.95", "recall-0.9", "specificity-0.7", "recall-0.95+specificity-0.86"),
        *("youden", "f2", "cost-20"),
    ]
    guarantees = [len(point.guarantees) for point in calibration.points]
    assert guarantees == [1, 1, 1, 2, 0, 0, 0]
    data, rows = calibration.document.data, rows_of(site_table)
    assert (data.images, data.not_screened) == (len(rows), 0)
    assert data.positives == sum(row["label"] == "1" for row in rows)
    assert data.patients == len({row["patient"] for row in rows}) < data.images
    assert calibration.document.name == "Sankt Anna"
    assert calibration.document.calibration_prevalence == data.positives / data.images
    assert calibration.counts["reject_code"] == {"": data.images}
    assert names_of(out.parent) == ["site.json"]


def test_guarantees_hold_on_the_scores_that_it_keeps(site):
    calibration = read_calibration(site[1])
    scores = calibration.scores
    for point in calibration.points:
        figures = next(
            one.figures for one in calibration.document.operating_points if one.name == point.name
        )
        lower = point.score if point.lower_score is None else point.lower_score
        flagged, positive = scores.logits >= lower, scores.logits >= point.score
        assert figures.recall[0] == flagged[scores.labels == 1].mean()
        assert figures.specificity[0] == (~positive)[scores.labels == 0].mean()
        assert figures.flag_rate[0] == flagged.mean()
        for guarantee in point.guarantees:
            assert f"({guarantee.errors} of {guarantee.units} " in point.guarantee()
            needed = units_needed(guarantee.target, guarantee.confidence, guarantee.errors)
            assert needed <= guarantee.units


def test_the_console_says_what_is_guaranteed_and_what_is_not(site):
    text = " ".join(site[0].stdout.split())
    assert "Sankt Anna: " in text
    assert "recall-0.95 guarantees: recall at least 0.95 with 95% confidence by patient" in text
    assert "youden guarantees: none" in text
    assert "chosen on these very images" in text


def test_nothing_that_the_table_says_of_a_person_leaves_it(site):
    result, out = site
    assert MARKER not in texts_of([out]) + result.output


def test_a_report_follows_the_calibration(site, pictures, tmp_path):
    calibration = read_calibration(site[1])
    point = calibration.default_point
    rows = screened(pictures, tmp_path / "r.csv", "--calibration", site[1])
    for row in rows:
        assert row["operating_point"] == "recall-0.95"
        assert row["guarantee"] == point.guarantee()
        assert row["threshold"] == f"{point.threshold:.6f}"
        assert row["calibration"] == json_of(site[1])["sha256"] == calibration.sha256
        assert row["prevalence"] == ""
        logit = float(row["raw_score"])
        assert (row["decision"] == "POSITIVE") == (logit >= point.score)
        assert float(row["probability"]) == pytest.approx(
            calibration.calibrator.probability(logit), abs=1e-5
        )
    assert len(rows) == 6


def test_a_named_point_decides(site, pictures, tmp_path):
    point = read_calibration(site[1]).point("youden")
    arguments = ("--calibration", site[1], "--operating-point", "youden")
    for row in screened(pictures, tmp_path / "r.csv", *arguments):
        assert (row["operating_point"], row["guarantee"]) == ("youden", "none")
        assert (row["decision"] == "POSITIVE") == (float(row["raw_score"]) >= point.score)


def test_a_prevalence_moves_probabilities_and_no_decision(site, pictures, tmp_path):
    plain = screened(pictures, tmp_path / "a.csv", "--calibration", site[1])
    rare = screened(pictures, tmp_path / "b.csv", "--calibration", site[1], "--prevalence", "0.02")
    for ours, theirs in zip(plain, rare, strict=True):
        for column in ("decision", "raw_score", "guarantee", "operating_point", "calibration"):
            assert ours[column] == theirs[column], column
        assert float(theirs["probability"]) < float(ours["probability"])
        assert float(theirs["threshold"]) < float(ours["threshold"])
        assert theirs["prevalence"] == "0.020000"
        flagged = float(theirs["probability"]) >= float(theirs["threshold"])
        assert flagged == (theirs["decision"] == "POSITIVE")


def test_two_thresholds_leave_images_undecided(site, pictures, tmp_path):
    """Where labels are wrong both ways, no threshold keeps both promises."""
    name = "recall-0.95+specificity-0.86"
    point = read_calibration(site[1]).point(name)
    assert point.lower_score < point.score
    arguments = ("--calibration", site[1], "--operating-point", name)
    rows = screened(pictures, tmp_path / "r.csv", *arguments)
    for row in rows:
        logit = float(row["raw_score"])
        undecided = point.lower_score <= logit < point.score
        assert (row["decision"] == "POSITIVE") == (logit >= point.score)
        assert (row["decision"] == "INDETERMINATE") == undecided
        assert row["threshold"] == f"{point.threshold:.6f}"
        assert row["lower_threshold"] == f"{point.lower_threshold:.6f}"
        assert "an INDETERMINATE image counts as found" in row["guarantee"]
    assert {"POSITIVE", "INDETERMINATE"} <= {row["decision"] for row in rows}


@pytest.mark.parametrize("changed", ["model", "preprocessing", "engine"])
def test_it_is_refused_with_anything_else(site, pictures, tmp_path, changed):
    other = "torch-float16" if changed == "engine" else "0" * 64
    path = rewritten(tmp_path / "other.json", site[1], **{changed: other})
    out = tmp_path / "r.csv"
    result = run("screen", pictures, "--out", out, "--calibration", path)
    refused(result, f"fitted with another {changed}", "alibrate again", out=out)


def test_the_calibration_of_one_bundle_is_refused_with_another(site, released, pictures, tmp_path):
    out = tmp_path / "r.csv"
    arguments = ("--bundle", released[1], "--calibration", site[1])
    refused(run("screen", pictures, "--out", out, *arguments), "model", out=out)
    own = released[1] / "calibration.json"
    refused(run("screen", pictures, "--out", out, "--calibration", own), "model", out=out)


def test_one_changed_byte_is_refused(site, pictures, tmp_path):
    content = bytearray(site[1].read_bytes())
    path, out = tmp_path / "site.json", tmp_path / "r.csv"
    for place in (3, len(content) // 2, len(content) - 3):
        content[place] ^= 1
        path.write_bytes(content)
        refused(run("screen", pictures, "--out", out, "--calibration", path), "site.json", out=out)
        content[place] ^= 1


def test_too_few_say_how_many_are_needed(few, tmp_path):
    out = tmp_path / "site.json"
    result = study("calibrate", "--data", few, "--out", out)
    refused(result, "there are 5 patients with pneumonia", "59 are needed", out=out)
    result = study("calibrate", "--data", few, "--out", out, "--target-specificity", 0.9)
    refused(result, "5 patients", "29 are needed", out=out)
    assert not names_of(tmp_path)


def test_the_unit_may_be_the_image_of_patients_with_one(few, tmp_path):
    out = tmp_path / "site.json"
    arguments = ("--target-recall", 0.5, "--unit", "image", "--confidence", 0.9, "--quiet")
    result = study("calibrate", "--data", few, "--out", out, *arguments)
    assert (result.exit_code, result.output) == (0, "")
    (guarantee,) = read_calibration(out).default_point.guarantees
    assert (guarantee.unit, guarantee.confidence, guarantee.units) == ("image", 0.9, 5)


def test_one_class_alone(few, tmp_path):
    rows = [
        {"path": path, "label": label, "patient": path.stem}
        for label in (1,)
        for path in sorted((few / "PNEUMONIA").iterdir())
    ]
    table = write_table(tmp_path / "t.csv", rows)
    out = tmp_path / "site.json"
    result = study("calibrate", "--data", table, "--out", out, "--youden")
    refused(result, "no normal image", "both classes", out=out)
    table = write_table(tmp_path / "t.csv", [{**row, "label": 0} for row in rows])
    result = study("calibrate", "--data", table, "--out", out)
    refused(result, "no pneumonia image", "both classes", out=out)


def test_labels_outside_0_and_1(few, tmp_path):
    path = next((few / "NORMAL").iterdir())
    out = tmp_path / "site.json"
    for label in ("2", "-1", "0.5", "nan", "maybe"):
        table = write_table(tmp_path / "t.csv", [{"path": path, "label": label, "patient": "p"}])
        result = study("calibrate", "--data", table, "--out", out)
        refused(result, "row 2", "none of 0, 1", out=out)


def test_no_image_that_was_screened(tmp_path):
    for number in range(4):
        Image.new("L", (64, 64), number).save(tmp_path / f"{number}.png")
    rows = [{"path": f"{n}.png", "label": n % 2, "patient": n} for n in range(4)]
    out = tmp_path / "site.json"
    result = study("calibrate", "--data", write_table(tmp_path / "t.csv", rows), "--out", out)
    refused(result, "none of 4 images was screened", out=out)


def test_what_the_model_was_trained_on_is_refused(released, maker, study_folder, tmp_path):
    out = tmp_path / "site.json"
    arguments = ("--bundle", released[1], "--out", out)
    for data in ((study_folder,), (study_folder, "--part", "training")):
        result = study("calibrate", "--data", *data, *arguments)
        refused(result, f"was trained on {len(maker.split.training)} of", out=out)
        assert len(result.stderr.splitlines()) == 1
    for image in maker.split.training:
        place = tmp_path / "alone" / image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image.path, place)
    refused(study("calibrate", "--data", tmp_path / "alone", *arguments), "trained on", out=out)


def test_the_calibration_part_of_a_bundle_gives_its_own_points(released, study_folder, tmp_path):
    out = tmp_path / "site.json"
    arguments = ("--bundle", released[1], "--part", "calibration", "--target-recall", 0.95)
    result = study("calibrate", "--data", study_folder, "--out", out, "--quiet", *arguments)
    assert result.exit_code == 0, result.output
    ours, theirs = read_calibration(out), released[0].calibration
    assert ours.points[0].guarantees == theirs.points[0].guarantees
    assert ours.points[0].score == pytest.approx(theirs.points[0].score, abs=1e-4)
    assert ours.document.data == theirs.document.data
    assert ours.document.scores.patients == theirs.document.scores.patients


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target-recall", 0.9, "--target-recall", "0.90"), "asked for twice"),
        (("--target-recall", 1), "between 0 and 1"),
        (("--target-recall", "nan"), "between 0 and 1"),
        (("--target-specificity", -0.1), "between 0 and 1"),
        (("--two-thresholds", "0.9"), "no pair"),
        (("--two-thresholds", "0.9,0.8,0.7"), "no pair"),
        (("--two-thresholds", "0.9,1"), "between 0 and 1"),
        (("--f-beta", 0), "above 0"),
        (("--cost-ratio", "inf"), "above 0"),
        (("--confidence", 1), "between 0 and 1"),
        (("--prevalence", 0), "between 0 and 1"),
        (("--programme",), "needs --prevalence"),
        (("--per", 100), "needs --programme"),
        (("--name", "x" * 201), "201 characters"),
        (("--name", ""), "0 characters"),
        (("--bundle", "nope"), "no such bundle"),
        (("--part", "training"), "not the one"),
        (
            ("--part", "nonsense"),
            "without a nonsense part. It has: training, validation, calibration.",
        ),
        (("--device", "mps"), "mps"),
        (("--patient-pattern", "("), "regular expression"),
    ],
)
def test_options_that_cannot_be(few, tmp_path, arguments, said):
    out = tmp_path / "site.json"
    refused(study("calibrate", "--data", few, "--out", out, *arguments), said, out=out)


def test_data_that_are_not_there(few, tmp_path):
    out = tmp_path / "site.json"
    (tmp_path / "empty").mkdir()
    (tmp_path / "PNEUMONIA").mkdir()
    for data, said in (
        (tmp_path / "none", "no such folder"),
        (tmp_path / "empty", "neither NORMAL/ and PNEUMONIA/"),
        (tmp_path, "missing or empty"),
        (Path("x" * 300), "too long"),
        (next((few / "NORMAL").iterdir()), "neither Parquet nor a CSV table"),
    ):
        refused(study("calibrate", "--data", data, "--out", out), said, out=out)
    refused(
        study("calibrate", "--data", few, "--out", tmp_path / "no" / "s.json"), "does not exist"
    )
    refused(study("calibrate", "--data", few, "--out", "/proc/s.json"), "/proc/s.json")
    assert names_of(tmp_path) == ["PNEUMONIA", "empty"]


def test_a_programme_is_written_beside_it(few, tmp_path):
    out = tmp_path / "site.json"
    arguments = ("--data", few, "--out", out, "--youden", "--programme", "--prevalence", 0.05)
    result = study("calibrate", *arguments, "--per", 200)
    assert result.exit_code == 0, result.output
    assert names_of(tmp_path) == ["site-programme.csv", "site-programme.png", "site.json"]
    assert "Of 200 images at a prevalence of 0.05" in result.stdout
    (row,) = rows_of(tmp_path / "site-programme.csv")
    point = read_calibration(out).document.operating_points[0]
    assert (row["operating_point"], row["per"], row["prevalence"]) == ("youden", "200", "0.05")
    recall, specificity = float(row["recall"]), float(row["specificity"])
    assert (recall, specificity) == pytest.approx(
        (point.figures.recall[0], point.figures.specificity[0]), abs=1e-5
    )
    # Among 200 images ten are ill.
    assert float(row["missed"]) == pytest.approx(10 * (1 - recall), abs=1e-4)
    assert float(row["false_alarms"]) == pytest.approx(190 * (1 - specificity), abs=1e-3)
    assert float(row["flagged"]) == pytest.approx(
        10 - float(row["missed"]) + float(row["false_alarms"]), abs=1e-3
    )
    for name in ("recall", "specificity", "flagged", "missed", "false_alarms"):
        assert float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"])
    with Image.open(tmp_path / "site-programme.png") as figure:
        assert figure.width > 300
    assert is_programme(tmp_path / "site-programme.png")
    assert is_programme(tmp_path / "site-programme.csv")
    assert is_calibration(out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused(study("calibrate", *arguments), "exists already", "--force")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = study("calibrate", *arguments, "--per", 200, "--force", "--quiet")
    assert (again.exit_code, again.output) == (0, "")
    # The same images give the same bytes.
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_only_earlier_outputs_are_replaced(few, tmp_path):
    out = tmp_path / "site.json"
    arguments = ("--data", few, "--youden", "--programme", "--prevalence", 0.05, "--force")
    for name in ("site.json", "site-programme.csv", "site-programme.png"):
        path = tmp_path / name
        path.write_text('see "operating_point,prevalence,per,", or "kind": "another"')
        before = path.read_bytes()
        refused(study("calibrate", "--out", out, *arguments), name, "something else")
        assert names_of(tmp_path) == [name]
        assert path.read_bytes() == before
        path.unlink()
    picture = next((few / "NORMAL").iterdir())
    refused(study("calibrate", "--out", picture, *arguments), "something else")


def test_a_drift_reference_may_be_a_calibration_or_a_bundle(site, pictures, tmp_path):
    report, out = tmp_path / "r.csv", tmp_path / "d.json"
    screened(pictures, report)
    for reference in (site[1], DEFAULT_BUNDLE, packaged_bundles()[DEFAULT_BUNDLE]):
        result = run("drift", "--reference", reference, "--report", report, "--out", out, "--force")
        assert result.exit_code in {0, 3}, result.output
        document = json_of(out)
        assert str(reference) in document["inputs"]
        assert document["period"]["counts"]
    assert MARKER not in texts_of([out])


def test_a_drift_reference_that_is_none(site, released, pictures, tmp_path):
    report, out = tmp_path / "r.csv", tmp_path / "d.json"
    screened(pictures, report)
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(site[1].read_bytes()[:-2])
    for reference, said in (
        (tmp_path / "none", "no such file"),
        (next(pictures.iterdir()), "is no report, no calibration and no bundle"),
        ("x" * 300, "too long"),
        (tmp_path, "bundle.json"),
        (damaged, "damaged.json"),
        (released[1], "another"),
    ):
        result = run("drift", "--reference", reference, "--report", report, "--out", out)
        refused(result, said, out=out)


@pytest.mark.parametrize(
    ("command", "number"), [("evaluate", signal.SIGINT), ("calibrate", signal.SIGTERM)]
)
def test_ctrl_c_and_a_signal_to_end_leave_nothing(tmp_path, command, number):
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 1500), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    for copy in range(1, 300):
        os.link(folder / "0.png", folder / f"{copy}.png")
    rows = [{"path": f"{n}.png", "label": n % 2, "patient": n, "odd": ""} for n in range(300)]
    table = write_table(folder / "t.csv", rows)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "cxrscreen", command, "--data", str(table), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # What it says before the images are judged.
    assert "columns that are not used: odd" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert errors == "cxrscreen: interrupted: nothing was written\n"
    assert names_of(tmp_path) == ["images"]
