"""Watch recall as truth comes in: an alarm that may be looked at after every image.

A test that is repeated whenever an image is added finds something sooner or later. This one does
not: it is a bet. Somebody who doubts that recall is at least ``r`` stakes one unit, and wins when
an ill patient is missed and loses when one is found, at odds that are fair or worse as long as
the recall is ``r`` or better. Then the probability that the wealth *ever* reaches
``1 / alpha`` is at most ``alpha`` (Ville, *Étude critique de la notion de collectif*, 1939; Shafer,
*J. R. Stat. Soc. A* 184, 2021; Waudby-Smith and Ramdas, *J. R. Stat. Soc. B* 86, 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cxrscreen.errors import MetricError

#: By how much the odds of a miss may have grown: the stake is spread over all of these.
_ODDS_RATIOS: Final = np.geomspace(1.25, 40.0, 12)


@dataclass(frozen=True, slots=True)
class RecallWatch:
    """What a watch has seen.

    Attributes
    ----------
    floor
        Recall that was doubted, between 0 and 1.
    alpha
        Probability of ever alarming while the recall is at least ``floor``, at most.
    wealth
        After each positive, ``[T]``; 1 before the first.
    found
        Positives that were found.
    alarm_after
        Number of positives at which the wealth first reached ``1 / alpha``; ``None`` if it has
        not.
    """

    floor: float
    alpha: float
    wealth: tuple[float, ...]
    found: int
    alarm_after: int | None

    @property
    def positives(self) -> int:
        """Number of positives that were watched."""
        return len(self.wealth)

    @property
    def recall(self) -> float:
        """Share of them that was found; NaN without any."""
        return self.found / self.positives if self.positives else math.nan

    @property
    def highest(self) -> float:
        """The largest wealth so far, at least 1."""
        return max((1.0, *self.wealth))

    @property
    def p(self) -> float:
        """A p-value that holds at every moment: one over the largest wealth."""
        return 1.0 / self.highest


def watch_recall(missed: Sequence[bool], floor: float, *, alpha: float = 0.05) -> RecallWatch:
    """Bet against a recall of at least ``floor``, positive by positive.

    Whatever was seen before, the next positive must be missed with a probability of at most
    ``1 - floor``: one patient counts once, and the order must not depend on what was found.

    The stake is spread over how much worse the recall has become and over when that began
    (``1 / (s (s + 1))`` on the ``s``-th positive), so that a long good time does not use it up.

    Parameters
    ----------
    missed
        ``[T]``: of each positive, in the order in which its truth came in, whether it was missed.
    floor
        Recall that is guaranteed, between 0 and 1.
    alpha
        Bound of the false-alarm rate over the whole time, between 0 and 1.

    Returns
    -------
    RecallWatch
        Wealth, and when it alarmed.

    Raises
    ------
    MetricError
        ``floor`` or ``alpha`` is not between 0 and 1.
    """
    for name, value in (("recall", floor), ("alpha", alpha)):
        if not 0.0 < value < 1.0:
            message = f"{name} {value} is not between 0 and 1"
            raise MetricError(message)
    least = 1.0 - floor
    odds = _ODDS_RATIOS * least / floor
    rates = odds / (1.0 + odds)
    on_miss, on_find = np.log(rates / least), np.log((1.0 - rates) / floor)
    share = -math.log(rates.size)
    begun = np.full(rates.size, -math.inf)
    wealth: list[float] = []
    for number, miss in enumerate(missed, start=1):
        begins = share - math.log(number * (number + 1))
        begun = np.logaddexp(begun, begins) + (on_miss if miss else on_find)
        # What is staked on later beginnings has not been touched.
        together = np.logaddexp.reduce(np.append(begun, -math.log(number + 1)))
        wealth.append(math.exp(min(700.0, float(together))))
    alarm = next((n for n, value in enumerate(wealth, start=1) if value >= 1.0 / alpha), None)
    return RecallWatch(
        floor=floor,
        alpha=alpha,
        wealth=tuple(wealth),
        found=sum(not miss for miss in missed),
        alarm_after=alarm,
    )
