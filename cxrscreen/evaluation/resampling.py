"""Metrics of resampled patients, many resamples at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.evaluation.metrics import equal_mass_bins

Floats = NDArray[np.float64]
#: The metrics that :func:`replicate` gives, in the order of tables.
METRICS: Final = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "npv",
    "roc_auc",
    "pr_auc",
    "brier",
    "calibration_error",
)
#: Numbers of float64 in one block of weights, half a megabyte: a block stays in the cache.
_BLOCK: Final = 60_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's outputs on the images of a study, checked.

    Attributes
    ----------
    truth
        ``[N]``: the image is positive.
    scores, probabilities
        ``[N]``: logits, and what calibration made of them.
    threshold_score
        A score at or above it is flagged.
    members
        ``[N]``: the patient of each image, numbered from 0 on.
    patients
        How many there are.
    """

    truth: NDArray[np.bool_]
    scores: Floats
    probabilities: Floats
    threshold_score: float
    members: NDArray[np.intp]
    patients: int

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """``[N]``: the score is at or above the threshold."""
        flagged: NDArray[np.bool_] = self.scores >= self.threshold_score
        return flagged

    def by_patient(self, values: NDArray[np.generic]) -> Floats:
        """Return ``[patients]``: the sums of values over the images of each patient."""
        numbers = np.asarray(values, dtype=np.float64)
        sums = np.bincount(self.members, weights=numbers, minlength=self.patients)
        return sums.astype(np.float64)

    def patients_of(self, images: NDArray[np.bool_]) -> int:
        """Return how many patients have one of the marked images, ``[N]``."""
        return int(np.unique(self.members[images]).size)

    def counts(self) -> Floats:
        """Return ``[patients, 4]``: true and false positives, true and false negatives."""
        flagged, truth = self.flagged, self.truth
        kinds = (flagged & truth, flagged & ~truth, ~flagged & ~truth, ~flagged & truth)
        return np.stack([self.by_patient(kind) for kind in kinds], axis=1)

    def gaps(self) -> Floats:
        """Return ``[patients, bins]``: sums of probability less label in the sample's bins."""
        members = equal_mass_bins(self.probabilities)
        gaps = np.zeros((self.patients, int(members.max()) + 1))
        np.add.at(gaps, (self.members, members), self.probabilities - self.truth)
        return gaps


@dataclass(frozen=True, slots=True)
class Replicates:
    """Metrics of resamples.

    Attributes
    ----------
    values
        By the names of :data:`METRICS`: ``[replicates]`` each, NaN where a resample has none.
    gaps
        ``[replicates, bins]``: mean probability less share of positives, times the share of
        images, in the bins of the sample.
    """

    values: dict[str, Floats]
    gaps: Floats


def replicate(models: Sequence[Judged], *, replicates: int, seed: int) -> tuple[Replicates, ...]:
    """Return the metrics of each model on resamples of whole patients.

    Patients are drawn with replacement, as many as there are, and each brings all of its images
    (Field and Welsh, *Journal of the Royal Statistical Society B* 69, 2007). All models and all
    metrics see the same draws, which the seed and the number of patients decide alone.

    Parameters
    ----------
    models
        At least one; all on the same images of the same patients.
    replicates
        Number of resamples.
    seed
        Of the draws.
    """
    measures = [_Measures(model) for model in models]
    parts: list[list[tuple[dict[str, Floats], Floats]]] = [[] for _ in models]
    for drawn in draws(models[0].patients, replicates, seed, wide=models[0].truth.size):
        for measure, part in zip(measures, parts, strict=True):
            part.append(measure.of(drawn))
    return tuple(
        Replicates(
            {name: np.concatenate([values[name] for values, _ in part]) for name in METRICS},
            np.concatenate([gaps for _, gaps in part]),
        )
        for part in parts
    )


def draws(patients: int, replicates: int, seed: int, *, wide: int) -> Iterator[Floats]:
    """Yield blocks ``[b, patients]``: how often each patient was drawn.

    Parameters
    ----------
    patients, replicates, seed
        They alone decide what is drawn.
    wide
        Numbers that are needed for each resample; a block has as many rows as memory allows.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(wide, patients, 1))
    for start in range(0, replicates, rows):
        block = min(rows, replicates - start)
        drawn = rng.integers(patients, size=(block, patients))
        drawn += np.arange(block)[:, None] * patients
        counts = np.bincount(drawn.ravel(), minlength=block * patients)
        yield counts.reshape(block, patients).astype(np.float64)


class _Measures:
    """What of one model is the same for all resamples, and the metrics of a block of them."""

    def __init__(self, model: Judged) -> None:
        self._counts, self._gaps = model.counts(), model.gaps()
        squares = (model.probabilities - model.truth) ** 2
        self._squares = model.by_patient(squares)
        # By score, the highest first; equal scores make one step of the curves.
        order = np.argsort(-model.scores, kind="stable")
        falling = model.scores[order]
        self._members = model.members[order]
        self._positive = model.truth[order].astype(np.float64)
        self._starts = np.flatnonzero(np.r_[True, np.diff(falling) != 0])

    def of(self, drawn: Floats) -> tuple[dict[str, Floats], Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            counts = drawn @ self._counts
            images = counts.sum(axis=1)
            values = ratios(counts)
            values["brier"] = drawn @ self._squares / images
            gaps = drawn @ self._gaps / images[:, None]
            values["calibration_error"] = np.abs(gaps).sum(axis=1)
            values["roc_auc"], values["pr_auc"] = self._areas(drawn)
        return values, gaps

    def _areas(self, drawn: Floats) -> tuple[Floats, Floats]:
        negative = drawn[:, self._members]
        positive = negative * self._positive
        negative -= positive
        if self._starts.size < self._members.size:
            positive = np.add.reduceat(positive, self._starts, axis=1)
            negative = np.add.reduceat(negative, self._starts, axis=1)
        found = np.cumsum(positive, axis=1)
        flagged = np.cumsum(negative, axis=1)
        positives, negatives = found[:, -1], flagged[:, -1].copy()
        # Each false alarm lies below the positives found before, and level with half of its step.
        pairs = np.vecdot(negative, found) - np.vecdot(negative, positive) / 2
        flagged += found
        np.maximum(flagged, 1, out=flagged)  # where nothing is flagged, nothing is gained
        precision = np.vecdot(positive, np.divide(found, flagged, out=flagged))
        return pairs / (positives * negatives), precision / positives


def ratios(counts: Floats) -> dict[str, Floats]:
    """Return the metrics of counts ``[R, 4]`` (TP, FP, TN, FN), ``[R]`` each; 0/0 is NaN."""
    found, alarms, cleared, missed = counts.T
    return {
        "accuracy": (found + cleared) / (found + alarms + cleared + missed),
        "precision": found / (found + alarms),
        "recall": found / (found + missed),
        "specificity": cleared / (cleared + alarms),
        "f1": 2 * found / (2 * found + alarms + missed),
        "npv": cleared / (cleared + missed),
    }
