from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.model.bundle import DEFAULT_BUNDLE, packaged_bundles
from cxrscreen.reports.table import COLUMNS

ROOT = Path(__file__).parents[2]
SAMPLE_DATA = ROOT / "sample_data"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def refused_with_one_line(result, code: int, *said: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for text in said:
        assert text in result.stderr
    assert result.stdout == ""


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    report = tmp_path_factory.mktemp("sample") / "report.csv"
    return run("screen", SAMPLE_DATA, "--out", report), report


def test_sample_data_is_treated_as_what_it_shows(sample_run):
    _, report = sample_run
    decisions = {Path(row["source"]).name: row["decision"] for row in rows_of(report)}
    for name, decision in decisions.items():
        expected = {"normal": "NEGATIVE", "pneumonia": "POSITIVE"}.get(name.split("-")[0])
        assert decision == (expected or "NOT_SCREENED"), name


def test_what_must_be_refused_is_refused_by_name(sample_run):
    _, report = sample_run
    codes = {Path(row["source"]).name: row["reject_code"] for row in rows_of(report)}
    assert {name: code for name, code in codes.items() if code} == {
        "hand.dcm": "WRONG_BODY_PART",
        "lateral.dcm": "WRONG_VIEW",
        "no-pixels.dcm": "NO_PIXEL_DATA",
        "notes.txt": "NOT_AN_IMAGE",
        "truncated.dcm": "DECODE_FAILED",
    }


def test_one_row_for_every_input_and_exit_code_3(sample_run):
    result, report = sample_run
    assert result.exit_code == 3
    files = [path for path in SAMPLE_DATA.rglob("*") if path.is_file()]
    rows = rows_of(report)
    assert sorted(row["source"] for row in rows) == sorted(map(str, files))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    for row in rows:
        judged = row["status"] == "SCREENED"
        assert judged == (row["decision"] != "NOT_SCREENED") == bool(row["probability"])
        assert judged != bool(row["reject_code"]) == bool(row["reject_reason"])
        assert row["bundle_sha256"]


def test_the_console_shows_flagged_first_then_counts(sample_run):
    result, report = sample_run
    flagged, decisions, reasons = (
        result.stdout.index(title)
        for title in ("Flagged for reading", "Decisions", "Not screened, by reason")
    )
    assert flagged < decisions < reasons
    probabilities = [
        float(row["probability"]) for row in rows_of(report) if row["decision"] == "POSITIVE"
    ]
    top = f"{max(probabilities):.3f}"
    assert top in result.stdout[:decisions]
    assert "WRONG_VIEW" in result.stdout[reasons:]


def test_the_report_holds_no_name_and_no_identifier(sample_run):
    result, report = sample_run
    for text in (report.read_text(encoding="utf-8"), result.output):
        assert "Phantom^" not in text
        assert "PHANTOM-" not in text


def test_every_input_screened_is_exit_code_0(tmp_path):
    result = run("screen", SAMPLE_DATA / "frontal", "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    assert "by reason" not in result.stdout


def test_quiet_says_nothing(tmp_path):
    result = run("screen", SAMPLE_DATA / "frontal", "--out", tmp_path / "r.csv", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert rows_of(tmp_path / "r.csv")


def test_a_flagged_image_never_changes_the_exit_code(tmp_path):
    picture = SAMPLE_DATA / "frontal" / "pneumonia-01.jpg"
    assert run("screen", picture, "--out", tmp_path / "r.csv").exit_code == 0


def test_batches_do_not_change_decisions(tmp_path):
    reports = []
    for size in (1, 3, 50):
        report = tmp_path / f"{size}.csv"
        run("screen", SAMPLE_DATA, "--out", report, "--batch-size", size)
        reports.append(rows_of(report))
    for rows in zip(*reports, strict=True):
        assert len({(row["source"], row["decision"], row["reject_code"]) for row in rows}) == 1
        scores = [float(row["probability"] or -1) for row in rows]
        assert max(scores) - min(scores) < 1e-5


def test_an_adult_is_judged_only_on_request(make_dicom, chest, tmp_path):
    stored = np.rint(chest * 4095).astype(np.uint16)
    adult = make_dicom(stored, WindowCenter=2048, WindowWidth=4096, PatientAge="044Y")
    assert run("screen", adult, "--out", tmp_path / "a.csv").exit_code == 3
    (row,) = rows_of(tmp_path / "a.csv")
    assert row["reject_code"] == "OUTSIDE_AGE_RANGE"
    assert "44.0" in row["reject_reason"]
    result = run("screen", adult, "--out", tmp_path / "b.csv", "--allow-out-of-scope")
    assert result.exit_code == 0
    (row,) = rows_of(tmp_path / "b.csv")
    assert row["status"] == "SCREENED"
    assert "out of scope" in row["warnings"]


@pytest.mark.parametrize(
    ("option", "elements", "code"),
    [
        (
            "--allow-secondary-capture",
            {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"},
            "SECONDARY_CAPTURE",
        ),
        (
            "--allow-for-processing",
            {"PresentationIntentType": "FOR PROCESSING"},
            "FOR_PROCESSING",
        ),
    ],
)
def test_what_is_refused_by_default_can_be_asked_for(
    make_dicom, chest, tmp_path, option, elements, code
):
    path = make_dicom((chest * 4095).astype(np.uint16), **elements)
    assert run("screen", path, "--out", tmp_path / "a.csv").exit_code == 3
    assert rows_of(tmp_path / "a.csv")[0]["reject_code"] == code
    assert run("screen", path, "--out", tmp_path / "b.csv", option).exit_code == 0
    row = rows_of(tmp_path / "b.csv")[0]
    assert row["status"] == "SCREENED"
    assert row["warnings"]


def test_a_path_that_is_not_there(tmp_path):
    result = run("screen", tmp_path / "nowhere", "--out", tmp_path / "r.csv")
    refused_with_one_line(result, 2, "nowhere", "no such file")
    assert not os.listdir(tmp_path)


def test_an_unset_shell_variable_does_not_screen_the_working_folder(tmp_path):
    refused_with_one_line(run("screen", "", "--out", tmp_path / "r.csv"), 2, "empty path")
    assert not os.listdir(tmp_path)


def test_force_does_not_write_the_report_over_a_radiograph(tmp_path):
    radiograph = SAMPLE_DATA / "frontal" / "pneumonia-01.jpg"
    picture = Path(shutil.copy(radiograph, tmp_path / "r.csv"))
    before = picture.read_bytes()
    result = run("screen", radiograph, "--out", picture, "--force")
    refused_with_one_line(result, 2, "something else", "does not exist")
    assert picture.read_bytes() == before


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    result = run("screen", tmp_path / "no\x1b[31m\nfile", "--out", tmp_path / "r.csv")
    refused_with_one_line(result, 2, "no\\x1b[31m")


@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "2>&-", ">&- 2>&-"])
def test_a_missing_or_full_terminal_costs_no_row(tmp_path, streams):
    report = tmp_path / "r.csv"
    command = f"{sys.executable} -m cxrscreen screen {SAMPLE_DATA} --out {report} {streams}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert result.returncode == 3
    decisions = [row["decision"] for row in rows_of(report)]
    assert decisions.count("POSITIVE") == 5


@pytest.fixture
def open_folder():
    """A folder that every user may enter: pytest keeps its own to the user who runs it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.name != "posix" or not shutil.which("setpriv"), reason="needs setpriv")
def test_a_folder_that_may_not_be_entered_costs_one_row(open_folder):
    """As another user, because to root every folder is open."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    folder = open_folder / "in"
    shutil.copytree(SAMPLE_DATA / "frontal", folder / "open")
    shutil.copytree(SAMPLE_DATA / "frontal", folder / "listed-only")
    (folder / "listed-only").chmod(0o744)
    program = (
        "import sys; from pathlib import Path; from cxrscreen.intake import discover;"
        "print(len(discover([Path(sys.argv[1])])))"
    )
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    result = subprocess.run(
        [*drop, "--inh-caps=-all", sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if "Permission denied" in result.stderr and "Traceback" not in result.stderr:
        pytest.skip("this Python is not open to other users")
    assert result.stdout.strip() == "18", result.stderr


def test_a_target_recall_is_fitted_without_new_data_and_named_on_each_row(tmp_path, packaged):
    out = tmp_path / "r.csv"
    arguments = (SAMPLE_DATA / "frontal", "--out", out, "--workers", 0)
    result = run("screen", *arguments, "--target-recall", "0.9", "--confidence", "0.9")
    assert result.exit_code == 0, result.output
    point = packaged.calibration.at_target_recall(0.9, confidence=0.9)
    assert point.guarantee() in " ".join(result.stdout.split())
    rows = rows_of(out)
    for row in rows:
        assert row["operating_point"] == "recall-0.9-confidence-0.9"
        assert row["guarantee"] == point.guarantee()
        assert "with 90% confidence" in row["guarantee"]
        assert (row["decision"] == "POSITIVE") == (float(row["raw_score"]) >= point.score)
        assert row["calibration"] == packaged.calibration.sha256
    assert len(rows) > 5


def test_a_row_that_was_not_screened_has_no_threshold_and_no_guarantee(sample_run):
    for row in rows_of(sample_run[1]):
        judged = row["status"] == "SCREENED"
        assert judged == bool(row["guarantee"]) == bool(row["threshold"])


def test_a_prevalence_changes_no_decision(tmp_path, sample_run):
    out = tmp_path / "r.csv"
    assert run("screen", SAMPLE_DATA, "--out", out, "--prevalence", "0.05").exit_code == 3
    for ours, theirs in zip(rows_of(sample_run[1]), rows_of(out), strict=True):
        for column in ("decision", "raw_score", "operating_point", "guarantee", "calibration"):
            assert ours[column] == theirs[column]
        assert (ours["prevalence"], theirs["prevalence"]) == ("", "0.050000")
        if theirs["probability"]:
            assert float(theirs["probability"]) < float(ours["probability"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target-recall", "0.9999"), "29956 are needed"),
        (("--target-recall", "0.9", "--confidence", "0.999999999999999999"), "between 0 and 1"),
        (("--target-recall", "1"), "between 0 and 1"),
        (("--target-recall", "nan"), "between 0 and 1"),
        (("--confidence", "0.9"), "--confidence needs --target-recall"),
        (("--prevalence", "0"), "between 0 and 1"),
        (("--target-recall", "0.9", "--operating-point", "recall-0.95"), "contradict"),
        (("--operating-point", "nope"), "no operating point nope"),
        (("--calibration", "nowhere.json"), "nowhere.json"),
        (("--calibration", ""), "cxrscreen calibrate"),
        (("--calibration", next(SAMPLE_DATA.rglob("notes.txt"))), "is no calibration"),
    ],
)
def test_thresholds_that_cannot_be_had(tmp_path, arguments, said):
    result = run("screen", SAMPLE_DATA, "--out", tmp_path / "r.csv", *arguments)
    refused_with_one_line(result, 2, said)
    assert not os.listdir(tmp_path)


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("screen", tmp_path / "empty", "--out", tmp_path / "r.csv")
    refused_with_one_line(result, 4, "nothing to screen")
    assert os.listdir(tmp_path) == ["empty"]


def test_an_existing_report_is_kept(tmp_path):
    report = tmp_path / "r.csv"
    picture = SAMPLE_DATA / "frontal" / "normal-01.jpg"
    assert run("screen", picture, "--out", report).exit_code == 0
    before = report.read_bytes()
    refused_with_one_line(run("screen", picture, "--out", report), 2, "exists already", "--force")
    assert report.read_bytes() == before
    assert run("screen", picture, "--out", report, "--force").exit_code == 0
    assert len(rows_of(report)) == 1


@pytest.mark.parametrize("out", ["/proc/r.csv", "no-such-folder/r.csv"])
def test_an_unwritable_report(out, tmp_path):
    out = out if out.startswith("/") else tmp_path / out
    refused_with_one_line(run("screen", SAMPLE_DATA, "--out", out), 2, str(out))


def test_a_folder_as_report(tmp_path):
    refused_with_one_line(run("screen", SAMPLE_DATA, "--out", tmp_path, "--force"), 2, "folder")


def test_a_damaged_bundle(tmp_path):
    folder = Path(shutil.copytree(packaged_bundles()[DEFAULT_BUNDLE], tmp_path / "bundle"))
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    report = tmp_path / "r.csv"
    result = run("screen", SAMPLE_DATA, "--out", report, "--bundle", folder)
    refused_with_one_line(result, 2, "weights.safetensors", "copy the bundle again")
    assert not report.exists()


def test_an_unknown_bundle_and_a_device_that_is_not_there(tmp_path):
    report = tmp_path / "r.csv"
    result = run("screen", SAMPLE_DATA, "--out", report, "--bundle", "nope")
    refused_with_one_line(result, 2, "nope", DEFAULT_BUNDLE)
    result = run("screen", SAMPLE_DATA, "--out", report, "--device", "mps")
    refused_with_one_line(result, 2, "mps")


def test_names_that_a_spreadsheet_or_a_terminal_would_run(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    picture = SAMPLE_DATA / "frontal" / "pneumonia-01.jpg"
    names = [b"=cmd()|x.jpg", b"[red]x[bold].jpg", b"bell\x07\x1b[2J.jpg", b'comma,quote".jpg']
    for turn, name in enumerate([*names, b"not-utf8-\xff.jpg"]):
        # One column more each time: copies would be judged once.
        image = np.roll(np.asarray(Image.open(picture)), turn, axis=1)
        Image.fromarray(image).save(folder / os.fsdecode(name), quality=95)
    monkeypatch.chdir(folder)
    result = run("screen", ".", "=cmd()|x.jpg", "--out", tmp_path / "r.csv")
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "r.csv")
    assert len(rows) == 5
    assert not any(row["source"].startswith("=") for row in rows)
    assert "\x1b[2J" not in result.stdout
    assert "[red]x[bold].jpg" in result.stdout


def test_a_reader_who_leaves_does_not_change_the_exit_code(tmp_path):
    command = f"{sys.executable} -m cxrscreen screen {SAMPLE_DATA} --out {tmp_path / 'r.csv'}"
    result = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "3"
    assert result.stderr == ""
    assert len(rows_of(tmp_path / "r.csv")) == 14
