"""The page of a data audit: one file that needs no script and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from cxrscreen.errors import printable
from cxrscreen.evaluation.audit_figures import (
    CLASS_COLOURS,
    Dot,
    class_bars,
    class_histogram,
    dot_plot,
)

if TYPE_CHECKING:
    from cxrscreen.data.audit.findings import AuditReport
    from cxrscreen.data.audit.shortcuts import Cue
    from cxrscreen.data.audit.study import Audit

_HISTOGRAMS: Final = 6
#: Rows of a list on the page; ``audit.json`` holds all of them.
_LISTED: Final = 50
_PICTURED: Final = 12
_KIND_TITLES: Final = {
    "leakage": "Leakage",
    "duplicates": "Duplicates",
    "labels": "Labels",
    "shortcuts": "Shortcuts",
    "unreadable": "Unreadable",
}


def render_page(audit: Audit, *, version: str, limits: tuple[float, float]) -> str:
    """Return the page of an audit as HTML.

    Parameters
    ----------
    audit
        What was found, with the values and pictures to show.
    version
        Of the program.
    limits
        Lower limits of the AUC of a strong and of a noticeable cue.
    """
    report = audit.report
    environment = Environment(
        loader=PackageLoader("cxrscreen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A file name may hold what no page can: halves of characters, control codes.
    environment.filters["name"] = printable
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["share"] = lambda value: f"{100 * value:.1f}%"
    environment.filters["number"] = _number
    return environment.get_template("audit.html.j2").render(
        report=report,
        version=version,
        kinds=_KIND_TITLES,
        colours=CLASS_COLOURS,
        listed=_LISTED,
        pictured=_PICTURED,
        limits=limits,
        samples=audit.samples,
        pictures={name: _data_uri(content) for name, content in audit.pictures.items()},
        parts=_parts(report),
        bars=class_bars(
            [printable(part) for part in report.parts],
            [(row["images"][0], row["images"][1]) for row in _parts(report)],
            _classes(report),
        ),
        cue_plot=_cue_plot(report.shortcuts, limits) if report.shortcuts else "",
        histograms=_histograms(audit),
    )


def _classes(report: AuditReport) -> tuple[str, str]:
    return printable(report.classes[0]), printable(report.classes[1])


def _parts(report: AuditReport) -> list[dict[str, Any]]:
    rows = []
    for part in report.parts:
        counts = {count.label: count for count in report.counts if count.part == part}
        images = [counts[label].images for label in (0, 1)]
        rows.append(
            {
                "name": part,
                "images": images,
                "patients": [counts[label].patients for label in (0, 1)],
                "share": images[1] / sum(images) if sum(images) else 0.0,
            }
        )
    return rows


def _cue_plot(cues: Sequence[Cue], limits: tuple[float, float]) -> str:
    dots = [
        Dot(cue.title, cue.auc, cue.low, cue.high, highlighted=cue.verdict == "strong")
        for cue in cues
    ]
    return dot_plot(dots, limits=((limits[0], "strong"), (limits[1], "noticeable")))


def _histograms(audit: Audit) -> list[tuple[Cue, str]]:
    shown = [cue for cue in audit.report.shortcuts if float(np.ptp(audit.values[cue.name])) > 0]
    return [
        (
            cue,
            class_histogram(
                cue.title if cue.medians else f"{cue.title} (score)",
                audit.values[cue.name],
                audit.labels,
                _classes(audit.report),
                identifier=f"histogram-{cue.name}",
            ),
        )
        for cue in shown[:_HISTOGRAMS]
    ]


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004
