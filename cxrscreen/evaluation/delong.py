"""The area under the ROC curve with its variance, for independent and for clustered images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, t

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.exact import check_level, clopper_pearson
from cxrscreen.evaluation.intervals import Interval
from cxrscreen.evaluation.limits import degrees_of_freedom, log_odds_interval, square_and_add
from cxrscreen.evaluation.metrics import both_classes, checked, roc_auc

_LEAST_UNITS: Final = 2
#: Below this a variance is what rounding leaves.
_NOTHING: Final = 1e-14


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the ROC curve and how far it can be trusted.

    Attributes
    ----------
    value
        The area, 0..1.
    variance
        Of the area, by DeLong. It is 0 where the scores separate the classes without error.
    pairs
        Pairs of a patient with a positive and a patient with a negative image that can be formed
        without using a patient twice.
    freedom
        Degrees of freedom of the variance.
    """

    value: float
    variance: float
    pairs: int
    freedom: float


@dataclass(frozen=True, slots=True)
class AucDifference:
    """Two models on the same images.

    Attributes
    ----------
    first, second
        Their areas.
    difference
        ``second - first``.
    variances, covariance
        Of the two areas, and between them.
    z, p_value
        Of the two-sided test that the areas are equal, by Student's distribution as in
        :func:`auc_interval`; ``None`` where the variance is 0.
    interval
        Of the difference.
    """

    first: float
    second: float
    difference: float
    variances: tuple[float, float]
    covariance: float
    z: float | None
    p_value: float | None
    interval: Interval


def delong(labels: ArrayLike, scores: ArrayLike, *, clusters: ArrayLike | None = None) -> Auc:
    """Return the AUC and its variance.

    DeLong, DeLong and Clarke-Pearson, *Biometrics* 44, 1988, by the midranks of Sun and Xu,
    *IEEE Signal Processing Letters* 21, 2014, in the form of Obuchowski, *Biometrics* 53, 1997,
    for clusters. Where each cluster has one image, the two are the same.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``, finite.
    clusters
        ``[N]``: the patient of each image; ``None`` for independent images.

    Raises
    ------
    MetricError
        As :func:`~cxrscreen.evaluation.metrics.roc_auc`, or a class has fewer than two patients.
    """
    components = _components(labels, (scores,), clusters)
    return components.areas[0]


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Return the interval of an AUC: DeLong's variance on the scale of log odds.

    On that scale the limits stay within 0..1 and cover near 1, where the plain interval does not
    (Pepe, *The Statistical Evaluation of Medical Tests*, 2003, section 5.2). The quantile is
    Student's, with the degrees of freedom of
    :func:`~cxrscreen.evaluation.limits.degrees_of_freedom`: with the normal quantile, areas of 0.98
    in a few hundred patients would be held by too few intervals.

    An AUC of exactly 1 has no variance. Then ``k`` pairs of patients, none used twice, are ``k``
    independent trials that all succeeded, and the exact limits of a proportion of ``k`` in ``k``
    are given; they are wide. The same the other way round for 0.

    Parameters
    ----------
    labels, scores, clusters
        As :func:`delong`.
    level
        Of the interval, between 0 and 1.

    Raises
    ------
    MetricError
        As :func:`delong`, or the level is impossible.
    """
    return interval_of(delong(labels, scores, clusters=clusters), level=level)


def interval_of(auc: Auc, *, level: float = 0.95) -> Interval:
    """Return the interval of an AUC that :func:`delong` measured; see :func:`auc_interval`."""
    check_level(level)
    if not 0 < auc.value < 1 or auc.variance <= 0:
        return clopper_pearson(auc.value * auc.pairs, auc.pairs, level=level)
    error = math.sqrt(auc.variance)
    return log_odds_interval(auc.value, error, freedom=auc.freedom, level=level)


def auc_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> AucDifference:
    """Compare the AUCs of two models on the same images.

    The covariance is DeLong's, with clusters Obuchowski's, and so is the test. The limits come
    from those of the two areas and from the correlation between them
    (:func:`~cxrscreen.evaluation.limits.square_and_add`): near 1 they are somewhat wider than what
    the test rejects. Where one of the areas has no variance, such as an area of 1, the
    correlation is taken as 0; where neither has, there is no test. Models that put the images into
    one order do not differ, whatever the sample.

    Parameters
    ----------
    labels, clusters
        As :func:`delong`.
    first, second
        ``[N]``: the scores of the two models.
    level
        Of the interval, between 0 and 1.

    Raises
    ------
    MetricError
        As :func:`delong`, or the level is impossible.
    """
    check_level(level)
    components = _components(labels, (first, second), clusters)
    one, two = components.values
    covariance = components.covariance()
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = two - one
    z: float | None = None
    p_value: float | None = None
    if components.one_order:
        p_value, interval = 1.0, Interval(0.0, 0.0, level)
    else:
        own = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
        correlation = float(covariance[0, 1]) / own if own > 0 else 0.0
        limits = [(area.value, interval_of(area, level=level)) for area in components.areas]
        interval = square_and_add(limits[0], limits[1], correlation=correlation)
        if variance > _NOTHING:
            z = difference / math.sqrt(variance)
            moved = components.influence()
            freedom = degrees_of_freedom(moved[1] - moved[0], components.units)
            p_value = float(2 * t.sf(abs(z), freedom))
    return AucDifference(
        first=one,
        second=two,
        difference=difference,
        variances=(float(covariance[0, 0]), float(covariance[1, 1])),
        covariance=float(covariance[0, 1]),
        z=z,
        p_value=p_value,
        interval=interval,
    )


@dataclass(frozen=True, slots=True)
class _Components:
    """Areas, and placement values ``[K, positives]`` and ``[K, negatives]``, of K models.

    ``members`` is the cluster of each image from 0 on; ``of_positives`` and ``of_negatives`` are
    those of the positive and negative ones. ``one_order``: all models rank the images alike.
    """

    values: tuple[float, ...]
    above: NDArray[np.float64]
    below: NDArray[np.float64]
    members: NDArray[np.intp]
    of_positives: NDArray[np.intp]
    of_negatives: NDArray[np.intp]
    one_order: bool

    @property
    def units(self) -> int:
        return min(np.unique(self.of_positives).size, np.unique(self.of_negatives).size)

    @property
    def areas(self) -> tuple[Auc, ...]:
        either = np.union1d(self.of_positives, self.of_negatives).size
        pairs = min(self.units, either // 2)
        variances, influence = np.diagonal(self.covariance()), self.influence()
        return tuple(
            Auc(value, float(variance), pairs, degrees_of_freedom(own, self.units))
            for value, variance, own in zip(self.values, variances, influence, strict=True)
        )

    def influence(self) -> NDArray[np.float64]:
        """Return ``[K, clusters]``: by how much each cluster moves each area."""
        positive, negative = self._sums()
        moved: NDArray[np.float64] = positive / self.above.shape[1] + negative / self.below.shape[1]
        return moved

    def _sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what the positives and the negatives of each cluster add, ``[K, clusters]``."""
        count = int(self.members.max()) + 1
        means = self.above.mean(axis=1, keepdims=True)
        return (
            _sums(self.above - means, self.of_positives, count),
            _sums(self.below - means, self.of_negatives, count),
        )

    def covariance(self) -> NDArray[np.float64]:
        """Return ``[K, K]``, by equations 5 to 8 of Obuchowski 1997."""
        count = int(self.members.max()) + 1
        positive, negative = self._sums()
        positives, negatives = self.above.shape[1], self.below.shape[1]
        cross = positive @ negative.T
        variance: NDArray[np.float64] = (
            _unbiased(self.of_positives) * (positive @ positive.T) / positives**2
            + _unbiased(self.of_negatives) * (negative @ negative.T) / negatives**2
            + count / (count - 1) * (cross + cross.T) / (positives * negatives)
        )
        return variance


