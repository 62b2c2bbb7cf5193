"""Read thousands of spoilt files and say what became of them.

Every file is read twice, in a process of its own that is watched: by ``cxrscreen.screen``, a
folder at a time, where each must have its row; and step by step, where its seconds, its
memory and its pixels are measured. Prints Markdown. Exits with 1 if a file was lost, crashed
or hung the process, took too much memory, raised anything but a refusal, or made a reader
write to the terminal; such files are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.fuzz_seeds import PATIENT, Seed, all_seeds
from tools.mutations import BY_FAMILY, PIXEL_DAMAGE

ROOT: Final = Path(__file__).parents[1]
#: Files in a folder: each folder is screened by worker processes of its own.
BATCH: Final = 250
_FAILURES: Final = ("INTERNAL_ERROR", "DECODER_CRASHED", "TIMED_OUT")
#: Mean difference from the sound image, full range 1, from which a judged image is another.
FAR: Final = 0.02
_START_SECONDS: Final = 90.0
_CORPUS_BYTES: Final = range(1024, 4 << 20)


@dataclass(frozen=True)
class Spoilt:
    """A spoilt file: how it came about, and where it lies."""

    seed: Seed
    mutation: str
    path: Path


@dataclass
class Findings:
    """What became of the files."""

    by_kind: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    damage: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    largest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    failures: list[tuple[str, Spoilt | None]] = field(default_factory=list)
    rows: int = 0


class Reader:
    """A process that reads files and reports on each; started anew when it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._said = folder / "said.txt"
        self._heard = 0
        self._results = -1
        self._buffer = b""

    def ask(self, question: dict[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        """Yield answers until the last; a death or a silence of ``seconds`` is one too."""
        if self._process is None or self._process.poll() is not None:
            self._start()
            seconds += _START_SECONDS
        process = self._process
        if process is None or process.stdin is None:
            message = "the reader did not start"
            raise RuntimeError(message)
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        while True:
            line = self._line(seconds)
            if line is None:
                hung = process.poll() is None and not self._closed
                self.stop()
                yield {"end": True, "dead": "hung" if hung else f"died ({process.returncode})"}
                return
            answer = json.loads(line)
            yield answer
            if answer.get("end"):
                return

    def said(self) -> str:
        """Return what was written to stdout and stderr since the last time."""
        text = self._said.read_bytes() if self._said.exists() else b""
        new, self._heard = text[self._heard :], len(text)
        return new.decode(errors="replace")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            os.close(self._results)
            self._process = None

    def _start(self) -> None:
        self._results, write = os.pipe()
        self._buffer, self._closed = b"", False
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603 - this very file
                [sys.executable, "-m", "tools.fuzz_reader", str(write)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=[write],
            )
        os.close(write)

    def _line(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._results], [], [], deadline - time.monotonic())
            got = os.read(self._results, 1 << 16) if ready else b""
            if not got:
                self._closed = bool(ready)
                return None
            self._buffer += got
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line


def spoil(count: int, seed: int, seeds: list[Seed], folder: Path) -> Iterator[list[Spoilt]]:
    """Yield batches of spoilt files, written to ``folder``."""
    rng = Random(seed)  # noqa: S311 - the same files for the same seed
    made = 0
    while made < count:
        place = folder / f"batch-{made}"
        batch: list[Spoilt] = []
        place.mkdir()
        while len(batch) < min(BATCH, count - made):
            chosen = rng.choice(seeds)
            mutation = rng.choice(BY_FAMILY[chosen.family])
            try:
                data = mutation(rng, chosen)
            except Exception:  # noqa: BLE001, S112 - a writer that refuses spoils nothing
                continue
            path = place / f"{len(batch):03d}.bin"
            path.write_bytes(data)
            batch.append(Spoilt(chosen, mutation.__name__, path))
        made += len(batch)
        yield batch


def screen_batch(reader: Reader, batch: list[Spoilt], limit: float, found: Findings) -> None:
    """Screen a folder: each file must have its row, and no member or frame two."""
    rows, files = Counter[str](), Counter[str]()
    by_path = {str(item.path): item for item in batch}
    # Rows wait for the images that are judged together with theirs.
    for answer in reader.ask({"folder": str(batch[0].path.parent)}, limit * 20):
        if "dead" in answer:
            found.failures.append((f"screen: the process {answer['dead']}", None))
            return
        if "error" in answer:
            found.failures.append((f"screen: {answer['error']}", None))
        if "row" not in answer:
            continue
        item = by_path.get(answer["path"])
        rows[answer["row"]] += 1
        files[answer["path"]] += 1
        found.rows += 1
        if answer["seconds"] > limit:
            found.failures.append((f"screen: {answer['seconds']:.1f} s", item))
        if answer["code"] in _FAILURES:
            found.failures.append((f"screen: {answer['code']} ({answer['reason']})", item))
        if PATIENT in answer["reason"]:
            found.failures.append(("screen: patient data in a reason", item))
    for path, item in by_path.items():
        if not files[path]:
            found.failures.append(("screen: no row", item))
    found.failures += [(f"screen: {n} rows of {row}", None) for row, n in rows.items() if n > 1]


def step_through(
    reader: Reader, batch: list[Spoilt], limits: tuple[float, float], found: Findings
) -> None:
    """Read files one by one, and measure."""
    seconds, megabytes = limits
    for item in batch:
        kind = f"{item.seed.family}: {item.mutation}"
        question = {"file": str(item.path), "like": item.seed.name}
        answer = next(reader.ask(question, seconds * 2))
        tally = found.by_kind[kind]
        tally["files"] += 1
        if "dead" in answer:
            tally["failed"] += 1
            found.failures.append((answer["dead"], item))
            continue
        tally[answer["code"] or "judged"] += 1
        found.slowest[kind] = max(found.slowest[kind], answer["seconds"])
        found.largest[kind] = max(found.largest[kind], answer["megabytes"])
        for wrong, text in (
            (answer["seconds"] > seconds, f"{answer['seconds']:.1f} s"),
            (answer["megabytes"] > megabytes, f"{answer['megabytes']:.0f} MiB"),
            (answer["code"] == "raised", f"raised {answer['reason']}"),
            (PATIENT in answer["reason"], "patient data in a reason"),
        ):
            if wrong:
                found.failures.append((text, item))
        if item.mutation in PIXEL_DAMAGE:
            difference = answer["difference"]
            what = "refused" if difference is None else "far" if difference > FAR else "near"
            found.damage[item.seed.name][f"{item.mutation} {what}"] += 1


def summary(found: Findings) -> str:
    """Return the findings as Markdown."""
    lines = [
        "| mutation | files | judged | refused | slowest s | most MiB |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for kind, tally in sorted(found.by_kind.items()):
        codes = ", ".join(
            f"{code} {n}" for code, n in tally.most_common() if code not in ("files", "judged")
        )
        lines.append(
            f"| {kind} | {tally['files']} | {tally['judged']} | {codes} |"
            f" {found.slowest[kind]:.2f} | {found.largest[kind]:.0f} |"
        )
    lines += [
        "",
        f"Damaged pixels: refused / decoded and near / decoded and far (mean over {FAR}).",
        "",
        "| encoding | one bit flipped | a block zeroed | a block taken out |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, tally in sorted(found.damage.items()):
        cells = (
            " / ".join(str(tally[f"{mutation} {what}"]) for what in ("refused", "near", "far"))
            for mutation in ("pixels_flip", "pixels_zero", "pixels_cut")
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    files = sum(tally["files"] for tally in found.by_kind.values())
    lines += ["", f"{files} files, {found.rows} rows, {len(found.failures)} failures."]
    for text, item in found.failures:
        where = f"{item.seed.name}, {item.mutation}, {item.path.name}" if item else ""
        lines.append(f"- {text} {where}")
    return "\n".join(lines)


def run(options: argparse.Namespace) -> Findings:
    """Spoil, read and count."""
    seeds, found = all_seeds(), Findings()
    if options.corpus:
        seeds += _corpus(options.corpus)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        sound = folder / "sound"
        sound.mkdir()
        for seed in seeds:
            (sound / f"{seed.name}.bin").write_bytes(seed.data)
        reader = Reader(folder)
        try:
            for batch in spoil(options.count, options.seed, seeds, folder):
                before = len(found.failures)
                if not options.steps_only:
                    screen_batch(reader, batch, options.seconds_limit, found)
                limits = (options.seconds_limit, options.memory_limit)
                step_through(reader, batch, limits, found)
                said = reader.said()
                if said.strip():
                    found.failures.append((f"written to the terminal: {said[:300]!r}", None))
                _keep(batch, found.failures[before:], options.keep)
        except KeyboardInterrupt:
            # What was found until then is worth printing.
            found.failures.append(("interrupted", None))
        finally:
            reader.stop()
    return found


def _corpus(folder: Path) -> list[Seed]:
    """Return the files of a folder as seeds; what is no raster counts as DICOM."""
    families = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"II": "tiff", b"MM": "tiff"}
    return [
        Seed(families.get(data[:2], "dicom"), path.stem, data, slice(len(data) // 2, len(data) - 4))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size in _CORPUS_BYTES
        for data in (path.read_bytes(),)
    ]


def _keep(
    batch: list[Spoilt], failures: list[tuple[str, Spoilt | None]], keep: Path | None
) -> None:
    wanted = {item.path for _, item in failures if item is not None}
    # A failure of the whole batch may be any one of its files.
    everything = any(item is None for _, item in failures)
    for item in batch:
        if keep is not None and (everything or item.path in wanted):
            keep.mkdir(parents=True, exist_ok=True)
            place = f"{item.path.parent.name}-{item.path.stem}-{item.mutation}-{item.seed.name}.bin"
            item.path.replace(keep / place.replace(" ", "_"))
        item.path.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="spoilt files to read")
    parser.add_argument("--seed", type=int, default=1, help="the same seed spoils the same files")
    parser.add_argument("--seconds-limit", type=float, default=10.0, help="for one file")
    parser.add_argument("--memory-limit", type=float, default=3072.0, help="MiB added by one file")
    parser.add_argument("--corpus", type=Path, help="a folder with real files as further seeds")
    parser.add_argument("--keep", type=Path, help="where files that failed are kept")
    parser.add_argument("--steps-only", action="store_true", help="do not screen, only read")
    found = run(parser.parse_args(arguments))
    print(summary(found))  # noqa: T201 - a command
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
