from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from cxrscreen.evaluation.predictions import read_predictions, write_predictions
from tests.conftest import add_pixels, chest_header
from tests.study_data import (
    MARKER,
    json_of,
    names_of,
    refused,
    rewritten,
    rows_of,
    study,
    texts_of,
    write_table,
)

FIGURES = ("confusion", "decision-curve", "precision-recall", "reliability", "roc", "scores")
SAME = ("evaluation.json", "metrics.csv", "subgroups.csv", *(f"{name}.png" for name in FIGURES))
FAST = ("--replicates", 100)


def screened(folder: Path) -> list[dict[str, str]]:
    return [row for row in rows_of(folder / "predictions.csv") if row["status"] == "SCREENED"]


def test_every_promised_file_is_there(evaluated):
    result, folder = evaluated
    assert result.exit_code == 0, result.output
    assert names_of(folder) == sorted([*SAME, "predictions.csv", "evaluation.md", "errors.html"])
    for name in FIGURES:
        with Image.open(folder / f"{name}.png") as figure:
            assert figure.width > 300
    page = (folder / "evaluation.md").read_text(encoding="utf-8")
    for name in FIGURES:
        assert f"{name}.png" in page
    assert names_of(folder.parent) == ["ev"]


def test_counts_add_up_and_agree_with_the_predictions(evaluated, ward_table, packaged):
    folder = evaluated[1]
    document, rows = json_of(folder / "evaluation.json"), rows_of(folder / "predictions.csv")
    assert len(rows) == len(rows_of(ward_table)) == document["images"]["all"] == 37
    assert document["images"]["screened"] == len(screened(folder)) == 36
    assert document["images"]["not_screened"] == {"DECODE_FAILED": 1}
    assert document["images"]["positives_not_screened"] == 1
    assert set(document["points"]) == {point.name for point in packaged.calibration.points}
    for point in packaged.calibration.points:
        counted = document["points"][point.name]
        assert counted["threshold_score"] == point.score
        for name, label, flagged in (
            ("true_positives", "1", True),
            ("false_negatives", "1", False),
            ("false_positives", "0", True),
            ("true_negatives", "0", False),
        ):
            expected = sum(
                row["label"] == label and (float(row["raw_score"]) >= point.score) == flagged
                for row in screened(folder)
            )
            assert counted[name] == expected, (point.name, name)
        assert counted["patients"] == len({row["patient"] for row in screened(folder)}) == 30


def test_the_table_is_what_scikit_learn_says_of_the_predictions(evaluated, packaged):
    folder = evaluated[1]
    rows = screened(folder)
    truth = [int(row["label"]) for row in rows]
    logits = np.array([float(row["raw_score"]) for row in rows])
    shares = [float(row["probability"]) for row in rows]
    flagged = logits >= packaged.default_point.score
    expected = {
        "Accuracy": accuracy_score(truth, flagged),
        "Precision (PPV)": precision_score(truth, flagged),
        "Recall (sensitivity)": recall_score(truth, flagged),
        "Specificity": recall_score(truth, flagged, pos_label=0),
        "ROC-AUC": roc_auc_score(truth, logits),
        "Brier score": brier_score_loss(truth, shares),
    }
    table = {row["metric"]: row for row in rows_of(folder / "metrics.csv")}
    for name, value in expected.items():
        assert float(table[name]["value"]) == pytest.approx(value, abs=1e-12), name
        assert float(table[name]["low"]) <= value <= float(table[name]["high"])
    # Three numbers that cannot be true together are impossible.
    ill, well = sum(truth), len(truth) - sum(truth)
    recall, specificity = expected["Recall (sensitivity)"], expected["Specificity"]
    assert float(table["Accuracy"]["value"]) == pytest.approx(
        (recall * ill + specificity * well) / len(truth)
    )
    shown = next(row for name, row in table.items() if name.startswith("PPV at"))
    assert float(shown["value"]) == pytest.approx(
        0.1 * recall / (0.1 * recall + 0.9 * (1 - specificity))
    )


