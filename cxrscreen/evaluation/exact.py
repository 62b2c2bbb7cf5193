"""Exact intervals of a proportion: pure functions."""

from __future__ import annotations

from scipy.stats import beta

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.intervals import Interval


def clopper_pearson(part: float, whole: float, *, level: float = 0.95) -> Interval:
    """Return the exact two-sided interval of a proportion.

    Clopper and Pearson, *Biometrika* 26, 1934, by quantiles of the beta distribution. It covers
    at least at its level, whatever the true proportion is. Where clustered images count as an
    effective number of independent ones, ``part`` and ``whole`` need not be whole numbers (Korn
    and Graubard, *Survey Methodology* 24, 1998).

    Parameters
    ----------
    part
        How many of them, 0..whole.
    whole
        Independent units, more than 0.
    level
        Of the interval, between 0 and 1.

    Raises
    ------
    MetricError
        The counts or the level are impossible.
    """
    if not (whole > 0 and 0 <= part <= whole):
        message = f"{part:g} of {whole:g} is no proportion"
        raise MetricError(message)
    check_level(level)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, part, whole - part + 1)) if part > 0 else 0.0
    high = float(beta.ppf(1 - tail, part + 1, whole - part)) if part < whole else 1.0
    return Interval(low, high, level)


def check_level(level: float) -> None:
    """Raise ``MetricError`` unless the level of an interval lies between 0 and 1."""
    if not 0 < level < 1:
        message = f"level {level:g} must lie between 0 and 1"
        raise MetricError(message, hint="Give a share such as 0.95.")
