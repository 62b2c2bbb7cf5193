"""Choose a threshold by what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.calibration.guarantee import (
    ThresholdChoice,
    guarantee_at,
    recall_threshold,
    specificity_threshold,
)
from cxrscreen.calibration.sample import Sample, checked_sample
from cxrscreen.errors import CalibrationError
from cxrscreen.records import Guarantee
from cxrscreen.vocabulary import Policy, Unit

_Floats = NDArray[np.float64]
SAME_IMAGES: Final = "chosen on these very images, which look better at it than new ones will"
#: What each policy must be told.
_WANTED: Final = {
    Policy.TARGET_RECALL: ("target_recall",),
    Policy.TARGET_SPECIFICITY: ("target_specificity",),
    Policy.YOUDEN: (),
    Policy.F_BETA: ("beta",),
    Policy.COST: ("cost_ratio",),
    Policy.TWO_THRESHOLDS: ("target_recall", "target_specificity"),
}
_GUARANTEED: Final = (Policy.TARGET_RECALL, Policy.TARGET_SPECIFICITY, Policy.TWO_THRESHOLDS)
_USUAL_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Aim:
    """What a threshold is to be chosen for.

    Attributes
    ----------
    policy
        Any but ``fixed``.
    target_recall, target_specificity
        Between 0 and 1.
    beta
        How many times as much recall counts as precision, above 0.
    cost_ratio
        What a missed pneumonia costs, in false alarms, above 0.
    prevalence
        Of pneumonia where the threshold will be used, for F-beta and cost; ``None`` for that of
        the calibration images.
    confidence
        Of the guarantees, between 0 and 1.
    unit
        ``patient``: each patient counts the same. ``image``: each image does.

    Raises
    ------
    CalibrationError
        The policy lacks what it needs, or a number is out of its range.
    """

    policy: Policy
    target_recall: float | None = None
    target_specificity: float | None = None
    beta: float | None = None
    cost_ratio: float | None = None
    prevalence: float | None = None
    confidence: float = _USUAL_CONFIDENCE
    unit: Unit = Unit.PATIENT

    def __post_init__(self) -> None:
        if self.policy not in _WANTED:
            message = f"the policy {self.policy} is set, not calibrated"
            raise CalibrationError(message, hint=f"Choose one of {', '.join(_WANTED)}.")
        for name in _WANTED[self.policy]:
            if getattr(self, name) is None:
                message = f"the policy {self.policy} needs a {name.replace('_', ' ')}"
                raise CalibrationError(message)
        for name in ("target_recall", "target_specificity", "prevalence", "confidence"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                message = f"{name.replace('_', ' ')} {value:g} is not between 0 and 1"
                raise CalibrationError(message, hint="Give a share such as 0.95.")
        for name in ("beta", "cost_ratio"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                message = f"{name.replace('_', ' ')} {value:g} is not a number above 0"
                raise CalibrationError(message)

    @property
    def name(self) -> str:
        """Return a short name for reports, such as ``recall-0.95`` or ``cost-20``.

        Of a guarantee with another confidence than 0.95, it says which: one name is one
        threshold on the same images.
        """
        name = {
            Policy.TARGET_RECALL: f"recall-{self.target_recall}",
            Policy.TARGET_SPECIFICITY: f"specificity-{self.target_specificity}",
            Policy.YOUDEN: "youden",
            Policy.F_BETA: f"f{self.beta or 0:g}",
            Policy.COST: f"cost-{self.cost_ratio or 0:g}",
            Policy.TWO_THRESHOLDS: (
                f"recall-{self.target_recall}+specificity-{self.target_specificity}"
            ),
        }[self.policy]
        if self.policy in _GUARANTEED and self.confidence != _USUAL_CONFIDENCE:
            return f"{name}-confidence-{self.confidence}"
        return name


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen threshold, not yet bound to a model.

    Attributes
    ----------
    name
        Short name for reports.
    policy
        What it was chosen for.
    score
        The threshold, a logit: at or above it an image is positive.
    lower_score
        From it to ``score``, an image is indeterminate.
    guarantees
        What holds; none of a policy that only chooses.
    notes
        What else must be said of it, in sentences without a full stop.
    """

    name: str
    policy: Policy
    score: float
    lower_score: float | None
    guarantees: tuple[Guarantee, ...]
    notes: tuple[str, ...]


def choose(aim: Aim, logits: ArrayLike, labels: ArrayLike, patients: ArrayLike) -> Choice:
    """Return the threshold for an aim.

    **Target recall** and **target specificity** come with a guarantee: see
    :func:`recall_threshold`. **Two thresholds** have the recall's as the lower one and the
    specificity's as the upper one; between them an image is ``INDETERMINATE``. The recall then
    speaks of images that are not ``NEGATIVE``, the specificity of those that are not
    ``POSITIVE``. Where the lower one is not below the upper one, every threshold between
    them keeps both promises: the middle is taken, and nothing is indeterminate.

    **Youden** (*Cancer* 3, 1950) has the largest recall + specificity - 1, **F-beta** (van
    Rijsbergen, *Information Retrieval*, 1979) the largest weighted harmonic mean of precision
    and recall, **cost** the least expected ``prevalence * ratio * missed + (1 - prevalence) *
    false alarms``. Each lies midway between two calibration scores, and of equals the lowest
    threshold is taken, which misses least. They guarantee nothing.

    Parameters
    ----------
    aim
        What for.
    logits
        ``[N]``, finite.
    labels
        ``[N]`` of 0 (normal) and 1 (pneumonia).
    patients
        ``[N]``: the key of the patient of each image.

    Raises
    ------
    CalibrationError
        The sample is invalid, lacks a class, or is too small for a guarantee.
    """
    sample = checked_sample(logits, labels, patients)
    sample.require_both_classes()
    if aim.policy is Policy.TWO_THRESHOLDS:
        return _two_thresholds(aim, sample, patients)
    if aim.policy is Policy.TARGET_RECALL:
        return _guaranteed(aim, _recall(aim, sample, patients))
    if aim.policy is Policy.TARGET_SPECIFICITY:
        return _guaranteed(aim, _specificity(aim, sample, patients))
    return _best_on_the_sample(aim, sample)


