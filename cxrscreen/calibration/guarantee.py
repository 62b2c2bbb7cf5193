"""Thresholds at which recall or specificity reaches a target, with a stated confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from cxrscreen.calibration.betting import allowed_by_betting
from cxrscreen.calibration.sample import Cluster, checked_sample
from cxrscreen.errors import CalibrationError
from cxrscreen.records import Guarantee
from cxrscreen.vocabulary import Quantity, Unit

EXACT: Final = "exact binomial bound"
EXACT_DRAWN: Final = "exact binomial bound, one image drawn from each patient"
BETTING: Final = "betting test over patients"
#: How far a threshold stays away from the score that it lets through, in logits: much more
#: than what rounding changes where the same image is computed in another batch.
HAIR: Final = 1e-4
# 1 - 0.95 is not 0.05 to the last bit: a bound that is met exactly must not fail by that.
_ROUNDING: Final = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A threshold with its guarantee, and what it rests on.

    Attributes
    ----------
    score
        The threshold, a logit: at or above it an image is positive.
    guarantee
        What holds at it.
    decisive
        The calibration score beside it, which is let through by a hair.
    observed
        Recall or specificity of the calibration images at the threshold, counted by the
        guarantee's unit, 0..1.
    patients, images
        Of the class that the guarantee speaks of.
    """

    score: float
    guarantee: Guarantee
    decisive: float
    observed: float
    patients: int
    images: int


def allowed_errors(units: int, target: float, confidence: float) -> int | None:
    """Return how many of so many independent units may err.

    The largest ``k`` with ``P(Bin(units, 1 - target) <= k) <= 1 - confidence``: the upper
    bound of Clopper and Pearson, *Biometrika* 26, 1934, for ``k`` errors is then at most
    ``1 - target``.

    Parameters
    ----------
    units
        Number of independent units, 0 or more.
    target, confidence
        Each between 0 and 1.

    Returns
    -------
    int or None
        ``None`` where even no error does not show it.

    Raises
    ------
    CalibrationError
        Target or confidence is not between 0 and 1.
    """
    _require_shares(target, confidence)
    tail = (1.0 - confidence) * _ROUNDING
    errors = int(binom.ppf(tail, units, 1.0 - target)) if units else 0
    while errors >= 0 and binom.cdf(errors, units, 1.0 - target) > tail:
        errors -= 1
    return errors if errors >= 0 else None


def units_needed(target: float, confidence: float, errors: int = 0) -> int:
    """Return the least number of independent units of which so many may err.

    Raises
    ------
    CalibrationError
        Target or confidence is not between 0 and 1.
    """
    _require_shares(target, confidence)
    tail = (1.0 - confidence) * _ROUNDING
    low, high = errors, errors + 1
    while binom.cdf(errors, high, 1.0 - target) > tail:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if binom.cdf(errors, middle, 1.0 - target) > tail:
            low = middle
        else:
            high = middle
    return high


def recall_threshold(  # noqa: PLR0913 - the images, and what is promised of them
    logits: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    target: float,
    confidence: float = 0.95,
    unit: Unit = Unit.PATIENT,
) -> ThresholdChoice:
    """Return the highest threshold whose recall is at least the target, with confidence.

    Thresholds are tested from the lowest upwards, each at the full level, until one fails:
    Learn Then Test with a fixed sequence (Angelopoulos, Bates, Candès, Jordan and Lei 2021).
    With an exact binomial test on independent units, this is the order statistic of Wilks,
    *Annals of Mathematical Statistics* 12, 1941. It needs no model of the scores, and ties
    among them only raise the recall.

    The threshold lies a hair (1e-4) below the calibration score that it lets through, at
    most halfway to the next lower one, so that computing an image again does not flip it.
    That can only raise the recall.

    Parameters
    ----------
    logits
        ``[N]``, finite.
    labels
        ``[N]`` of 0 (normal) and 1 (pneumonia).
    patients
        ``[N]``: the key of the patient of each image. Patients are taken to be independent.
    target, confidence
        Each between 0 and 1.
    unit
        ``patient``: the recall of an image drawn at random from each patient with
        pneumonia, so that every patient counts the same. One image speaks for each patient
        (:meth:`Cluster.one_per_patient`), and the binomial bound is exact. ``image``: the
        recall over all images. It is exact where no patient has two images with pneumonia;
        else a betting test over patients (:func:`allowed_by_betting`), which needs many.

    Raises
    ------
    CalibrationError
        The sample is invalid, there is no pneumonia, target or confidence is not between 0
        and 1, or the images are too few to show it: the message says how many are needed.
    """
    positives = checked_sample(logits, labels, patients).of_class(positive=True)
    return _choose(positives, Quantity.RECALL, target, confidence, unit, np.asarray(logits))


