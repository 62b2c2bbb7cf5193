"""Assessments by group: sex, age, view, manufacturer, or any column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.assess import assess
from cxrscreen.evaluation.delong import cluster_numbers
from cxrscreen.evaluation.estimates import Assessment, Estimate

#: The group of images about which a column says nothing.
UNKNOWN: Final = "unknown"
#: Patients of a class below which a group says nothing about it.
LEAST_PATIENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Group:
    """The images of one value of a column.

    Attributes
    ----------
    column, value
        What the images have in common.
    assessment
        Their metrics. Those that rest on too few patients have the value ``None`` and a reason;
        the counts stand.
    """

    column: str
    value: str
    assessment: Assessment

    @property
    def too_small(self) -> bool:
        """No metric could be given."""
        return all(estimate.value is None for estimate in self.assessment.estimates)


def by_groups(  # noqa: PLR0913 - the arrays, and what is asked of them
    labels: ArrayLike,
    scores: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None,
    values: Sequence[str | None],
    *,
    column: str,
    threshold_score: float,
    order: Sequence[str] = (),
    least: int = LEAST_PATIENTS,
    level: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
    prevalence: float | None = None,
) -> tuple[Group, ...]:
    """Measure one model on the images of each group.

    Fewer than ``least`` patients with a positive image say nothing about recall, fewer with a
    negative one nothing about specificity, and either nothing about all other metrics: these
    are withheld, with a reason, and the counts stay. The intervals are those of each group
    alone: of 20 groups, one is expected to miss the truth at a level of 95%.

    Parameters
    ----------
    labels, scores, probabilities, patients, threshold_score, level, replicates, seed, prevalence
        As :func:`~cxrscreen.evaluation.assess.assess`.
    values
        ``[N]``: the group of each image; ``None`` and empty ones are a group of their own,
        :data:`UNKNOWN`.
    column
        What the values are called.
    order
        Values that come first, in this order, such as those of ages; the others follow by
        name, :data:`UNKNOWN` last.
    least
        Patients of a class, 1 or more.

    Raises
    ------
    MetricError
        As ``assess``, or there are not as many values as images.
    """
    truth, logits, shares = (np.asarray(one) for one in (labels, scores, probabilities))
    members = cluster_numbers(patients, truth.size)
    groups = np.array([value or UNKNOWN for value in values], dtype=np.str_)
    if not truth.shape == logits.shape == shares.shape == groups.shape:
        message = (
            f"{column}: {groups.size} values for {truth.size} labels, {logits.size} scores "
            f"and {shares.size} probabilities: there must be one for each image"
        )
        raise MetricError(message)
    if least < 1:
        message = f"{least} patients: a group needs at least one"
        raise MetricError(message)
    found = []
    for value in _ordered(groups, order):
        here = groups == value
        assessment = assess(
            truth[here],
            logits[here],
            shares[here],
            members[here],
            threshold_score=threshold_score,
            level=level,
            replicates=replicates,
            seed=seed,
            prevalence=prevalence,
        )
        found.append(Group(column, value, _withheld(assessment, least)))
    return tuple(found)


def _ordered(groups: NDArray[np.str_], order: Sequence[str]) -> list[str]:
    present = {str(value) for value in groups}
    known = [value for value in order if value in present and value != UNKNOWN]
    others = sorted(present - set(known) - {UNKNOWN})
    return known + others + [UNKNOWN] * (UNKNOWN in present)


def _withheld(assessment: Assessment, least: int) -> Assessment:
    positives, negatives = assessment.positive_patients, assessment.negative_patients

    def shown(estimate: Estimate) -> Estimate:
        needed = {"recall": {"positive": positives}, "specificity": {"negative": negatives}}
        classes = needed.get(estimate.name, {"positive": positives, "negative": negatives})
        few = [f"{count} {kind}" for kind, count in classes.items() if count < least]
        if not few:
            return estimate
        reason = f"too few patients to say: {' and '.join(few)}, {least} are needed"
        return replace(estimate, value=None, interval=None, method="", reason=reason)

    return replace(assessment, estimates=tuple(shown(one) for one in assessment.estimates))
