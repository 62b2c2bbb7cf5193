from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cxrscreen.evaluation.predictions import read_predictions, write_predictions
from cxrscreen.model.bundle import DEFAULT_BUNDLE
from tests.study_data import MARKER, json_of, names_of, refused, rows_of, run, study, texts_of

FAST = ("--replicates", 100)


@pytest.fixture(scope="module")
def two(released, ward_table, tmp_path_factory):
    """The packaged bundle beside the other one, on the wards."""
    out = tmp_path_factory.mktemp("compared") / "cmp"
    arguments = (DEFAULT_BUNDLE, released[1], "--data", ward_table, "--out", out)
    return study("compare", *arguments, *FAST), out


def test_both_models_stand_side_by_side(two, evaluated, released, packaged):
    result, folder = two
    assert result.exit_code == 0, result.output
    document = json_of(folder / "comparison.json")
    assert list(document["models"]) == [DEFAULT_BUNDLE, "study"]
    assert document["left_out"] == 1
    assert document["design"]["replicates"] == FAST[1]
    # As the first was by itself, at the same point.
    alone = json_of(evaluated[1] / "evaluation.json")["points"]["recall-0.95"]
    ours = document["models"][DEFAULT_BUNDLE]
    for name in ("threshold_score", "images", "true_positives", "false_positives"):
        assert ours[name] == alone[name]
    assert ours["metrics"]["recall"]["value"] == alone["metrics"]["recall"]["value"]
    other = document["models"]["study"]
    assert other["threshold_score"] == released[0].calibration.default_point.score
    assert document["runs"]["study"]["bundle_sha256"] == released[0].document.sha256()
    page = (folder / "comparison.md").read_text(encoding="utf-8")
    assert "study less cnn-pediatric" in page
    assert "predictions-2.csv" in names_of(folder)
    assert MARKER not in texts_of(folder.iterdir()) + result.output


def test_differences_are_those_of_the_predictions(two):
    document = json_of(two[1] / "comparison.json")
    first, second = (rows_of(two[1] / f"predictions-{n}.csv") for n in (1, 2))
    assert [row["name"] for row in first] == [row["name"] for row in second]
    # What a model refused is in its file; figures are of what both judged.
    refused_by = [{row["name"] for row in rows if row["reject_code"]} for rows in (first, second)]
    left_out = refused_by[0] | refused_by[1]
    assert (len(left_out), document["left_out"]) == (1, 1)
    first, second = (
        [row for row in rows if row["name"] not in left_out] for rows in (first, second)
    )
    right = []
    for rows, name in ((first, DEFAULT_BUNDLE), (second, "study")):
        at = document["models"][name]["threshold_score"]
        flagged = np.array([float(row["raw_score"]) >= at for row in rows])
        right.append(flagged == np.array([row["label"] == "1" for row in rows]))
    found = document["differences"]["study"]
    assert found["less"] == DEFAULT_BUNDLE
    assert found["only_first_right"] == int((right[0] & ~right[1]).sum())
    assert found["only_second_right"] == int((right[1] & ~right[0]).sum())
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    for metric in found["metrics"].values():
        if metric["low"] is not None:
            assert metric["low"] <= metric["difference"] <= metric["high"]


