"""Two models on the same images: differences of their metrics, with limits and p-values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, t

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.delong import auc_difference, cluster_numbers
from cxrscreen.evaluation.estimates import DELONG, TITLES
from cxrscreen.evaluation.exact import check_level
from cxrscreen.evaluation.intervals import Interval, Statistic
from cxrscreen.evaluation.limits import standard_error, student
from cxrscreen.evaluation.metrics import checked
from cxrscreen.evaluation.resampling import draws

MCNEMAR: Final = "exact McNemar test"
BONETT_PRICE: Final = "Bonett-Price"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One metric of two models on the same images.

    Attributes
    ----------
    metric, title
        A key of :data:`~cxrscreen.evaluation.estimates.TITLES`, and what people read.
    first, second
        The metric of each; ``None`` where it is undefined.
    difference
        ``second - first``.
    interval
        Of the difference; ``None`` where there is none.
    p_value
        Of the two-sided test that the models do not differ; ``None`` where there is none.
    method
        How limits and p-value were computed.
    reason
        Why something is missing, or empty.
    """

    metric: str
    title: str
    first: float | None
    second: float | None
    difference: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Images on which only one of two models is right.

    Attributes
    ----------
    only_first, only_second
        Images that only the first, and only the second, judged right.
    p_value
        Of the exact two-sided test that both err equally often.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> McNemar:
    """Compare the errors of two models on independent images.

    Where the models are equally good, an image that only one of them judges right is as likely
    to be the one's as the other's: a binomial test at one half (McNemar, *Psychometrika* 12,
    1947, in its exact form). With several images for a patient the p-value is too small.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    first, second
        ``[N]`` of 0 and 1: what each flagged.

    Raises
    ------
    MetricError
        Labels or flags are not 0 and 1, or lengths differ.
    """
    truth, one = checked(labels, first)
    _, two = checked(labels, second)
    # Flags must be 0 and 1 as labels are.
    checked(one, two)
    checked(two, one)
    right, as_right = one == truth, two == truth
    only_first, only_second = int(np.sum(right & ~as_right)), int(np.sum(as_right & ~right))
    return McNemar(only_first, only_second, _binomial(only_first, only_second))


def _binomial(one: int, two: int) -> float:
    return float(binomtest(one, one + two).pvalue) if one + two else 1.0


def paired_delong(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two AUCs; see :func:`~cxrscreen.evaluation.delong.auc_difference`."""
    found = auc_difference(labels, first, second, clusters=patients, level=level)
    return PairedDifference(
        metric="roc_auc",
        title=TITLES["roc_auc"],
        first=found.first,
        second=found.second,
        difference=found.difference,
        interval=found.interval,
        p_value=found.p_value,
        method=DELONG,
        reason="" if found.p_value is not None else "no test: neither area varies",
    )


def paired_bootstrap(  # noqa: PLR0913 - the two statistics, the patients and the design
    first: Statistic,
    second: Statistic,
    clusters: ArrayLike,
    *,
    seed: int,
    replicates: int = 2000,
    level: float = 0.95,
) -> tuple[Interval, float]:
    """Return the interval of the difference of any two statistics, and its p-value.

    Whole patients are drawn, and both statistics see the same draws, so that what the models have
    in common does not widen the limits. They are ``difference ± t * error`` with the spread of
    the resampled differences.

    Parameters
    ----------
    first, second
        Each takes weights ``[N]``, how often each image was drawn, and returns NaN where it is
        undefined. The difference is ``second - first``.
    clusters
        ``[N]``: the patient of each image.
    seed, replicates
        Of the draws.
    level
        Of the interval, between 0 and 1.

    Raises
    ------
    MetricError
        There are fewer than two patients, the difference is undefined on more than one resample
        in ten, or it is the same on all of them.
    """
    check_level(level)
    names = np.asarray(clusters)
    members = cluster_numbers(names, names.size)
    patients = int(members.max(initial=-1)) + 1
    values = np.concatenate(
        [
            [second(weights) - first(weights) for weights in block[:, members]]
            for block in draws(patients, replicates, seed, wide=names.size)
        ]
        if patients
        else [np.empty(0)]
    )
    whole = np.ones(names.size)
    return difference_limits(
        float(second(whole) - first(whole)), values, patients=patients, level=level
    )


def difference_limits(
    difference: float, resampled: NDArray[np.float64], *, patients: int, level: float
) -> tuple[Interval, float]:
    """Return limits of a difference and the p-value of no difference, out of its resamples.

    Parameters
    ----------
    difference
        Of the sample.
    resampled
        ``[replicates]``, NaN where it is undefined.
    patients
        The patients whose images it is about.
    level
        Of the interval.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.limits.standard_error`.
    """
    error = standard_error(resampled, patients)
    half = student(level, patients - 1) * error
    interval = Interval(max(-1.0, difference - half), min(1.0, difference + half), level)
    return interval, float(2 * t.sf(abs(difference) / error, patients - 1))


def share_limits(
    first: NDArray[np.bool_], second: NDArray[np.bool_], members: NDArray[np.intp], *, level: float
) -> tuple[Interval, float]:
    """Return limits and p-value of the difference of two shares of the same images.

    Two patients are added, one whom only the first model judges right and one whom only the
    second does (Bonett and Price, *Journal of Educational and Behavioral Statistics* 37, 2012);
    then the difference has the standard error of a mean over clusters and Student's quantile.
    With few disagreements, plain limits are too narrow, and with none they would be 0 wide.

    Parameters
    ----------
    first, second
        ``[N]``: what each judged right.
    members
        ``[N]``: the patient of each image.
    level
        Of the interval.

    Raises
    ------
    MetricError
        There is no image.
    """
    if first.size == 0:
        message = "no images: there is nothing to compare"
        raise MetricError(message)
    names, own = np.unique(members, return_inverse=True)
    gained = np.r_[np.bincount(own, weights=second.astype(float) - first), 1.0, -1.0]
    images = np.r_[np.bincount(own), 1.0, 1.0]
    patients = names.size
    mean = float(gained.sum() / images.sum())
    squares = float(((gained - mean * images) ** 2).sum())
    error = math.sqrt((patients + 2) / (patients + 1) * squares) / float(images.sum())
    # As many degrees of freedom as if the two were real.
    half = student(level, patients + 1) * error
    p_value = float(2 * t.sf(abs(mean) / error, patients + 1))
    return Interval(max(-1.0, mean - half), min(1.0, mean + half), level), p_value


def undecided(metric: str, first: float | None, second: float | None) -> PairedDifference:
    """Return the difference of a metric that one of the two models does not have."""
    reason = "undefined for one of the two"
    return PairedDifference(metric, TITLES[metric], first, second, reason=reason)
