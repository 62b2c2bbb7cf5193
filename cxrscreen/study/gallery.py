"""The surest errors of a model, with the images and what the model saw in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cxrscreen import explain, intake, preprocess
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError, ImageRefusedError
from cxrscreen.evaluation.predictions import PredictedImage, Predictions
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.predictor import choose_device
from cxrscreen.records import Source
from cxrscreen.reports.error_gallery import ErrorGallery, GalleryCard

_CLASSES: Final = ("normal", "pneumonia")


def error_gallery(  # noqa: PLR0913 - the model, its answers, and what to show of them
    bundle: ModelBundle,
    predictions: Predictions,
    images: Sequence[LabelledImage],
    *,
    data: str,
    limit: int,
    device: str = "auto",
) -> ErrorGallery:
    """Return the surest false negatives and false positives, with activation maps.

    Parameters
    ----------
    bundle
        The model of the predictions.
    predictions
        At the first of its operating points.
    images
        The images that the predictions are of.
    data
        What to call them.
    limit
        Of each kind of error, so many at most.
    device
        Where maps are computed.

    Raises
    ------
    DatasetError
        An image cannot be read any more.
    """
    point = predictions.run.points[0]
    lowest = point.score if point.lower_score is None else point.lower_score
    judged = [(one, one.logit) for one in predictions.images if one.logit is not None]
    missed = sorted(
        ((one, logit) for one, logit in judged if one.label == 1 and logit < lowest),
        key=lambda pair: pair[1],
    )
    alarms = sorted(
        ((one, logit) for one, logit in judged if one.label == 0 and logit >= point.score),
        key=lambda pair: -pair[1],
    )
    by_name = {image.name: image for image in images}
    shown = [*missed[:limit], *alarms[:limit]]
    cards = _cards(bundle, [(by_name[one.name], one, logit) for one, logit in shown], device)
    return ErrorGallery(
        bundle=predictions.run.bundle,
        data=data,
        point=point.name,
        classes=_CLASSES,
        negatives=sum(one.label == 0 for one, _ in judged),
        positives=sum(one.label == 1 for one, _ in judged),
        false_negatives=len(missed),
        false_positives=len(alarms),
        threshold=point.threshold,
        score_threshold=point.score,
        missed=tuple(cards[: len(missed[:limit])]),
        false_alarms=tuple(cards[len(missed[:limit]) :]),
        lower_threshold=point.lower_threshold,
        lower_score=point.lower_score,
    )


def _cards(
    bundle: ModelBundle,
    chosen: Sequence[tuple[LabelledImage, PredictedImage, float]],
    device: str,
) -> list[GalleryCard]:
    pixels, warnings = [], []
    for image, _, _ in chosen:
        try:
            opened = intake.open_image(Source(image.path))
            radiograph = opened.read_pixels()
        except ImageRefusedError as error:
            message = f"{image.path}: {error.reason}"
            raise DatasetError(message, hint="The file was readable before.") from error
        pixels.append(preprocess.resize(radiograph.pixels, bundle.spec))
        warnings.append((*opened.record.notes, *radiograph.warnings))
    maps = explain.activation_maps(
        bundle,
        [preprocess.normalise(one, bundle.spec) for one in pixels],
        device=choose_device(device),
    )
    return [
        GalleryCard(
            name=image.name,
            label=image.label,
            probability=one.probability or 0.0,
            score=logit,
            pixels=seen[0].numpy(),
            activation=activation,
            facts=tuple((name, value) for name, value in one.attributes if value),
            warnings=told,
        )
        for (image, one, logit), seen, activation, told in zip(
            chosen, pixels, maps, warnings, strict=True
        )
    ]
