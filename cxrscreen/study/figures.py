"""The figures of an evaluation and of a comparison, from predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cxrscreen.evaluation import curves, study_figures
from cxrscreen.evaluation.estimates import Assessment, Estimate
from cxrscreen.evaluation.predictions import Predictions, RunPoint
from cxrscreen.reports.evaluation_page import PageFigure
from cxrscreen.study.measure import Measurement, SideBySide

_CLASSES: Final = ("normal", "pneumonia")
_DECISIONS: Final = ("NEGATIVE", "POSITIVE")
_BAND: Final = ("NEGATIVE", "INDETERMINATE", "POSITIVE")


def draw_figures(folder: Path, measurement: Measurement) -> tuple[PageFigure, ...]:
    """Draw the figures of one model into a folder.

    Returns
    -------
    tuple of PageFigure
        What was drawn: of one class alone, there is no curve.
    """
    points = [one.assessment for one in measurement.points]
    names = [one.name for one in measurement.points]
    return _draw(
        folder,
        [measurement.predictions],
        [measurement.main],
        [measurement.predictions.run.bundle],
        [list(zip(names, points, strict=True))],
    )


def draw_comparison(folder: Path, side_by_side: SideBySide) -> tuple[PageFigure, ...]:
    """Draw the same figures with several models in each."""
    assessments = side_by_side.comparison.assessments
    return _draw(
        folder,
        side_by_side.predictions,
        assessments,
        side_by_side.names,
        [
            [(one.run.points[0].name, assessment)]
            for one, assessment in zip(side_by_side.predictions, assessments, strict=True)
        ],
    )


def _draw(
    folder: Path,
    models: Sequence[Predictions],
    assessments: Sequence[Assessment],
    names: Sequence[str],
    points: Sequence[Sequence[tuple[str, Assessment]]],
) -> tuple[PageFigure, ...]:
    drawn = []
    arrays = [one.arrays() for one in models]
    both = assessments[0].positives > 0 and assessments[0].negatives > 0
    if both:
        prevalence = assessments[0].positives / assessments[0].images
        study_figures.roc_figure(
            folder / "roc.png",
            [
                _roc(name, one.labels, one.logits, assessment, marked)
                for name, one, assessment, marked in zip(
                    names, arrays, assessments, points, strict=True
                )
            ],
        )
        study_figures.precision_recall_figure(
            folder / "precision-recall.png",
            [
                _precision_recall(name, one.labels, one.logits, assessment, marked)
                for name, one, assessment, marked in zip(
                    names, arrays, assessments, points, strict=True
                )
            ],
            prevalence=prevalence,
        )
        drawn += [
            PageFigure("roc.png", "ROC curve with the operating points"),
            PageFigure("precision-recall.png", "Precision and recall, with the operating points"),
        ]
    study_figures.confusion_figure(
        folder / "confusion.png",
        [
            _confusion(f"{name}, {one.run.points[0].name}", one, one.run.points[0])
            for name, one in zip(names, models, strict=True)
        ],
    )
    study_figures.score_figure(
        folder / "scores.png",
        [
            study_figures.Scores(name, one.labels, one.logits, _thresholds(model))
            for name, one, model in zip(names, arrays, models, strict=True)
        ],
        classes=_CLASSES,
    )
    study_figures.reliability_figure(
        folder / "reliability.png",
        [
            _reliability(name, one.labels, one.probabilities, one.patients, assessment)
            for name, one, assessment in zip(names, arrays, assessments, strict=True)
        ],
    )
    drawn += [
        PageFigure("confusion.png", "Counts of decisions by class"),
        PageFigure("scores.png", "Scores of both classes, with the thresholds"),
        PageFigure("reliability.png", "Predicted probability and observed share"),
    ]
    if both:
        found = [curves.decision_curve(one.labels, one.probabilities) for one in arrays]
        study_figures.decision_figure(
            folder / "decision-curve.png",
            [
                study_figures.Curve(name, one.threshold, one.model)
                for name, one in zip(names, found, strict=True)
            ],
            prevalence=found[0].prevalence,
        )
        drawn.append(PageFigure("decision-curve.png", "Net benefit over threshold probability"))
    return tuple(drawn)


def _roc(
    name: str,
    labels: np.ndarray,
    logits: np.ndarray,
    assessment: Assessment,
    marked: Sequence[tuple[str, Assessment]],
) -> study_figures.Curve:
    curve = curves.roc_curve(labels, logits)
    return study_figures.Curve(
        name,
        curve.false_alarm_rate,
        curve.recall,
        summary=_summary(assessment["roc_auc"], "AUC"),
        points=tuple(
            study_figures.CurvePoint(
                point,
                1.0 - (at["specificity"].value or 0.0),
                at["recall"].value or 0.0,
                x_limits=_limits(at["specificity"], mirrored=True),
                y_limits=_limits(at["recall"]),
            )
            for point, at in marked
        ),
    )


def _precision_recall(
    name: str,
    labels: np.ndarray,
    logits: np.ndarray,
    assessment: Assessment,
    marked: Sequence[tuple[str, Assessment]],
) -> study_figures.Curve:
    curve = curves.precision_recall_curve(labels, logits)
    return study_figures.Curve(
        name,
        curve.recall,
        curve.precision,
        summary=_summary(assessment["pr_auc"], "area"),
        points=tuple(
            study_figures.CurvePoint(
                point,
                at["recall"].value or 0.0,
                at["precision"].value or 0.0,
                x_limits=_limits(at["recall"]),
                y_limits=_limits(at["precision"]),
            )
            for point, at in marked
            # Nothing flagged: there is no precision, and no place to draw it.
            if at["precision"].value is not None
        ),
    )


def _confusion(name: str, model: Predictions, point: RunPoint) -> study_figures.ConfusionTable:
    arrays = model.arrays()
    edges = [point.score] if point.lower_score is None else [point.lower_score, point.score]
    decided = np.searchsorted(edges, arrays.logits, side="right")
    counts = [
        np.bincount(decided[arrays.labels == label], minlength=len(edges) + 1) for label in (0, 1)
    ]
    return study_figures.ConfusionTable(
        name, np.array(counts), _CLASSES, _DECISIONS if len(edges) == 1 else _BAND
    )


def _thresholds(model: Predictions) -> tuple[tuple[str, float], ...]:
    point = model.run.points[0]
    if point.lower_score is None:
        return ((point.name, point.score),)
    return ((f"{point.name} (lower)", point.lower_score), (f"{point.name} (upper)", point.score))


def _reliability(
    name: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray,
    assessment: Assessment,
) -> study_figures.Reliability:
    bins = curves.reliability(labels, probabilities, patients)
    return study_figures.Reliability(
        name,
        mean=bins.probability,
        observed=bins.share,
        count=bins.images,
        low=bins.low,
        high=bins.high,
        summary=_summary(assessment["calibration_error"], "calibration error"),
        probabilities=probabilities,
    )


def _summary(estimate: Estimate, title: str) -> str:
    if estimate.value is None:
        return ""
    text = f"{title} {estimate.value:.4f}"
    if estimate.interval is None:
        return text
    return f"{text} ({estimate.interval.low:.4f} to {estimate.interval.high:.4f})"


def _limits(estimate: Estimate, *, mirrored: bool = False) -> tuple[float, float] | None:
    if estimate.interval is None:
        return None
    low, high = estimate.interval.low, estimate.interval.high
    return (1.0 - high, 1.0 - low) if mirrored else (low, high)
