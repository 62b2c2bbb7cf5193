"""Look for what a bundle judges wrongly among phantoms, and tell it in its model card.

    python -m tools.known_failures BUNDLE [BUNDLE ...] --cards FOLDER [--force]

Sixteen phantom children of each of a dozen kinds are screened at the default operating point:
pneumonia that is small, faint or hidden, and normal children whose image looks like those of ill
ones. The picture shows of each kind the image that was judged most wrongly. No image of a person
is in it.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cxrscreen import load_bundle, screen
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.output import check_writable, is_bundle
from cxrscreen.records import ScreenRow
from cxrscreen.study.release_card import write_with_section
from cxrscreen.vocabulary import Decision
from tools.phantom import Anatomy, Opacity, project, sample_anatomy
from tools.running import exit_code

PICTURE: Final = "known_failures.png"
HEADING: Final = "## Known failures"
_SEED: Final = 20261127
_SHAPE: Final = (448, 560)
_CHILDREN: Final = 16
_COLUMNS: Final = 4
_GREYS: Final = 64


@dataclass(frozen=True)
class Kind:
    """Phantom children that have something in common, and whether it is pneumonia."""

    name: str
    pneumonia: bool
    child: Callable[[Anatomy, Anatomy], Anatomy]


def _only(opacity: Callable[[Anatomy], Opacity]) -> Callable[[Anatomy, Anatomy], Anatomy]:
    return lambda normal, _: replace(normal, opacities=(opacity(normal),))


def _as_the_ill(normal: Anatomy, ill: Anatomy) -> Anatomy:
    """Return an ill child's image without the illness: how it lies, breathes and is exposed."""
    return replace(ill, opacities=(), haze=0.0, vessels=normal.vessels)


#: The first argument is a normal child as drawn, the second one with pneumonia.
KINDS: Final = (
    Kind("consolidation and patches", pneumonia=True, child=lambda _, ill: ill),
    Kind(
        "the same, as large as normal children are taken and as sharp and dark",
        pneumonia=True,
        child=lambda normal, ill: replace(normal, opacities=ill.opacities, haze=ill.haze),
    ),
    Kind(
        "one consolidation of 2 cm in the right middle zone",
        pneumonia=True,
        child=_only(
            lambda child: Opacity(
                (-0.45 * child.width, -10.0, 10.0), (10.0, 14.0, 10.0), density=1.3
            )
        ),
    ),
    Kind(
        "one consolidation of 3 cm behind the heart",
        pneumonia=True,
        child=_only(
            lambda child: Opacity((0.3 * child.width, 22.0, -22.0), (14.0, 16.0, 14.0), density=1.4)
        ),
    ),
    Kind(
        "faint haze of both lungs",
        pneumonia=True,
        child=lambda normal, _: replace(normal, haze=0.15),
    ),
    Kind("normal", pneumonia=False, child=lambda normal, _: normal),
    Kind("normal, taken as ill children are", pneumonia=False, child=_as_the_ill),
    Kind(
        "normal, breathed out",
        pneumonia=False,
        child=lambda normal, _: replace(
            normal,
            base=normal.base + 18.0,
            dome_right=normal.dome_right + 18.0,
            dome_left=normal.dome_left + 18.0,
            lung_density=normal.lung_density * 1.25,
        ),
    ),
    Kind(
        "normal, moved by 3 mm", pneumonia=False, child=lambda normal, _: replace(normal, blur=1.5)
    ),
    Kind(
        "normal, a fiftieth of the dose",
        pneumonia=False,
        child=lambda normal, _: replace(normal, photons=2.0e3),
    ),
    Kind(
        "normal, flat grey scale",
        pneumonia=False,
        child=lambda normal, _: replace(normal, latitude=4.6),
    ),
    Kind(
        "normal, turned by 15°", pneumonia=False, child=lambda normal, _: replace(normal, tilt=0.26)
    ),
)