def test_subgroups_too_small_to_say_anything_are_shown(evaluated):
    groups = json_of(evaluated[1] / "evaluation.json")["groups"]
    assert list(groups) == ["ward", "sex", "age_group"]
    assert list(groups["age_group"]) == ["1 to 2", "3 to 5", "unknown"]
    assert set(groups["sex"]) == {"F", "M"}
    for column in groups.values():
        assert sum(group["images"] for group in column.values()) == 36
    assert groups["ward"]["A"]["metrics"]["recall"]["value"] is not None
    small = groups["ward"]["=B"]
    assert small["images"] == 7
    assert all(metric["value"] is None for metric in small["metrics"].values())
    assert "too few patients" in small["metrics"]["recall"]["reason"]
    page = (evaluated[1] / "evaluation.md").read_text(encoding="utf-8")
    assert "too small |" in page
    # A spreadsheet must not run the name of a ward.
    assert not any(
        cell.startswith("=")
        for name in ("predictions.csv", "subgroups.csv")
        for row in rows_of(evaluated[1] / name)
        for cell in row.values()
    )


def test_what_was_not_screened_is_counted_by_class(evaluated):
    page = (evaluated[1] / "evaluation.md").read_text(encoding="utf-8")
    assert "DECODE_FAILED" in page
    assert "1 with pneumonia, 0 normal" in page
    (row,) = (row for row in rows_of(evaluated[1] / "predictions.csv") if row["reject_code"])
    assert (row["name"], row["raw_score"], row["probability"]) == ("broken.png", "", "")


def test_nothing_that_the_table_says_of_a_person_leaves_it(evaluated):
    result, folder = evaluated
    assert MARKER not in texts_of(folder.iterdir()) + result.output


def test_everything_can_be_computed_again_without_the_model(evaluated, tmp_path):
    folder = evaluated[1]
    arguments = ("--by", "ward", "--by", "sex", "--by", "age_group", "--prevalence", 0.1)
    # Without the rights to anything else.
    alone = Path(shutil.copy(folder / "predictions.csv", tmp_path))
    out = tmp_path / "again"
    result = study("evaluate", "--predictions", alone, "--out", out, *arguments, *FAST)
    assert result.exit_code == 0, result.output
    for name in (*SAME, "predictions.csv"):
        assert (out / name).read_bytes() == (folder / name).read_bytes(), name
    design = {"level": 0.95, "replicates": 100, "seed": 0, "prevalence": 0.1}
    assert json_of(out / "evaluation.json")["design"] == design
    assert names_of(out) == sorted([*SAME, "predictions.csv", "evaluation.md"])


def test_with_the_data_the_join_is_verified(evaluated, ward_table, tmp_path):
    folder = evaluated[1]
    out = tmp_path / "again"
    arguments = ("--predictions", folder / "predictions.csv", "--out", out, *FAST)
    result = study("evaluate", *arguments, "--data", ward_table, "--gallery", 1, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert (out / "errors.html").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[3].update(label=1 - int(rows[3]["label"])), "has label"),
        (lambda rows: rows[3].update(patient=rows[9]["patient"]), "another patient"),
        (lambda rows: rows.pop(3), "is not in the data"),
        (lambda rows: rows.append({**rows[3], "path": "images/z.png"}), "z.png is not in them"),
        (lambda rows: rows[3].update(path="images/z.png"), "is not in the data"),
        (lambda rows: Path(rows[3]["path"]).write_bytes(b"another"), "images have changed"),
    ],
)
def test_predictions_of_other_data_are_refused(
    evaluated, ward_table, tmp_path, monkeypatch, change, said
):
    data = shutil.copytree(ward_table.parent, tmp_path / "data")
    shutil.copy(data / "images" / "3-0.png", data / "images" / "z.png")
    monkeypatch.chdir(data)
    rows = rows_of(ward_table)
    change(rows)
    table, out = write_table(data / "t.csv", rows), tmp_path / "ev"
    predictions = evaluated[1] / "predictions.csv"
    result = study("evaluate", "--predictions", predictions, "--data", table, "--out", out)
    refused(result, said, out=out)


def test_predictions_of_another_model_are_refused(evaluated, released, ward_table, tmp_path):
    out = tmp_path / "ev"
    arguments = ("--predictions", evaluated[1] / "predictions.csv", "--data", ward_table)
    result = study("evaluate", *arguments, "--bundle", released[1], "--out", out)
    refused(result, "another model than study", out=out)


