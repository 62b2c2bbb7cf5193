"""One model on labelled images: every metric with its interval, from the same arrays."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.delong import cluster_numbers
from cxrscreen.evaluation.estimates import Assessment, Design
from cxrscreen.evaluation.metrics import checked, checked_probabilities, confusion
from cxrscreen.evaluation.resampling import Judged, Replicates, replicate
from cxrscreen.evaluation.rules import Rules


def assess(  # noqa: PLR0913 (the arrays, and what is asked of them)
    labels: ArrayLike,
    scores: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None,
    *,
    threshold_score: float,
    level: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
    prevalence: float | None = None,
) -> Assessment:
    """Measure one model, every metric with its interval.

    Where each patient has one image, proportions (and F1) have exact limits. Where a patient
    has several, they have limits by a bootstrap of whole patients on the scale of log odds. The
    AUC has DeLong's, with clusters Obuchowski's; other metrics have those of the bootstrap. A
    proportion of 0 or 1 does not vary among resamples: it has the exact limits of as many
    independent units as patients stand behind it. ``docs/intervals.md`` says how well all of
    them cover.

    Parameters
    ----------
    labels
        ``[N]`` of 0 and 1.
    scores
        ``[N]``: logits, finite.
    probabilities
        ``[N]`` in 0..1: what calibration made of the logits.
    patients
        ``[N]``: the patient of each image; ``None`` where each image is one.
    threshold_score
        A score at or above it is flagged.
    level
        Of the intervals, between 0 and 1.
    replicates
        Resamples of the bootstrap, 100 or more.
    seed
        Of the resamples.
    prevalence
        Between 0 and 1: adds PPV and NPV at this prevalence.

    Returns
    -------
    Assessment
        A metric that the data cannot give has the value ``None`` and a reason.

    Raises
    ------
    MetricError
        There is no image, labels are not 0 and 1, scores or probabilities are not finite or out
        of range, lengths differ, or an option is impossible.
    """
    design = Design(level=level, replicates=replicates, seed=seed, prevalence=prevalence)
    model = judge(labels, scores, probabilities, patients, threshold_score=threshold_score)
    (resampled,) = replicate([model], replicates=replicates, seed=seed)
    return assessed(model, resampled, design)


def judge(
    labels: ArrayLike,
    scores: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None,
    *,
    threshold_score: float,
) -> Judged:
    """Return checked arrays; see :func:`assess` for what they are and what is raised."""
    truth, values = checked(labels, scores)
    _, shares = checked_probabilities(labels, probabilities)
    members = cluster_numbers(patients, truth.size)
    if math.isnan(threshold_score):
        message = "the threshold is not a number"
        raise MetricError(message)
    return Judged(
        truth=truth,
        scores=values,
        probabilities=shares,
        threshold_score=threshold_score,
        members=members,
        patients=int(members.max()) + 1,
    )


def assessed(model: Judged, resampled: Replicates, design: Design) -> Assessment:
    """Return the assessment of a model whose resamples are there; see :func:`assess`."""
    counts = confusion(model.truth, model.flagged, threshold=1)
    rules = Rules(model, resampled, counts, design.level)
    return Assessment(
        estimates=rules.estimates(design.prevalence),
        confusion=counts,
        images=model.truth.size,
        patients=model.patients,
        positives=counts.positives,
        negatives=counts.images - counts.positives,
        positive_patients=model.patients_of(model.truth),
        negative_patients=model.patients_of(~model.truth),
        threshold_score=model.threshold_score,
        design=design,
    )
