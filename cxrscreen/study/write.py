"""The folder of an evaluation or a comparison, written as a whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cxrscreen
from cxrscreen.evaluation.predictions import write_predictions
from cxrscreen.output import STUDY_DOCUMENTS, is_study, new_folder
from cxrscreen.reports.error_gallery import ErrorGallery, render_gallery
from cxrscreen.reports.evaluation_page import (
    CSV_COLUMNS,
    EvaluationPage,
    csv_rows,
    render_markdown,
)
from cxrscreen.study.figures import draw_comparison, draw_figures
from cxrscreen.study.measure import Measurement, SideBySide
from cxrscreen.study.pages import (
    as_document,
    comparison_document,
    comparison_page,
    evaluation_page,
)

PREDICTIONS: Final = "predictions.csv"
PAGE: Final = "evaluation.md"
DOCUMENT: Final = STUDY_DOCUMENTS[0]
METRICS: Final = "metrics.csv"
SUBGROUPS: Final = "subgroups.csv"
GALLERY: Final = "errors.html"
COMPARISON_PAGE: Final = "comparison.md"
COMPARISON_DOCUMENT: Final = STUDY_DOCUMENTS[1]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, as the console shows it."""

    page: EvaluationPage
    folder: Path


def write_evaluation(
    folder: Path,
    measurement: Measurement,
    *,
    notes: tuple[str, ...] = (),
    gallery: Callable[[], ErrorGallery] | None = None,
    force: bool = False,
) -> Written:
    """Write predictions, tables, figures and, where it is given, the gallery of errors.

    Parameters
    ----------
    folder
        To make.
    measurement
        What to say.
    notes
        What a reader should know, a sentence each.
    gallery
        Makes the gallery, when the rest is done.
    force
        Replace an earlier evaluation.

    Raises
    ------
    OutputError
        The folder exists already or cannot be written.
    """
    with new_folder(folder, force=force, replaceable=is_study) as place:
        write_predictions(place / PREDICTIONS, measurement.predictions)
        page = evaluation_page(measurement, draw_figures(place, measurement), notes)
        _write_page(place, page, PAGE)
        _write_json(place / DOCUMENT, as_document(measurement))
        if gallery is not None:
            html = render_gallery(gallery(), version=cxrscreen.__version__)
            (place / GALLERY).write_text(html, encoding="utf-8")
    return Written(page, folder)


def write_comparison(
    folder: Path, side_by_side: SideBySide, *, notes: tuple[str, ...] = (), force: bool = False
) -> Written:
    """Write the tables and figures of a comparison, and the predictions that they come from.

    Raises
    ------
    OutputError
        The folder exists already or cannot be written.
    """
    with new_folder(folder, force=force, replaceable=is_study) as place:
        for number, predictions in enumerate(side_by_side.given, start=1):
            write_predictions(place / f"predictions-{number}.csv", predictions)
        page = comparison_page(side_by_side, draw_comparison(place, side_by_side), notes)
        _write_page(place, page, COMPARISON_PAGE)
        _write_json(place / COMPARISON_DOCUMENT, comparison_document(side_by_side))
    return Written(page, folder)


def _write_page(place: Path, page: EvaluationPage, name: str) -> None:
    (place / name).write_text(render_markdown(page), encoding="utf-8")
    rows = csv_rows(page)
    sections = {section.title for section in page.sections}
    _write_csv(place / METRICS, [row for row in rows if row[0] in sections])
    others = [row for row in rows if row[0] not in sections]
    if others:
        _write_csv(place / SUBGROUPS, others)


def _write_csv(path: Path, rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows(rows)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
