"""Several models on the same images, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.assess import assessed, judge
from cxrscreen.evaluation.estimates import BOOTSTRAP, Assessment, Design, Estimate
from cxrscreen.evaluation.limits import square_and_add
from cxrscreen.evaluation.paired import (
    BONETT_PRICE,
    MCNEMAR,
    McNemar,
    PairedDifference,
    difference_limits,
    mcnemar,
    paired_delong,
    share_limits,
    undecided,
)
from cxrscreen.evaluation.resampling import Judged, Replicates, replicate

#: Metrics whose differences are compared, in the order of tables.
COMPARED: Final = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "roc_auc",
    "pr_auc",
    "brier",
)
#: Shares of images that do not depend on the model: McNemar's test is about these.
_OF_ALL: Final = ("accuracy", "recall", "specificity")


@dataclass(frozen=True, slots=True)
class Contender:
    """One model's outputs.

    Attributes
    ----------
    name
        In tables.
    scores, probabilities
        ``[N]``: logits, and what calibration made of them.
    threshold_score
        A score at or above it is flagged.
    """

    name: str
    scores: ArrayLike
    probabilities: ArrayLike
    threshold_score: float


@dataclass(frozen=True, slots=True)
class Versus:
    """One model against the first.

    Attributes
    ----------
    first, second
        Their names; a difference is the second's less the first's.
    differences
        In the order of :data:`COMPARED`.
    errors
        Images that only one of the two judged right. The p-value holds for independent images.
    """

    first: str
    second: str
    differences: tuple[PairedDifference, ...]
    errors: McNemar

    def __getitem__(self, metric: str) -> PairedDifference:
        for difference in self.differences:
            if difference.metric == metric:
                return difference
        raise KeyError(metric)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models on the same images.

    Attributes
    ----------
    names, assessments
        Of each model, in the order given.
    versus
        Each model but the first against the first.
    """

    names: tuple[str, ...]
    assessments: tuple[Assessment, ...]
    versus: tuple[Versus, ...]


def compare(  # noqa: PLR0913 - the arrays, and what is asked of them
    models: Sequence[Contender],
    labels: ArrayLike,
    patients: ArrayLike | None,
    *,
    level: float = 0.95,
    replicates: int = 2000,
    seed: int = 0,
    prevalence: float | None = None,
) -> Comparison:
    """Measure several models on the same images, and each against the first.

    All see the same resamples of patients. AUCs are compared by DeLong, with clusters by
    Obuchowski; accuracy, recall and specificity by Bonett and Price, with the p-values of the
    exact McNemar test where each patient has one image; everything else by the spread of the
    resampled differences. No p-value is corrected for the number of comparisons.

    Parameters
    ----------
    models
        Two or more, under different names.
    labels, patients, level, replicates, seed, prevalence
        As :func:`~cxrscreen.evaluation.assess.assess`.

    Raises
    ------
    MetricError
        There are fewer than two models, or two of one name; else as ``assess``.
    """
    names = tuple(model.name for model in models)
    if len(set(names)) < max(2, len(names)):
        message = f"{len(names)} models to compare: at least two of different names are needed"
        raise MetricError(message)
    design = Design(level=level, replicates=replicates, seed=seed, prevalence=prevalence)
    judged = [
        judge(
            labels,
            model.scores,
            model.probabilities,
            patients,
            threshold_score=model.threshold_score,
        )
        for model in models
    ]
    resampled = replicate(judged, replicates=replicates, seed=seed)
    assessments = tuple(
        assessed(model, own, design) for model, own in zip(judged, resampled, strict=True)
    )
    pairs = [
        _Pair(judged[0], judged[k], resampled[0], resampled[k], assessments[0], assessments[k])
        for k in range(1, len(models))
    ]
    versus = tuple(
        Versus(names[0], name, pair.differences(), pair.errors)
        for name, pair in zip(names[1:], pairs, strict=True)
    )
    return Comparison(names, assessments, versus)


@dataclass(frozen=True, slots=True)
class _Pair:
    first: Judged
    second: Judged
    first_resampled: Replicates
    second_resampled: Replicates
    first_assessed: Assessment
    second_assessed: Assessment

    @property
    def errors(self) -> McNemar:
        return mcnemar(self.first.truth, self.first.flagged, self.second.flagged)

    def differences(self) -> tuple[PairedDifference, ...]:
        return tuple(self._difference(metric) for metric in COMPARED)

    def _difference(self, metric: str) -> PairedDifference:
        first, second = self.first_assessed[metric], self.second_assessed[metric]
        if first.value is None or second.value is None:
            return undecided(metric, first.value, second.value)
        difference = second.value - first.value
        found = PairedDifference(metric, first.title, first.value, second.value, difference)
        try:
            if metric in _OF_ALL:
                return self._share(found)
            if metric == "roc_auc":
                return self._auc()
            return self._resampled(found, (first.value, first), (second.value, second))
        except MetricError as error:
            return replace(found, reason=f"no interval: {error.message}")

    def _share(self, found: PairedDifference) -> PairedDifference:
        of, truth = self._images(found.metric), self.first.truth
        one, two = self.first.flagged, self.second.flagged
        interval, p_value = share_limits(
            (one == truth)[of],
            (two == truth)[of],
            self.first.members[of],
            level=self._level,
        )
        method = BONETT_PRICE
        if not self.first_assessed.clustered:
            p_value = mcnemar(truth[of], one[of], two[of]).p_value
            method = f"{BONETT_PRICE}, {MCNEMAR}"
        return replace(found, interval=interval, p_value=p_value, method=method)

    def _resampled(
        self, found: PairedDifference, first: tuple[float, Estimate], second: tuple[float, Estimate]
    ) -> PairedDifference:
        own = self.first_resampled.values[found.metric]
        other = self.second_resampled.values[found.metric]
        patients = self._patients(found.metric)
        interval, p_value = difference_limits(
            second[0] - first[0], other - own, patients=patients, level=self._level
        )
        limits = (first[1].interval, second[1].interval)
        if found.metric == "pr_auc" and limits[0] is not None and limits[1] is not None:
            both = np.isfinite(own) & np.isfinite(other)
            interval = square_and_add(
                (first[0], limits[0]),
                (second[0], limits[1]),
                correlation=float(np.corrcoef(own[both], other[both])[0, 1]),
            )
        return replace(found, interval=interval, p_value=p_value, method=BOOTSTRAP)

    @property
    def _level(self) -> float:
        return self.first_assessed.design.level

    def _auc(self) -> PairedDifference:
        model = self.first
        return paired_delong(
            model.truth,
            model.scores,
            self.second.scores,
            patients=model.members,
            level=self._level,
        )

    def _images(self, metric: str) -> NDArray[np.bool_]:
        """Return which images the metric of either model is about."""
        truth, flagged = self.first.truth, self.first.flagged | self.second.flagged
        of = {"recall": truth, "specificity": ~truth, "precision": flagged, "f1": truth | flagged}
        return of.get(metric, np.ones_like(truth))

    def _patients(self, metric: str) -> int:
        if metric == "pr_auc":
            truth = self.first.truth
            return min(self.first.patients_of(truth), self.first.patients_of(~truth))
        return self.first.patients_of(self._images(metric))
