"""Intervals by a bootstrap over patients: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.errors import MetricError

#: A statistic of a resample: it is given how often each image was drawn.
Statistic = Callable[[NDArray[np.float64]], float]
_LEAST_DEFINED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Interval:
    """Limits of a statistic.

    Attributes
    ----------
    low, high
        The limits.
    level
        Share of repetitions of the study that they are meant to cover, such as 0.95.
    """

    low: float
    high: float
    level: float


def clustered_bootstrap(
    statistics: Sequence[Statistic],
    clusters: ArrayLike,
    *,
    seed: int,
    replicates: int = 1000,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """Return percentile intervals of statistics, with whole clusters drawn.

    Images of one patient resemble one another: drawn one by one, they would make every
    interval too narrow. So patients are drawn with replacement, as many as there are, and
    each brings all of its images. Field and Welsh, "Bootstrapping clustered data", *Journal
    of the Royal Statistical Society B* 69, 2007.

    Parameters
    ----------
    statistics
        Each takes weights, ``[N]`` of whole numbers: how often each image was drawn; it
        returns NaN for a resample on which it is undefined. All see the same resamples.
    clusters
        ``[N]``: the patient of each image.
    seed
        Of the draws.
    replicates
        Number of resamples.
    level
        Of the intervals, between 0 and 1.

    Returns
    -------
    tuple of Interval
        One for each statistic.

    Raises
    ------
    MetricError
        There are fewer than two clusters, or a statistic is undefined on more than one
        resample in ten.
    """
    names, members = np.unique(np.asarray(clusters), return_inverse=True)
    if names.size < 2:  # noqa: PLR2004
        message = f"{names.size} patients: an interval needs at least two"
        raise MetricError(message, hint="Add images of further patients.")
    rng = np.random.default_rng(seed)
    values = np.empty((len(statistics), replicates))
    for replicate in range(replicates):
        drawn = rng.integers(names.size, size=names.size)
        weights = np.bincount(drawn, minlength=names.size)[members].astype(np.float64)
        values[:, replicate] = [statistic(weights) for statistic in statistics]
    return tuple(_percentiles(row, level) for row in values)


def resampled_auc(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """Return the area under the ROC curve as a statistic of resamples.

    The scores are sorted once, so that each resample costs a cumulative sum.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``, finite.

    Returns
    -------
    Statistic
        Takes weights ``[N]``; the AUC with images counted by them, ties counted half, and
        NaN where a class was not drawn.
    """
    truth, values = np.asarray(labels, dtype=np.bool_), np.asarray(scores, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    positive = truth[order]
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])

    def auc(weights: NDArray[np.float64]) -> float:
        drawn = weights[order]
        positives = np.add.reduceat(drawn * positive, starts)
        negatives = np.add.reduceat(drawn * ~positive, starts)
        pairs = positives.sum() * negatives.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negatives) - negatives / 2
        return float(positives @ below / pairs)

    return auc


def _percentiles(values: NDArray[np.float64], level: float) -> Interval:
    defined = values[np.isfinite(values)]
    if defined.size < _LEAST_DEFINED * values.size:
        message = f"{values.size - defined.size} of {values.size} resamples lack a class"
        raise MetricError(message, hint="Add patients of the rarer class.")
    tail = (1 - level) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return Interval(float(low), float(high), level)
