"""Whether shares of categories have changed: exact, or by draws with both margins kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, hypergeom

from cxrscreen.drift.stability import share_at_least, stability_index

_TWO = 2


@dataclass(frozen=True, slots=True)
class CategoryTest:
    """A comparison of two sets of counts.

    Attributes
    ----------
    statistic
        Pearson's chi-square.
    p
        Its p-value given how many there are of each category and in each set; of two
        categories, Fisher's.
    least_p
        The smallest p-value that so many rows could have given at all.
    psi
        The stability index.
    moved
        The category whose share has changed most.
    """

    statistic: float
    p: float
    least_p: float
    psi: float
    moved: str


def compare_categories(
    reference: Mapping[str, int],
    period: Mapping[str, int],
    *,
    draws: int,
    rng: np.random.Generator,
) -> CategoryTest | None:
    """Compare how often each category is there.

    Valid for any counts, however few: tables with the same margins are drawn, or with two
    categories enumerated (Fisher, *Statistical Methods for Research Workers*, 1934).

    Parameters
    ----------
    reference, period
        Counts by category; a category that one of them lacks counts 0 there.
    draws
        Number of tables that are drawn.
    rng
        Of the draws.

    Returns
    -------
    CategoryTest or None
        ``None`` where there is nothing to compare: no rows, or all of one category.
    """
    names = sorted(
        name for name in {*reference, *period} if reference.get(name, 0) + period.get(name, 0)
    )
    ours = np.array([reference.get(name, 0) for name in names], dtype=np.int64)
    theirs = np.array([period.get(name, 0) for name in names], dtype=np.int64)
    if len(names) < _TWO or not ours.sum() or not theirs.sum():
        return None
    totals = ours + theirs
    statistic = float(_chi_square(theirs[None, :], totals)[0])
    if len(names) == _TWO:
        p = float(fisher_exact(np.stack((ours, theirs)))[1])
        least_p = _least_fisher(totals, int(theirs.sum()))
    else:
        drawn = rng.multivariate_hypergeometric(totals, int(theirs.sum()), size=draws)
        p = share_at_least(_chi_square(drawn, totals), statistic)
        # Roughly: it only has to depend on nothing but the margins.
        least_p = max(
            1 / (1 + draws),
            min(
                _least_fisher(np.array([one, totals.sum() - one]), int(theirs.sum()))
                for one in totals
            ),
        )
    change = np.abs(theirs / theirs.sum() - ours / ours.sum())
    psi = float(stability_index(ours.astype(np.float64), theirs.astype(np.float64)))
    return CategoryTest(
        statistic=statistic,
        p=min(1.0, p),
        least_p=least_p,
        psi=psi,
        moved=names[int(change.argmax())],
    )


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number (Holm, *Scand. J. Statist.* 6, 1979).

    Parameters
    ----------
    p_values
        ``[K]``, 0..1.

    Returns
    -------
    ndarray
        ``[K]``: calling everything below ``alpha`` changed is wrong about anything at all with
        a probability of at most ``alpha``, however the tests depend on one another.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(p_values.size, 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def _chi_square(period: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Pearson's statistic of tables that have the same margins, by the period's row."""
    size, everything = period[0].sum(), totals.sum()
    expected = totals * (size / everything)
    # Of the reference's row the differences are the same with the other sign.
    squares = (period - expected) ** 2
    rest = totals - expected
    return np.asarray((squares / expected + squares / rest).sum(axis=-1))


def _least_fisher(totals: NDArray[np.int64], period: int) -> float:
    """Return the smallest p-value of Fisher's test with these margins (Tarone, 1990)."""
    everything, one = int(totals.sum()), int(totals[0])
    law = hypergeom(everything, one, period)
    ends = [float(law.pmf(max(0, one + period - everything))), float(law.pmf(min(one, period)))]
    return min(1.0, ends[0] + ends[1] if math.isclose(*ends) else min(ends))
