"""What an operating point came to on the images that it was fitted on.

Of a point with two thresholds, an indeterminate image counts as found and as not falsely
flagged, as in its guarantees.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from cxrscreen.calibration.programme import clustered_proportion
from cxrscreen.calibration.sample import checked_sample

#: A share, its lower and its upper limit.
Share = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PointFigures:
    """Shares of the calibration images on the right side, each with its limits.

    Attributes
    ----------
    recall
        Of the images with pneumonia, those that are not ``NEGATIVE``.
    specificity
        Of the normal images, those that are not ``POSITIVE``.
    flag_rate
        Of all images, those that are not ``NEGATIVE``, at the prevalence of the calibration.
    level
        Of the limits.
    """

    recall: Share
    specificity: Share
    flag_rate: Share
    level: float


def figures_at(
    thresholds: tuple[float, float],
    logits: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    level: float = 0.95,
) -> PointFigures:
    """Return recall, specificity and flag rate of an operating point, image by image.

    The limits allow for patients with several images: see
    :func:`cxrscreen.calibration.programme.clustered_proportion`.

    Parameters
    ----------
    thresholds
        Logits from which an image is not ``NEGATIVE``, and from which it is ``POSITIVE``; equal
        where the point has one threshold.
    logits, labels, patients
        ``[N]`` each, of both classes.
    level
        Of the limits, between 0 and 1.

    Raises
    ------
    CalibrationError
        The sample is invalid or lacks a class.
    """
    sample = checked_sample(logits, labels, patients)
    sample.require_both_classes()
    lower, upper = thresholds
    flagged, positive = sample.logits >= lower, sample.logits >= upper
    ill = sample.positive
    return PointFigures(
        recall=clustered_proportion(flagged[ill], sample.owners[ill], level=level),
        specificity=clustered_proportion(~positive[~ill], sample.owners[~ill], level=level),
        flag_rate=clustered_proportion(flagged, sample.owners, level=level),
        level=level,
    )
