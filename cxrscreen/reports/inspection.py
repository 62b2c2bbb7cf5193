"""What ``inspect`` prints: a page for people, or JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cxrscreen.errors import printable
from cxrscreen.records import Admission

if TYPE_CHECKING:
    from cxrscreen.admission.inspection import Inspection

_INDENT = 2


def print_inspection(console: Console, found: Inspection, *, bundle: str) -> None:
    """Print one inspection: what the file says, the steps of its chain, its admission.

    Parameters
    ----------
    console
        Where to print.
    found
        The inspection.
    bundle
        Name of the bundle whose intended use decided.
    """
    title = Text(printable(str(found.source)), style="bold")
    console.print(title, soft_wrap=True)
    kind = found.kind.value if found.frames else "not read"
    frames = f", {found.frames} frames" if found.frames > 1 else ""
    _heading(console, f"What the file says ({kind}{frames})")
    _pairs(console, found.facts.items())
    _heading(console, "Steps of the pixel chain")
    _steps(console, found)
    _heading(console, f"Admission to {bundle}")
    rows = [("header" if found.frames else "file", _verdict(found.header))]
    if found.pixels is not None:
        rows.append(("pixels", _verdict(found.pixels)))
    warned = [("warning", Text(printable(text))) for text in found.admission.warnings]
    _pairs(console, [*rows, *warned])
    admission = found.admission
    if admission.admitted:
        console.print(Padding.indent(Text("would be screened", style="bold green"), _INDENT))
    else:
        code = admission.code.value if admission.code else ""
        console.print(Padding.indent(Text(f"NOT_SCREENED: {code}", style="bold magenta"), _INDENT))


def as_json(found: Sequence[Inspection], *, bundle: str) -> str:
    """Return inspections as JSON: an object for each file, in an array."""
    return json.dumps([_document(one, bundle) for one in found], indent=2, ensure_ascii=True)


def print_codecs(console: Console, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print which decoder reads which transfer syntax.

    Parameters
    ----------
    console
        Where to print.
    rows
        Name and UID of the transfer syntax, its decoder, and what could decode it as well.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("transfer syntax", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("decoded by")
    table.add_column("not used", style="dim")
    for name, uid, decoder, others in rows:
        table.add_row(uid, name, decoder or "nothing", others)
    console.print(table)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="underline"))


def _pairs(console: Console, rows: Iterable[tuple[str, str | Text]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(printable(value)))
    console.print(
        Padding.indent(table if table.row_count else Text("nothing", style="dim"), _INDENT)
    )


def _steps(console: Console, found: Inspection) -> None:
    if found.image is None:
        console.print(
            Padding.indent(Text("none: the pixels could not be read", style="dim"), _INDENT)
        )
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    table.add_row(*(Text(name, style="dim") for name in ("step", "lowest", "highest", "")))
    for step in found.image.history:
        table.add_row(
            step.name, f"{step.low:.5g}", f"{step.high:.5g}", Text(printable(step.detail))
        )
    low, high = found.image.pixels.min(), found.image.pixels.max()
    table.add_row("image", f"{low:.5g}", f"{high:.5g}", Text("air dark, clipped to 0..1"))
    console.print(Padding.indent(table, _INDENT))


def _verdict(admission: Admission) -> Text:
    if admission.code is None:
        return Text("admitted", style="green")
    return Text.assemble((admission.code.value, "magenta"), f": {printable(admission.reason)}")


def _document(found: Inspection, bundle: str) -> dict[str, Any]:
    steps = [
        {"name": s.name, "detail": s.detail, "low": s.low, "high": s.high}
        for s in (found.image.history if found.image else ())
    ]
    return {
        "source": str(found.source),
        "kind": found.kind.value,
        "frames": found.frames,
        "bundle": bundle,
        "would_be_screened": found.admission.admitted,
        "reject_code": found.admission.code.value if found.admission.code else None,
        "reject_reason": found.admission.reason or None,
        "warnings": list(found.admission.warnings),
        "header": _said(found.header),
        "pixels": None if found.pixels is None else _said(found.pixels),
        "says": found.facts,
        "steps": steps,
    }


def _said(admission: Admission) -> dict[str, Any]:
    return {
        "admitted": admission.admitted,
        "reject_code": admission.code.value if admission.code else None,
        "reject_reason": admission.reason or None,
        "warnings": list(admission.warnings),
    }
