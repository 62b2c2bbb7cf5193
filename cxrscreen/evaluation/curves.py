"""The points of curves: ROC, precision and recall, reliability, histograms, decision curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.delong import cluster_numbers
from cxrscreen.evaluation.exact import clopper_pearson
from cxrscreen.evaluation.metrics import (
    BINS,
    both_classes,
    checked,
    checked_probabilities,
    equal_mass_bins,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]
#: Threshold probabilities of a decision curve.
THRESHOLDS: Final = tuple(k / 100 for k in range(1, 100))


@dataclass(frozen=True, slots=True)
class RocCurve:
    """One point for each distinct score, the highest first, after the point (0, 0).

    Attributes
    ----------
    false_alarm_rate, recall
        ``[K]``, both rising from 0 to 1. The first is 1 less the specificity.
    score
        ``[K]``: images at or above it are flagged; infinite for the first point.
    """

    false_alarm_rate: Floats
    recall: Floats
    score: Floats


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """One point for each distinct score, the highest first.

    Attributes
    ----------
    recall, precision
        ``[K]``; recall rises to 1. The area is that of steps, not of lines between points.
    score
        ``[K]``: images at or above it are flagged.
    prevalence
        The precision of a model that knows nothing.
    """

    recall: Floats
    precision: Floats
    score: Floats
    prevalence: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal numbers of images, by rising probability; empty ones are left out.

    Attributes
    ----------
    probability
        ``[K]``: the mean probability.
    share
        ``[K]``: the share of positives.
    low, high
        ``[K]``: exact limits of the share.
    images, positives
        ``[K]``: counts.
    level
        Of the limits.
    """

    probability: Floats
    share: Floats
    low: Floats
    high: Floats
    images: Counts
    positives: Counts
    level: float


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Scores of both classes in the same bins.

    Attributes
    ----------
    edges
        ``[K + 1]``, rising.
    positives, negatives
        ``[K]``: images of each class.
    """

    edges: Floats
    positives: Counts
    negatives: Counts


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit for each image, in found positives, at a range of threshold probabilities.

    Attributes
    ----------
    threshold
        ``[K]``: flag at or above this probability. ``t / (1 - t)`` false alarms are taken to cost
        as much as one missed positive.
    model, treat_all, treat_none
        ``[K]``: the net benefit of the model, of flagging every image, and of flagging none.
    prevalence
        That the benefits hold for.
    """

    threshold: Floats
    model: Floats
    treat_all: Floats
    treat_none: Floats
    prevalence: float


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Return the points of the ROC curve.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.roc_auc`.
    """
    truth, values = checked(labels, scores)
    positives, negatives = both_classes(truth, "the ROC curve")
    found, flagged, steps = _steps(truth, values)
    return RocCurve(
        false_alarm_rate=np.r_[0.0, (flagged - found) / negatives],
        recall=np.r_[0.0, found / positives],
        score=np.r_[np.inf, steps],
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """Return the points of the precision-recall curve.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.roc_auc`.
    """
    truth, values = checked(labels, scores)
    positives, _ = both_classes(truth, "the precision-recall curve")
    found, flagged, steps = _steps(truth, values)
    return PrecisionRecallCurve(
        recall=found / positives,
        precision=found / flagged,
        score=steps,
        prevalence=positives / truth.size,
    )


def reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    bins: int = BINS,
    level: float = 0.95,
) -> Reliability:
    """Return the reliability curve in the bins of the calibration error.

    The limits of each share are exact; where a patient has several images in a bin, all of them
    count as one, which is wide rather than narrow.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    probabilities
        ``[N]`` in 0..1.
    patients
        ``[N]``: the patient of each image; ``None`` where each image is one.
    bins
        As :func:`~cxrscreen.evaluation.metrics.equal_mass_bins`.
    level
        Of the limits.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.calibration_error`, or the level is impossible.
    """
    truth, values = checked_probabilities(labels, probabilities)
    members = cluster_numbers(patients, truth.size)
    of_image = equal_mass_bins(values, bins)
    images = np.bincount(of_image, minlength=bins)
    filled = images > 0
    images = images[filled]
    positives = np.bincount(of_image[truth], minlength=bins)[filled]
    total = np.bincount(of_image, weights=values, minlength=bins)[filled]
    share = positives / images
    units = [np.unique(members[of_image == one]).size for one in np.flatnonzero(filled)]
    limits = [
        clopper_pearson(part * whole, whole, level=level)
        for part, whole in zip(share, units, strict=True)
    ]
    return Reliability(
        probability=total / images,
        share=share,
        low=np.array([limit.low for limit in limits]),
        high=np.array([limit.high for limit in limits]),
        images=images,
        positives=positives,
        level=level,
    )


def score_histogram(labels: ArrayLike, scores: ArrayLike, *, bins: int = 30) -> ScoreHistogram:
    """Return histograms of the scores of both classes, in bins of one width.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.confusion`, or there is no image or no bin.
    """
    truth, values = checked(labels, scores)
    if truth.size == 0 or bins < 1:
        message = f"no histogram of {truth.size} images in {bins} bins"
        raise MetricError(message)
    edges = np.histogram_bin_edges(values, bins)
    return ScoreHistogram(
        edges=edges,
        positives=np.histogram(values[truth], edges)[0],
        negatives=np.histogram(values[~truth], edges)[0],
    )


def decision_curve(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    thresholds: ArrayLike = THRESHOLDS,
    prevalence: float | None = None,
) -> DecisionCurve:
    """Return the net benefit of flagging by the model, of flagging all and of flagging none.

    Net benefit is ``recall p - (1 - specificity) (1 - p) t / (1 - t)`` at prevalence ``p`` and
    threshold probability ``t``: with the prevalence of the sample, true positives less weighted
    false positives, for each image. Vickers and Elkin, *Medical Decision Making* 26, 2006. It
    means something only for calibrated probabilities.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    probabilities
        ``[N]`` in 0..1.
    thresholds
        ``[K]``, each from 0 to below 1.
    prevalence
        Between 0 and 1; that of the sample for ``None``.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.brier_score`, a class is absent, or a threshold or
        the prevalence is out of range.
    """
    truth, values = checked_probabilities(labels, probabilities)
    positives, negatives = both_classes(truth, "the decision curve")
    asked = np.asarray(thresholds, dtype=np.float64)
    if asked.ndim != 1 or not ((asked >= 0) & (asked < 1)).all():
        message = "threshold probabilities must lie from 0 to below 1"
        raise MetricError(message)
    share = positives / truth.size if prevalence is None else prevalence
    if not 0 < share < 1:
        message = f"prevalence {share:g} must lie between 0 and 1"
        raise MetricError(message, hint="Give a share such as 0.05.")
    recall = _at_or_above(values[truth], asked) / positives
    alarms = _at_or_above(values[~truth], asked) / negatives
    cost = (1 - share) * asked / (1 - asked)
    return DecisionCurve(
        threshold=asked,
        model=share * recall - cost * alarms,
        treat_all=share - cost,
        treat_none=np.zeros_like(asked),
        prevalence=share,
    )


def _at_or_above(values: Floats, thresholds: Floats) -> Counts:
    below = np.searchsorted(np.sort(values), thresholds, side="left")
    return np.asarray(values.size - below, dtype=np.intp)


def _steps(truth: NDArray[np.bool_], values: Floats) -> tuple[Counts, Counts, Floats]:
    """Return positives and images at or above each distinct score, and the scores, falling."""
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.flatnonzero(np.r_[np.diff(falling) != 0, True])
    found = np.cumsum(truth[order], dtype=np.intp)[last]
    return found, last + 1, falling[last]
