"""What a threshold means for a screening programme: readings, misses, false alarms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, t

from cxrscreen.calibration.sample import Cluster, checked_sample
from cxrscreen.errors import CalibrationError

#: What the design effect of copies counts, in patients with images on the rarer side.
_COPIES: Final = 2.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval.

    Attributes
    ----------
    value
        ``None`` where the sample does not say: the predictive value of no flagged image.
    low, high
        Limits; ``high`` is ``None`` where there is no upper one.
    """

    value: float | None
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class ProgrammeRow:
    """One threshold in a programme.

    Attributes
    ----------
    name, score
        Of the threshold; the score is a logit.
    recall, specificity
        By image, 0..1.
    flagged, missed, false_alarms
        Among ``per`` images.
    ppv, npv
        Positive and negative predictive value, 0..1.
    number_needed_to_read
        Flagged images that are read for each case found.
    prevalence, per
        What the figures were computed for.
    """

    name: str
    score: float
    recall: Estimate
    specificity: Estimate
    flagged: Estimate
    missed: Estimate
    false_alarms: Estimate
    ppv: Estimate
    npv: Estimate
    number_needed_to_read: Estimate
    prevalence: float
    per: int


def programme(  # noqa: PLR0913 - the images, the thresholds, and the programme
    logits: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    thresholds: Mapping[str, float],
    prevalence: float,
    per: int = 1000,
    level: float = 0.95,
) -> tuple[ProgrammeRow, ...]:
    """Return what each threshold comes to among so many images at a prevalence.

    Recall and specificity are counted by image. Their intervals are those of Clopper and
    Pearson with the number of images divided by the design effect of patients with several
    (:func:`clustered_proportion`), so that a recall of 1 in the sample has a lower limit too.
    A figure that rests on both takes the corners of the rectangle of the two intervals, each
    at the square root of the level: every figure rises or falls with either all the way, so
    that it covers at least at the level where recall and specificity come from different
    patients, and somewhat more. The prevalence is taken as known.

    Parameters
    ----------
    logits
        ``[N]``, finite.
    labels
        ``[N]`` of 0 (normal) and 1 (pneumonia).
    patients
        ``[N]``: the key of the patient of each image.
    thresholds
        Scores by name: at or above it, an image is flagged.
    prevalence
        Of pneumonia in the programme, between 0 and 1.
    per
        Number of images that the counts are of, at least 1.
    level
        Of the intervals, between 0 and 1.

    Raises
    ------
    CalibrationError
        The sample is invalid or lacks a class, or a number is out of its range.
    """
    for name, share in (("prevalence", prevalence), ("level", level)):
        if not 0.0 < share < 1.0:
            message = f"{name} {share:g} is not between 0 and 1"
            raise CalibrationError(message, hint="Give a share such as 0.05.")
    if per < 1:
        message = f"figures per {per} images"
        raise CalibrationError(message, hint="Give a number such as 1000.")
    sample = checked_sample(logits, labels, patients)
    positives, negatives = sample.of_class(positive=True), sample.of_class(positive=False)
    return tuple(
        _Row(positives, negatives, score, prevalence, per, level).named(name)
        for name, score in thresholds.items()
    )


def clustered_proportion(
    hits: ArrayLike, owners: ArrayLike, *, level: float
) -> tuple[float, float, float]:
    """Return a share with its interval, where images of one patient resemble one another.

    The exact interval of Clopper and Pearson, *Biometrika* 26, 1934, for an effective number
    of images: divided by the design effect, and adjusted for the number of patients that it
    rests on. Korn and Graubard, *Survey Methodology* 24, 1998. The design effect is at least
    1. Of few patients with images on the rarer side it cannot be estimated well, and of none
    not at all; so it is averaged with that of patients whose images are all copies,
    ``sum(n_i^2) / sum(n_i)``, which counts as much as two such patients.

    Parameters
    ----------
    hits
        ``[N]`` of 0 and 1.
    owners
        ``[N]`` of whole numbers: the patient of each image.
    level
        Between 0 and 1.

    Returns
    -------
    tuple of float
        The share and the two limits, 0..1.
    """
    right = np.asarray(hits, dtype=np.float64)
    _, members = np.unique(np.asarray(owners), return_inverse=True)
    sizes = np.bincount(members).astype(np.float64)
    share, number, patients = float(right.mean()), right.size, sizes.size
    effective = float(number)
    if patients < number:
        sums = np.bincount(members, right - share)
        effect = float(sizes @ sizes) / number
        if 0.0 < share < 1.0 and patients > 1:
            spread = float(sums @ sums) * patients / (patients - 1)
            estimated = max(1.0, spread / (share * (1.0 - share) * number))
            rare = min(np.unique(members[right == side]).size for side in (0.0, 1.0))
            effect = (rare * estimated + _COPIES * effect) / (rare + _COPIES)
        effective /= effect
        if patients > 1:
            tail = (1.0 + level) / 2.0
            effective *= float(t.ppf(tail, number - 1) / t.ppf(tail, patients - 1)) ** 2
    tail = (1.0 - level) / 2.0
    found = share * effective
    low = float(beta.ppf(tail, found, effective - found + 1.0)) if share > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, found + 1.0, effective - found)) if share < 1 else 1.0
    return share, low, high


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    positives: Cluster
    negatives: Cluster
    score: float
    prevalence: float
    per: int
    level: float

    def named(self, name: str) -> ProgrammeRow:
        ill, well = self.prevalence * self.per, (1.0 - self.prevalence) * self.per
        recall, specificity = self._shares(self.level)
        corners = self._shares(math.sqrt(self.level))

        def over_both(figure: Callable[[float, float], float]) -> Estimate:
            """Take the extremes of a monotone figure over the rectangle of both intervals."""
            values = [
                figure(found, spared) for found in corners[0][1:] for spared in corners[1][1:]
            ]
            # Undefined is only a corner where one share is 0 and the other 1: never an extreme.
            defined = [value for value in values if not math.isnan(value)]
            return _estimate(figure(recall[0], specificity[0]), min(defined), max(defined))

        return ProgrammeRow(
            name=name,
            score=self.score,
            recall=Estimate(*recall),
            specificity=Estimate(*specificity),
            flagged=over_both(lambda found, spared: ill * found + well * (1.0 - spared)),
            missed=Estimate(*_scaled(recall, ill)),
            false_alarms=Estimate(*_scaled(specificity, well)),
            ppv=over_both(lambda found, spared: _ratio(ill * found, well * (1.0 - spared))),
            npv=over_both(lambda found, spared: _ratio(well * spared, ill * (1.0 - found))),
            number_needed_to_read=over_both(
                lambda found, spared: _readings(ill * found, well * (1.0 - spared))
            ),
            prevalence=self.prevalence,
            per=self.per,
        )

    def _shares(self, level: float) -> tuple[tuple[float, float, float], ...]:
        flagged = self.positives.scores >= self.score
        spared = self.negatives.scores < self.score
        return (
            clustered_proportion(flagged, self.positives.owners, level=level),
            clustered_proportion(spared, self.negatives.owners, level=level),
        )


def _scaled(share: tuple[float, float, float], images: float) -> tuple[float, float, float]:
    """Return how many of so many images are on the wrong side, for a share on the right one."""
    value, low, high = share
    return images * (1.0 - value), images * (1.0 - high), images * (1.0 - low)


def _ratio(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else math.nan


def _readings(found: float, false: float) -> float:
    if found > 0:
        return (found + false) / found
    return math.inf if false > 0 else math.nan


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(
        value if math.isfinite(value) else None, low, high if math.isfinite(high) else None
    )
