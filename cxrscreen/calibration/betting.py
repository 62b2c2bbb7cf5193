"""A test of an error rate over patients of unlike sizes, by betting against it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: No stake loses more than this share of what there is.
_MOST_LOST: Final = 0.9
_SEEN: Final = 10


def allowed_by_betting(
    owners: NDArray[np.int64],
    weights: NDArray[np.float64],
    sequence: NDArray[np.int64],
    *,
    rate: float,
    confidence: float,
) -> int | None:
    """Return how many images may err, in this order, with the rate shown to be below ``rate``.

    Of patient ``i``, the images weigh ``n_i`` together and those that err ``m_i``. If the
    rate of errors ``E[m] / E[n]`` were ``rate`` or more, ``rate * n_i - m_i`` would be no gain
    on average, and no way to stake on it, patient after patient, would be one: the wealth
    ``prod(1 + stake_i * (rate * n_i - m_i))`` of somebody who begins with 1 ever reaches
    ``1 / (1 - confidence)`` with a probability of at most ``1 - confidence`` (Ville). A stake
    may depend on the patients before; it is the one of Waudby-Smith and Ramdas, "Estimating
    means of bounded random variables by betting", *Journal of the Royal Statistical Society
    B* 86, 2024, section 4: small where gains vary. Errors are allowed from the first on,
    until the test fails: Learn Then Test with a fixed sequence (Angelopoulos et al. 2021).

    Patients are taken to be independent; their images need not be. No patient to come may
    weigh more than the largest one here, which limits the stakes.

    Parameters
    ----------
    owners
        ``[N]``, from 0: the patient of each image, the image that errs first at the front.
    weights
        ``[N]``, above 0: what each image counts.
    sequence
        The patients in the order of the stakes, which must know nothing of their scores.
    rate, confidence
        Each between 0 and 1.

    Returns
    -------
    int or None
        Number of images from the front that may err; ``None`` where even none does not do.
    """
    totals = np.bincount(owners, weights)
    largest = totals.max()
    place = np.empty(sequence.size, dtype=np.int64)
    place[sequence] = np.arange(sequence.size)
    gains = rate * totals[sequence] / largest
    goal = -math.log1p(-confidence)
    for errors in range(owners.size):
        if not _wealth_reaches(gains, goal, rate=rate):
            return errors - 1 if errors else None
        gains[place[owners[errors]]] -= weights[errors] / largest
    return owners.size - 1


def _wealth_reaches(gains: NDArray[np.float64], goal: float, *, rate: float) -> bool:
    """Tell whether the logarithm of the wealth is ever at the goal; gains are at most 1."""
    counted = np.arange(1, gains.size + 1)
    mean = np.cumsum(gains) / (counted + 1)
    # The first patients seldom err. The spread begins as if ten had been seen that err at
    # the rate, so that nothing is staked on what they cannot show.
    start = rate * (1.0 - rate)
    spread = (_SEEN * start + np.cumsum((gains - mean) ** 2)) / (_SEEN + counted)
    known = np.concatenate(([start], spread[:-1]))
    stakes = np.minimum(np.sqrt(2.0 * goal / (gains.size * known)), _MOST_LOST / (1.0 - rate))
    return bool(np.cumsum(np.log1p(stakes * gains)).max() >= goal)
