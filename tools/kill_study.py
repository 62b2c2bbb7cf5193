"""Kill screening runs at random moments, resume them, and compare the reports.

``python -m tools.kill_study`` kills 200 times: the process alone, its whole group, or one of its
workers. Every report must be that of an uninterrupted run, byte for byte but for the column
``seconds``. Then disks of a few hundred kilobytes run full (needs root, for a tmpfs). It prints
the table of docs/resume.md and ends with 1 if a report differs.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
import torch  # noqa: F401 - loaded once, for all runs

from cxrscreen import pipeline  # noqa: F401 - the same
from cxrscreen.cli import app
from cxrscreen.reports import journal
from tools.phantom import project, sample_anatomy
from tools.writers import DicomSpec, write_dicom, write_png

_ROWS, _COLUMNS = 148, 184
_DRAWN: Final = 16
_SHIFTED: Final = 40
_FRAMES: Final = 3
_KINDS: Final = ("the process", "its whole group", "a worker")
#: Commits more often than the program makes them too: a kill finds more of them to disturb.
_KEPT_SECONDS: Final = (0.0, 0.2, 2.0)
_GOING_ON: Final = re.compile(r"going on behind (\d+) of")
#: Kills at a moment of the start, before there is a journal.
_EARLY_SHARE: Final = 0.1
_START_SECONDS: Final = 120.0
_KILOBYTE: Final = 1024
_TMPFS_KILOBYTES: Final = 2048


class StudyError(Exception):
    """A run did what it must not do."""


def make_corpus(folder: Path) -> None:
    """Write some 60 small inputs: phantoms, copies, an object of frames, and what is refused.

    Parameters
    ----------
    folder
        Made.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(11)
    anatomies = [sample_anatomy(rng, pneumonia=turn % 2 == 0) for turn in range(_DRAWN)]
    images = [
        project(anatomy, view="frontal", shape=(_ROWS, _COLUMNS), rng=rng) for anatomy in anatomies
    ]
    for turn in range(_SHIFTED):
        image = np.roll(images[turn % _DRAWN], turn // _DRAWN, axis=1)
        write_png(folder / f"{turn:02}.png", image, bits=8)
    for turn, image in enumerate(images[:6]):
        spec = DicomSpec(modality="DX", bits=12, inverted=turn % 2 == 1)
        write_dicom(folder / f"{turn * 7:02}-x.dcm", image, spec, number=turn)
    _write_frames(folder / "21-frames.dcm", images, number=90)
    (folder / "30-copy.png").write_bytes((folder / "02.png").read_bytes())
    (folder / "39-copy.dcm").write_bytes((folder / "07-x.dcm").read_bytes())
    (folder / "12-notes.txt").write_text("no image\n", encoding="utf-8")
    whole = (folder / "05.png").read_bytes()
    (folder / "17-truncated.png").write_bytes(whole[: len(whole) // 2])


def _write_frames(path: Path, images: list[np.ndarray], *, number: int) -> None:
    write_dicom(path, images[7], DicomSpec(modality="DX", bits=12), number=number)
    dataset = pydicom.dcmread(path)
    frames = [np.roll(dataset.pixel_array, turn, axis=1) for turn in range(_FRAMES)]
    dataset.NumberOfFrames = _FRAMES
    dataset.PixelData = np.stack(frames).tobytes()
    dataset.save_as(path)


def without_seconds(report: Path) -> str:
    """Return a report without the one column that may differ."""
    with report.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    place = rows[0].index("seconds")
    text = io.StringIO()
    csv.writer(text).writerows([row[:place] + row[place + 1 :] for row in rows])
    return text.getvalue()


class ForkedRun:
    """A run of the command line in a copy of this process, which has loaded the libraries.

    Starting Python and PyTorch anew for each kill would take ten times as long as the run.
    It has a process group of its own, so that all of it can be killed.

    Parameters
    ----------
    arguments
        Of the command.
    kept_seconds
        After how long rows become durable.
    """

    def __init__(self, arguments: list[str], *, kept_seconds: float) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - kept open
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(self._errors.fileno(), 2)
            journal.KEPT_SECONDS = kept_seconds  # type: ignore[misc]
            sys.argv[:] = ["cxrscreen", *arguments]
            code: object = 1
            try:
                app.main()
            except SystemExit as end:
                code = end.code
            finally:
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 0)

    def poll(self) -> int | None:
        """Return the exit code, or less the signal; ``None`` while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> str:
        """Wait for its end and return what it has written to standard error."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._errors.seek(0)
        return self._errors.read()

    def kill(self) -> None:
        """Kill it alone."""
        os.kill(self.pid, signal.SIGKILL)


@dataclass
class Study:
    """Runs that are killed, and what came of them.

    Attributes
    ----------
    folder
        Where it works.
    rng
        Draws the moments.
    """

    folder: Path
    rng: random.Random
    expected: str = ""
    kills: Counter[str] = field(default_factory=Counter)
    behind: list[int] = field(default_factory=list)
    reports: int = 0
    _start_s: float = 0.0
    _run_s: float = 0.0

    @property
    def report(self) -> Path:
        """The report that is written again and again."""
        return self.folder / "out" / "report.csv"

    def prepare(self) -> None:
        """Make the corpus and the report of a run that nobody disturbs."""
        make_corpus(self.folder / "in")
        self.report.parent.mkdir()
        begun = time.monotonic()
        process = self._start(resume=False, kept_seconds=_KEPT_SECONDS[0], workers=0)
        self._wait_for_journal(process)
        self._start_s = time.monotonic() - begun
        self._finish(process)
        self._run_s = time.monotonic() - begun - self._start_s
        self.expected = without_seconds(self.report)
        self._check()
        self.reports = 0

    def kill_once(self) -> None:
        """Start or resume a run and kill it, or a worker of it; check a report that it wrote."""
        kind = _KINDS[self.kills.total() % len(_KINDS)]
        resume = self.rng.random() < 0.5 or self._journal.exists()  # noqa: PLR2004 - half of them
        kept = self.rng.choice(_KEPT_SECONDS)
        # A worker takes longer to start than such a run takes: not always one.
        workers = 1 if kind == "a worker" else self.rng.choice((0, 0, 1))
        process = self._start(resume=resume, kept_seconds=kept, workers=workers)
        if self.rng.random() < _EARLY_SHARE:
            time.sleep(self.rng.uniform(0.0, self._start_s))
        else:
            self._wait_for_journal(process)
            time.sleep(self.rng.uniform(0.0, self._run_s))
        if process.poll() is None and _killed(process, kind):
            self.kills[kind] += 1
        if kind == "a worker" and process.poll() is None:
            self._finish(process)
        else:
            errors = process.wait()
            self._note(errors)
            if process.returncode not in (-signal.SIGKILL, 3):
                raise StudyError(errors)
        if self.report.exists() and not self._journal.exists():
            self._check()

    def finish_last(self) -> None:
        """Resume what the last kill has left, and check its report."""
        if self._journal.exists():
            self._finish(self._start(resume=True, kept_seconds=_KEPT_SECONDS[-1], workers=0))
            self._check()

    def fill_disk(self, kilobytes: int) -> str:
        """Screen onto a disk with so much room, make room, resume; return the error.

        Returns
        -------
        str
            Empty if there was enough room.
        """
        out = self.folder / "full"
        out.mkdir(exist_ok=True)
        with mounted(out, _TMPFS_KILOBYTES):
            free = os.statvfs(out).f_bavail * os.statvfs(out).f_frsize
            filler = out / "filler"
            filler.write_bytes(bytes(max(0, free - kilobytes * _KILOBYTE)))
            report = out / "report.csv"
            process = self._start(resume=False, kept_seconds=0.0, report=report, workers=0)
            errors = process.wait()
            if process.returncode == 3:  # noqa: PLR2004 - finished, some not screened
                return ""
            # The manifest comes last: a whole report may stand beside one that had no room.
            early = report.exists() and "report.run.json" not in errors
            if process.returncode != 2 or errors.count("\n") != 1 or early:  # noqa: PLR2004
                raise StudyError(errors)
            filler.unlink()
            self._finish(self._start(resume=True, kept_seconds=0.0, report=report, workers=0))
            if without_seconds(report) != self.expected:
                message = f"the report after a full disk ({kilobytes} kB) differs"
                raise StudyError(message)
        return errors.strip()

    @property
    def _journal(self) -> Path:
        return self.report.with_name("report.csv.journal")

    def _start(
        self, *, resume: bool, kept_seconds: float, report: Path | None = None, workers: int = 1
    ) -> ForkedRun:
        arguments = ["screen", str(self.folder / "in"), "--out", str(report or self.report)]
        arguments += ["--workers", str(workers), "--batch-size", "4"]
        arguments += ["--resume"] if resume else []
        return ForkedRun(arguments, kept_seconds=kept_seconds)

    def _wait_for_journal(self, process: ForkedRun) -> None:
        deadline = time.monotonic() + _START_SECONDS
        wal = self._journal.with_name("report.csv.journal-wal")
        while process.poll() is None and time.monotonic() < deadline:
            if wal.exists() and wal.stat().st_size:
                return
            time.sleep(0.01)

    def _finish(self, process: ForkedRun) -> None:
        errors = process.wait()
        self._note(errors)
        if process.returncode != 3:  # noqa: PLR2004 - finished, some not screened
            message = f"exit code {process.returncode}: {errors}"
            raise StudyError(message)

    def _note(self, errors: str) -> None:
        if found := _GOING_ON.search(errors):
            self.behind.append(int(found[1]))

    def _check(self) -> None:
        self.reports += 1
        if without_seconds(self.report) != self.expected:
            message = f"report {self.reports} differs: {self.report}"
            raise StudyError(message)
        outputs = {self.report, self.report.with_name("report.run.json")}
        if beside := set(self.report.parent.iterdir()) ^ outputs:
            message = f"left beside the report, or missing: {beside}"
            raise StudyError(message)
        for output in outputs:
            output.unlink()


def _killed(process: ForkedRun, kind: str) -> bool:
    """Kill what ``kind`` names; return whether there was one."""
    if kind == "the process":
        process.kill()
    elif kind == "its whole group":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has not made its group yet, and is all of it.
            process.kill()
    else:
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError, ValueError):
            # Threads start the workers: look at all of them.
            for task in workers.parents[1].iterdir():
                for child in (task / "children").read_text(encoding="ascii").split():
                    os.kill(int(child), signal.SIGKILL)
                    return True
        return False
    return True


@contextlib.contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[None]:
    """Mount a tmpfs of so many kilobytes on a folder."""
    size = f"size={kilobytes}k"
    subprocess.run(  # noqa: S603 - fixed words and a path of our own
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)],  # noqa: S607
        check=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - the same