def test_the_same_from_files_of_predictions(two, tmp_path):
    out = tmp_path / "again"
    files = [two[1] / f"predictions-{n}.csv" for n in (1, 2)]
    arguments = [word for path in files for word in ("--predictions", path)]
    result = run("compare", *arguments, "--out", out, *FAST, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    ours, theirs = json_of(out / "comparison.json"), json_of(two[1] / "comparison.json")
    for name in ("models", "differences"):
        assert ours[name] == theirs[name]
    for name in ("roc.png", "predictions-1.csv", "predictions-2.csv"):
        assert (out / name).read_bytes() == (two[1] / name).read_bytes()
    (out / "roc.png").unlink()
    refused(run("compare", *arguments, "--out", out, *FAST), "exists already")
    result = run("compare", *arguments, "--out", out, *FAST, "--quiet", "--force")
    assert result.exit_code == 0
    assert (out / "roc.png").is_file()


def test_the_same_predictions_twice_differ_by_nothing(evaluated, tmp_path):
    file, out = evaluated[1] / "predictions.csv", tmp_path / "cmp"
    arguments = ("--predictions", file, "--predictions", file, "--out", out)
    result = run("compare", *arguments, *FAST)
    assert result.exit_code == 0, result.output
    document = json_of(out / "comparison.json")
    assert list(document["models"]) == [f"{DEFAULT_BUNDLE} (1)", f"{DEFAULT_BUNDLE} (2)"]
    (difference,) = document["differences"].values()
    assert (difference["only_first_right"], difference["only_second_right"]) == (0, 0)
    assert difference["mcnemar_p"] == 1
    for name, metric in difference["metrics"].items():
        assert metric["difference"] == 0, name
        # No interval at all, or one that does not claim to know that two models are equal.
        if metric["low"] is None:
            assert metric["reason"]
        else:
            assert metric["low"] <= 0 <= metric["high"]


def other_images(source: Path, place: Path, **changes: object) -> Path:
    made = read_predictions(source)
    first, *others = made.images
    changed = type(first)(**{name: getattr(first, name) for name in first.__slots__} | changes)
    write_predictions(place, type(made)(made.run, (changed, *others)))
    return place


@pytest.mark.parametrize("changes", [{"name": "other.png"}, {"label": 1}, {"patient": "0" * 16}])
def test_predictions_of_different_images_are_refused(evaluated, tmp_path, changes):
    file, out = evaluated[1] / "predictions.csv", tmp_path / "cmp"
    if changes == {"label": 1}:
        changes = {"label": 1 - read_predictions(file).images[0].label}
    other = other_images(file, tmp_path / "other.csv", **changes)
    result = run("compare", "--predictions", file, "--predictions", other, "--out", out)
    refused(result, "model 1", "model 2", "different images", out=out)


def test_no_image_that_both_screened(evaluated, tmp_path):
    file, out = evaluated[1] / "predictions.csv", tmp_path / "cmp"
    made = read_predictions(file)
    refused_all = tuple(
        type(image)(
            **{name: getattr(image, name) for name in image.__slots__}
            | {"logit": None, "probability": None, "reject_code": "BLANK"}
        )
        for image in made.images
    )
    other = tmp_path / "other.csv"
    write_predictions(other, type(made)(made.run, refused_all))
    result = run("compare", "--predictions", file, "--predictions", other, "--out", out)
    refused(result, "no image was screened by all", out=out)


def test_one_class_alone_is_refused_or_gives_what_is_defined(evaluated, tmp_path):
    file, out = tmp_path / "normal.csv", tmp_path / "cmp"
    made = read_predictions(evaluated[1] / "predictions.csv")
    images = tuple(image for image in made.images if image.label == 0)
    run_of_them = made.run.model_copy(update={"images": len(images)})
    write_predictions(file, type(made)(run_of_them, images))
    arguments = ("--predictions", file, "--predictions", file, "--out", out, *FAST)
    refused(run("compare", *arguments), "one class only", "shows pneumonia", out=out)
    result = run("compare", *arguments, "--allow-one-class", "--quiet")
    assert result.exit_code == 0, result.output
    metrics = json_of(out / "comparison.json")["differences"][f"{DEFAULT_BUNDLE} (2)"]["metrics"]
    assert metrics["specificity"]["difference"] == 0
    assert metrics["recall"]["difference"] is None
    assert metrics["recall"]["reason"]


def test_an_edited_file_is_refused(evaluated, tmp_path):
    file, out = evaluated[1] / "predictions.csv", tmp_path / "cmp"
    with file.open(encoding="utf-8", newline="") as stream:
        header, first, *others = csv.reader(stream)
    first[header.index("label")] = str(1 - int(first[header.index("label")]))
    edited = tmp_path / "edited.csv"
    with edited.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, first, *others])
    result = run("compare", "--predictions", file, "--predictions", edited, "--out", out)
    refused(result, "key does not fit", out=out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one model cannot be compared"),
        ((DEFAULT_BUNDLE, "--data", "TABLE"), "one model cannot be compared"),
        (("--predictions", "FILE"), "one model cannot be compared"),
        ((DEFAULT_BUNDLE, "--predictions", "FILE", "--data", "TABLE"), "contradict"),
        ((DEFAULT_BUNDLE, DEFAULT_BUNDLE), "need --data"),
        (("--predictions", "FILE", "--predictions", "FILE", "--data", "TABLE"), "contradict"),
        ((DEFAULT_BUNDLE, "nope", "--data", "TABLE"), "no such bundle"),
        ((DEFAULT_BUNDLE, DEFAULT_BUNDLE, "--data", "nowhere"), "no such folder"),
        (("--predictions", "FILE", "--predictions", "TABLE"), "holds no predictions"),
        (("--predictions", "FILE", "--predictions", "FILE", "--level", 0), "between 0 and 1"),
    ],
)
def test_what_cannot_be_compared(evaluated, ward_table, tmp_path, arguments, said):
    places = {"TABLE": ward_table, "FILE": evaluated[1] / "predictions.csv"}
    out = tmp_path / "cmp"
    given = [places.get(str(argument), argument) for argument in arguments]
    refused(study("compare", "--out", out, *given), said, out=out)


def test_a_part_must_be_the_same_of_both(released, study_folder, tmp_path):
    out = tmp_path / "cmp"
    arguments = ("--data", study_folder, "--part", "calibration", "--out", out)
    result = study("compare", released[1], DEFAULT_BUNDLE, *arguments)
    refused(result, "not the one", out=out)
    assert result.stderr.startswith("study: thresholds were fitted on these images")
