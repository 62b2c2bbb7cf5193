"""What a run leaves that is stopped, and how it goes on."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.reports import journal as journal_module
from cxrscreen.reports.journal import Journal
from cxrscreen.run import ScreeningRun

ROOT = Path(__file__).parents[2]
#: Runs the command line and is killed in the middle of the k-th commit of the journal.
KILLED_AT_COMMIT = """
import os, signal, sys
from cxrscreen.cli.app import main
from cxrscreen.reports import journal

left = int(sys.argv.pop(1))
journal.KEPT_ROWS = 1
commit = journal.Journal.commit

def commit_or_die(self):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)

journal.Journal.commit = commit_or_die
sys.argv[0] = "cxrscreen"
main()
"""


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        del row["seconds"]
    return rows


def refused_with_one_line(result, *said: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("cxrscreen: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for text in said:
        assert text in result.stderr
    assert result.stdout == ""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, chest) -> Path:
    """Ten inputs: two are none of an image, one is a copy."""
    folder = tmp_path_factory.mktemp("in") / "pictures"
    folder.mkdir()
    for number in range(7):
        pixels = np.rint(np.roll(chest, number, axis=1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    shutil.copy(folder / "1.png", folder / "8.png")
    (folder / "3.txt").write_text("text")
    (folder / "9.txt").write_text("text")
    return folder


def screening(folder: Path, report: Path, *more: object) -> tuple[str, ...]:
    fixed = ("--bundle", "cnn-pediatric", "--workers", 0, "--batch-size", 2)
    return tuple(map(str, ("screen", folder, "--out", report, *fixed, *more)))


def kill(pictures: Path, report: Path, *more: object, commits: int) -> None:
    """Run a screening that is killed at a commit."""
    command = [sys.executable, "-c", KILLED_AT_COMMIT, str(commits)]
    result = subprocess.run([*command, *screening(pictures, report, *more)], check=False, cwd=ROOT)
    assert result.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def left_behind(pictures, tmp_path_factory) -> Path:
    """A folder with what a killed run has left: a process is started once, as it takes long."""
    folder = tmp_path_factory.mktemp("killed")
    kill(pictures, folder / "r.csv", commits=3)
    return folder


@pytest.fixture
def killed(left_behind, tmp_path) -> Path:
    """The report that a killed run did not write; beside it what it left."""
    for file in left_behind.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / "r.csv"


def when_rows_are_there(monkeypatch, rows: int, action: Callable[[], object]) -> None:
    """Do something once, when the journal has taken so many rows of this run."""
    taken = 0
    real = Journal.add

    def add(self, entry):
        nonlocal taken
        real(self, entry)
        taken += 1
        if taken == rows:
            action()

    monkeypatch.setattr(Journal, "add", add)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_killed_goes_on_to_the_same_report(pictures, killed, tmp_path, monkeypatch):
    report = killed
    whole = tmp_path / "whole.csv"
    assert run(*screening(pictures, whole)).exit_code == 3
    # Twice, and the second time behind what the first has left.
    assert sorted(path.name for path in tmp_path.glob("r.csv*")) == [
        "r.csv.journal",
        "r.csv.journal-wal",
    ]
    with monkeypatch.context() as patch:
        when_rows_are_there(patch, 2, interrupt)
        result = run(*screening(pictures, report, "--resume"))
        assert result.exit_code == 130
        assert "interrupted: 7 of 10 inputs are done" in result.stderr
    result = run(*screening(pictures, report, "--resume"))
    assert result.exit_code == 3, result.output
    assert "going on behind" in result.stderr
    assert rows_of(report) == rows_of(whole)
    assert sorted(os.listdir(tmp_path)) == [
        *("r.csv", "r.run.json", "whole.csv", "whole.run.json"),
    ]
    # The counts on the console are those of the whole run.
    assert "all inputs" in result.stdout
    assert "10" in next(line for line in result.stdout.splitlines() if "all inputs" in line)


def test_what_is_done_is_not_done_again(pictures, killed, monkeypatch):
    report = killed
    opened = []
    from cxrscreen import intake  # noqa: PLC0415 - the module under watch

    real = intake.open_image
    monkeypatch.setattr(intake, "open_image", lambda source: opened.append(source) or real(source))
    result = run(*screening(pictures, report, "--resume"))
    done = int(result.stderr.split("going on behind ")[1].split()[0])
    assert done >= 5
    names = sorted(os.listdir(pictures))
    assert [source.path.name for source in opened] == names[done:]


def test_an_unfinished_run_is_neither_overwritten_nor_taken_for_another(
    pictures, killed, tmp_path, packaged
):
    report = killed
    refused_with_one_line(run(*screening(pictures, report)), "--resume", "--force")
    for option, said in [
        (("--batch-size", 3), "--batch-size 2, not 3"),
        (("--operating-point", "recall-0.9"), "operating point recall-0.95, not recall-0.9"),
        (("--allow-out-of-scope",), "without --allow-out-of-scope"),
        (("--time-limit", 20), "--time-limit 10.0, not 20.0"),
        (("--prevalence", 0.1), "--prevalence none, not 0.1"),
    ]:
        result = run(*screening(pictures, report, "--resume", *option))
        refused_with_one_line(result, "was begun", said, "--force")
    both = run(*screening(pictures, report, "--resume", "--force"))
    refused_with_one_line(both, "contradict")
    assert not report.exists()
    assert run(*screening(pictures, report, "--resume")).exit_code == 3
    assert len(rows_of(report)) == 10


def test_other_inputs_are_refused_by_name(pictures, killed, tmp_path):
    def refused(*said: str) -> None:
        result = run(*screening(pictures, killed, "--resume"))
        refused_with_one_line(result, "other inputs", *said)

    for name, said in (("aaa.png", "aaa.png"), ("zzz.png", "zzz.png")):
        (pictures / name).write_bytes(b"new")
        refused("10 then, 11 now", said)
        (pictures / name).unlink()
    for name, said in (("9.txt", "the last ones are gone"), ("3.txt", "4.png")):
        (pictures / name).rename(tmp_path / name)
        refused("10 then, 9 now", said)
        (tmp_path / name).rename(pictures / name)
    times = (pictures / "0.png").stat()
    os.utime(pictures / "0.png", ns=(0, 0))
    refused("has changed since", "0.png")
    os.utime(pictures / "0.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(*screening(pictures, killed, "--resume")).exit_code == 3


def test_force_begins_anew(pictures, killed):
    report = killed
    result = run(*screening(pictures, report, "--force"))
    assert result.exit_code == 3
    assert len(rows_of(report)) == 10
    assert not report.with_name("r.csv.journal").exists()


def test_there_may_be_nothing_to_resume(pictures, tmp_path):
    report = tmp_path / "r.csv"
    result = run(*screening(pictures, report, "--resume"))
    assert result.exit_code == 3
    assert result.stderr == "nothing to resume: starting\n"
    before = report.read_bytes()
    result = run(*screening(pictures, report, "--resume"))
    assert result.exit_code == 3
    assert "is complete" in result.stdout
    assert report.read_bytes() == before


@pytest.mark.parametrize("rows", [0, 4])
def test_an_old_report_stays_until_the_new_one_is_whole(pictures, tmp_path, monkeypatch, rows):
    report, kept = tmp_path / "r.csv", tmp_path / "kept"
    assert run(*screening(pictures / "0.png", report)).exit_code == 0
    before = report.read_bytes()

    def stop() -> None:
        # As kill -9 does: without the clean-up that Ctrl-C still has time for.
        shutil.copytree(tmp_path, kept)
        interrupt()

    with monkeypatch.context() as patch:
        # So that rows are on the disk when it is copied.
        patch.setattr(journal_module, "KEPT_ROWS", 1)
        if rows:
            when_rows_are_there(patch, rows, stop)
        else:
            patch.setattr(ScreeningRun, "screen", lambda *_: stop())
        assert run(*screening(pictures, report, "--force")).exit_code == 130
    assert report.read_bytes() == before
    report = kept / "r.csv"
    assert report.read_bytes() == before
    refused_with_one_line(run(*screening(pictures, report)), "r.csv", "--force")
    assert run(*screening(pictures, report, "--resume")).exit_code == 3
    assert len(rows_of(report)) == 10


def test_a_report_that_has_come_into_the_way_is_not_replaced(pictures, killed):
    other = killed.with_name("other.csv")
    assert run(*screening(pictures / "0.png", other)).exit_code == 0
    shutil.copy(other, killed)
    refused_with_one_line(run(*screening(pictures, killed, "--resume")), "exists already")
    assert killed.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("damage", ["garbage", "header", "flip", "truncated"])
def test_a_damaged_journal(pictures, killed, damage):
    report, journal = killed, killed.with_name("r.csv.journal")
    with contextlib.closing(sqlite3.connect(journal)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(journal.read_bytes())
    if damage == "garbage":
        content[4096:] = os.urandom(len(content) - 4096)
    elif damage == "header":
        content[100:200] = bytes(100)
    elif damage == "flip":
        place = content.index(b"pictures/0.png")
        content[place] ^= 1
    else:
        del content[len(content) // 2 :]
    journal.write_bytes(content)
    result = run(*screening(pictures, report, "--resume"))
    refused_with_one_line(result, "r.csv.journal: the journal is damaged", "--force")
    result = run(*screening(pictures, report, "--force"))
    assert result.exit_code == 3
    assert len(rows_of(report)) == 10


def test_what_is_no_journal_is_left_alone(pictures, tmp_path):
    notes = tmp_path / "r.csv.journal"
    notes.write_text("notes of my own\n" * 20)
    for option in ((), ("--resume",), ("--force",)):
        result = run(*screening(pictures, tmp_path / "r.csv", *option))
        refused_with_one_line(result, "journal", "way")
    assert notes.read_text().startswith("notes of my own")


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cxrscreen", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """A folder that takes a while: pictures of noise, each of its own."""
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 1500), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    for copy in range(1, 400):
        os.link(folder / "0.png", folder / f"{copy}.png")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_is_alone_until_a_signal_ends_it_which_says_how_to_go_on(many, tmp_path, number):
    report = tmp_path / "r.csv"
    process = started(
        *("screen", str(many), "--out", str(report), "--workers", "1"),
        *("--bundle", "cnn-pediatric"),
    )
    wal = tmp_path / "r.csv.journal-wal"
    wait_for(lambda: wal.exists() and b'"decision":"NOT_SCREENED"' in wal.read_bytes())
    for option in ((), ("--resume",), ("--force",)):
        result = run("screen", many, "--out", report, *option)
        refused_with_one_line(result, "another run is writing this report")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert errors.startswith("cxrscreen: interrupted: ")
    done = int(errors.split()[2])
    assert 0 < done < 400
    assert f"{done} of 400 inputs are done" in errors
    assert "--resume" in errors
    # Nothing beside it: the report comes when it is whole.
    assert os.listdir(tmp_path) == ["r.csv.journal"]
