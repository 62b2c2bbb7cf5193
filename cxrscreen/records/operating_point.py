"""A threshold, what is guaranteed at it, and what it belongs to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cxrscreen.vocabulary import Policy, Quantity, Unit


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What holds at a threshold, with how much confidence, and what that rests on.

    "With confidence" is said of the calibration: of all sets of calibration images that could
    have been drawn, at least that share leads to a threshold at which the quantity reaches its
    target. It holds for images like those, from where they came from.

    Attributes
    ----------
    quantity
        What is at least ``target``.
    target, confidence
        Each between 0 and 1.
    unit
        What is independent of one another.
    units
        Number of independent units of the class that the quantity speaks of.
    errors
        How many of them lie on the wrong side of the threshold.
    method
        The test behind it, in a few words.
    """

    quantity: Quantity
    target: float
    confidence: float
    unit: Unit
    units: int
    errors: int
    method: str

    def __post_init__(self) -> None:
        for name, value in (("target", self.target), ("confidence", self.confidence)):
            if not 0.0 < value < 1.0:
                message = f"{name} {value} is not between 0 and 1"
                raise ValueError(message)
        if not 0 <= self.errors <= self.units:
            message = f"{self.errors} errors of {self.units} units"
            raise ValueError(message)

    def sentence(self) -> str:
        """Return it in words, for reports."""
        wrong = "missed" if self.quantity is Quantity.RECALL else "flagged"
        return (
            # In full: 0.995 rounded to 100% would promise what no calibration can.
            f"{self.quantity} at least {self.target:.15g} with "
            f"{100 * self.confidence:.13g}% confidence "
            f"by {self.unit} ({self.errors} of {self.units} {wrong} in calibration)"
        )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold together with the model, preprocessing and engine that it belongs to.

    Attributes
    ----------
    name
        Short name that reports print.
    score
        An image whose logit is at or above it is ``POSITIVE``. This is what decides.
    threshold
        The same as a probability, 0..1, for people.
    model, preprocessing, engine
        Fingerprints; a point is refused with anything else.
    policy
        What the threshold was chosen for.
    guarantees
        What holds at it; none for a point that was only chosen.
    lower_score, lower_threshold
        Of a point with two thresholds, the lower one, as logit and as probability: an image
        between them is ``INDETERMINATE``.
    """

    name: str
    score: float
    threshold: float
    model: str
    preprocessing: str
    engine: str
    policy: Policy = Policy.FIXED
    guarantees: tuple[Guarantee, ...] = ()
    lower_score: float | None = None
    lower_threshold: float | None = None

    def __post_init__(self) -> None:
        for probability in (self.threshold, self.lower_threshold):
            if probability is not None and not 0.0 <= probability <= 1.0:
                message = f"threshold {probability} is not in 0..1"
                raise ValueError(message)
        if not math.isfinite(self.score):
            message = f"score {self.score} is not finite"
            raise ValueError(message)
        if (self.lower_score is None) != (self.lower_threshold is None):
            message = "a lower threshold is a logit and a probability"
            raise ValueError(message)
        if self.lower_score is not None and not -math.inf < self.lower_score <= self.score:
            message = f"lower score {self.lower_score} is not below {self.score}"
            raise ValueError(message)

    def guarantee(self) -> str:
        """Return what is guaranteed, in words."""
        if not self.guarantees:
            return "none"
        sentences = "; ".join(guarantee.sentence() for guarantee in self.guarantees)
        if self.lower_score is None:
            return sentences
        return f"{sentences}; an INDETERMINATE image counts as found, and as no false alarm"
