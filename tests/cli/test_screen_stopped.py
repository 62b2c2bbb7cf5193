"""A disk that runs full, a share that goes away, a crash between two steps of the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscreen.reports.journal import Journal
from tests.cli.test_screen_resume import (
    refused_with_one_line,
    rows_of,
    run,
    screening,
    when_rows_are_there,
)
from tools.kill_study import can_mount, mounted

ROOT = Path(__file__).parents[2]
#: Runs the command line and is killed when a function is called, before or after its work.
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from cxrscreen.cli.app import main
from cxrscreen.reports.journal import Journal

owner, name, when = sys.argv.pop(1).split()
owner = {"Path": Path, "Journal": Journal}[owner]
real = getattr(owner, name)

def killed(self, *arguments, **options):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
main()
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory, chest) -> Path:
    """Twelve images, which every test gets a copy of."""
    folder = tmp_path_factory.mktemp("kept")
    for number in range(12):
        pixels = np.rint(np.roll(chest, number, axis=1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def pictures(kept, tmp_path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "share" / "pictures"))


def whole(pictures: Path, tmp_path: Path) -> list[dict[str, str]]:
    report = tmp_path / "whole.csv"
    assert run(*screening(pictures, report)).exit_code == 0
    return rows_of(report)


def test_inputs_that_go_away_stop_the_run_and_come_back(pictures, tmp_path, monkeypatch):
    expected = whole(pictures, tmp_path)
    away = tmp_path / "away"
    when_rows_are_there(monkeypatch, 5, lambda: pictures.parent.rename(away))
    report = tmp_path / "r.csv"
    result = run(*screening(pictures, report))
    said = ("is not there any more", "of 12 inputs are done", "share", "--resume")
    refused_with_one_line(result, str(pictures), *said)
    # Images are read a little ahead of their rows.
    assert 6 <= int(result.stderr.split(" of 12")[0].split()[-1]) < 12
    assert not report.exists()
    refused_with_one_line(run(*screening(pictures, report, "--resume")), "no such file")
    away.rename(pictures.parent)
    assert run(*screening(pictures, report, "--resume")).exit_code == 0
    assert rows_of(report) == expected


def test_a_single_file_that_goes_away_is_one_row(pictures, tmp_path, monkeypatch):
    when_rows_are_there(monkeypatch, 4, (pictures / "11.png").unlink)
    report = tmp_path / "r.csv"
    assert run(*screening(pictures, report)).exit_code == 3
    codes = [row["reject_code"] for row in rows_of(report)]
    assert codes == [""] * 11 + ["UNREADABLE_FILE"]


def test_an_unmounted_share_below_the_given_folder(kept, tmp_path, monkeypatch):
    """The folder that was given is still there, and so is the place of the mount: empty."""
    if why := can_mount(tmp_path):
        pytest.skip(why)
    given, report = tmp_path / "in", tmp_path / "r.csv"
    share = given / "share"
    share.mkdir(parents=True)
    shutil.copy(kept / "00.png", given / "00.png")
    with mounted(share, 4096):
        shutil.copytree(kept, share / "pictures")
        detach = ["umount", "--lazy", str(share)]
        when_rows_are_there(monkeypatch, 3, lambda: subprocess.run(detach, check=True))
        result = run(*screening(given, report))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(share)], check=True)
    refused_with_one_line(result, f"{share}: is not there any more", "inputs are done")
    assert not report.exists()


@pytest.mark.parametrize("moment", ["early", "when the report is written"])
def test_a_full_disk(pictures, tmp_path, monkeypatch, moment):
    if why := can_mount(tmp_path):
        pytest.skip(why)
    expected = whole(pictures, tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    filler, report = disk / "filler", disk / "r.csv"

    def fill(but: int) -> None:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        filler.write_bytes(bytes(free - but))

    with mounted(disk, 1024):
        if moment == "early":
            fill(but=4096)
        else:
            real = Journal.start_writing
            monkeypatch.setattr(
                Journal, "start_writing", lambda self, outputs: (real(self, outputs), fill(0))
            )
        result = run(*screening(pictures, report))
        refused_with_one_line(result, "r.csv", "--resume")
        assert "full" in result.stderr or "No space left" in result.stderr
        assert not report.exists()
        assert run(*screening(pictures, report, "--resume")).exit_code == 2
        monkeypatch.undo()
        filler.unlink()
        assert run(*screening(pictures, report, "--resume")).exit_code == 0
        assert sorted(os.listdir(disk)) == ["r.csv", "r.run.json"]
        assert rows_of(report) == expected


def test_a_disk_that_is_full_once_the_report_is_in_its_place(pictures, tmp_path, monkeypatch):
    if why := can_mount(tmp_path):
        pytest.skip(why)
    disk = tmp_path / "disk"
    disk.mkdir()
    real = Journal.remove

    def remove(self):
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free))
        real(self)

    monkeypatch.setattr(Journal, "remove", remove)
    with mounted(disk, 1024):
        result = run(*screening(pictures, disk / "r.csv"))
        assert result.exit_code == 0, result.output
        assert sorted(os.listdir(disk)) == ["filler", "r.csv", "r.run.json"]


@pytest.mark.parametrize("moment", ["Path hardlink_to before", "Journal remove before"])
def test_a_crash_at_the_end_of_a_run(pictures, tmp_path, moment):
    """With the report written but not in its place, and with all but the clean-up.

    Everything lies in the folder that is screened, where half a report would be an input.
    """
    expected = whole(pictures, tmp_path)
    report = pictures / "r.csv"
    command = [sys.executable, "-c", KILLED_AT, moment, *screening(pictures, report)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -signal.SIGKILL
    assert run(*screening(pictures, report, "--resume")).exit_code == 0
    assert rows_of(report) == expected
    assert sorted(os.listdir(pictures))[-3:] == ["11.png", "r.csv", "r.run.json"]
