"""The admission table: what the packaged check keeps and refuses of images it never saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import binomtest

from cxrscreen.admission.frontal import Kind
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.reader import open_image
from cxrscreen.records import Source
from tools.frontal_check.bodies import BODIES, lateral
from tools.frontal_check.graphics import GRAPHICS
from tools.frontal_check.sources import drawn, phantom, real_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cxrscreen.admission.frontal import FrontalCheck

    Pixels = NDArray[np.float32]

_FRONTAL_SOURCES: Final = {
    "pediatric": "child, frontal (224 px)",
    "pediatric, original size": "child, frontal (original size)",
    "adult frontal": "adult, frontal",
}
# Every so many pediatric images are turned, inverted and cropped.
_EVERY: Final = 8
_DRAWN: Final = 40
# Left, right, top and bottom of the crops, as shares of the image.
_CROPS: Final = (
    (0.0, 0.5, 0.0, 0.5),
    (0.5, 1.0, 0.5, 1.0),
    (0.0, 0.45, 0.0, 1.0),
    (0.55, 1.0, 0.0, 1.0),
    (0.3, 0.7, 0.3, 0.7),
    (0.0, 1.0, 0.0, 0.4),
    (0.0, 1.0, 0.6, 1.0),
)


@dataclass
class Row:
    """Counts of one kind of image."""

    kept: int = 0
    refused: int = 0
    earlier: int = 0
    looks: Counter[Kind] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        """All images of the row."""
        return self.kept + self.refused + self.earlier


@dataclass(frozen=True)
class Case:
    """One image of the table; ``pixels`` is ``None`` where intake refuses the file."""

    row: str
    name: str
    frontal: bool
    pixels: Pixels | None


def cases(data: Path, dicom: Path, seed: int, fold: int = 0) -> Iterator[Case]:
    """Yield every held-out image, real and drawn."""
    yield from _real(data, fold)
    yield from _of_dicom(dicom)
    yield from _drawn(seed)


def evaluate(check: FrontalCheck, found: Iterator[Case]) -> dict[tuple[bool, str], Row]:
    """Return the counts by (should be kept, row)."""
    table: dict[tuple[bool, str], Row] = {}
    for case in found:
        row = table.setdefault((case.frontal, case.row), Row())
        if case.pixels is None:
            row.earlier += 1
            continue
        verdict = check.judge(np.ascontiguousarray(case.pixels, dtype=np.float32))
        if verdict.accepted:
            row.kept += 1
        else:
            row.refused += 1
            row.looks[verdict.kind] += 1
        if verdict.accepted != case.frontal:
            row.wrong.append(f"{case.name}: {verdict.sentence}")
    return table


def markdown(table: dict[tuple[bool, str], Row]) -> str:
    """Return the table with exact 95% intervals (Clopper and Pearson, 1934)."""
    lines = []
    for frontal, title in ((True, "To be kept"), (False, "To be refused")):
        verb = "kept" if frontal else "refused"
        lines += [
            f"| {title} | images | kept | refused | {verb}, 95% interval | most look like |",
            "| --- | ---: | ---: | ---: | --- | --- |",
        ]
        for (expected, name), row in table.items():
            if expected is not frontal:
                continue
            right = row.kept if frontal else row.refused + row.earlier
            interval = binomtest(right, row.images).proportion_ci(method="exact")
            shares = f"{right / row.images:.1%} ({interval.low:.1%} to {interval.high:.1%})"
            looks = row.looks.most_common(1)
            like = f"{looks[0][0].value}" if looks else ""
            refused = str(row.refused + row.earlier)
            if row.earlier:
                refused += f" ({row.earlier} by intake)"
            lines.append(f"| {name} | {row.images} | {row.kept} | {refused} | {shares} | {like} |")
        lines.append("")
    return "\n".join(lines)


def _real(data: Path, fold: int) -> Iterator[Case]:
    pediatric = 0
    for image in real_images(data, fold):
        if image.part != "test":
            continue
        pixels = open_image(Source(image.path)).read_pixels().pixels
        name = image.path.name
        if image.source not in _FRONTAL_SOURCES:
            yield Case(image.source, name, frontal=False, pixels=pixels)
            if image.source == "adult lateral":
                yield Case("adult lateral, mirrored", name, frontal=False, pixels=pixels[:, ::-1])
            continue
        yield Case(_FRONTAL_SOURCES[image.source], name, frontal=True, pixels=pixels)
        pediatric += image.source == "pediatric"
        if image.source == "pediatric" and pediatric % _EVERY:
            continue
        who = "adult" if image.source == "adult frontal" else "child"
        yield from _spoiled(who, name, pixels)


def _spoiled(who: str, name: str, pixels: Pixels) -> Iterator[Case]:
    for turns, words in ((1, "turned by 90°"), (2, "turned by 180°"), (3, "turned by 90°")):
        yield Case(f"{who}, {words}", name, frontal=False, pixels=np.rot90(pixels, turns))
    yield Case(f"{who}, upside down (mirrored)", name, frontal=False, pixels=pixels[::-1])
    yield Case(f"{who}, inverted", name, frontal=False, pixels=1.0 - pixels)
    height, width = pixels.shape
    for left, right, top, bottom in _CROPS:
        part = pixels[
            int(top * height) : int(bottom * height), int(left * width) : int(right * width)
        ]
        yield Case(f"{who}, extreme crop", name, frontal=False, pixels=part)


def _of_dicom(dicom: Path) -> Iterator[Case]:
    for path in sorted(dicom.rglob("*.dcm")):
        try:
            pixels = open_image(Source(path)).read_pixels().pixels
        except ImageRefusedError:
            yield Case("DICOM objects, not of a chest", path.name, frontal=False, pixels=None)
            continue
        if path.parent.name == "chest":
            # The one file whose header hides that it is inverted.
            frontal = "monochrome1_header" not in path.name
            row = "adult, frontal (DICOM)" if frontal else "inverted by a false header (DICOM)"
        else:
            frontal = False
            row = next(
                (
                    row
                    for start, row in (
                        ("RG2", "hip (DICOM)"),
                        ("RG3", "extremity (DICOM)"),
                        ("dx_thorax_dog", "dog, lateral thorax (DICOM)"),
                    )
                    if path.name.startswith(start)
                ),
                "DICOM objects, not of a chest",
            )
        yield Case(row, path.name, frontal=frontal, pixels=pixels)


def _drawn(seed: int) -> Iterator[Case]:
    # Another seed than in training: other images of the same recipes.
    for view, row, frontal in (
        ("frontal", "phantom child, frontal", True),
        ("lateral", "phantom child, lateral", False),
    ):
        for number in range(_DRAWN):
            image = phantom(seed, number, view).astype(np.float32) / np.float32(255.0)
            yield Case(row, f"{row} {number}", frontal=frontal, pixels=image)
    recipes = {**BODIES, "lateral chest": lateral, **GRAPHICS}
    for name, recipe in recipes.items():
        kind = "graphics and textures" if name in GRAPHICS else "body parts"
        for number in range(_DRAWN // 2):
            image = drawn(recipe, seed, name, number).astype(np.float32) / np.float32(255.0)
            yield Case(f"drawn {kind}", f"{name} {number}", frontal=False, pixels=image)
    rng = np.random.default_rng(seed)
    for number in range(_DRAWN // 2):
        shape = tuple(rng.integers(200, 1200, 2))
        noise = rng.random(shape) if number % 2 else rng.normal(0.5, 0.15, shape).clip(0.0, 1.0)
        yield Case("noise", f"noise {number}", frontal=False, pixels=noise.astype(np.float32))
        level = np.full(shape, rng.random(), dtype=np.float32)
        yield Case("blank", f"blank {number}", frontal=False, pixels=level)
        burnt = (rng.random(shape) < rng.random()).astype(np.float32)
        yield Case("saturated", f"saturated {number}", frontal=False, pixels=burnt)
