"""From a logit to a probability: a map that never changes the order of two images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import CalibrationMethod

#: A logit and the log-odds of pneumonia there.
Knot = tuple[float, float]
_IDENTITY: Final[tuple[Knot, ...]] = ((0.0, 0.0), (1.0, 1.0))


def probability_of(logit: float) -> float:
    """Return the logistic of ``logit``: 0..1, without overflow at either end."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)


def prevalence_shift(calibration_prevalence: float, site_prevalence: float) -> float:
    """Return what the log-odds change by where pneumonia is more or less frequent.

    ``logit(site) - logit(calibration)``, by Bayes' rule: images of either class are taken to
    look alike at both places, and only their shares differ. Saerens, Latinne and
    Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori Probabilities",
    *Neural Computation* 14, 2002.

    Raises
    ------
    CalibrationError
        A prevalence is not between 0 and 1.
    """
    return _logit(site_prevalence, "prevalence") - _logit(calibration_prevalence, "prevalence")


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A strictly increasing, piecewise linear map from logits to the log-odds of pneumonia.

    All methods are of this form: the identity, a temperature (a line through the origin),
    Platt scaling (a line) and centered isotonic regression (several pieces). Because the map
    is strictly increasing, it changes neither the order of two images nor a decision, and
    each probability belongs to exactly one logit.

    Parameters
    ----------
    method
        How the knots were found.
    knots
        Two or more pairs of a logit and its log-odds, both strictly increasing. Between
        them the map is linear; beyond the ends, the end pieces go on.
    prevalence_shift
        Added to the log-odds: see :func:`prevalence_shift`.

    Raises
    ------
    CalibrationError
        The knots are fewer than two, not finite or not strictly increasing.
    """

    method: CalibrationMethod
    knots: tuple[Knot, ...]
    prevalence_shift: float = 0.0

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or any(len(knot) != 2 for knot in self.knots):  # noqa: PLR2004
            message = "a calibration needs two or more pairs of a logit and its log-odds"
            raise CalibrationError(message)
        table = np.asarray(self.knots, dtype=np.float64)
        if not (np.isfinite(table).all() and math.isfinite(self.prevalence_shift)):
            message = "a calibration holds a number that is not finite"
            raise CalibrationError(message)
        with np.errstate(all="ignore"):
            steps = np.diff(table, axis=0)
            slopes = steps[:, 1] / steps[:, 0]
        if not ((steps > 0).all() and np.isfinite(slopes).all() and (slopes > 0).all()):
            message = "a calibration is not strictly increasing"
            raise CalibrationError(message, hint="A higher logit must mean a higher probability.")
        if self.method is CalibrationMethod.NONE and self.knots != _IDENTITY:
            message = "no calibration, but knots that change the logit"
            raise CalibrationError(message)

    @classmethod
    def identity(cls) -> Calibrator:
        """Return the map that leaves a logit as it is."""
        return cls(CalibrationMethod.NONE, _IDENTITY)

    def log_odds(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the log-odds of pneumonia.

        Parameters
        ----------
        logits
            Of any shape. NaN stays NaN.

        Returns
        -------
        ndarray
            float64, of the same shape.
        """
        places, values = np.asarray(self.knots, dtype=np.float64).T
        pieces = _along(np.asarray(logits, dtype=np.float64), places, values)
        return pieces + self.prevalence_shift

    def probability(self, logit: float) -> float:
        """Return the probability of pneumonia, 0..1, for one logit."""
        return probability_of(float(self.log_odds(logit)))

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities, 0..1, for logits of any shape."""
        return np.asarray(expit(self.log_odds(logits)), dtype=np.float64)

    def logit_of(self, probability: float) -> float:
        """Return the logit whose probability this is.

        Raises
        ------
        CalibrationError
            It is not between 0 and 1: no logit reaches 0 or 1.
        """
        places, values = np.asarray(self.knots, dtype=np.float64).T
        log_odds = _logit(probability, "probability") - self.prevalence_shift
        return float(_along(np.asarray(log_odds), values, places))

    def at_prevalence(self, calibration_prevalence: float, site_prevalence: float) -> Calibrator:
        """Return the map for a site where pneumonia is more or less frequent.

        Parameters
        ----------
        calibration_prevalence
            Share of pneumonia among the images that the knots were fitted to.
        site_prevalence
            Share of pneumonia at the site. A shift that is there already is replaced.

        Raises
        ------
        CalibrationError
            A prevalence is not between 0 and 1.
        """
        shift = prevalence_shift(calibration_prevalence, site_prevalence)
        return replace(self, prevalence_shift=shift)


def _along(
    x: NDArray[np.float64], places: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the piecewise line through places and values at ``x``, continued at both ends."""
    piece = np.clip(np.searchsorted(places, x, side="right") - 1, 0, places.size - 2)
    slopes = np.diff(values) / np.diff(places)
    return np.asarray(values[piece] + slopes[piece] * (x - places[piece]), dtype=np.float64)


def _logit(share: float, name: str) -> float:
    if not 0.0 < share < 1.0:
        message = f"{name} {share:g} is not between 0 and 1"
        raise CalibrationError(message, hint="Give a share such as 0.05.")
    return math.log(share) - math.log1p(-share)
