"""Whether scores fit a mixture of the two classes of a labelled reference, at any prevalence.

The scores of a period depend on how many of its patients are ill. A reference that was made for
calibration has a share of positives that no site has, so its pooled scores differ from those
of every period. What should hold is less: that the scores of the ill are distributed as those of
the ill of the reference, and the scores of the others as those of its others (label shift).
Then the period is a mixture of the two, at a prevalence that is estimated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.drift.stability import BINS, share_at_least, stability_index

_CELLS_PER_BIN: Final = 10
_CELLS: Final = BINS * _CELLS_PER_BIN
_HALVINGS: Final = 40
_TAIL: Final = 0.025
_SPREAD: Final = 0.2


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """The closest mixture, and how far the period is from it.

    Attributes
    ----------
    prevalence, low, high
        The share of positives that explains the scores best, 0..1, and its 95% interval. It
        means nothing if the mixture does not fit.
    ks, ks_p
        Largest distance of the cumulative shares, and its p-value.
    psi, psi_by_chance, psi_p
        Stability index against the mixture, its mean without change, and its p-value.
    """

    prevalence: float
    low: float
    high: float
    ks: float
    ks_p: float
    psi: float
    psi_by_chance: float
    psi_p: float


def fit_mixture(
    reference: NDArray[np.float64],
    labels: NDArray[np.int64],
    period: NDArray[np.float64],
    *,
    draws: int,
    rng: np.random.Generator,
) -> MixtureFit:
    """Estimate the prevalence of a period and test whether its scores fit the reference.

    The prevalence is that of largest likelihood, to which the EM algorithm of Saerens, Latinne
    and Decaestecker (*Neural Computation* 14, 2002) converges; here with the class-conditional
    densities as shares of ten bins. The null distribution of both statistics is a parametric
    bootstrap: both classes of the reference and the period are drawn anew from the fitted
    mixture, and everything is estimated again, so that the chance of the reference and of the
    estimated prevalence count.

    Parameters
    ----------
    reference, labels
        ``[N]``: scores, finite, and their classes, both present.
    period
        ``[M]``: scores, finite.
    draws
        Number of bootstrap draws.
    rng
        Of the draws.

    Returns
    -------
    MixtureFit
        Estimates, statistics and p-values.
    """
    negatives, positives = reference[labels == 0], reference[labels == 1]
    edges = _balanced_edges(negatives, positives)
    counts = [_cells(scores, edges) for scores in (negatives, positives, period)]
    ks, psi, prevalence = _statistics(*(count[None, :] for count in counts))
    # Where a class has no score, one may still come: a part of an image is spread over all cells.
    shares = [(count + _SPREAD / _CELLS) / (count.sum() + _SPREAD) for count in counts[:2]]
    mixed = prevalence[0] * shares[1] + (1 - prevalence[0]) * shares[0]
    drawn = [
        rng.multinomial(scores.size, share / share.sum(), size=draws).astype(np.float64)
        for scores, share in zip((negatives, positives, period), (*shares, mixed), strict=True)
    ]
    null_ks, null_psi, null_prevalence = _statistics(*drawn)
    # The basic interval: it takes off what the estimate is biased by.
    above, below = np.quantile(null_prevalence, (_TAIL, 1 - _TAIL))
    low, high = np.clip((2 * prevalence[0] - below, 2 * prevalence[0] - above), 0.0, 1.0)
    return MixtureFit(
        prevalence=float(prevalence[0]),
        low=float(low),
        high=float(high),
        ks=float(ks[0]),
        ks_p=share_at_least(null_ks, float(ks[0])),
        psi=float(psi[0]),
        psi_by_chance=float(null_psi.mean()),
        psi_p=share_at_least(null_psi, float(psi[0])),
    )


def most_likely_prevalence(
    negatives: NDArray[np.float64],
    positives: NDArray[np.float64],
    period: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the prevalence at which counts of a period are most likely.

    Parameters
    ----------
    negatives, positives
        ``[..., K]``: counts of the reference by class and bin.
    period
        ``[..., K]``: counts of the period.

    Returns
    -------
    ndarray
        ``[...]``, 0..1.
    """
    q0 = _smoothed(negatives)
    q1 = _smoothed(positives)
    low = np.zeros(period.shape[:-1])
    high = np.ones(period.shape[:-1])
    # The slope of the log likelihood falls with the prevalence: halve towards where it is 0.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mixed = middle[..., None] * q1 + (1 - middle[..., None]) * q0
        rising = (period * (q1 - q0) / mixed).sum(axis=-1) > 0
        low = np.where(rising, middle, low)
        high = np.where(rising, high, middle)
    return (low + high) / 2


def _smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    # Little, or the smaller class would seem to reach where only the other one does.
    smoothed = counts + 0.02
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))


def _balanced_edges(
    negatives: NDArray[np.float64], positives: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the inner edges of cells that hold equal shares of the two classes, weighted alike.

    Quantiles of the pooled reference would resolve only the class that it has more of.
    """
    scores = np.concatenate((negatives, positives))
    weights = np.concatenate(
        (
            np.full(negatives.size, 0.5 / negatives.size),
            np.full(positives.size, 0.5 / positives.size),
        )
    )
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = np.arange(1, _CELLS) / _CELLS
    places = np.minimum(np.searchsorted(reached, wanted - 1e-12), scores.size - 1)
    return np.asarray(scores[order][places])


def _cells(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.searchsorted(edges, scores, side="left")
    return np.bincount(places, minlength=_CELLS).astype(np.float64)


def _statistics(
    negatives: NDArray[np.float64],
    positives: NDArray[np.float64],
    period: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return distance, stability index and prevalence of rows of counts ``[R, cells]``."""
    coarse = [
        counts.reshape(counts.shape[0], BINS, _CELLS_PER_BIN).sum(axis=-1)
        for counts in (negatives, positives, period)
    ]
    prevalence = most_likely_prevalence(*coarse)
    share = prevalence[:, None]

    def mixed(zero: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
        zero = zero / zero.sum(axis=1, keepdims=True)
        one = one / one.sum(axis=1, keepdims=True)
        return np.asarray(share * one + (1 - share) * zero)

    found = np.cumsum(period / period.sum(axis=1, keepdims=True), axis=1)
    expected = np.cumsum(mixed(negatives, positives), axis=1)
    distance = np.abs(found - expected).max(axis=1)
    # As counts of as many images as the reference has, for the half count that is added.
    size = coarse[0].sum(axis=1, keepdims=True) + coarse[1].sum(axis=1, keepdims=True)
    index = stability_index(mixed(coarse[0], coarse[1]) * size, coarse[2])
    return distance, index, prevalence