def can_mount(folder: Path) -> str:
    """Return why a tmpfs cannot be mounted; empty if it can."""
    if os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    place = folder / "probe"
    place.mkdir()
    try:
        with mounted(place, _KILOBYTE):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "no tmpfs can be mounted here"
    finally:
        place.rmdir()


def run_study(folder: Path, *, kills: int, disks: int, seed: int) -> str:
    """Kill, resume and compare.

    Parameters
    ----------
    folder
        Empty; where it works.
    kills
        How many.
    disks
        How many runs meet a full disk.
    seed
        Of the moments.

    Returns
    -------
    str
        A Markdown table.

    Raises
    ------
    StudyError
        A report differs, or a run ended as it must not.
    """
    study = Study(folder, random.Random(seed))  # noqa: S311 - no secret
    study.prepare()
    while study.kills.total() < kills:
        study.kill_once()
        sys.stderr.write(f"\r{study.kills.total()} of {kills} kills")
    study.finish_last()
    sys.stderr.write("\n")
    lines = ["| what was done | how often |", "| --- | --- |"]
    lines += [f"| {kind} killed | {study.kills[kind]} |" for kind in _KINDS]
    inside = sum(place > 0 for place in study.behind)
    lines.append(f"| resumed behind a part of the inputs | {inside} |")
    lines.append(f"| reports compared, all equal | {study.reports} |")
    if why := can_mount(folder):
        lines.append(f"| disks that ran full | none: {why} |")
        return "\n".join(lines)
    full: list[str] = []
    for turn in range(disks):
        full.append(study.fill_disk(study.rng.randint(8, 400)))
        sys.stderr.write(f"\r{turn + 1} of {disks} disks")
    sys.stderr.write("\n")
    happened = sum(bool(error) for error in full)
    lines.append(f"| disks that ran full, report equal after making room | {happened} |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-study-") as name:
        try:
            table = run_study(
                Path(name), kills=options.kills, disks=options.disks, seed=options.seed
            )
        except StudyError as error:
            sys.stderr.write(f"\n{error}\n")
            raise SystemExit(1) from None
    sys.stdout.write(table + "\n")


if __name__ == "__main__":
    main()
