"""Reports in every format, the manifest, filters, the dry run, and a run that wants no refusal."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.manifest import read_manifest


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def screening(folder: Path, *more: object):
    return run("screen", folder, "--workers", 0, *more)


def refused_with_one_line(result, code: int, *said: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for text in said:
        assert text in result.stderr, result.stderr
    assert result.stdout == ""


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def export(tmp_path_factory, chest) -> Path:
    """Four that are judged, two of them in a folder, and a text."""
    root = tmp_path_factory.mktemp("in") / "export"
    for number, name in enumerate(("a.png", "b.png", "ward/c.png", "ward/d.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.rint(np.roll(chest, number, axis=1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "notes.txt").write_text("text")
    return root


@pytest.fixture(scope="module")
def reports(export, tmp_path_factory):
    """A run with a report in each format."""
    out = tmp_path_factory.mktemp("out")
    outs = [out / f"r{ending}" for ending in (".csv", ".jsonl", ".parquet", ".xlsx")]
    result = screening(export, *(part for path in outs for part in ("--out", path)))
    return result, out, outs


def test_all_formats_hold_the_same_rows(reports):
    result, _, outs = reports
    assert result.exit_code == 3, result.output
    from_csv, from_json, from_parquet, from_excel = (
        rows_of(outs[0]),
        [json.loads(line) for line in outs[1].read_text().splitlines()],
        parquet.read_table(outs[2]).to_pylist(),
        list(openpyxl.load_workbook(outs[3])["report"].iter_rows(values_only=True)),
    )
    assert from_json == from_parquet
    assert from_excel[0] == tuple(from_csv[0])
    assert [dict(zip(from_excel[0], row, strict=True)) for row in from_excel[1:]] == from_json
    for text, typed in zip(from_csv, from_json, strict=True):
        for name, cell in typed.items():
            same = (
                float(text[name]) == cell if isinstance(cell, int | float) else text[name] == cell
            )
            assert same if cell is not None else text[name] == "", name
    assert sorted(row["priority_rank"] for row in from_json) == [1, 2, 3, 4, 5]
    assert all(f"report: {path}" in result.stdout for path in outs)


def test_the_manifest_vouches_for_the_reports(reports, export):
    _, out, outs = reports
    manifest = read_manifest(out / "r.run.json")
    for file, path in zip(manifest.reports, outs, strict=True):
        content = path.read_bytes()
        assert (file.name, file.bytes) == (path.name, len(content))
        assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert (manifest.inputs.count, manifest.counts.rows, manifest.times.resumed) == (5, 5, 0)
    assert sum(manifest.counts.by_decision.values()) == 5
    assert manifest.counts.by_reject_code == {"NOT_AN_IMAGE": 1}
    row = rows_of(outs[0])[0]
    for name in ("bundle", "bundle_sha256", "model", "preprocessing", "engine"):
        assert getattr(manifest.model, name) == row[name]
    assert manifest.options["PATH"] == [str(export)]
    assert manifest.options["--workers"] == 0
    assert manifest.options["--out"] == [path.name for path in outs]


def test_the_same_inputs_have_the_same_hash(reports, export, tmp_path):
    _, out, _ = reports
    assert screening(export, "--out", tmp_path / "x.jsonl").exit_code == 3
    one, other = read_manifest(out / "r.run.json"), read_manifest(tmp_path / "x.run.json")
    assert one.inputs == other.inputs
    assert one.counts == other.counts


def test_what_is_complete_is_not_resumed(reports, export):
    _, _, outs = reports
    for path in outs:
        result = screening(export, "--out", path, "--resume")
        assert result.exit_code == 3
        assert "is complete" in result.stdout


def test_filters_and_what_they_leave_out(export, tmp_path):
    folder = Path(shutil.copytree(export, tmp_path / "in"))
    os.utime(folder / "a.png", (1000, 1000))
    for file in folder.rglob("[b-d].png"):
        os.utime(file)
    out = tmp_path / "r.csv"
    result = screening(folder, "--out", out, "--glob", "*.png", "--since", "24h", "--limit", 2)
    assert result.exit_code == 0, result.output
    assert "2 inputs; left out: 1 by --glob, 1 by --since, 1 by --limit" in result.stderr
    assert [Path(row["source"]).name for row in rows_of(out)] == ["b.png", "c.png"]
    left_out = read_manifest(tmp_path / "r.run.json").inputs.left_out
    assert left_out == {"--glob": 1, "--since": 1, "--limit": 1}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--glob", "*.dcm"), 4, "left out: 5 by --glob. Widen the filters"),
        (("--glob", ""), 2, "the pattern is empty"),
        (("--since", "soon"), 2, "--since soon: is no time. Give a date"),
        (("--since", "2999-01-01"), 2, "lies in the future"),
        (("--phi-key", "no.key"), 2, "no.key: the key of pseudonyms cannot be read: No such file"),
        (("--dry-run", "--resume"), 2, "contradict one another"),
    ],
)
def test_options_that_cannot_be_are_refused_with_nothing_done(
    export, tmp_path, options, code, said
):
    refused_with_one_line(screening(export, "--out", tmp_path / "r.csv", *options), code, said)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("outs", "said"),
    [
        ((), "no report is named. Give --out report.csv, or --dry-run"),
        (("r.txt",), "r.txt: its ending says no format"),
        (("r.csv", "r.csv"), "is given twice"),
        (("r.csv", "no/r.xlsx"), "does not exist"),
    ],
)
def test_names_of_reports_that_cannot_be(export, tmp_path, outs, said):
    options = [part for name in outs for part in ("--out", tmp_path / name)]
    refused_with_one_line(screening(export, *options), 2, said)
    assert os.listdir(tmp_path) == []


def test_a_dry_run_reads_headers_and_writes_nothing(export, tmp_path, make_dicom, monkeypatch):
    make_dicom(name="lateral.dcm", ViewPosition="LL")
    make_dicom(name="frontal.dcm")

    def no_model(*_, **__):
        raise AssertionError

    monkeypatch.setattr("cxrscreen.model.predictor.Predictor.logits", no_model)
    result = run("screen", tmp_path, "--workers", 0, "--dry-run")
    assert result.exit_code == 3, result.output
    assert "lateral.dcm" in result.stdout
    assert "WRONG_VIEW" in result.stdout
    # It has no pixels, which its header does not tell.
    assert "frontal.dcm" not in result.stdout
    assert "no report was written" in result.stdout
    assert sorted(os.listdir(tmp_path)) == ["frontal.dcm", "lateral.dcm"]
    good = run("screen", tmp_path, "--workers", 1, "--dry-run", "--glob", "f*", "--quiet")
    assert (good.exit_code, good.stdout, good.stderr) == (0, "", "")


def test_a_dry_run_refuses_what_the_run_would_refuse(reports, export, tmp_path):
    _, _, outs = reports
    result = screening(export, "--dry-run", "--out", outs[0])
    refused_with_one_line(result, 2, "exists already")
    assert screening(export, "--dry-run", "--out", tmp_path / "r.csv").exit_code == 3
    assert os.listdir(tmp_path) == []


def test_a_run_that_wants_every_image_screened(export, tmp_path):
    out = tmp_path / "r.csv"
    fixed = ("--out", out, "--batch-size", 2)
    said = ("notes.txt: is NOT_SCREENED: NOT_AN_IMAGE", "--resume and without")
    refused_with_one_line(screening(export, *fixed, "--fail-on-unscreened"), 3, *said)
    assert os.listdir(tmp_path) == ["r.csv.journal"]
    again = screening(export, *fixed, "--fail-on-unscreened", "--resume", "--quiet")
    refused_with_one_line(again, 3, "notes.txt")
    result = screening(export, *fixed, "--resume")
    assert result.exit_code == 3
    assert "going on behind 2 of 5 inputs" in result.stderr
    assert len(rows_of(out)) == 5
    assert read_manifest(tmp_path / "r.run.json").times.resumed == 2
    only = ("--out", tmp_path / "p.csv", "--glob", "*.png", "--fail-on-unscreened")
    assert screening(export, *only).exit_code == 0


def test_a_resumed_run_keeps_the_time_that_since_meant(export, tmp_path, monkeypatch):
    out, folder = tmp_path / "r.csv", Path(shutil.copytree(export, tmp_path / "in"))
    fixed = ("--out", out, "--since", "2h")
    for file in folder.rglob("*.png"):
        os.utime(file)
    os.utime(folder / "notes.txt", (1000, 1000))
    with monkeypatch.context() as patch:

        def stop(self, *_):
            self.commit()
            raise KeyboardInterrupt

        patch.setattr(Journal, "start_writing", stop)
        assert screening(folder, *fixed).exit_code == 130
    later = datetime.now(UTC) + timedelta(hours=3)
    monkeypatch.setattr("cxrscreen.cli.screening._now", lambda: later)
    refused_with_one_line(
        screening(folder, *fixed[:2], "--since", "9h", "--resume", "--quiet"),
        2,
        "--since 2h, not 9h",
    )
    result = screening(folder, *fixed, "--resume")
    assert result.exit_code == 0, result.output
    assert len(rows_of(out)) == 4


def test_another_level_of_privacy_or_key_is_not_resumed(export, tmp_path, monkeypatch):
    out, key = tmp_path / "r.csv", tmp_path / "site.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "start_writing", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert screening(export, "--out", out, "--limit", 1).exit_code == 130
    for option, said in (
        (("--phi", "full", "--limit", 1), "--phi pseudonym, not full"),
        (("--phi-key", key, "--limit", 1), "the key of pseudonyms"),
        (("--limit", 2), "--limit 1, not 2"),
    ):
        refused_with_one_line(
            screening(export, "--out", out, "--resume", "--quiet", *option), 2, said
        )
