"""From predictions to everything that an evaluation says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxrscreen.errors import MetricError, PredictionsError
from cxrscreen.evaluation.assess import assess
from cxrscreen.evaluation.compare import Comparison, Contender, compare
from cxrscreen.evaluation.estimates import Assessment, Design
from cxrscreen.evaluation.predictions import Predictions, RunPoint
from cxrscreen.evaluation.subgroups import Group, by_groups
from cxrscreen.vocabulary import AGE_GROUPS

#: Columns whose values have an order of their own.
_ORDER = {"age_group": tuple(name for _, name in AGE_GROUPS)}


@dataclass(frozen=True, slots=True)
class PointAssessment:
    """What one threshold of an operating point comes to.

    Attributes
    ----------
    name
        Of the point; with ``(lower)`` or ``(upper)`` if it has two thresholds.
    point
        The point.
    assessment
        At that threshold.
    """

    name: str
    point: RunPoint
    assessment: Assessment


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """An evaluation as numbers.

    Attributes
    ----------
    predictions
        What everything comes from.
    points
        The first is the one that figures are of: of a point with two thresholds, the upper
        one.
    groups
        By column, in the order asked for.
    design
        How uncertainty was measured.
    """

    predictions: Predictions
    points: tuple[PointAssessment, ...]
    groups: tuple[tuple[Group, ...], ...]
    design: Design

    @property
    def main(self) -> Assessment:
        """At the chosen operating point."""
        return self.points[0].assessment


def measure(
    predictions: Predictions,
    design: Design,
    by: Sequence[str] = (),
    *,
    one_class: bool = False,
) -> Measurement:
    """Measure a model on the images that it screened.

    Parameters
    ----------
    predictions
        With at least one image that was screened.
    design
        Level, resamples, seed and prevalence.
    by
        Columns to form subgroups by.
    one_class
        Measure images of one class too: what needs both has no value, but a reason.

    Raises
    ------
    PredictionsError
        There is no such column, no image was screened, or all that were are of one class.
    """
    _require_judged(predictions, one_class=one_class)
    arrays = predictions.arrays()
    thresholds: list[tuple[str, RunPoint, float]] = []
    for point in predictions.run.points:
        if point.lower_score is None:
            thresholds.append((point.name, point, point.score))
        else:
            thresholds.append((f"{point.name} (upper)", point, point.score))
            thresholds.append((f"{point.name} (lower)", point, point.lower_score))
    points = tuple(
        PointAssessment(
            name,
            point,
            assess(
                arrays.labels,
                arrays.logits,
                arrays.probabilities,
                arrays.patients,
                threshold_score=score,
                level=design.level,
                replicates=design.replicates,
                seed=design.seed,
                prevalence=design.prevalence,
            ),
        )
        for name, point, score in thresholds
    )
    groups = tuple(
        by_groups(
            arrays.labels,
            arrays.logits,
            arrays.probabilities,
            arrays.patients,
            predictions.column(column).tolist(),
            column=column,
            threshold_score=predictions.run.points[0].score,
            order=_ORDER.get(column, ()),
            level=design.level,
            replicates=design.replicates,
            seed=design.seed,
            prevalence=design.prevalence,
        )
        for column in by
    )
    return Measurement(predictions, points, groups, design)


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """Models on the same images.

    Attributes
    ----------
    names
        Of the models, each once.
    predictions
        Of each model, of the images that all of them screened.
    left_out
        How many images some model did not screen.
    comparison
        Assessments and differences.
    given
        Of each model, of all images: what it refused is among them.
    """

    names: tuple[str, ...]
    predictions: tuple[Predictions, ...]
    left_out: int
    comparison: Comparison
    given: tuple[Predictions, ...]


def measure_side_by_side(
    models: Sequence[Predictions], design: Design, *, one_class: bool = False
) -> SideBySide:
    """Compare models on the images that all of them screened, each at its own point.

    Parameters
    ----------
    models
        Two or more; the others are compared with the first.
    design
        Level, resamples, seed and prevalence.
    one_class
        As for :func:`measure`.

    Raises
    ------
    PredictionsError
        The predictions are not of the same images, labels and patients, no image was
        screened by all, or all that were are of one class.
    MetricError
        There are fewer than two models.
    """
    if len(models) < 2:  # noqa: PLR2004
        message = "one model cannot be compared"
        raise MetricError(message, hint="Give two bundles or two files of predictions.")
    first = models[0]
    truth = {image.name: (image.label, image.patient) for image in first.images}
    for number, other in enumerate(models[1:], start=2):
        if {image.name: (image.label, image.patient) for image in other.images} != truth:
            message = (
                f"model 1 ({first.run.bundle}) and model {number} ({other.run.bundle}): "
                "predictions of different images"
            )
            hint = "Evaluate both on the same data."
            raise PredictionsError(message, hint=hint)
    judged = set.intersection(*({image.name for image in one.judged} for one in models))
    if not judged:
        message = "no image was screened by all models"
        raise PredictionsError(message, hint="See the reject codes of their predictions.")
    common = tuple(_only(one, judged) for one in models)
    _require_judged(common[0], one_class=one_class)
    engines = {one.run.engine for one in models}
    names = _distinct(
        [
            one.run.bundle if len(engines) == 1 else f"{one.run.bundle} on {one.run.engine}"
            for one in models
        ]
    )
    reference = common[0].arrays()
    contenders = []
    for name, one in zip(names, common, strict=True):
        arrays = one.arrays()
        contenders.append(
            Contender(name, arrays.logits, arrays.probabilities, one.run.points[0].score)
        )
    comparison = compare(
        contenders,
        reference.labels,
        reference.patients,
        level=design.level,
        replicates=design.replicates,
        seed=design.seed,
        prevalence=design.prevalence,
    )
    return SideBySide(names, common, len(truth) - len(judged), comparison, tuple(models))


def _only(predictions: Predictions, names: set[str]) -> Predictions:
    images = tuple(
        sorted(
            (image for image in predictions.images if image.name in names),
            key=lambda image: image.name,
        )
    )
    run = predictions.run.model_copy(update={"images": len(images)})
    return Predictions(run, images)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names, numbered where they are there several times."""
    return tuple(
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    )


def _require_judged(predictions: Predictions, *, one_class: bool) -> None:
    judged = predictions.judged
    if not judged:
        message = f"none of {len(predictions.images)} images was screened"
        raise PredictionsError(message, hint="See 'cxrscreen inspect' for why one is refused.")
    found = sum(image.label for image in judged)
    if not one_class and found in {0, len(judged)}:
        missing = "is normal" if found else "shows pneumonia"
        message = f"one class only: none of the {len(judged):,} images screened {missing}"
        hint = "Check the labels; --allow-one-class measures what one class can tell."
        raise PredictionsError(message, hint=hint)
