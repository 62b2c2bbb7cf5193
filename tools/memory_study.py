"""Watch the memory of a screening run, which must not grow with the number of images.

    python -m tools.memory_study                      2,000 and 20,000 inputs
    python -m tools.memory_study --page docs/performance.md

Small radiographs are made, each of another noise; every tenth input is a hard link to the one
before, every tenth no image. ``cxrscreen screen`` runs on them as a user starts it, and twice a
second the memory of it and its workers is read from the system: their proportional set size,
which counts what processes share once. Every input must have its row. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tools.benchmark_intake import BITS, header
from tools.page_block import replace_block
from tools.phantom import project, sample_anatomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The larger run may take so many times the memory of the smaller one.
LIMIT: Final = 1.2
_SHAPE: Final = (160, 208)
_SEED: Final = 20240229
_NOISE: Final = 0.01
_EVERY: Final = 10
_LINK, _NO_IMAGE = 4, 9
_PAUSE_S: Final = 0.5
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class MemoryUse:
    """What one run took.

    Attributes
    ----------
    inputs, rows : int
        Files given and rows of the report.
    peak_mib : float
        The largest proportional set size of the command and its workers together.
    late_mib : float
        The median of the last half of the run.
    seconds : float
        From start to end.
    """

    inputs: int
    rows: int
    peak_mib: float
    late_mib: float
    seconds: float


def make_inputs(folder: Path, count: int) -> None:
    """Write radiographs, links to them and files that are none.

    Parameters
    ----------
    folder : Path
        Where to; made if need be.
    count : int
        How many files.
    """
    rng = np.random.default_rng(_SEED)
    chest = project(sample_anatomy(rng, pneumonia=False), view="frontal", shape=_SHAPE, rng=rng)
    for number in range(count):
        inside = folder / f"{number // 1000:03}"
        inside.mkdir(parents=True, exist_ok=True)
        path, before = inside / f"{number:06}.dcm", inside / f"{number - 1:06}.dcm"
        if number % _EVERY == _LINK:
            path.hardlink_to(before)
        elif number % _EVERY == _NO_IMAGE:
            path.write_bytes(b"no image\n" * 20)
        else:
            header(_words(chest, rng)).save_as(path, enforce_file_format=True)


def _words(chest: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint16]:
    noisy = np.clip(chest + rng.normal(0, _NOISE, _SHAPE), 0, 1)
    return np.asarray(np.rint(noisy * ((1 << BITS) - 1)), dtype=np.uint16)


def watch(folder: Path, out: Path, *options: str) -> MemoryUse:
    """Screen a folder and read the memory of the run until it ends.

    Parameters
    ----------
    folder : Path
        The inputs.
    out : Path
        The report.
    options : str
        Further options of ``cxrscreen screen``.

    Raises
    ------
    RuntimeError
        The command failed.
    """
    command = [sys.executable, "-m", "cxrscreen", "screen", str(folder), "--out", str(out)]
    # The quicker model: what a network takes does not hang on the number of images.
    command += ["--bundle", "cnn-pediatric"]
    sizes, started = [], time.monotonic()
    with subprocess.Popen([*command, "--quiet", *options]) as program:  # noqa: S603 - this package
        while program.poll() is None:
            sizes.append(_tree_bytes(program.pid) / _MEBIBYTE)
            time.sleep(_PAUSE_S)
    # Some inputs are not screened: exit code 3.
    if program.returncode not in (0, 3):
        message = f"the command ended with exit code {program.returncode}"
        raise RuntimeError(message)
    with out.open(newline="", encoding="utf-8") as stream:
        rows = sum(1 for _ in csv.DictReader(stream))
    return MemoryUse(
        inputs=sum(len(files) for _, _, files in os.walk(folder)),
        rows=rows,
        peak_mib=max(sizes),
        late_mib=statistics.median(sizes[len(sizes) // 2 :]),
        seconds=time.monotonic() - started,
    )


def _tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and all below it."""
    total, waiting = 0, [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            rollup = (process / "smaps_rollup").read_text(encoding="ascii")
            total += 1024 * sum(
                int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")
            )
            for children in process.glob("task/*/children"):
                waiting += [int(child) for child in children.read_text(encoding="ascii").split()]
        except OSError:
            # It has ended in the meantime.
            continue
    return total


def table(uses: list[MemoryUse]) -> str:
    """Return the runs as a table in Markdown, with how much the last takes of the first."""
    lines = [
        "| inputs | rows | peak | second half, median | time |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {use.inputs:,} | {use.rows:,} | {use.peak_mib:.0f} MiB | {use.late_mib:.0f} MiB "
        f"| {use.seconds:.0f} s |"
        for use in uses
    ]
    ratio = uses[-1].peak_mib / uses[0].peak_mib
    return "\n".join(
        [*lines, "", f"The peak of the last is {ratio:.2f} times that of the first.", ""]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the study; return 1 where memory grows or rows are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--page", type=Path, help="a page whose block is replaced by the table")
    options = parser.parse_args(arguments)
    uses = []
    for count in options.inputs:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            make_inputs(folder / "inputs", count)
            uses.append(watch(folder / "inputs", folder / "report.csv"))
        sys.stderr.write(f"{uses[-1]}\n")
    text = table(uses)
    sys.stdout.write(text)
    if options.page:
        replace_block(options.page, "memory", text)
    grown = uses[-1].peak_mib > LIMIT * uses[0].peak_mib
    return int(grown or any(use.rows != use.inputs for use in uses))


if __name__ == "__main__":
    raise SystemExit(main())
