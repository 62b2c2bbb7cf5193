from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from tests.data.audit_images import name, write_images


@pytest.fixture
def data(tmp_path):
    write_images(tmp_path / "data", blurs=(0.8, 2.5))
    return tmp_path / "data"


def run(data, *flags, out="audit"):
    arguments = ["data", "audit", "--data", str(data), "--out", str(data.parent / out), *flags]
    return CliRunner().invoke(app, arguments)


def test_a_page_and_a_document_are_written_and_a_summary_is_printed(data):
    result = run(data)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(data.parent / "audit")) == ["audit.html", "audit.json"]
    document = json.loads((data.parent / "audit" / "audit.json").read_text())
    assert document["schema_version"] == 1
    assert document["classes"] == ["NORMAL", "PNEUMONIA"]
    assert document["shortcuts"][0]["verdict"] == "strong"
    assert "sharpness" in result.stdout
    assert "shortcuts: " in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("shortcuts", 3), ("leakage, shortcuts", 3), ("leakage,duplicates", 0), ("none", 0)],
)
def test_the_exit_code_tells_of_what_was_asked_for(data, fail_on, code):
    assert run(data, "--fail-on", fail_on).exit_code == code
    # Written in any case: it is what one looks at then.
    assert (data.parent / "audit" / "audit.html").is_file()


def test_a_broken_split_file_is_shown_not_refused(data):
    rows = [f"data/{name(y, p)},{'train' if p else 'val'}" for y in (0, 1) for p in range(14)]
    rows.append(f"data/{name(0, 3)},val")
    (data.parent / "split.csv").write_text("\n".join(["path,part", *rows]))
    result = run(data, "--split", str(data.parent / "split.csv"))
    assert result.exit_code == 3, result.output
    document = json.loads((data.parent / "audit" / "audit.json").read_text())
    (leak,) = document["patients_across_parts"]
    assert leak == {"patient": "IM-0003", "images": {"train": 1, "val": 1}}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--fail-on", "leaks"), "leaks is no kind of finding"),
        (("--fail-on", ""), "no kind of finding"),
        (("--fail-on", "none,leakage"), "none is no kind"),
        (("--split", "no.csv"), "No such file"),
        (("--config", "no.yaml"), "No such file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(data, flags, said):
    result = run(data, *flags)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert os.listdir(data.parent) == ["data"]


def test_only_an_earlier_audit_is_replaced(data):
    (data.parent / "audit").mkdir()
    assert "exists already" in run(data).stderr
    assert "something else" in run(data, "--force").stderr
    (data.parent / "audit").rmdir()
    assert run(data).exit_code == 0
    assert run(data).exit_code == 2
    assert run(data, "--force", "--samples", "0", "--workers", "1", "--quiet").exit_code == 0


def test_no_torch_is_loaded(data):
    program = (
        "import sys; from cxrscreen.cli.app import main; sys.argv = ['cxrscreen', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print([n for n in ('torch', 'monai') if n in sys.modules], file=sys.stderr)"
    )
    arguments = ["data", "audit", "--data", str(data), "--out", str(data.parent / "audit")]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == "[]"


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from cxrscreen.cli.app import app\n"
        "try: app(['data', 'audit', '--help'])\n"
        "finally: print([n for n in ('torch', 'sklearn', 'matplotlib', 'PIL', 'jinja2')"
        " if n in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert result.stderr.strip() == "[]"
