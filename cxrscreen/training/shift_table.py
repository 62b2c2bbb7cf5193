"""The shift benchmark: a network under every condition, and what that comes to.

.. code-block:: python

    images = read_resized(validation, spec)
    reference = reference_of(training, spec)
    rows = shift_table(Judge(network, spec), images, conditions_for(images, reference))
    print(overall(rows).worst.auc)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.evaluation.metrics import roc_auc
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import OperatingPoint
from cxrscreen.training.cue_shifts import cue_conditions
from cxrscreen.training.reference import REFERENCE_IMAGES, CueReference, measure_reference
from cxrscreen.training.robustness import (
    Judge,
    ResizedImages,
    balanced,
    distorted_logits,
    read_resized,
    threshold_for_recall,
)
from cxrscreen.training.shifts import CONDITIONS, DIAGNOSTIC, DIAGNOSTICS, QUICK, Condition

#: Where there is no bundle with operating points of its own.
_RECALLS: Final = (0.95, 0.98)


@dataclass(frozen=True, slots=True)
class Cut:
    """An operating point as far as it decides: on logits.

    Attributes
    ----------
    name
        Of the point.
    flagged_from
        An image is flagged at or above it.
    found_from
        A pneumonia counts as found at or above it: below ``flagged_from`` where a point has
        ``INDETERMINATE``, which counts as found and as no false alarm.
    """

    name: str
    flagged_from: float
    found_from: float


@dataclass(frozen=True, slots=True)
class PointFigures:
    """Recall and specificity at one operating point; each 0..1."""

    point: str
    recall: float
    specificity: float


@dataclass(frozen=True, slots=True)
class PairAuc:
    """AUC of the images of one normal series against those of one of pneumonia."""

    normal: str
    pneumonia: str
    auc: float


@dataclass(frozen=True, slots=True)
class Figures:
    """AUC, and recall and specificity at each operating point; each 0..1."""

    auc: float
    points: tuple[PointFigures, ...] = ()
    pairs: tuple[PairAuc, ...] = ()


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """What a network comes to under one condition."""

    name: str
    family: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and lowest of each figure; what is lowest may stem from several rows."""

    mean: Figures
    worst: Figures


def cut_of(point: OperatingPoint) -> Cut:
    """Return where an operating point decides."""
    lower = point.score if point.lower_score is None else point.lower_score
    return Cut(point.name, flagged_from=point.score, found_from=lower)


def reference_of(
    training: Sequence[LabelledImage],
    spec: PreprocessSpec,
    *,
    on_image: Callable[[int], None] = lambda _: None,
) -> CueReference:
    """Measure the cues of the classes on training images, as many as are needed."""
    images = read_resized(balanced(training, 2 * REFERENCE_IMAGES), spec, on_image=on_image)
    return measure_reference(images.pixels, images.labels)


def conditions_for(
    images: ResizedImages, reference: CueReference, *, quick: bool = False
) -> tuple[Condition, ...]:
    """Return every condition of the benchmark, or those that decide most.

    Parameters
    ----------
    images
        What will be judged.
    reference
        From :func:`reference_of`.
    quick
        A selection of a dozen.
    """
    every = (*CONDITIONS, *cue_conditions(reference, images.labels), *DIAGNOSTICS)
    return tuple(one for one in every if not quick or one.name in QUICK)


def shift_table(
    judge: Judge,
    images: ResizedImages,
    conditions: Iterable[Condition],
    *,
    cuts: Sequence[Cut] | None = None,
    on_row: Callable[[ConditionFigures], None] = lambda _: None,
) -> list[ConditionFigures]:
    """Judge images under each condition.

    Parameters
    ----------
    judge
        The network with its normalisation.
    images
        From :func:`~cxrscreen.training.robustness.read_resized` with its specification.
    conditions
        From :func:`conditions_for`.
    cuts
        Where it decides; if ``None``, where its recall on the clean images is 0.95 and 0.98.
    on_row
        Is told of each row as soon as it is there.

    Raises
    ------
    MetricError
        A class is absent, or a logit is not finite.
    """
    if cuts is None:
        cuts = clean_cuts(judge, images, _RECALLS)
    rows: list[ConditionFigures] = []
    for condition in conditions:
        logits = distorted_logits(judge, images.pixels, condition.distort)
        figures = figures_of(images, logits, cuts)
        rows.append(ConditionFigures(condition.name, condition.family, figures))
        on_row(rows[-1])
    return rows


def clean_cuts(judge: Judge, images: ResizedImages, recalls: Iterable[float]) -> tuple[Cut, ...]:
    """Return where a network has given recalls on images as they are, named as points are."""
    logits = distorted_logits(judge, images.pixels)
    thresholds = {
        f"recall-{recall:g}": threshold_for_recall(images.labels, logits, recall)
        for recall in recalls
    }
    return tuple(Cut(name, threshold, threshold) for name, threshold in thresholds.items())


def figures_of(images: ResizedImages, logits: NDArray[np.float64], cuts: Sequence[Cut]) -> Figures:
    """Return what the logits of images come to.

    Raises
    ------
    MetricError
        A class is absent, or a logit is not finite.
    """
    auc = roc_auc(images.labels, logits)
    positive, negative = logits[images.labels == 1], logits[images.labels == 0]
    points = tuple(
        PointFigures(
            cut.name,
            recall=float(np.mean(positive >= cut.found_from)),
            specificity=float(np.mean(negative < cut.flagged_from)),
        )
        for cut in cuts
    )
    return Figures(auc, points, _pairs(images, logits))


def overall(rows: Sequence[ConditionFigures]) -> Summary:
    """Return mean and lowest over all rows but those that are no shift: diagnostics.

    Raises
    ------
    ValueError
        There is no such row.
    """
    return _summary([row.figures for row in rows if row.family != DIAGNOSTIC])


def by_family(rows: Sequence[ConditionFigures]) -> Mapping[str, Summary]:
    """Return mean and lowest over the rows of each family, clean images and diagnostics too."""
    families = dict.fromkeys(row.family for row in rows)
    return {
        family: _summary([row.figures for row in rows if row.family == family])
        for family in families
    }


def _summary(rows: Sequence[Figures]) -> Summary:
    return Summary(_by_column(rows, lambda values: float(np.mean(values))), _by_column(rows, min))


def _by_column(rows: Sequence[Figures], reduce: Callable[[list[float]], float]) -> Figures:
    points = tuple(
        PointFigures(
            same[0].point,
            recall=reduce([one.recall for one in same]),
            specificity=reduce([one.specificity for one in same]),
        )
        for same in zip(*(row.points for row in rows), strict=True)
    )
    pairs = tuple(
        PairAuc(same[0].normal, same[0].pneumonia, reduce([one.auc for one in same]))
        for same in zip(*(row.pairs for row in rows), strict=True)
    )
    return Figures(reduce([row.auc for row in rows]), points, pairs)


def _pairs(images: ResizedImages, logits: NDArray[np.float64]) -> tuple[PairAuc, ...]:
    series = np.array(images.series)
    if not images.series or not all(images.series):
        return ()
    by_label = [
        sorted({images.series[index] for index in np.flatnonzero(images.labels == label)})
        for label in (0, 1)
    ]
    pairs = []
    for normal, pneumonia in product(*by_label):
        chosen = (series == normal) & (images.labels == 0)
        chosen |= (series == pneumonia) & (images.labels == 1)
        pairs.append(PairAuc(normal, pneumonia, roc_auc(images.labels[chosen], logits[chosen])))
    return tuple(pairs)
