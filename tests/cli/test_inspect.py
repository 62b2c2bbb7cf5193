from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from typer.testing import CliRunner

from cxrscreen.cli.app import app

SECRETS = ("SECRET", "20200711", "JANE")


def run(*arguments: object, columns: int = 100):
    environment = {"COLUMNS": str(columns)}
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)], env=environment)


@pytest.fixture
def stored(chest) -> np.ndarray:
    return np.asarray(chest * 4095, dtype=np.uint16)


def test_a_file_that_would_be_screened(make_dicom, stored):
    path = make_dicom(stored, WindowCenter=2048, WindowWidth=4096, StudyDescription="XR CHEST")
    result = run(path)
    assert result.exit_code == 0
    for told in (
        path.name,
        "Digital X-Ray Image Storage - For Presentation",
        "PA by ViewPosition (PA)",
        "3.00 years",
        "260 x 200",
        "12 of 16, unsigned",
        "LINEAR center 2048 width 4096",
        "would be screened",
    ):
        assert told in result.stdout.replace("\n", "")


def test_pixels_are_shown_even_where_the_header_refuses(make_dicom, stored):
    result = run(make_dicom(stored, PatientAge="040Y"))
    assert result.exit_code == 3
    assert "OUTSIDE_AGE_RANGE: age 40.0 years" in result.stdout
    assert "stored values" in result.stdout
    assert "NOT_SCREENED: OUTSIDE_AGE_RANGE" in result.stdout


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_nothing_of_the_patient_is_shown(make_dicom, stored, tmp_path, option):
    path = make_dicom(
        stored,
        PatientBirthDate="20200711",
        StudyDate="20230101",
        PatientComments="SECRET",
        StudyDescription="CHEST OF JANE SECRET",
        SeriesDescription="JANE^SECRET",
        BodyPartExamined="JANE^SECRET",
        ViewPosition="JANE^SECRET",
        AccessionNumber="SECRET",
    )
    shown = run(path, "--png", tmp_path / "steps.png", *option)
    written = (tmp_path / "steps.png").read_bytes()
    for secret in SECRETS:
        assert secret not in shown.output
        assert secret.encode() not in written


def test_json_says_the_same(make_dicom, stored, tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("no image")
    ct = make_dicom(stored, SOPClassUID=uid.CTImageStorage, Modality="CT")
    result = run(make_dicom(stored), ct, other, "--json")
    assert result.exit_code == 3
    chest, refused, unreadable = json.loads(result.stdout)
    assert chest["would_be_screened"] is True
    assert chest["says"]["Modality"] == "DX"
    assert chest["steps"][0]["name"] == "stored values"
    assert chest["steps"][0]["high"] == stored.max()
    assert refused["reject_code"] == "WRONG_MODALITY"
    assert refused["pixels"]["admitted"] is True
    assert "probability" not in result.stdout
    assert (unreadable["reject_code"], unreadable["pixels"]) == ("NOT_AN_IMAGE", None)


def test_a_raster_image_says_its_size(tmp_path, chest):
    path = tmp_path / "chest.png"
    Image.fromarray((chest * 255).astype(np.uint8)).save(path)
    result = run(path)
    assert "260 x 200" in result.stdout
    assert "no DICOM header" in result.stdout.replace("\n", " ")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(make_dicom, stored, columns):
    path = make_dicom(stored, SOPClassUID=uid.SecondaryCaptureImageStorage, Modality="OT")
    lines = run(path, columns=columns).stdout.splitlines()
    assert max(len(line) for line in lines if path.name not in line) <= columns
    assert not any("\x1b" in line for line in lines)


def test_the_picture_holds_the_image(make_dicom, stored, tmp_path):
    out = tmp_path / "steps.png"
    assert run(make_dicom(stored), "--png", out).exit_code == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert set(picture.info) <= {"Software", "dpi"}
        assert picture.width >= 300


def test_only_a_picture_of_ours_is_replaced(make_dicom, stored, tmp_path):
    path, out = make_dicom(stored), tmp_path / "steps.png"
    run(path, "--png", out)
    before = out.stat().st_mtime_ns
    again = run(path, "--png", out)
    assert (again.exit_code, out.stat().st_mtime_ns) == (2, before)
    assert run(path, "--png", out, "--force").exit_code == 0
    assert out.stat().st_mtime_ns != before
    radiograph = tmp_path / "radiograph.png"
    Image.fromarray((stored >> 4).astype(np.uint8)).save(radiograph)
    content = radiograph.read_bytes()
    assert run(path, "--png", radiograph, "--force").exit_code == 2
    assert radiograph.read_bytes() == content


def test_no_picture_without_pixels(make_dicom, tmp_path):
    result = run(make_dicom(), "--png", tmp_path / "steps.png")
    assert result.exit_code == 3
    assert "NO_PIXEL_DATA" in result.stdout
    assert "not written" in result.stderr
    assert not (tmp_path / "steps.png").exists()


def test_wrong_usage_is_one_line(make_dicom, stored, tmp_path):
    path = make_dicom(stored)
    folder = tmp_path / "folder"
    folder.mkdir()
    for arguments, told in (
        ((), "no file"),
        ((tmp_path / "missing.dcm",), "No such file"),
        ((folder,), "cxrscreen screen"),
        ((path, path, "--png", tmp_path / "a.png"), "one file"),
        ((path, "--png", tmp_path / "none" / "a.png"), "does not exist"),
        ((path, "--frame", 2), "holds 1 image"),
        ((path, "--codecs"), "--codecs"),
        ((path, "--bundle", tmp_path), "bundle"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert told in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert result.stdout == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_line(make_dicom, stored):
    path: Path = make_dicom(stored)
    path.chmod(0)
    result = run(path)
    assert (result.exit_code, "Permission denied" in result.stderr) == (2, True)


def test_the_table_of_codecs():
    result = run("--codecs")
    assert result.exit_code == 0
    assert "JPEG 2000" in result.stdout
    assert uid.JPEGLosslessSV1 in result.stdout
