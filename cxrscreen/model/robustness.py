"""``robustness.json``: what a bundle came to in the shift benchmark, and its part of the card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cxrscreen.model.document import Sha256

#: The name of the file in a bundle.
ROBUSTNESS: Final = "robustness.json"
_HEADING: Final = "## Under shift"
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PointShares(_Strict):
    """Recall and specificity at an operating point of the bundle."""

    point: str
    recall: _Share
    specificity: _Share


class SeriesAuc(_Strict):
    """AUC of the images of one normal series against those of one of pneumonia."""

    normal: str
    pneumonia: str
    auc: _Share


class ShiftFigures(_Strict):
    """One row: figures under a condition, or their mean or lowest."""

    name: str
    family: str
    auc: _Share
    points: tuple[PointShares, ...]
    pairs: tuple[SeriesAuc, ...]


class RobustnessDocument(_Strict):
    """The whole of ``robustness.json``."""

    schema_version: Literal[1]
    kind: Literal["cxrscreen robustness"]
    model: Sha256
    """Fingerprint of the model that was judged."""
    preprocessing: Sha256
    part: str
    images: Annotated[int, Field(ge=1)]
    positives: Annotated[int, Field(ge=0)]
    fingerprint: Sha256
    """Of the images, as in ``bundle.json``."""
    rows: tuple[ShiftFigures, ...]
    """The conditions that count in mean and lowest; the first has the images as they are."""
    mean: ShiftFigures
    lowest: ShiftFigures
    """Of each figure: they may stem from several rows."""
    diagnostics: tuple[ShiftFigures, ...]
    """What is judged of a part of the image: the border, the rest, its coarsest outlines."""

    def to_bytes(self) -> bytes:
        """Return the file content."""
        content = self.model_dump(mode="json")
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def robustness_section(document: RobustnessDocument) -> str:
    """Return the section as Markdown, a heading of the second level first."""
    text = f"""\
{_HEADING}

The {document.images} images of the {document.part} part ({document.positives} with pneumonia) were
changed after they were resized, and judged at the operating points above. "Of the other class"
means that normal images are given this cue of the pneumonia images in the training part, and
pneumonia images that of the normal ones: what a model loses there, it had judged by the cue. Real
images from elsewhere differ in several ways at once. What is lowest in a column is **bold**.

{_shift_table(document)}
"""
    if document.diagnostics:
        rows = [[row.name, f"{row.auc:.3f}"] for row in document.diagnostics]
        text += f"""
### Shortcut audit

What parts of an image are enough. Of the border alone, or of 8 pixels on each side, an AUC far from
0.5 is not earned by findings:

{_table(["what is left of the image", "AUC"], rows)}
"""
    if document.mean.pairs:
        text += f"""
By series of the data set, on images as they are and over all rows of the first table:

{_series_table(document)}
"""
    return text


def _shift_table(document: RobustnessDocument) -> str:
    head = ["condition", "AUC"]
    for point in document.mean.points:
        head += [f"recall at `{point.point}`", f"specificity at `{point.point}`"]
    lowest = _cells(document.lowest)
    rows = [
        [row.name, *(f"**{cell}**" if cell == low else cell for cell, low in _pairs(row, lowest))]
        for row in document.rows
    ]
    rows += [_italic("mean", _cells(document.mean)), _italic("lowest", lowest)]
    return _table(head, rows)


def _series_table(document: RobustnessDocument) -> str:
    takes: list[tuple[str, Callable[[int], float]]] = [
        ("clean", lambda index: document.rows[0].pairs[index].auc),
        ("mean", lambda index: document.mean.pairs[index].auc),
        ("lowest", lambda index: document.lowest.pairs[index].auc),
    ]
    rows = [
        [f"{pair.normal} against {pair.pneumonia}", *(f"{take(i):.3f}" for _, take in takes)]
        for i, pair in enumerate(document.mean.pairs)
    ]
    return _table(["AUC of", *(name for name, _ in takes)], rows)


def _cells(row: ShiftFigures) -> list[str]:
    shares = [share for point in row.points for share in (point.recall, point.specificity)]
    return [f"{value:.3f}" for value in (row.auc, *shares)]


def _pairs(row: ShiftFigures, lowest: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(_cells(row), lowest, strict=True))


def _italic(name: str, cells: Sequence[str]) -> list[str]:
    return [f"*{cell}*" for cell in (name, *cells)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
