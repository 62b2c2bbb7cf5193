from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from cxrscreen.cli.app import app


def run(*arguments: object):
    return CliRunner().invoke(app, ["drift", *(str(argument) for argument in arguments)])


def refused(result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for text in said:
        assert text in result.stderr
    assert result.stdout == ""


def cells(number: int, score: float | None, **more: str) -> dict[str, str]:
    judged = score is not None
    return {
        "source": f"in/{number}.dcm",
        "status": "SCREENED" if judged else "NOT_SCREENED",
        "decision": ("POSITIVE" if score >= 0 else "NEGATIVE") if judged else "NOT_SCREENED",
        "raw_score": f"{score:.6f}" if judged else "",
        "threshold": "0.5" if judged else "",
        "operating_point": "fixed-0.5" if judged else "",
        "reject_code": "" if judged else "WRONG_VIEW",
        "view": "PA",
        "age_years": "",
        "sex": "F",
        "modality": "CR",
        "sop_instance_uid": f"9.8.7.{number}",
        "bundle_sha256": "b",
        "preprocessing": "p",
        "engine": "e",
        **more,
    }


@pytest.fixture
def write(tmp_path):
    def write(name, scores, **more):
        path = tmp_path / name
        rows = [cells(n, s if s is None else float(s), **more) for n, s in enumerate(scores)]
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, cells(0, 0.0, **more))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def truth(tmp_path):
    def write(labels):
        path = tmp_path / "truth.csv"
        rows = [f"in/{n}.dcm,{label}" for n, label in enumerate(labels)]
        path.write_text("\n".join(["source,label", *rows]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def drawn():
    """Scores of two periods without a change, and without the chance of a draw."""
    grids = [(np.arange(size) + 0.5) / size for size in (200, 150)]
    return tuple(-2 + 3 * norm.ppf(grid) for grid in grids)


def test_nothing_has_changed(write, drawn, tmp_path):
    earlier, now = drawn
    out = tmp_path / "drift.json"
    result = run(
        "--reference", write("a.csv", earlier), "--report", write("b.csv", now), "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "no drift found" in result.stdout
    assert "manufacturer (not known of the reference)" in " ".join(result.stdout.split())
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["alarm"] is False
    assert sorted(Path(name).name for name in document["inputs"]) == ["a.csv", "b.csv"]
    assert all(len(sha) == 64 for sha in document["inputs"].values())
    assert document["tests_counted"] == 2
    assert {test["name"] for test in document["tests"]} >= {"distribution", "view"}
    assert document["period"]["counts"]["view"] == {"PA": 150}


def test_drift_is_exit_code_3(write, drawn, tmp_path):
    earlier, now = drawn
    refused_now = [*(now + 2), *[None] * 40]
    reports = write("a.csv", earlier), write("b.csv", refused_now)
    result = run("--reference", reports[0], "--report", reports[1])
    assert result.exit_code == 3
    assert "drift: score KS, score PSI, WRONG_VIEW" in result.stdout
    assert run("--reference", reports[0], "--report", reports[1], "--quiet").stdout == ""
    strict = run("--reference", reports[0], "--report", reports[1], "--alpha", 1e-30)
    assert strict.exit_code == 0


def test_a_recall_that_has_fallen_is_exit_code_3(write, drawn, truth, tmp_path):
    now = drawn[1]
    report = write("b.csv", [*np.abs(now[:60]) + 1e-3, *-np.abs(now[60:]) - 1e-3])
    options = ("--reference", report, "--report", report, "--truth")
    out = tmp_path / "drift.json"
    found = run(*options, truth([1] * 60 + [0] * 90), "--recall", 0.95)
    assert found.exit_code == 0, found.output
    assert "Recall, watched against 0.95" in found.stdout
    missed = run(*options, truth([1] * 100), "--recall", 0.95, "--out", out)
    assert missed.exit_code == 3
    assert "drift: recall below 0.95" in missed.stdout
    document = json.loads(out.read_text(encoding="utf-8"))["recall"]
    assert (document["positives"], document["found"]) == (100, 60)
    assert 60 < document["alarm_after"] < 100
    assert document["p"] <= 0.05


def test_the_recall_that_the_report_guarantees_is_watched(write, truth):
    words = "recall at least 0.9 with 95% confidence by patient (4 of 203 missed in calibration)"
    report = write("b.csv", np.repeat([1.0, -1.0], 30), guarantee=words)
    result = run("--reference", report, "--report", report, "--truth", truth([1] * 30))
    assert "watched against 0.9" in result.stdout
    assert "misses stay unseen" in " ".join(result.stdout.split())


def test_without_a_guarantee_it_must_be_said_what_to_watch(write, truth, drawn):
    report = write("b.csv", drawn[0])
    options = ("--reference", report, "--report", report)
    refused(run(*options, "--truth", truth([1])), "guarantees a recall", "--recall")
    refused(run(*options, "--recall", 0.9), "only with --truth")


def test_another_model_is_refused(write, drawn, tmp_path):
    earlier, now = drawn
    out = tmp_path / "d.json"
    report = write("b.csv", now, engine="f", bundle_sha256="c")
    result = run("--reference", write("a.csv", earlier), "--report", report, "--out", out)
    refused(result, "another bundle, engine than the reference")
    assert not out.exists()


def test_bad_input_is_one_line_and_nothing_is_written(write, truth, drawn, tmp_path):
    report = write("b.csv", drawn[0])
    out = tmp_path / "d.json"
    for options, said in (
        (("--reference", tmp_path / "no.csv", "--report", report), "no such file"),
        (("--reference", report, "--report", tmp_path / "no.csv"), "no such file"),
        (("--reference", report, "--report", tmp_path), "cannot be read"),
        (("--reference", report, "--report", truth([1])), "is no report"),
        (("--reference", report, "--report", write("e.csv", [])), "has no row"),
        (("--reference", report, "--report", write("n.csv", [None, None])), "was screened"),
        (("--reference", report, "--report", write("x.csv", [np.nan])), "not a finite number"),
        (("--reference", report, "--report", report, "--alpha", 0), "Give a share such as"),
        (("--reference", report, "--report", report, "--truth", truth([2])), "neither 0 nor 1"),
    ):
        refused(run(*options, "--out", out), said)
        assert not out.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("closed", ["--reference", "--report", "--truth"])
def test_a_file_that_may_not_be_read_is_one_line(write, truth, drawn, tmp_path, closed):
    given = {"--reference": write("a.csv", drawn[0]), "--report": write("b.csv", drawn[1])}
    given["--truth"] = truth([1] * 30)
    given[closed].chmod(0)
    words = [word for pair in given.items() for word in pair]
    out = tmp_path / "d.json"
    refused(run(*words, "--recall", 0.9, "--out", out), "Permission denied")
    assert not out.exists()


def test_a_patient_is_never_named(write, truth, drawn):
    report = write("b.csv", drawn[0], patient_key="PATIENT-7")
    result = run(
        "--reference", report, "--report", report, "--truth", truth([1] * 201), "--recall", 0.9
    )
    refused(result, "row 202")
    assert "PATIENT-7" not in result.output
    assert "9.8.7" not in result.output


def test_only_an_earlier_document_is_replaced(write, drawn, tmp_path):
    report = write("a.csv", drawn[0])
    out = tmp_path / "drift.json"
    options = ("--reference", report, "--report", report, "--out")
    assert run(*options, out).exit_code == 0
    before = out.read_bytes()
    refused(run(*options, out), "exists already")
    assert out.read_bytes() == before
    assert run(*options, out, "--force").exit_code == 0
    content = report.read_bytes()
    refused(run(*options, report, "--force"), "something else")
    assert report.read_bytes() == content
