"""Labelled images that the packaged model judges, made from a few phantoms by blending."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from cxrscreen.calibration.document import CalibrationDocument
from cxrscreen.cli.app import app
from tools.phantom import project, sample_anatomy

#: Stands where data name a person: must be in no output.
MARKER = "QQMARKERQQ"
_SHAPE = (128, 128)


@dataclass(frozen=True)
class Pool:
    """Phantoms of both classes, and blends of them."""

    chests: tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]
    rng: np.random.Generator

    def grey(self, weight: float) -> NDArray[np.float64]:
        """Return an image of its own, 0..1: normal at weight 0, pneumonia at 1."""
        normal, ill = (self.chests[label][int(self.rng.integers(4))] for label in (0, 1))
        mixed = np.roll((1 - weight) * normal + weight * ill, int(self.rng.integers(-2, 3)), axis=1)
        return np.asarray(mixed ** self.rng.uniform(0.85, 1.15))

    def save(self, path: Path, weight: float) -> Path:
        grey = np.rint(self.grey(weight) * 255).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(path)
        return path


def make_pool(seed: int = 11) -> Pool:
    """Return four phantoms of each class."""
    rng = np.random.default_rng(seed)
    chests = tuple(
        tuple(
            project(sample_anatomy(rng, pneumonia=ill), view="frontal", shape=_SHAPE, rng=rng)
            for _ in range(4)
        )
        for ill in (False, True)
    )
    return Pool((chests[0], chests[1]), rng)


def run(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def study(command: str, *arguments: object) -> Result:
    """Run a command that reads labelled images, in this process alone."""
    return run(command, *arguments, "--workers", 0)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def json_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def refused(result: Result, *said: str, out: Path | None = None) -> None:
    """Exit code 2, one line that says what, and nothing written or begun."""
    assert result.exit_code == 2, result.output
    *_, last = result.stderr.splitlines()
    assert last.startswith("cxrscreen: "), result.stderr
    for text in said:
        assert text in last, last
    assert result.stdout == ""
    if out is not None:
        assert not out.exists()
        assert not list(out.parent.glob(".cxrscreen-*"))


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def texts_of(paths: Iterable[Path]) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in paths)


def rewritten(path: Path, source: Path, **changes: object) -> Path:
    """Write a calibration with other content that vouches for itself, as an attacker would."""
    content = json_of(source)
    content.pop("sha256")
    document = CalibrationDocument.model_validate({**content, **changes})
    path.write_bytes(document.to_bytes())
    return path
