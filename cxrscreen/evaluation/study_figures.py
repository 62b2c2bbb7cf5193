"""The figures of an evaluation: pure functions of arrays that write a PNG or an SVG."""

from __future__ import annotations

from cxrscreen.evaluation.study_figures_curves import (
    Curve,
    CurvePoint,
    decision_figure,
    precision_recall_figure,
    roc_figure,
)
from cxrscreen.evaluation.study_figures_programme import (
    Expected,
    Programme,
    programme_figure,
)
from cxrscreen.evaluation.study_figures_scores import (
    ConfusionTable,
    Reliability,
    Scores,
    confusion_figure,
    reliability_figure,
    score_figure,
)

__all__ = [
    "ConfusionTable",
    "Curve",
    "CurvePoint",
    "Expected",
    "Programme",
    "Reliability",
    "Scores",
    "confusion_figure",
    "decision_figure",
    "precision_recall_figure",
    "programme_figure",
    "reliability_figure",
    "roc_figure",
    "score_figure",
]