def _recall(aim: Aim, sample: Sample, patients: ArrayLike) -> ThresholdChoice:
    return recall_threshold(
        sample.logits,
        sample.positive,
        patients,
        target=aim.target_recall or 0.0,
        confidence=aim.confidence,
        unit=aim.unit,
    )


def _specificity(aim: Aim, sample: Sample, patients: ArrayLike) -> ThresholdChoice:
    return specificity_threshold(
        sample.logits,
        sample.positive,
        patients,
        target=aim.target_specificity or 0.0,
        confidence=aim.confidence,
        unit=aim.unit,
    )


def _guaranteed(aim: Aim, found: ThresholdChoice) -> Choice:
    return Choice(aim.name, aim.policy, found.score, None, (found.guarantee,), ())


def _two_thresholds(aim: Aim, sample: Sample, patients: ArrayLike) -> Choice:
    lower, upper = _recall(aim, sample, patients), _specificity(aim, sample, patients)
    guarantees = (lower.guarantee, upper.guarantee)
    both = max(0.0, 2 * aim.confidence - 1)
    joint = (
        f"each guarantee holds with {aim.confidence:.4g} confidence by itself, both together "
        f"with {both:.4g} at least"
    )
    if lower.score < upper.score:
        notes = ("an indeterminate image is neither missed nor a false alarm", joint)
        return Choice(aim.name, aim.policy, upper.score, lower.score, guarantees, notes)
    score = (lower.score + upper.score) / 2
    guarantees = (
        guarantee_at(lower.guarantee, sample.of_class(positive=True), score),
        guarantee_at(upper.guarantee, sample.of_class(positive=False), score),
    )
    notes = ("one threshold keeps both promises, so that no image is indeterminate", joint)
    return Choice(aim.name, aim.policy, score, None, guarantees, notes)


def _best_on_the_sample(aim: Aim, sample: Sample) -> Choice:
    places = np.unique(sample.logits)
    recall = _share_from(sample, places, aim.unit, positive=True)
    alarms = _share_from(sample, places, aim.unit, positive=False)
    prevalence = aim.prevalence
    if prevalence is None:
        prevalence = _sample_prevalence(sample, aim.unit)
    gain = _GAINS[aim.policy](aim, recall, alarms, prevalence)
    # What floats leave of equal gains must not decide between them.
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[0])
    # Beyond the ends, as far from the outermost score as its neighbour is.
    gaps = np.diff(places) if places.size > 1 else np.ones(1)
    edges = np.concatenate(([places[0] - gaps[0]], places, [places[-1] + gaps[-1]]))
    middle = float(edges[best] + (edges[best + 1] - edges[best]) / 2)
    score = middle if middle > edges[best] else float(edges[best + 1])
    notes = [SAME_IMAGES]
    if aim.policy is not Policy.YOUDEN:
        notes.append(f"for a prevalence of {prevalence:.4g}")
    if best in (0, places.size):
        notes.append(f"it flags {'no' if best else 'every'} calibration image")
    return Choice(aim.name, aim.policy, score, None, (), tuple(notes))


def _share_from(sample: Sample, places: _Floats, unit: Unit, *, positive: bool) -> _Floats:
    """Return the share of a class at or above each place, and 0 for a threshold above all."""
    cluster = sample.of_class(positive=positive)
    weights = cluster.weights(unit)
    below = np.bincount(
        np.searchsorted(places, cluster.scores), weights, minlength=places.size
    ).cumsum()
    return np.concatenate(([1.0], 1.0 - below / weights.sum()))


def _sample_prevalence(sample: Sample, unit: Unit) -> float:
    if unit is Unit.IMAGE:
        return float(sample.positive.mean())
    positive, negative = (
        len(sample.of_class(positive=positive).keys) for positive in (True, False)
    )
    return positive / (positive + negative)


def _youden(_aim: Aim, recall: _Floats, alarms: _Floats, _prevalence: float) -> _Floats:
    return recall - alarms


def _f_beta(aim: Aim, recall: _Floats, alarms: _Floats, prevalence: float) -> _Floats:
    weight = (aim.beta or 0.0) ** 2
    found, false = prevalence * recall, (1.0 - prevalence) * alarms
    return (1.0 + weight) * found / (weight * prevalence + found + false)


def _cost(aim: Aim, recall: _Floats, alarms: _Floats, prevalence: float) -> _Floats:
    ratio = aim.cost_ratio or 0.0
    cost = prevalence * ratio * (1.0 - recall) + (1.0 - prevalence) * alarms
    # On the scale of the others: a ratio of a million must not make rounding large.
    return -cost / (prevalence * ratio + 1.0 - prevalence)


_Gain = Callable[[Aim, _Floats, _Floats, float], _Floats]
_GAINS: Final[dict[Policy, _Gain]] = {
    Policy.YOUDEN: _youden,
    Policy.F_BETA: _f_beta,
    Policy.COST: _cost,
}
