"""``screen --maps`` and ``--html``: what is written, and that a stopped run goes on."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.reports.map_picture import draw_map
from cxrscreen.run import maps as run_maps
from tests.conftest import add_pixels, chest_header

SECRETS = (b"SECRET", b"20200711", b"Hospital")
NAME = re.compile(r"\d{6}-[0-9a-f]{12}\.png")


def run(*arguments: object):
    return CliRunner().invoke(app, ["screen", *map(str, arguments), "--workers", "0"])


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def export(pool, tmp_path_factory):
    """Two with pneumonia, one without, one that is refused; the header names a patient."""
    folder = tmp_path_factory.mktemp("export")
    pool.save(folder / "b-sick.png", 1.0)
    pool.save(folder / "c-well.png", 0.0)
    (folder / "d-notes.txt").write_text("no image")
    dataset = chest_header(1)
    dataset.PatientBirthDate, dataset.InstitutionName = "20200711", "Hospital"
    dataset.ImagerPixelSpacing = [0.4, 0.4]
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    stored = np.rint(pool.grey(1.0) * 4095).astype(np.uint16)
    add_pixels(dataset, stored, bits=12, signed=False, photometric="MONOCHROME2")
    dataset.save_as(folder / "a-sick.dcm", enforce_file_format=True)
    return folder


@pytest.fixture(scope="module")
def screened(export, tmp_path_factory):
    """Reports, page and maps among the images, where they must not become inputs."""
    folder = tmp_path_factory.mktemp("night")
    result = run(
        *(export, "--out", folder / "report.csv", "--html", folder / "report.html"),
        *("--maps", folder / "maps", "--phi", "pseudonym"),
    )
    return result, folder


def test_flagged_images_have_a_picture_and_an_array_that_the_report_names(screened):
    result, folder = screened
    assert result.exit_code == 3, result.output
    rows = rows_of(folder / "report.csv")
    flagged = [row for row in rows if row["decision"] == "POSITIVE"]
    assert len(flagged) == 2
    assert all((row["map"] != "") == (row in flagged) for row in rows)
    names = {row["map"] for row in flagged}
    assert len(names) == 2
    assert all(NAME.fullmatch(name) for name in names)
    arrays = {name.replace(".png", ".npz") for name in names}
    assert {file.name for file in (folder / "maps").iterdir()} == {*names, *arrays, "maps.json"}
    with np.load(folder / "maps" / flagged[0]["map"].replace(".png", ".npz")) as held:
        assert held["activation"].shape == (128, 128)
        assert held["activation"].max() > 0.9
        np.testing.assert_allclose(held["pixel_mm"], [0.4, 0.4])
    with Image.open(folder / "maps" / flagged[1]["map"]) as picture:
        assert picture.format == "PNG"
    assert f"maps: {folder / 'maps'}" in result.stdout
    assert f"page: {folder / 'report.html'}" in result.stdout


def test_the_page_has_every_row_the_most_urgent_first(screened):
    _, folder = screened
    text = (folder / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'role="rowheader" scope="row" data-v="([^"]+)"', text)
    ranked = sorted(rows_of(folder / "report.csv"), key=lambda row: int(row["priority_rank"]))
    assert sources == [row["source"] for row in ranked]
    assert text.count('class="image has-map"') == 2
    assert text.count("data:image/jpeg;base64,") == 5
    links = re.findall(r'href="(maps/[^"]+)"', text)
    assert len(links) == 2
    assert all((folder / link).is_file() for link in links)
    assert "NOT_AN_IMAGE" in text
    assert "recall at least 0.95" in text


def test_nothing_of_the_patient_is_in_anything_that_was_written(screened):
    result, folder = screened
    written = [file for file in folder.rglob("*") if file.is_file()]
    assert len(written) >= 8
    for file in written:
        content = file.read_bytes()
        assert not any(secret in content or secret.decode() in file.name for secret in SECRETS)
    assert not any(secret.decode() in result.output for secret in SECRETS)
    for file in (folder / "maps").glob("*.npz"):
        with np.load(file, allow_pickle=False) as held:
            assert not any(secret.decode() in str(held[key]) for key in held for secret in SECRETS)


def test_a_run_that_is_stopped_while_maps_are_drawn_goes_on_behind_them(
    export, screened, tmp_path, monkeypatch
):
    _, whole = screened
    arguments = (
        *(export, "--out", tmp_path / "report.csv", "--html", tmp_path / "report.html"),
        *("--maps", tmp_path / "maps"),
    )
    drawn = []

    def stop_at_the_second(*given):
        if drawn:
            raise KeyboardInterrupt
        drawn.append(given[-1])
        draw_map(*given)

    monkeypatch.setattr(run_maps, "draw_map", stop_at_the_second)
    stopped = run(*arguments)
    assert stopped.exit_code == 130
    assert "--resume" in stopped.stderr
    assert not (tmp_path / "report.csv").exists()
    assert not (tmp_path / "report.html").exists()
    (first,) = (tmp_path / "maps").glob("*.png")
    before = first.stat().st_mtime_ns
    monkeypatch.undo()
    assert run(*arguments).exit_code == 2
    without = run(*arguments[:3], *arguments[5:], "--resume")
    assert without.exit_code == 2
    assert "--html" in without.stderr
    resumed = run(*arguments, "--resume")
    assert resumed.exit_code == 3, resumed.output
    assert first.stat().st_mtime_ns == before
    for name in ("000001", "000002"):
        (one,) = (tmp_path / "maps").glob(f"{name}*.png")
        assert one.read_bytes() == (whole / "maps" / one.name).read_bytes()
    expected = [{**row, "seconds": ""} for row in rows_of(whole / "report.csv")]
    found = [{**row, "seconds": ""} for row in rows_of(tmp_path / "report.csv")]
    assert found == expected
    # All is there: a new run is refused, and replaces it if it is told to.
    again = run(*arguments)
    assert again.exit_code == 2
    assert again.stderr.count("\n") == 1


def test_all_images_that_were_judged_have_maps_where_that_is_asked_for(export, tmp_path):
    # In the folder that is screened: they must not become inputs.
    result = run(
        *(export / "c-well.png", "--out", tmp_path / "r.csv"),
        *("--maps", tmp_path / "maps", "--all-maps", "--phi", "none"),
    )
    assert result.exit_code == 0, result.output
    (row,) = rows_of(tmp_path / "r.csv")
    assert row["decision"] == "NEGATIVE"
    assert (tmp_path / "maps" / row["map"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--all-maps",), "--all-maps needs --maps"),
        (("--html", "page.csv"), "is no name of a page"),
        (("--html", "x.html", "--maps", "x.html"), "same name"),
        (("--maps", "taken"), "holds something else than maps"),
        (("--html", "taken/page.html"), "exists already"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_written(
    export, tmp_path, monkeypatch, arguments, told
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "page.html").write_text("somebody's own")
    result = run(export, "--out", "report.csv", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "report.csv").exists()
    assert (tmp_path / "taken" / "page.html").read_text() == "somebody's own"
