"""Which limits each metric of an assessment gets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.delong import delong, interval_of
from cxrscreen.evaluation.estimates import (
    BOOTSTRAP,
    DELONG,
    EXACT,
    EXACT_PATIENTS,
    LIMITS,
    PAIRS,
    TITLES,
    Estimate,
)
from cxrscreen.evaluation.exact import clopper_pearson
from cxrscreen.evaluation.intervals import Interval
from cxrscreen.evaluation.limits import (
    calibration_error_interval,
    degrees_of_freedom,
    log_odds_interval,
    standard_error,
)
from cxrscreen.evaluation.metrics import (
    Confusion,
    average_precision,
    both_classes,
    brier_score,
    calibration_error,
    npv_at,
    ppv_at,
    roc_auc,
)
from cxrscreen.evaluation.resampling import Floats, Judged, Replicates


class Rules:
    """The rules of ``docs/intervals.md``, applied to one model.

    Parameters
    ----------
    model
        The arrays.
    resampled
        Metrics of their resamples.
    counts
        Right and wrong decisions of the arrays.
    level
        Of the intervals.
    """

    def __init__(
        self, model: Judged, resampled: Replicates, counts: Confusion, level: float
    ) -> None:
        self._model, self._values, self._gaps = model, resampled.values, resampled.gaps
        self._counts, self._level = counts, level
        self._clustered = model.patients < model.truth.size
        flagged, truth = model.flagged, model.truth
        found, cleared = counts.true_positives, counts.true_negatives
        # What a proportion counts, and the images it is a share of.
        self._shares: dict[str, tuple[int, NDArray[np.bool_]]] = {
            "accuracy": (found + cleared, np.ones_like(truth)),
            "precision": (found, flagged),
            "recall": (found, truth),
            "specificity": (cleared, ~truth),
            "npv": (cleared, ~flagged),
            "f1": (found, truth | flagged),
        }
        # Patients of the class that has fewer.
        self._rarer = min(model.patients_of(truth), model.patients_of(~truth))

    def estimates(self, prevalence: float | None = None) -> tuple[Estimate, ...]:
        """Return all estimates in the order of tables."""
        rows: list[tuple[str, str, Callable[[], Estimate]]] = [
            ("accuracy", TITLES["accuracy"], lambda: self._proportion("accuracy")),
            ("precision", TITLES["precision"], lambda: self._proportion("precision")),
            ("recall", TITLES["recall"], lambda: self._proportion("recall")),
            ("specificity", TITLES["specificity"], lambda: self._proportion("specificity")),
            ("f1", TITLES["f1"], self._f1),
            ("npv", TITLES["npv"], lambda: self._proportion("npv")),
            ("roc_auc", TITLES["roc_auc"], self._roc_auc),
            ("pr_auc", TITLES["pr_auc"], self._pr_auc),
            ("brier", TITLES["brier"], self._brier),
            ("calibration_error", TITLES["calibration_error"], self._calibration_error),
        ]
        if prevalence is not None:
            share = f"at prevalence {prevalence:.3g}"
            rows += [
                ("ppv_at_prevalence", f"PPV {share}", lambda: self._at(prevalence, "ppv")),
                ("npv_at_prevalence", f"NPV {share}", lambda: self._at(prevalence, "npv")),
            ]
        return tuple(self._or_reason(*row) for row in rows)

    def _or_reason(self, name: str, title: str, rule: Callable[[], Estimate]) -> Estimate:
        try:
            return rule()
        except MetricError as error:
            part, whole = self._counted(name)
            return Estimate(name, title, None, part=part, whole=whole, reason=error.message)

    def _counted(self, name: str) -> tuple[int | None, int | None]:
        # F1 is no share of images, though its limits come from one.
        if name not in self._shares or name == "f1":
            return None, None
        part, of = self._shares[name]
        return part, int(of.sum())

    def _proportion(self, name: str) -> Estimate:
        if name in {"precision", "npv"}:
            # With one class it is 0 or 1, whatever the model does.
            both_classes(self._model.truth, TITLES[name])
        value = float(getattr(self._counts, name))
        interval, method = self._interval(name, value, self._level)
        return Estimate(name, TITLES[name], value, interval, method, *self._counted(name))

    def _f1(self) -> Estimate:
        both_classes(self._model.truth, "F1")
        value = self._counts.f1
        interval, method = self._interval("f1", value, self._level)
        return Estimate("f1", TITLES["f1"], value, interval, method)

    def _interval(self, name: str, value: float, level: float) -> tuple[Interval, str]:
        part, of = self._shares[name]
        whole, patients = int(of.sum()), self._model.patients_of(of)
        if not self._clustered:
            exact, method = clopper_pearson(part, whole, level=level), EXACT
        else:
            try:
                found = _log_odds(self._values[name], value, patients, level)
            except MetricError:
                # All or none, or too few patients to see them vary: each counts once.
                units = part / whole * patients
                exact, method = clopper_pearson(units, patients, level=level), EXACT_PATIENTS
            else:
                return found, BOOTSTRAP
        if name != "f1":
            return exact, method
        # Of the images that are positive or flagged, the share J that is both is a proportion,
        # and F1 = 2 J / (1 + J) rises with it.
        low, high = (2 * limit / (1 + limit) for limit in (exact.low, exact.high))
        return Interval(low, high, level), method

    def _roc_auc(self) -> Estimate:
        model, name, title = self._model, "roc_auc", TITLES["roc_auc"]
        value = roc_auc(model.truth, model.scores)
        try:
            found = delong(model.truth, model.scores, clusters=model.members)
        except MetricError as error:
            return Estimate(name, title, value, reason=f"no interval: {error.message}")
        method = DELONG if found.variance > 0 else PAIRS
        return Estimate(name, title, value, interval_of(found, level=self._level), method)

    def _pr_auc(self) -> Estimate:
        both_classes(self._model.truth, "PR-AUC")
        value = average_precision(self._model.truth, self._model.scores)
        return self._bootstrapped("pr_auc", value, self._rarer)

    def _brier(self) -> Estimate:
        model = self._model
        value = brier_score(model.truth, model.probabilities)
        influence = model.by_patient((model.probabilities - model.truth) ** 2 - value)
        freedom = degrees_of_freedom(influence, model.patients)
        return self._bootstrapped("brier", value, model.patients, freedom)

    def _bootstrapped(
        self, name: str, value: float, patients: int, freedom: float | None = None
    ) -> Estimate:
        try:
            interval = _log_odds(self._values[name], value, patients, self._level, freedom)
        except MetricError as error:
            return Estimate(name, TITLES[name], value, reason=f"no interval: {error.message}")
        return Estimate(name, TITLES[name], value, interval, BOOTSTRAP)

    def _calibration_error(self) -> Estimate:
        model, name = self._model, "calibration_error"
        value = calibration_error(model.truth, model.probabilities)
        gaps = model.gaps().sum(axis=0) / model.truth.size
        try:
            interval = calibration_error_interval(
                gaps, self._gaps, patients=model.patients, level=self._level
            )
        except MetricError as error:
            return Estimate(name, TITLES[name], value, reason=f"no interval: {error.message}")
        return Estimate(name, TITLES[name], value, interval, BOOTSTRAP)

    def _at(self, prevalence: float, which: str) -> Estimate:
        recall, specificity = self._counts.recall, self._counts.specificity
        bayes = ppv_at if which == "ppv" else npv_at
        value = bayes(recall, specificity, prevalence)
        name, title = f"{which}_at_prevalence", f"{which.upper()} at prevalence {prevalence:.3g}"
        values = _bayes(self._values["recall"], self._values["specificity"], prevalence, which)
        try:
            interval = _log_odds(values, value, self._rarer, self._level)
        except MetricError:
            interval = self._corners(bayes, prevalence)
            return Estimate(name, title, value, interval, LIMITS)
        return Estimate(name, title, value, interval, BOOTSTRAP)

    def _corners(self, bayes: Callable[[float, float, float], float], share: float) -> Interval:
        # Two intervals that err half as often hold together at the level (Bonferroni), and both
        # predictive values rise with recall and with specificity.
        level = (1 + self._level) / 2
        recall, _ = self._interval("recall", self._counts.recall, level)
        specificity, _ = self._interval("specificity", self._counts.specificity, level)
        low = _defined(bayes, recall.low, specificity.low, share, otherwise=0.0)
        high = _defined(bayes, recall.high, specificity.high, share, otherwise=1.0)
        return Interval(low, high, self._level)


def _log_odds(
    values: Floats, value: float, patients: int, level: float, freedom: float | None = None
) -> Interval:
    error = standard_error(values, patients)
    if not 0 < value < 1:
        message = f"a value of {value:g} has no limits by resamples"
        raise MetricError(message)
    freedom = patients - 1.0 if freedom is None else freedom
    return log_odds_interval(value, error, freedom=freedom, level=level)


def _bayes(recall: Floats, specificity: Floats, prevalence: float, which: str) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        if which == "ppv":
            hits, others = prevalence * recall, (1 - prevalence) * (1 - specificity)
        else:
            hits, others = (1 - prevalence) * specificity, prevalence * (1 - recall)
        shares: Floats = hits / (hits + others)
    return shares


def _defined(
    bayes: Callable[[float, float, float], float],
    recall: float,
    specificity: float,
    prevalence: float,
    *,
    otherwise: float,
) -> float:
    try:
        return bayes(recall, specificity, prevalence)
    except MetricError:
        return otherwise
