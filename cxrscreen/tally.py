"""Counts of a run, by decision and by reject code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cxrscreen.records import RunSummary, ScreenRow
from cxrscreen.vocabulary import Decision, RejectCode


class Tally:
    """Counts rows as they pass, so that a run need not keep them."""

    def __init__(self) -> None:
        self._decisions: Counter[Decision] = Counter()
        self._codes: Counter[RejectCode] = Counter()

    @property
    def inputs(self) -> int:
        """Rows counted so far."""
        return self._decisions.total()

    def add(self, row: ScreenRow) -> None:
        """Count one row."""
        self._decisions[row.decision] += 1
        if row.admission.code is not None:
            self._codes[row.admission.code] += 1

    def summary(self, *, seconds: float) -> RunSummary:
        """Return the counts of a run that took ``seconds``."""
        return RunSummary(
            inputs=self.inputs,
            by_decision=dict(self._decisions),
            by_reject_code=dict(self._codes),
            seconds=seconds,
        )


def summarise(rows: Iterable[ScreenRow]) -> RunSummary:
    """Count the rows of a run by decision and by reject code."""
    tally, seconds = Tally(), 0.0
    for row in rows:
        tally.add(row)
        seconds += row.seconds
    return tally.summary(seconds=seconds)