def specificity_threshold(  # noqa: PLR0913 - as recall_threshold
    logits: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    target: float,
    confidence: float = 0.95,
    unit: Unit = Unit.PATIENT,
) -> ThresholdChoice:
    """Return the lowest threshold whose specificity is at least the target, with confidence.

    The mirror image of :func:`recall_threshold`, with its parameters and errors: of patients
    with normal images, and a hair above the calibration score that must not be flagged.
    """
    negatives = checked_sample(logits, labels, patients).of_class(positive=False)
    return _choose(negatives, Quantity.SPECIFICITY, target, confidence, unit, np.asarray(logits))


def guarantee_at(given: Guarantee, cluster: Cluster, score: float) -> Guarantee:
    """Return the guarantee with the errors counted anew, at a threshold at which it holds too."""
    scores = cluster.one_per_patient() if given.unit is Unit.PATIENT else cluster.scores
    wrong = scores < score if given.quantity is Quantity.RECALL else scores >= score
    return replace(given, errors=int(wrong.sum()))


def _choose(  # noqa: PLR0913, PLR0917 - the two public functions, made one
    cluster: Cluster,
    quantity: Quantity,
    target: float,
    confidence: float,
    unit: Unit,
    logits: NDArray[np.float64],
) -> ThresholdChoice:
    _require_shares(target, confidence)
    # Specificity is the recall of normal images with the scores turned round.
    sign = 1.0 if quantity is Quantity.RECALL else -1.0
    clustered = unit is Unit.IMAGE and len(cluster.keys) < cluster.scores.size
    scores = cluster.scores if unit is Unit.IMAGE else cluster.one_per_patient()
    ranked = np.sort(sign * scores)
    allowed: int | None
    if clustered:
        owners = cluster.owners[np.argsort(sign * cluster.scores, kind="stable")]
        weights = np.ones(owners.size)
        allowed = allowed_by_betting(
            owners, weights, cluster.hashed_order(), rate=1.0 - target, confidence=confidence
        )
    else:
        allowed = allowed_errors(ranked.size, target, confidence)
    if allowed is None:
        raise _impossible(cluster, quantity, target, confidence, clustered=clustered)
    decisive = float(ranked[allowed])
    score = sign * _hair_below(decisive, sign * np.asarray(logits, dtype=np.float64))
    if quantity is Quantity.SPECIFICITY and score <= -decisive:
        # Between two neighbouring floats there is no third: the upper one flags no more.
        score = math.nextafter(-decisive, math.inf)
    wrong = cluster.scores < score if quantity is Quantity.RECALL else cluster.scores >= score
    weights = cluster.weights(unit)
    drawn = len(cluster.keys) < cluster.scores.size
    method = BETTING if clustered else EXACT_DRAWN if drawn else EXACT
    errors = int((ranked < decisive).sum())
    return ThresholdChoice(
        score=score,
        guarantee=Guarantee(quantity, target, confidence, unit, ranked.size, errors, method),
        decisive=sign * decisive,
        observed=1.0 - float(weights[wrong].sum() / weights.sum()),
        patients=len(cluster.keys),
        images=cluster.scores.size,
    )


def _hair_below(score: float, scores: NDArray[np.float64]) -> float:
    """Return a threshold below ``score``, above every lower one of ``scores``."""
    lower = scores[scores < score]
    gap = score - float(lower.max()) if lower.size else math.inf
    threshold = score - min(HAIR, gap / 2)
    return threshold if not lower.size or threshold > lower.max() else score


def _impossible(
    cluster: Cluster, quantity: Quantity, target: float, confidence: float, *, clustered: bool
) -> CalibrationError:
    kind = "pneumonia" if quantity is Quantity.RECALL else "normal images"
    patients, images = len(cluster.keys), cluster.scores.size
    needed = units_needed(target, confidence)
    aim = f"{quantity} of {target:g} cannot be shown with {confidence:.4g} confidence"
    if clustered:
        largest = int(cluster.sizes.max())
        message = (
            f"a {aim} by image: {images} images of {patients} patients with {kind}, up to "
            f"{largest} of one patient, are too few even if none were wrong"
        )
        advice = "Take the patient as the unit"
        if patients < needed:
            advice = f"Take the patient as the unit and add patients with {kind} ({needed} needed)"
        return CalibrationError(message, hint=f"{advice}, or lower the target or the confidence.")
    best = math.floor(1e4 * (1.0 - confidence) ** (1.0 / patients)) / 1e4
    message = (
        f"a {aim}: there are {patients} patients with {kind}, and {needed} are needed "
        "if none is wrong"
    )
    hint = (
        f"Add at least {needed - patients} patients with {kind}, or lower the target (these "
        f"patients can show {best:g} at most) or the confidence."
    )
    return CalibrationError(message, hint=hint)


def _require_shares(target: float, confidence: float) -> None:
    for name, value in (("target", target), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            message = f"{name} {value:g} is not between 0 and 1"
            raise CalibrationError(message, hint="Give a share such as 0.95.")
