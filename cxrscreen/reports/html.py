"""The worklist as one self-contained page: no network, and readable without its script."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from cxrscreen.errors import printable
from cxrscreen.records import OperatingPoint, RunSummary
from cxrscreen.reports.numbers import probability_text
from cxrscreen.reports.overlay import colour_scale
from cxrscreen.reports.table import Cell
from cxrscreen.vocabulary import REJECT_MEANING, Decision

#: Rows on a page, at most: a browser opens and sorts them without delay.
MAX_ROWS: Final = 5000
#: By what a page of ours is recognised.
GENERATOR: Final = "cxrscreen screen --html"
_MARK: Final = f'<meta name="generator" content="{GENERATOR}">'.encode()
_HEAD_BYTES: Final = 2048
_GROUPS: Final = (
    Decision.POSITIVE,
    Decision.INDETERMINATE,
    Decision.NOT_SCREENED,
    Decision.NEGATIVE,
)
#: Cells by which a study is found, as far as the report tells of them.
_IDENTITY: Final = (
    ("patient_id", "PatientID"),
    ("patient_name", "PatientName"),
    ("accession_number", "Accession"),
    ("patient_key", "Patient"),
    ("study_instance_uid", "Study"),
)
_LEGEND_PX: Final = (14, 240)
_MINUTE: Final = 60.0
#: Between the sentences of a cell, as the report writes them.
_SEPARATOR: Final = "; "


@dataclass(frozen=True, slots=True, eq=False)
class WorklistRow:
    """One row of the page.

    Attributes
    ----------
    cells
        As the report has them, rank included.
    thumbnail, overlay
        The image, and the image under its map, as JPEG files; empty where there is none.
    map_file
        Where the large picture of the map lies, seen from the page; empty if there is none.
    """

    cells: Mapping[str, Cell]
    thumbnail: bytes = b""
    overlay: bytes = b""
    map_file: str = ""

    @property
    def group(self) -> int:
        """Place of the decision in the order of urgency."""
        return _GROUPS.index(Decision(str(self.cells["decision"])))

    @property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """Titles and values of what tells the study."""
        found = ((title, self.cells.get(name)) for name, title in _IDENTITY)
        return tuple((title, str(value)) for title, value in found if value)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence each."""
        text = self.cells["warnings"]
        return tuple(str(text).split(_SEPARATOR)) if text else ()

    @property
    def patient(self) -> str:
        """Age, sex and view, as far as they are known."""
        age, view = self.cells["age_years"], self.cells["view"]
        known = (
            "" if age is None else f"{float(age):.0f} y" if float(age) >= 1 else "< 1 y",
            self.cells["sex"],
            "" if view == "UNKNOWN" else view,
        )
        return ", ".join(printable(str(value)) for value in known if value)

    @property
    def size(self) -> Markup:
        """Attributes of an image element, so that nothing moves when images are decoded."""
        width, height = _jpeg_size(self.thumbnail)
        return Markup('width="{}" height="{}"').format(width, height)


@dataclass(frozen=True, slots=True, eq=False)
class WorklistPage:
    """What is said of the run around its rows.

    Attributes
    ----------
    bundle, version
        Names of the model and of the program's version.
    point
        The operating point of the decisions.
    summary
        Counts of all rows, on the page or not.
    shown
        Rows on the page: the most urgent ones.
    intended_use, limitations
        Of the model, in sentences.
    facts
        Titles and values: hashes, fingerprints, versions.
    reports
        Names of the reports that hold all rows.
    method
        How maps were made; empty if there are none.
    """

    bundle: str
    version: str
    point: OperatingPoint
    summary: RunSummary
    shown: int
    intended_use: str
    limitations: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    reports: tuple[str, ...] = ()
    method: str = ""

    @property
    def has_maps(self) -> bool:
        """Whether maps were made."""
        return bool(self.method)


def write_page(path: Path, page: WorklistPage, rows: Iterable[WorklistRow]) -> None:
    """Write the page. It holds images of patients.

    Parameters
    ----------
    path
        Where to write.
    page
        What to say of the run.
    rows
        The most urgent first. They are taken one after the other and not kept.
    """
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for part in render_page(page, rows):
            stream.write(part)


def render_page(page: WorklistPage, rows: Iterable[WorklistRow]) -> Iterator[str]:
    """Yield the page as HTML, part by part."""
    style, script = _part("worklist.css"), _part("worklist.js")
    # Nothing but these very texts and images within the page: no network at all.
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    codes = sorted(page.summary.by_reject_code.items(), key=lambda item: (-item[1], item[0]))
    counts = page.summary.by_decision
    return (
        _environment()
        .get_template("worklist.html.j2")
        .generate(
            page=page,
            rows=rows,
            decisions=[
                (decision.value, counts.get(decision, 0))
                for decision in _GROUPS
                if counts.get(decision, 0) or decision is not Decision.INDETERMINATE
            ],
            codes=[(code.value, count, REJECT_MEANING[code]) for code, count in codes],
            policy=policy,
            generator=GENERATOR,
            style=Markup(style),  # noqa: S704 - files of our own
            script=Markup(script),  # noqa: S704 - the same
            legend=_legend(),
        )
    )


def is_worklist_page(path: Path) -> bool:
    """Return whether a file is a page that :func:`write_page` wrote."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return _MARK in stream.read(_HEAD_BYTES)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cxrscreen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A file name may hold what no page should: controls, marks that turn the text around it.
    environment.filters["name"] = lambda value: printable(str(value))
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["probability"] = probability_text
    environment.filters["duration"] = _duration
    environment.filters["jpeg"] = lambda content: _data_address("image/jpeg", content)
    environment.filters["address"] = quote
    return environment


def _part(name: str) -> str:
    folder = resources.files("cxrscreen.reports") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the hash by which a policy allows an inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data_address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _legend() -> str:
    height, width = _LEGEND_PX
    stream = io.BytesIO()
    Image.fromarray(np.repeat(colour_scale(width)[None], height, axis=0)).save(stream, "PNG")
    return _data_address("image/png", stream.getvalue())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if seconds >= _MINUTE else f"{seconds:.1f} s"


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG of our own, by its header."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size
