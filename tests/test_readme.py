from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxrscreen import load_bundle
from cxrscreen.vocabulary import Decision
from tools.readme_table import BLOCK, sample_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- /{name} -->", README, re.DOTALL)
    assert found
    return found[1].strip()


def test_ci_runs_the_developers_command_as_it_stands_in_the_readme(tmp_path):
    """The script runs on a copy in which the tools of that command only tell what they got."""
    command = block("developers")
    assert "\n" not in command
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    marked = README.replace(command, 'printf "ran:%s" "$PWD" > ran')
    (tmp_path / "README.md").write_text(marked, encoding="utf-8")
    (tmp_path / ".venv-dev").mkdir()
    subprocess.run(["bash", str(tmp_path / ".ci" / "run")], check=True, capture_output=True)
    assert (tmp_path / "ran").read_text() == f"ran:{tmp_path}"
    # An environment of an earlier run hides what is missing: it is made anew.
    assert not (tmp_path / ".venv-dev").exists()


def test_ci_fails_when_the_command_fails_or_is_gone(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    for text in (README.replace(block("developers"), "false && true"), "nothing"):
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
        result = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")], check=False, capture_output=True
        )
        assert result.returncode != 0


@pytest.mark.parametrize("name", ["users", "developers"])
def test_both_commands_are_one_line_and_pinned(name):
    command = block(name)
    assert "\n" not in command
    assert "-c constraints.txt" in command
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


def test_the_users_command_runs_up_to_its_installation(tmp_path):
    """Everything after the installation, with this environment in the place of its own."""
    screening = block("users").split("&&")[-1].strip()
    program, *arguments = screening.split()
    assert program == ".venv/bin/cxrscreen"
    arguments[arguments.index("report.csv")] = str(tmp_path / "report.csv")
    result = subprocess.run(
        [sys.executable, "-m", "cxrscreen", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    assert "Flagged for reading" in result.stdout


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_the_table_is_what_the_packaged_default_says():
    stored = README.split(f"<!-- {BLOCK} -->")[1].split(f"<!-- /{BLOCK} -->")[0].strip()
    made = cells(sample_table(load_bundle("resnet50-pediatric")))
    assert [[row[0], row[1], row[3]] for row in cells(stored)] == [
        [row[0], row[1], row[3]] for row in made
    ]
    # Another processor adds up in another order: the second decimal may move by one.
    shares = [[float(row[2] or "nan") for row in table[2:]] for table in (cells(stored), made)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.011)


def test_the_python_example_runs_and_says_what_the_picture_says(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(block("python"), "README.md", "exec"), {})  # noqa: S102 - our own README
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len([path for path in (ROOT / "sample_data").rglob("*") if path.is_file()])
    counts = {decision: sum(f" {decision} " in line for line in lines) for decision in Decision}
    assert counts[Decision.NEGATIVE] == 4
    assert counts[Decision.POSITIVE] == 5
    assert counts[Decision.NOT_SCREENED] == 5


def test_links_and_pictures_of_the_readme_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        assert (ROOT / target).exists(), target


def test_sections_stand_in_the_promised_order():
    order = [
        README.index(text)
        for text in (
            "docs/images/sample-data.png",
            "## Two commands",
            "## What the report means",
            "## What it must not be used for",
        )
    ]
    assert order == sorted(order)
