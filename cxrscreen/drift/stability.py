"""The population stability index, what its size means, and how large it is by chance."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

BINS: Final = 10
_FEW_BINS: Final = 5
_LEAST_FOR_ALL_BINS: Final = 50
#: Added to every count, so that a value that is new or gone has a finite index.
_HALF: Final = 0.5
_STABLE, _LOOK = 0.1, 0.25
_CHUNK: Final = 2_000_000
_ENOUGH: Final = 20_000


class Stability(StrEnum):
    """What the size of a population stability index is usually taken to mean."""

    STABLE = "stable"
    LOOK = "look"
    MOVED = "moved"


def word(psi: float) -> Stability:
    """Return the usual word: below 0.1 stable, up to 0.25 look, above it moved."""
    if psi < _STABLE:
        return Stability.STABLE
    return Stability.LOOK if psi <= _LOOK else Stability.MOVED


def stability_index(
    reference: NDArray[np.float64], period: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Return the population stability index of counts.

    ``sum((p - q) * log(p / q))`` over bins, with the shares ``p`` of the period and ``q`` of
    the reference, half a count added to each. Siddiqi, *Credit Risk Scorecards*, 2006.

    Parameters
    ----------
    reference, period
        ``[..., K]``: counts. Bins that are empty in both are left out.

    Returns
    -------
    ndarray
        ``[...]``, at least 0.
    """
    there = reference + period > 0
    q = np.where(there, reference + _HALF, 0.0)
    p = np.where(there, period + _HALF, 0.0)
    q = q / q.sum(axis=-1, keepdims=True)
    p = p / p.sum(axis=-1, keepdims=True)
    ratio = np.log(np.where(there, p, 1.0) / np.where(there, q, 1.0))
    return np.asarray(((p - q) * ratio).sum(axis=-1))


def bins_for(reference: int, period: int) -> int:
    """Return how many bins so many scores are put into: 10, or 5 if they are few."""
    return BINS if min(reference, period) >= _LEAST_FOR_ALL_BINS else _FEW_BINS


def permuted_stability(
    reference: NDArray[np.float64],
    period: NDArray[np.float64],
    *,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Return the stability index of scores in quantile bins, its mean by chance, and its p-value.

    Reference and period are shuffled and the bins made anew each time, so that the p-value is
    exact, whatever the number of scores and however they are distributed. Of more than 20,000
    scores the index is as good as a chi-square times ``1 / N + 1 / M`` (Yurdakul and Naranjo,
    *Journal of Risk Model Validation* 14, 2020).

    Parameters
    ----------
    reference, period
        ``[N]`` and ``[M]``, finite.
    draws
        Number of shuffles.
    rng
        Of the shuffles.

    Returns
    -------
    psi, by_chance, p
        The index, its mean over the shuffles, and the share of the shuffles (with the data
        themselves) whose index is at least as large.
    """
    pooled = np.concatenate((reference, period))
    order = np.argsort(pooled, kind="stable")
    ordered = pooled[order]
    # Of each place, the last one with an equal score: ties stay in one bin.
    last = np.searchsorted(ordered, ordered, side="right") - 1
    from_reference = (order < reference.size)[None, :]
    bins = bins_for(reference.size, period.size)
    observed = float(_index_of(from_reference, last, bins)[0])
    if pooled.size > _ENOUGH:
        chance = 1 / reference.size + 1 / period.size
        return observed, (bins - 1) * chance, float(chi2.sf(observed / chance, bins - 1))
    shuffled = []
    chunk = max(1, _CHUNK // pooled.size)
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        mask = rng.permuted(np.repeat(from_reference, rows, axis=0), axis=1)
        shuffled.append(_index_of(mask, last, bins))
    by_chance = np.concatenate(shuffled)
    return observed, float(by_chance.mean()), share_at_least(by_chance, observed)


def share_at_least(drawn: NDArray[np.float64], observed: float) -> float:
    """Return a Monte-Carlo p-value: the data count among the draws (Davison and Hinkley, 1997)."""
    # Sums in another order differ in their last digits: equal is equal.
    reached = drawn >= observed - 1e-12 * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(reached)) / (1 + drawn.size))


def _index_of(mask: NDArray[np.bool_], last: NDArray[np.intp], bins: int) -> NDArray[np.float64]:
    """Return the index of each row of ``mask``, which says what of the ordered is reference."""
    total = int(np.count_nonzero(mask[0]))
    # Places of the reference in the order, row by row: each row has as many.
    places = np.nonzero(mask)[1].reshape(mask.shape[0], total)
    ranks = np.ceil(np.arange(1, bins) * total / bins).astype(np.intp) - 1
    edges = last[places[:, np.maximum(ranks, 0)]]
    below = np.cumsum(mask, axis=1, dtype=np.int32)
    reference = np.take_along_axis(below, edges, axis=1)
    both = edges + 1
    closed = np.full((mask.shape[0], 1), mask.shape[1])
    reference = np.diff(reference, prepend=0, append=np.full((mask.shape[0], 1), total), axis=1)
    everything = np.diff(both, prepend=0, append=closed, axis=1)
    return stability_index(
        reference.astype(np.float64), (everything - reference).astype(np.float64)
    )
