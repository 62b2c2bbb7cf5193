"""What an operating point came to on the images that it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from cxrscreen.calibration.programme import clustered_proportion
from cxrscreen.calibration.sample import checked_sample

#: A share, its lower and its upper limit.
Share = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PointFigures:
    """Shares of the calibration images at or above a threshold, each with its limits.

    Attributes
    ----------
    recall, specificity
        Of the images with pneumonia and of the normal ones.
    flag_rate
        Of all images, at the prevalence of the calibration.
    level
        Of the limits.
    """

    recall: Share
    specificity: Share
    flag_rate: Share
    level: float


def figures_at(
    score: float, logits: ArrayLike, labels: ArrayLike, patients: ArrayLike, *, level: float = 0.95
) -> PointFigures:
    """Return recall, specificity and flag rate at a threshold, image by image.

    The limits allow for patients with several images: see
    :func:`cxrscreen.calibration.programme.clustered_proportion`.

    Parameters
    ----------
    score
        The threshold, a logit: at or above it an image is flagged.
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
    flagged = sample.logits >= score
    ill = sample.positive
    return PointFigures(
        recall=clustered_proportion(flagged[ill], sample.owners[ill], level=level),
        specificity=clustered_proportion(~flagged[~ill], sample.owners[~ill], level=level),
        flag_rate=clustered_proportion(flagged, sample.owners, level=level),
        level=level,
    )
