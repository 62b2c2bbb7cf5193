"""Metrics of a binary classifier: pure functions of labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from cxrscreen.errors import MetricError

#: Bins of the calibration error and of reliability curves.
BINS: Final = 10


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
    def npv(self) -> float:
        """Share of images left alone that are negative (negative predictive value)."""
        return _ratio(self.true_negatives, self.false_negatives, "NPV", "unflagged")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, wrong, "F1", "positive or flagged")

    @property
    def accuracy(self) -> float:
        """Share of images that were judged right."""
        right = self.true_positives + self.true_negatives
        wrong = self.false_positives + self.false_negatives
        return _ratio(right, wrong, "accuracy", "")

    @property
    def images(self) -> int:
        """All four counts together."""
        return self.positives + self.true_negatives + self.false_positives

    @property
    def positives(self) -> int:
        """Images that are positive, found or missed."""
        return self.true_positives + self.false_negatives


def confusion(labels: ArrayLike, scores: ArrayLike, *, threshold: float) -> Confusion:
    """Count right and wrong decisions; at or above the threshold is flagged.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``, finite: logits or probabilities.
    threshold
        On the scale of the scores.

    Raises
    ------
    MetricError
        Labels are not 0 and 1, scores are not finite, or the lengths differ.
    """
    truth, values = checked(labels, scores)
    flagged = values >= threshold
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
    truth, values = checked(labels, scores)
    positives, negatives = both_classes(truth, "AUC")
    ranks = rankdata(values)
    above = float(ranks[truth].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the precision-recall curve, 0..1, as a sum of steps.

    The precision at each distinct score, weighted by the recall that is gained there. Nothing
    is interpolated: lines between the points would be too optimistic (Davis and Goadrich, ICML
    2006).

    Raises
    ------
    MetricError
        As :func:`confusion`, or there is no positive.
    """
    truth, values = checked(labels, scores)
    positives = int(truth.sum())
    if positives == 0:
        message = "average precision is undefined: there is no positive image"
        raise MetricError(message, hint="Add positive images.")
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(values[order]) != 0, True])
    found = np.cumsum(truth[order])[last]
    return float(np.diff(found, prepend=0) @ (found / (last + 1)) / positives)


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared difference of probability and label, 0 (best) to 1.

    Brier, *Monthly Weather Review* 78, 1950, in the form for two classes.

    Raises
    ------
    MetricError
        As :func:`confusion`, there is no image, or a probability lies outside 0..1.
    """
    truth, values = checked_probabilities(labels, probabilities)
    return float(np.mean((values - truth) ** 2))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean negative logarithm of the probability given to the true class.

    Probabilities of 0 and 1 are moved inwards by the smallest step of a float64 below 1, as
    scikit-learn does, so that one sure mistake costs 36 and not infinity.

    Raises
    ------
    MetricError
        As :func:`brier_score`.
    """
    truth, values = checked_probabilities(labels, probabilities)
    step = float(np.finfo(np.float64).eps)
    given = np.clip(np.where(truth, values, 1 - values), step, 1 - step)
    return float(-np.mean(np.log(given)))


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS) -> float:
    """Return the expected calibration error, 0 (best) to 1.

    The images are sorted by probability into bins of equal numbers (:func:`equal_mass_bins`);
    the error is the mean over images of the distance, in their bin, between the mean
    probability and the share of positives. Naeini, Cooper and Hauskrecht, AAAI 2015, with bins
    of equal mass as Nixon et al., CVPR workshops 2019, advise. A perfectly calibrated model
    does not come to 0 in a sample: chance moves every bin.

    Raises
    ------
    MetricError
        As :func:`brier_score`, or there are fewer bins than 1.
    """
    truth, values = checked_probabilities(labels, probabilities)
    members = equal_mass_bins(values, bins)
    gaps = np.bincount(members, weights=values - truth, minlength=bins)
    return float(np.abs(gaps).sum() / truth.size)


