from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cxrscreen.cli.app import app


@pytest.fixture
def data(tmp_path):
    for name in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / f"{name.lower()}.png").write_bytes(name.encode())
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("command", "name"),
    [("evaluate", "ev"), ("evaluate", "a.b"), ("calibrate", "site.json")],
)
def test_an_output_among_the_labelled_images_is_refused(data, command, name):
    out = data / "NORMAL" / name
    result = CliRunner().invoke(
        app,
        [command, "--data", str(data), "--out", str(out), "--patient-pattern", "(.+)"],
    )
    assert result.exit_code == 2
    assert "lies among the labelled images" in result.stderr
    assert result.stderr.count("\n") == 1
    assert [file.name for file in (data / "NORMAL").iterdir()] == ["normal.png"]


def test_an_output_beside_the_classes_is_not_in_their_way(data):
    out = data / "results"
    arguments = ["--data", str(data), "--out", str(out), "--patient-pattern", "(.+)", "--quiet"]
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    # Neither file is an image, which is another matter.
    assert "none of 2 images was screened" in result.stderr
