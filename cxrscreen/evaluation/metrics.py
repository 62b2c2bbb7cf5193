"""Metrics of a binary classifier: pure functions of labels and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from cxrscreen.errors import MetricError


@dataclass(frozen=True, slots=True)
class Confusion:
    """The four counts; every ratio comes from them, so that they cannot contradict."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def recall(self) -> float:
        """Share of positives that were found (sensitivity)."""
        return _ratio(self.true_positives, self.false_negatives, "recall", "positive")

    @property
    def specificity(self) -> float:
        """Share of negatives that were left alone."""
        return _ratio(self.true_negatives, self.false_positives, "specificity", "negative")

    @property
    def precision(self) -> float:
        """Share of flagged images that are positive (positive predictive value)."""
        return _ratio(self.true_positives, self.false_positives, "precision", "flagged")

    @property
    def accuracy(self) -> float:
        """Share of images that were judged right."""
        right = self.true_positives + self.true_negatives
        wrong = self.false_positives + self.false_negatives
        return _ratio(right, wrong, "accuracy", "")


def confusion(labels: ArrayLike, probabilities: ArrayLike, *, threshold: float) -> Confusion:
    """Count right and wrong decisions; at or above the threshold is flagged.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    probabilities
        ``[N]`` in 0..1.
    threshold
        In 0..1.

    Raises
    ------
    MetricError
        Labels are not 0 and 1, scores are not finite, or the lengths differ.
    """
    truth, scores = _checked(labels, probabilities)
    flagged = scores >= threshold
    return Confusion(
        true_positives=int(np.sum(flagged & truth)),
        false_positives=int(np.sum(flagged & ~truth)),
        true_negatives=int(np.sum(~flagged & ~truth)),
        false_negatives=int(np.sum(~flagged & truth)),
    )


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve, 0..1.

    The probability that a positive scores above a negative, ties counted half: the
    Mann-Whitney statistic (Hanley and McNeil, Radiology 1982).

    Raises
    ------
    MetricError
        As :func:`confusion`, or one class is absent.
    """
    truth, values = _checked(labels, scores)
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        message = f"AUC needs both classes: {positives} positives, {negatives} negatives"
        raise MetricError(message, hint="Add images of the missing class.")
    ranks = rankdata(values)
    above = float(ranks[truth].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        message = f"labels {truth.shape} and scores {values.shape} must be vectors of one length"
        raise MetricError(message)
    if not np.isin(truth, (0, 1)).all():
        message = "labels must be 0 or 1"
        raise MetricError(message)
    if not np.isfinite(values).all():
        message = f"{int((~np.isfinite(values)).sum())} scores are not finite"
        raise MetricError(message)
    return truth.astype(np.bool_), values


def _ratio(part: int, rest: int, name: str, of_what: str) -> float:
    if part + rest == 0:
        message = f"{name} is undefined: there is no {of_what} image".replace("  ", " ")
        raise MetricError(message)
    return part / (part + rest)
