"""A calibration as what a later period is compared with."""

from __future__ import annotations

import numpy as np

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.drift.reference import Identity, Reference
from cxrscreen.errors import CalibrationError


def calibration_reference(calibration: Calibration, *, bundle_sha256: str = "") -> Reference:
    """Return the scores, labels and counts of calibration images.

    Images of a patient resemble one another: the first of each class speaks for a patient.

    Parameters
    ----------
    calibration
        Of a bundle or of a site.
    bundle_sha256
        Of the bundle that it comes with, where it does.

    Raises
    ------
    CalibrationError
        It keeps no scores.
    """
    document, scores = calibration.document, calibration.scores
    if scores is None:
        message = f"{document.name} keeps no calibration scores"
        raise CalibrationError(message, hint="Calibrate it, or give an earlier report.")
    pairs = [
        f"{patient} {label}" for patient, label in zip(scores.patients, scores.labels, strict=True)
    ]
    _, first = np.unique(pairs, return_index=True)
    first = np.sort(first)
    return Reference(
        scores=scores.logits[first],
        counts=calibration.counts,
        labels=scores.labels[first],
        name=document.name,
        # What is guaranteed depends on the point of the report, which names it.
        recall_floor=None,
        identity=Identity(
            model=document.model,
            preprocessing=document.preprocessing,
            engine=document.engine,
            bundle_sha256=bundle_sha256,
        ),
    )
