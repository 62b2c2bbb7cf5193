"""The predictions of a model on labelled images, as every figure of an evaluation needs them."""

from __future__ import annotations

from collections.abc import Sequence

import cxrscreen
from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.document import SCORE_DIGITS
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.pseudonyms import pseudonyms
from cxrscreen.errors import PredictionsError
from cxrscreen.evaluation.predictions import (
    PredictedImage,
    Predictions,
    PredictionsRun,
    RunPoint,
)
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.records import OperatingPoint
from cxrscreen.study.predict import LabelledRow


def predictions_of(
    bundle: ModelBundle,
    rows: Sequence[LabelledRow],
    *,
    calibration: Calibration,
    point: OperatingPoint,
    part: str,
) -> Predictions:
    """Return what a model said of labelled images, ready to be saved.

    Parameters
    ----------
    bundle
        The model.
    rows
        The images, screened.
    calibration, point
        That they were screened with; the other points of the calibration are kept too.
    part
        Of the bundle's own data; empty for other images.
    """
    others = [other for other in calibration.points if other.name != point.name]
    run = PredictionsRun(
        schema_version=1,
        images=len(rows),
        bundle=bundle.name,
        bundle_sha256=bundle.sha256,
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        engine=bundle.engine,
        calibration=calibration.sha256,
        points=tuple(_point(each) for each in (point, *others)),
        part=part,
        data=fingerprint([row.image for row in rows]),
        version=cxrscreen.__version__,
    )
    return Predictions(run, tuple(_predicted(row) for row in rows))


def require_same_images(
    predictions: Predictions, images: Sequence[LabelledImage], place: str
) -> None:
    """Refuse predictions that are not of these images, labels and patients.

    Raises
    ------
    PredictionsError
        An image, label or patient differs; the message names the first.
    """
    patients = pseudonyms(images)
    given = {
        image.name: (image.label, patient) for image, patient in zip(images, patients, strict=True)
    }
    hint = "Give the data that the predictions were made of, or evaluate again."
    names = {predicted.name for predicted in predictions.images}
    # First, because one image more or less changes the pseudonyms of all.
    for missing, whole in ((names - set(given), "the data"), (set(given) - names, "them")):
        if missing:
            message = f"{place}: {min(missing)} is not in {whole}"
            raise PredictionsError(message, hint=hint)
    for predicted in predictions.images:
        label, patient = given[predicted.name]
        if label != predicted.label:
            message = f"{place}: {predicted.name} has label {predicted.label}, in the data {label}"
            raise PredictionsError(message, hint=hint)
        if patient != predicted.patient:
            message = f"{place}: {predicted.name} is of another patient, or images have changed"
            raise PredictionsError(message, hint=hint)


def _point(point: OperatingPoint) -> RunPoint:
    return RunPoint(
        name=point.name,
        score=point.score,
        lower_score=point.lower_score,
        threshold=point.threshold,
        lower_threshold=point.lower_threshold,
        guarantee=point.guarantee(),
    )


def _predicted(row: LabelledRow) -> PredictedImage:
    said = row.row.prediction
    return PredictedImage(
        name=row.image.name,
        patient=row.patient,
        label=row.image.label,
        # As they stand in the file: what is computed now is what is computed from it later.
        logit=None if said is None else round(said.logit, SCORE_DIGITS),
        probability=None if said is None else round(said.probability, SCORE_DIGITS),
        reject_code=row.reject_code,
        attributes=tuple(row.attributes().items()),
    )
