"""Limits of a metric out of its resamples."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.intervals import Interval

Floats = NDArray[np.float64]
_LEAST_DEFINED: Final = 0.9
_LEAST_PATIENTS: Final = 2
_LEAST_FREEDOM: Final = 3.0
#: Below this a spread is what rounding leaves.
_NOTHING: Final = 1e-12
#: How far the calibration gaps are scaled in search of the lower limit.
_SCALES: Final = np.linspace(0, 1, 41)


def student(level: float, freedom: float) -> float:
    """Return the two-sided quantile of Student's distribution with degrees of freedom."""
    return float(t.ppf((1 + level) / 2, freedom))


def degrees_of_freedom(influence: Floats, patients: int) -> float:
    """Return the degrees of freedom of a variance that is a sum over patients.

    Near 1, an AUC hangs on the few patients whom the model ranks wrongly, and its variance is as
    uncertain as that of a sample as small as they are. By the first two moments of the variance,
    as Satterthwaite does (*Biometrics Bulletin* 2, 1946): ``2 S^2 / (sum of psi^4 - S^2 / M)`` for
    the influences ``psi`` of ``M`` patients and the sum of their squares ``S``. Where the
    influences are normal, that is about ``M``.

    Parameters
    ----------
    influence
        ``[M]``: by how much each patient moves the metric.
    patients
        The degrees of freedom are at most this number less 1, and at least 3 if it allows.
    """
    squares = float((influence**2).sum())
    spread = float((influence**4).sum()) - squares**2 / influence.size
    most = patients - 1.0
    if spread <= 0:
        return most
    return min(max(2 * squares**2 / spread, _LEAST_FREEDOM), most)


def standard_error(values: Floats, patients: int) -> float:
    """Return the standard error of a statistic from its resamples.

    The resamples spread as if the variance were divided by ``m`` and not by ``m - 1``; with
    ``m`` patients, that is put right.

    Parameters
    ----------
    values
        ``[replicates]``: the statistic of each resample, NaN where it is undefined.
    patients
        The patients whose images the statistic is about.

    Raises
    ------
    MetricError
        There are fewer than two patients, the statistic is undefined on more than one resample
        in ten, or it is the same on all of them.
    """
    if patients < _LEAST_PATIENTS:
        message = f"{patients} patient: an interval needs at least two"
        raise MetricError(message, hint="Add images of further patients.")
    defined = values[np.isfinite(values)]
    if defined.size < _LEAST_DEFINED * values.size:
        message = f"undefined on {values.size - defined.size} of {values.size} resamples"
        raise MetricError(message, hint="Add patients of the rarer class.")
    spread = float(defined.std(ddof=1))
    if spread < _NOTHING:
        message = "the same on every resample"
        raise MetricError(message, hint="Add images of further patients.")
    return spread * math.sqrt(patients / (patients - 1))


def log_odds_interval(value: float, error: float, *, freedom: float, level: float) -> Interval:
    """Return the interval of a metric between 0 and 1 by its standard error on log odds.

    Percentiles of the resamples are too high and too narrow where a metric is close to 1. The
    limits are ``expit(logit(value) ± t * error / (value (1 - value)))``, with Student's quantile.

    Parameters
    ----------
    value
        The metric, between 0 and 1, neither of them.
    error
        Its standard error.
    freedom
        Degrees of freedom of the standard error.
    level
        Of the interval, between 0 and 1.
    """
    half = student(level, freedom) * error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-half, half]))
    return Interval(float(low), float(high), level)


def square_and_add(
    first: tuple[float, Interval], second: tuple[float, Interval], *, correlation: float
) -> Interval:
    """Return the interval of ``second - first`` from the limits of both.

    Zou and Donner, *Statistics in Medicine* 27, 2008. It keeps that limits near 1 are lopsided,
    which a standard error of the difference does not; with it, differences of areas near 1
    would be held by too few intervals.

    Parameters
    ----------
    first, second
        The two metrics and their limits at one level.
    correlation
        Between the two estimates, -1..1; 0 where it is not known, which is wide for models that
        err on the same images.
    """
    (one, of_one), (two, of_two) = first, second

    def distance(here: float, there: float) -> float:
        return math.sqrt(max(here**2 + there**2 - 2 * correlation * here * there, 0.0))

    low = two - one - distance(two - of_two.low, of_one.high - one)
    high = two - one + distance(of_two.high - two, one - of_one.low)
    return Interval(max(-1.0, low), min(1.0, high), of_one.level)


def calibration_error_interval(
    gaps: Floats, resampled: Floats, *, patients: int, level: float
) -> Interval:
    """Return the interval of the calibration error.

    The error of a sample is too large, because chance moves every bin away from the diagonal;
    that of its resamples is too large twice, so that percentiles would not even hold the error
    that was observed.

    For the lower limit the observed gaps are scaled by a factor, the deviations of the resamples
    are added, and the errors that would be observed then are looked at: the limit is the error
    at the factor for which the observed one is just improbable (a test-inversion bootstrap:
    Carpenter, *Journal of the Royal Statistical Society B* 61, 1999). A model that may be
    perfectly calibrated has the lower limit 0. The upper limit is ``error + t * standard error``
    and takes nothing off for chance, which makes it too wide in small samples, never too narrow.

    Parameters
    ----------
    gaps
        ``[bins]``: mean probability less share of positives, times the share of images.
    resampled
        ``[replicates, bins]``: the same of the resamples.
    patients
        How many there are.
    level
        Of the interval, between 0 and 1.

    Raises
    ------
    MetricError
        There are fewer than two patients, or all resamples are the same.
    """
    error = standard_error(np.abs(resampled).sum(axis=1), patients)
    deviations = (resampled - gaps) * math.sqrt(patients / (patients - 1))
    observed = float(np.abs(gaps).sum())
    larger = np.array(
        [np.mean(np.abs(scale * gaps + deviations).sum(axis=1) >= observed) for scale in _SCALES]
    )
    # Where the gaps are next to nothing, the share need not rise at every step.
    larger = np.maximum.accumulate(larger)
    low = _crossing(larger, (1 - level) / 2) * observed
    high = observed + student(level, patients - 1) * error
    return Interval(low, min(high, 1.0), level)


def _crossing(larger: Floats, share: float) -> float:
    """Return the scale at which the share of larger errors passes ``share``."""
    if larger[0] >= share:
        return 0.0
    after = int(np.searchsorted(larger, share))
    if after == larger.size:
        return float(_SCALES[-1])
    low, high = larger[after - 1], larger[after]
    part = (share - low) / (high - low)
    return float(_SCALES[after - 1] + part * (_SCALES[after] - _SCALES[after - 1]))