@dataclass(frozen=True)
class Found:
    """What became of the children of a kind."""

    kind: Kind
    rows: tuple[ScreenRow, ...]
    images: tuple[NDArray[np.uint8], ...]

    @property
    def judged(self) -> dict[int, float]:
        """Probability of each child that was screened."""
        return {
            place: row.prediction.probability
            for place, row in enumerate(self.rows)
            if row.prediction is not None
        }

    @property
    def wrong(self) -> list[int]:
        """The children that were decided wrongly, the worst first."""
        right = Decision.POSITIVE if self.kind.pneumonia else Decision.NEGATIVE
        judged = self.judged
        places = [place for place in judged if self.rows[place].decision is not right]
        return sorted(places, key=judged.__getitem__, reverse=not self.kind.pneumonia)

    def cells(self) -> list[str]:
        """Return a row of the table."""
        judged = self.judged
        span = f"{min(judged.values()):.2f} to {max(judged.values()):.2f}" if judged else ""
        return [
            self.kind.name,
            "yes" if self.kind.pneumonia else "no",
            f"{len(self.wrong)} of {len(judged)}",
            str(len(self.rows) - len(judged)),
            span,
        ]


def look(bundle: ModelBundle, children: int = _CHILDREN) -> list[Found]:
    """Screen the children of every kind."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(KINDS):
            place = Path(folder) / f"{number:02d}"
            place.mkdir()
            images = [radiograph(kind, child) for child in range(children)]
            for child, image in enumerate(images):
                Image.fromarray(image).save(place / f"{child:02d}.png")
            rows = screen(place, bundle)
            found.append(Found(kind, tuple(rows), tuple(images)))
    return found


def radiograph(kind: Kind, number: int) -> NDArray[np.uint8]:
    """Return the radiograph of a child of a kind, 8 bits."""
    normal, ill = (
        sample_anatomy(np.random.default_rng((_SEED, number, int(sick))), pneumonia=sick)
        for sick in (False, True)
    )
    rng = np.random.default_rng((_SEED, number))
    grey = project(kind.child(normal, ill), view="frontal", shape=_SHAPE, rng=rng)
    return np.rint(grey * 255).astype(np.uint8)


def section(bundle: ModelBundle, found: Sequence[Found]) -> str:
    """Return the section of the card."""
    head = ["phantoms", "pneumonia", "decided wrongly", "refused", "probabilities"]
    lines = [head, ["---"] * len(head), *(one.cells() for one in found)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    pictured = any(one.wrong for one in found)
    picture = (
        f"""
![Of each kind the phantom that is judged most wrongly]({PICTURE})

Of each kind with an error, the phantom that is judged most wrongly, and its probability.
"""
        if pictured
        else ""
    )
    children, point = len(found[0].rows), bundle.default_point.name
    return f"""\
{HEADING}

What the model gets wrong among synthetic radiographs, at `{point}`: {children}
phantom children of each kind, drawn by `tools/known_failures.py` of the project. They look like
nothing that the model was made from. So read which errors there are, not how often they happen.

{table}
{picture}"""


def draw(found: Sequence[Found]) -> bytes:
    """Return the picture, a PNG."""
    shown = [one for one in found if one.wrong]
    lines = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(3.0 * _COLUMNS, 2.85 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, shown, strict=False):
        worst = one.wrong[0]
        axes.imshow(one.images[worst], cmap="gray", vmin=0, vmax=255)
        decision = "positive" if one.rows[worst].decision is Decision.POSITIVE else "negative"
        axes.set_title(
            f"{fill(one.kind.name, 34)}\ncalled {decision}, {one.judged[worst]:.2f}", fontsize=9
        )
    stream = io.BytesIO()
    figure.savefig(stream, dpi=72)
    with Image.open(stream) as picture:
        small = picture.convert("L").quantize(_GREYS)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _main(arguments: argparse.Namespace) -> None:
    for name in arguments.bundles:
        bundle = load_bundle(name)
        found = look(bundle, arguments.children)
        text = section(bundle, found)
        sys.stdout.write(text)
        if arguments.cards is None:
            continue
        out = arguments.cards / bundle.name
        out.parent.mkdir(parents=True, exist_ok=True)
        check_writable(out, force=arguments.force, replaceable=is_bundle)
        added = {PICTURE: draw(found)} if any(one.wrong for one in found) else {}
        write_with_section(bundle, out, text, added, force=arguments.force)


def main() -> int:
    """Look, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="packaged name or folder")
    parser.add_argument(
        "--cards", type=Path, metavar="FOLDER", help="write bundles with the section into it"
    )
    parser.add_argument("--children", type=int, default=_CHILDREN, help="of each kind")
    parser.add_argument("--force", action="store_true", help="replace bundles in --cards")
    arguments = parser.parse_args()
    return exit_code("known_failures", lambda: _main(arguments))


if __name__ == "__main__":
    sys.exit(main())