def test_a_shuffled_or_edited_file_is_refused(evaluated, tmp_path):
    with (evaluated[1] / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    path, out = tmp_path / "p.csv", tmp_path / "ev"
    place = header.index("raw_score")
    column = [row[place] for row in rows]
    for cells, said in (
        (sorted(column), "key does not fit"),
        (["nan", *column[1:]], "key does not fit"),
        (column[:-1], "has 36 of 37 images"),
    ):
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for row, cell in zip(rows, cells, strict=False):
                writer.writerow([*row[:place], cell, *row[place + 1 :]])
        refused(study("evaluate", "--predictions", path, "--out", out), said, out=out)


def test_the_gallery_shows_the_surest_errors(evaluated):
    page = (evaluated[1] / "errors.html").read_text(encoding="utf-8")
    counted = json_of(evaluated[1] / "evaluation.json")["points"]["recall-0.95"]
    rows = screened(evaluated[1])
    point = counted["threshold_score"]
    missed = sorted(
        (float(row["raw_score"]), row["name"])
        for row in rows
        if row["label"] == "1" and float(row["raw_score"]) < point
    )
    alarms = sorted(
        (-float(row["raw_score"]), row["name"])
        for row in rows
        if row["label"] == "0" and float(row["raw_score"]) >= point
    )
    assert (len(missed), len(alarms)) == (counted["false_negatives"], counted["false_positives"])
    assert missed
    assert alarms
    for shown in (missed, alarms):
        assert all(name in page for _, name in shown[:2])
        assert not any(name in page for _, name in shown[2:])


def test_a_hostile_file_name_is_escaped_and_no_gallery_is_made_on_request(pool, tmp_path):
    hostile = "<script>alert(1)</script>&\"'.png"
    folder = tmp_path / "images"
    for case in range(2):
        pool.save(folder / "NORMAL" / f"IM-{case:04}-0001.png", 0.0)
        pool.save(folder / "PNEUMONIA" / f"person{case}_virus_0.png", 1.0)
    table = write_table(
        tmp_path / "t.csv",
        [
            {"path": pool.save(tmp_path / "images" / "x" / "a.png", 1.0), "label": 0, "patient": 1},
            {"path": pool.save(tmp_path / "images" / hostile.replace("/", "_"), 1.0), "label": 0}
            | {"patient": 2},
            {"path": pool.save(tmp_path / "images" / "b.png", 1.0), "label": 1, "patient": 3},
        ],
    )
    result = study("evaluate", "--data", table, "--out", tmp_path / "ev", *FAST)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "ev" / "errors.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    out = tmp_path / "none"
    result = study("evaluate", "--data", folder, "--out", out, "--gallery", 0, *FAST)
    assert result.exit_code == 0, result.output
    assert "errors.html" not in names_of(out)


def test_one_class_alone_is_refused_or_gives_what_is_defined(pool, tmp_path):
    rows = []
    for case in range(3):
        pool.save(tmp_path / "images" / f"{case}.png", 1.0)
        rows.append({"path": f"images/{case}.png", "label": 1, "patient": case})
    for label in (1, 0):
        table = write_table(tmp_path / "t.csv", [{**row, "label": label} for row in rows])
        out = tmp_path / f"ev{label}"
        arguments = ("--data", table, "--out", out, "--prevalence", 0.1, *FAST)
        missing_class = "is normal" if label else "shows pneumonia"
        refused(study("evaluate", *arguments), "one class only", missing_class, out=out)
        result = study("evaluate", *arguments, "--allow-one-class")
        assert result.exit_code == 0, result.output
        metrics = next(iter(json_of(out / "evaluation.json")["points"].values()))["metrics"]
        defined = {"accuracy", "brier", "recall" if label else "specificity"}
        missing = {"roc_auc", "pr_auc", "specificity" if label else "recall"}
        for name in defined:
            assert metrics[name]["value"] is not None, name
        for name in missing:
            assert metrics[name]["value"] is None
            assert metrics[name]["reason"]


@pytest.fixture(scope="module")
def dicoms(pool, tmp_path_factory) -> Path:
    """DICOM objects of two makers with names in their headers, one of them a lateral view."""
    folder = tmp_path_factory.mktemp("dicoms")
    rows = []
    for case in range(6):
        dataset = chest_header(case)
        stored = np.rint(pool.grey(float(case % 2)) * 4095).astype(np.uint16)
        add_pixels(dataset, stored, bits=12, signed=False, photometric="MONOCHROME2")
        dataset.PatientID = dataset.PatientName = dataset.AccessionNumber = f"{MARKER}^{case}"
        dataset.InstitutionName = dataset.ReferringPhysicianName = MARKER
        dataset.Manufacturer = "ACME" if case < 4 else "Umbrella"
        dataset.PatientAge = "003Y" if case < 3 else "001Y"
        dataset.ViewPosition = ("AP", "PA", "LL")[0 if case < 3 else 1 + (case == 5)]
        dataset.PatientSex = "F" if case < 2 else "M"
        dataset.save_as(folder / f"{case}.dcm", enforce_file_format=True)
        rows.append({"path": f"{case}.dcm", "label": case % 2, "patient": f"{MARKER}{case}"})
    return write_table(folder / "t.csv", rows)


def test_subgroups_by_what_headers_say_and_no_name_of_anybody(dicoms, tmp_path):
    out = tmp_path / "ev"
    by = ("--by", "sex", "--by", "age_group", "--by", "view", "--by", "manufacturer")
    result = study("evaluate", "--data", dicoms, "--out", out, *by, *FAST)
    assert result.exit_code == 0, result.output
    document = json_of(out / "evaluation.json")
    counts = {
        column: {value: group["images"] for value, group in groups.items()}
        for column, groups in document["groups"].items()
    }
    assert counts == {
        "sex": {"F": 2, "M": 3},
        "age_group": {"1 to 2": 2, "3 to 5": 3},
        "view": {"AP": 3, "PA": 2},
        "manufacturer": {"ACME": 4, "UMBRELLA": 1},
    }
    assert document["images"]["not_screened"] == {"WRONG_VIEW": 1}
    rows = rows_of(out / "predictions.csv")
    assert [row["age_years"] for row in rows] == ["3", "3", "3", "1", "1", "1"]
    assert {row["kind"] for row in rows} == {"DICOM"}
    assert MARKER not in texts_of(out.iterdir()) + result.output


def test_a_calibration_of_dicom_keeps_counts_and_no_name(dicoms, tmp_path):
    out = tmp_path / "site.json"
    result = study("calibrate", "--data", dicoms, "--out", out, "--youden")
    assert result.exit_code == 0, result.output
    document = json_of(out)
    assert document["counts"] == {
        "reject_code": {"": 5, "WRONG_VIEW": 1},
        "view": {"AP": 3, "PA": 2},
        "sex": {"F": 2, "M": 3},
        "age_group": {"1 to 2": 2, "3 to 5": 3},
        "modality": {"DX": 5},
        "manufacturer": {"ACME": 4, "UMBRELLA": 1},
    }
    assert (document["data"]["images"], document["data"]["not_screened"]) == (6, 1)
    assert MARKER not in texts_of([out]) + result.output


def test_an_object_of_several_frames_has_no_one_label(make_dicom, pool, tmp_path):
    frames = np.stack([np.rint(pool.grey(1.0) * 4095).astype(np.uint16) for _ in range(2)])
    make_dicom(
        frames[0], name="frames.dcm", NumberOfFrames=2, PixelData=frames.astype("<u2").tobytes()
    )
    table = write_table(tmp_path / "t.csv", [{"path": "frames.dcm", "label": 1, "patient": MARKER}])
    out = tmp_path / "ev"
    result = study("evaluate", "--data", table, "--out", out)
    refused(result, "frames.dcm", "several frames", out=out)
    assert MARKER not in result.output


def test_a_calibration_with_two_thresholds_has_two_lines_and_a_gallery(site, dicoms, tmp_path):
    content = json_of(site[1])
    logits = content["scores"]["logits"]
    point = {
        **content["operating_points"][3],
        "lower_score": float(np.median(logits)),
        "score": max(logits) + 1,
    }
    path = rewritten(tmp_path / "two.json", site[1], operating_points=[point])
    out = tmp_path / "ev"
    arguments = ("--data", dicoms, "--calibration", path, "--out", out)
    result = study("evaluate", *arguments, *FAST)
    assert result.exit_code == 0, result.output
    points = json_of(out / "evaluation.json")["points"]
    name = point["name"]
    assert list(points) == [f"{name} (upper)", f"{name} (lower)"]
    assert points[f"{name} (upper)"]["threshold_score"] == point["score"]
    assert points[f"{name} (lower)"]["threshold_score"] == point["lower_score"]
    assert "What lies between is left to a reader" in (out / "errors.html").read_text()


def test_options_choose_the_point(site, dicoms, tmp_path):
    out = tmp_path / "ev"
    arguments = ("--data", dicoms, "--out", out, "--gallery", 0, *FAST)
    result = study("evaluate", *arguments, "--target-recall", 0.9, "--confidence", 0.9)
    assert result.exit_code == 0, result.output
    run = json_of(out / "evaluation.json")["run"]
    assert run["points"][0]["name"] == "recall-0.9-confidence-0.9"
    assert "with 90% confidence" in run["points"][0]["guarantee"]
    result = study(
        "evaluate", *arguments, "--force", "--calibration", site[1], "--operating-point", "youden"
    )
    assert result.exit_code == 0, result.output
    run = json_of(out / "evaluation.json")["run"]
    assert run["points"][0]["name"] == "youden"
    assert len(run["points"]) == 7
    assert run["calibration"] == json_of(site[1])["sha256"]


def test_a_part_of_the_bundle_s_own_data(released, maker, study_folder, tmp_path):
    out = tmp_path / "ev"
    arguments = ("--data", study_folder, "--bundle", released[1])
    result = study(
        "evaluate", *arguments, "--out", out, "--part", "validation", "--gallery", 0, *FAST
    )
    assert result.exit_code == 0, result.output
    assert "the epoch was chosen on these images" in result.stderr
    assert "the validation part of its data" in result.stdout
    names = [row["name"] for row in rows_of(out / "predictions.csv")]
    assert names == [image.name for image in maker.split.validation]
    again = tmp_path / "again"
    predictions = ("--predictions", out / "predictions.csv")
    result = study("evaluate", *arguments, *predictions, "--out", again, "--gallery", 0, *FAST)
    assert result.exit_code == 0, result.output
    assert (again / "metrics.csv").read_bytes() == (out / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to evaluate"),
        (("--data", "TABLE", "--by", "patient"), "who is who"),
        (("--data", "TABLE", "--by", "age"), "age_group"),
        (("--data", "TABLE", "--by", "label"), "forms no groups"),
        (("--data", "TABLE", "--by", "probability"), "forms no groups"),
        (("--data", "TABLE", "--by", "nonsense"), "no column nonsense"),
        (("--data", "TABLE", "--by", "ward", "--part", "training"), "no further columns"),
        (("--predictions", "FILE", "--by", "nonsense"), "no column nonsense"),
        (("--predictions", "FILE", "--target-recall", 0.9), "hold their operating points"),
        (("--predictions", "FILE", "--confidence", 0.9), "hold their operating points"),
        (("--predictions", "TABLE"), "holds no predictions"),
        (("--predictions", "nowhere.csv"), "No such file"),
        (("--data", "TABLE", "--level", 1), "between 0 and 1"),
        (("--data", "TABLE", "--prevalence", 0), "between 0 and 1"),
        (("--data", "TABLE", "--confidence", 0.9), "needs --target-recall"),
        (("--data", "TABLE", "--target-recall", 0.999), "are needed"),
        (("--data", "TABLE", "--operating-point", "nope"), "no operating point nope"),
        (("--data", "TABLE", "--calibration", "nowhere.json"), "nowhere.json"),
        (("--data", "TABLE", "--config", "nowhere.yaml"), "nowhere.yaml"),
        (("--data", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_asked(evaluated, ward_table, tmp_path, arguments, said):
    places = {"TABLE": ward_table, "FILE": evaluated[1] / "predictions.csv"}
    out = tmp_path / "ev"
    given = [places.get(str(argument), argument) for argument in arguments]
    refused(study("evaluate", "--out", out, *given), said, out=out)


def test_nothing_is_replaced_but_an_earlier_evaluation(evaluated, tmp_path):
    arguments = ("--predictions", evaluated[1] / "predictions.csv", *FAST)
    out = tmp_path / "ev"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refused(study("evaluate", *arguments, "--out", out), "exists already")
    refused(study("evaluate", *arguments, "--out", out, "--force"), "something else")
    assert names_of(out) == ["notes.txt"]
    refused(study("evaluate", *arguments, "--out", "/proc/ev"), "/proc/ev")
    refused(study("evaluate", *arguments, "--out", tmp_path / "no" / "ev"), "does not exist")


def test_no_image_that_was_screened(evaluated, tmp_path):
    made = read_predictions(evaluated[1] / "predictions.csv")
    refused_alone = tuple(image for image in made.images if image.reject_code)
    run = made.run.model_copy(update={"images": len(refused_alone)})
    path, out = tmp_path / "p.csv", tmp_path / "ev"
    write_predictions(path, type(made)(run, refused_alone))
    refused(study("evaluate", "--predictions", path, "--out", out), "none of 1 images", out=out)