def _components(
    labels: ArrayLike, models: tuple[ArrayLike, ...], clusters: ArrayLike | None
) -> _Components:
    pairs = [checked(labels, scores) for scores in models]
    truth = pairs[0][0]
    positives, negatives = both_classes(truth, "AUC")
    members = cluster_numbers(clusters, truth.size)
    above, below = [], []
    orders = [rankdata(scores) for _, scores in pairs]
    for (_, scores), ranks in zip(pairs, orders, strict=True):
        above.append((ranks[truth] - rankdata(scores[truth])) / negatives)
        below.append(1 - (ranks[~truth] - rankdata(scores[~truth])) / positives)
    found = _Components(
        tuple(roc_auc(truth, scores) for _, scores in pairs),
        np.array(above),
        np.array(below),
        members,
        members[truth],
        members[~truth],
        one_order=all(np.array_equal(orders[0], ranks) for ranks in orders),
    )
    for name, of_class in (("positives", found.of_positives), ("negatives", found.of_negatives)):
        units = np.unique(of_class).size
        if units < _LEAST_UNITS:
            message = f"{units} patient with {name}: the variance of an AUC needs at least two"
            raise MetricError(message, hint="Add images of further patients.")
    return found


def cluster_numbers(clusters: ArrayLike | None, images: int) -> NDArray[np.intp]:
    """Return the cluster of each image as ``[N]`` numbers from 0 on; each its own for ``None``.

    Raises
    ------
    MetricError
        There are not as many as images.
    """
    if clusters is None:
        return np.arange(images)
    names = np.asarray(clusters)
    if names.shape != (images,):
        message = f"{names.shape} patients for {images} images: there must be one for each"
        raise MetricError(message)
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.intp)


def _sums(
    values: NDArray[np.float64], members: NDArray[np.intp], count: int
) -> NDArray[np.float64]:
    return np.array([np.bincount(members, weights=row, minlength=count) for row in values])


def _unbiased(members: NDArray[np.intp]) -> float:
    units = np.unique(members).size
    return units / (units - 1)