def equal_mass_bins(values: NDArray[np.float64], bins: int = BINS) -> NDArray[np.intp]:
    """Return the bin of each value, ``[N]`` in 0..bins-1, so that bins hold equal numbers.

    A value belongs to bin ``floor(bins * r / N)``, where ``r`` values are smaller. Equal values
    share a bin; where there are many of them, bins differ in size or stay empty.

    Raises
    ------
    MetricError
        There are fewer bins than 1.
    """
    if bins < 1:
        message = f"{bins} bins: at least one is needed"
        raise MetricError(message)
    smaller = rankdata(values, method="min").astype(np.intp) - 1
    members: NDArray[np.intp] = smaller * bins // max(values.size, 1)
    return members


def ppv_at(recall: float, specificity: float, prevalence: float) -> float:
    """Return the positive predictive value at a prevalence, by Bayes' theorem.

    Recall and specificity are taken as properties of the model that do not move with the
    prevalence.

    Raises
    ------
    MetricError
        One of the three lies outside 0..1, or nothing would be flagged.
    """
    _shares(recall=recall, specificity=specificity, prevalence=prevalence)
    found, alarms = prevalence * recall, (1 - prevalence) * (1 - specificity)
    if found + alarms == 0:
        message = "PPV is undefined: nothing is flagged"
        raise MetricError(message)
    return found / (found + alarms)


def npv_at(recall: float, specificity: float, prevalence: float) -> float:
    """Return the negative predictive value at a prevalence, by Bayes' theorem.

    Raises
    ------
    MetricError
        One of the three lies outside 0..1, or everything would be flagged.
    """
    _shares(recall=recall, specificity=specificity, prevalence=prevalence)
    missed, cleared = prevalence * (1 - recall), (1 - prevalence) * specificity
    if missed + cleared == 0:
        message = "NPV is undefined: everything is flagged"
        raise MetricError(message)
    return cleared / (missed + cleared)


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return labels as booleans and scores as float64, both ``[N]``.

    Raises
    ------
    MetricError
        Labels are not 0 and 1, scores are not finite, or the lengths differ.
    """
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        message = f"labels {truth.shape} and scores {values.shape} must be vectors of one length"
        raise MetricError(message)
    if truth.dtype.kind not in "biuf" or not np.isin(truth, (0, 1)).all():
        message = "labels must be 0 or 1"
        raise MetricError(message, hint="1 is pneumonia, 0 is none; leave unlabelled images out.")
    if not np.isfinite(values).all():
        message = f"{int((~np.isfinite(values)).sum())} scores are not finite"
        raise MetricError(message, hint="Leave out images that were not judged.")
    return truth.astype(np.bool_), values


def checked_probabilities(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return labels as booleans and probabilities as float64, both ``[N]`` with N of 1 or more.

    Raises
    ------
    MetricError
        As :func:`checked`, there is no image, or a probability lies outside 0..1.
    """
    truth, values = checked(labels, probabilities)
    if truth.size == 0:
        message = "no images: there is nothing to measure"
        raise MetricError(message)
    outside = int(((values < 0) | (values > 1)).sum())
    if outside:
        message = f"{outside} probabilities lie outside 0 to 1"
        raise MetricError(message, hint="Give probabilities here, not logits.")
    return truth, values


def both_classes(truth: NDArray[np.bool_], name: str) -> tuple[int, int]:
    """Return the numbers of positives and negatives.

    Raises
    ------
    MetricError
        One of them is 0; ``name`` says in the message what needs both.
    """
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        message = f"{name} needs both classes: {positives} positives, {negatives} negatives"
        raise MetricError(message, hint="Add images of the missing class.")
    return positives, negatives


def _shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            message = f"{name} {share:g} lies outside 0 to 1"
            raise MetricError(message)


def _ratio(part: int, rest: int, name: str, of_what: str) -> float:
    if part + rest == 0:
        message = f"{name} is undefined: there is no {of_what} image".replace("  ", " ")
        raise MetricError(message)
    return part / (part + rest)
