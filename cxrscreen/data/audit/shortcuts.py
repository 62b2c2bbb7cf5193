"""How well single properties that have nothing to do with the lungs separate the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrscreen.data.audit.measure import Measurement
from cxrscreen.errors import MetricError
from cxrscreen.evaluation.intervals import clustered_bootstrap, resampled_auc
from cxrscreen.evaluation.metrics import roc_auc

#: Lower limit of the AUC from which a cue alone would make a classifier, or half of one.
STRONG, NOTICEABLE = 0.8, 0.65
#: Fewer patients than this in a class, and an interval of the AUC means little.
LEAST_PATIENTS: Final = 10
_FOLDS: Final = 5
#: Of the logistic regression on border pixels, which are many and alike.
_INVERSE_REGULARISATION: Final = 0.01
#: Images by which the share of an encoding is drawn to that of all.
_PRIOR_IMAGES: Final = 5.0


class Verdict(StrEnum):
    """What a cue means for a network that is trained on these data."""

    STRONG = "strong"
    NOTICEABLE = "noticeable"
    WEAK = "weak"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Cue:
    """One property, and how well it alone separates the classes.

    Attributes
    ----------
    name
        Stable, as in ``audit.json``.
    title
        For people.
    auc
        Area under the ROC curve in the better direction, 0.5 to 1.
    low, high
        Its 95% interval by a bootstrap over patients; ``None`` where there are too few.
    higher
        The class that has the higher values, 0 or 1; ``None`` where they are all the same.
    medians
        Of the negative and the positive class; ``None`` for scores of a fitted model.
    verdict
        By the lower limit.
    """

    name: str
    title: str
    auc: float
    low: float | None
    high: float | None
    higher: int | None
    medians: tuple[float, float] | None
    verdict: Verdict


_Measured = Callable[[Measurement], float]
_MEASURED: Final[tuple[tuple[str, str, _Measured], ...]] = (
    ("file_bytes", "file size (bytes)", lambda m: m.size_bytes),
    (
        "bytes_per_pixel",
        "file size per pixel (bytes)",
        lambda m: m.size_bytes / (m.width_px * m.height_px),
    ),
    ("width", "width (pixels)", lambda m: m.width_px),
    ("height", "height (pixels)", lambda m: m.height_px),
    ("aspect", "width / height", lambda m: m.width_px / m.height_px),
    ("sharpness", "sharpness", lambda m: m.sharpness),
    ("mean", "mean grey level", lambda m: m.mean),
    ("contrast", "contrast", lambda m: m.contrast),
    ("p5", "5th percentile", lambda m: m.p5),
    ("p95", "95th percentile", lambda m: m.p95),
)
_FITTED: Final = {"border": "border pixels alone", "encoding": "how the file is encoded"}


def cue_values(
    measured: Sequence[Measurement],
    labels: NDArray[np.int64],
    patients: Sequence[str],
    *,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return a value of each cue for each image.

    Border and encoding are no numbers: they become scores of models that were fitted to
    other patients, by cross-validation. Border pixels go through a logistic regression; of
    an encoding, the share of positives among the images that have it is taken.

    Parameters
    ----------
    measured
        Both classes.
    labels
        ``[N]`` of 0 and 1.
    patients
        ``[N]`` keys.
    seed
        Of the folds.
    """
    values = {
        name: np.array([value(m) for m in measured], dtype=np.float64)
        for name, _, value in _MEASURED
    }
    folds = _folds(labels, patients, seed)
    if folds:
        borders = np.stack([m.border for m in measured])
        values["border"] = _border_scores(borders, labels, folds)
        encodings = np.unique([str(m.encoding) for m in measured], return_inverse=True)[1]
        values["encoding"] = _encoding_scores(encodings, labels, folds)
    return values


def judge_cues(
    values: dict[str, NDArray[np.float64]],
    labels: NDArray[np.int64],
    patients: Sequence[str],
    *,
    seed: int,
    replicates: int = 1000,
) -> tuple[Cue, ...]:
    """Return each cue with its AUC and interval, strongest first.

    Parameters
    ----------
    values
        Of :func:`cue_values`.
    labels, patients
        As there.
    seed
        Of the bootstrap.
    replicates
        Number of resamples.
    """
    enough = all(
        len({p for p, y in zip(patients, labels, strict=True) if y == label}) >= LEAST_PATIENTS
        for label in (0, 1)
    )
    differing = {name: column for name, column in values.items() if np.ptp(column) > 0}
    statistics = [resampled_auc(labels, column) for column in differing.values()]
    limits: dict[str, tuple[float, float]] = {}
    if enough and statistics:
        try:
            found = clustered_bootstrap(
                statistics, np.asarray(patients), seed=seed, replicates=replicates
            )
            limits = {n: (i.low, i.high) for n, i in zip(differing, found, strict=True)}
        except MetricError:
            # Too few: the cues are shown without a verdict.
            limits = {}
    cues = [_cue(name, column, labels, limits.get(name)) for name, column in values.items()]
    return tuple(sorted(cues, key=lambda cue: (-(cue.low or 0.0), -cue.auc, cue.name)))


def _cue(
    name: str,
    column: NDArray[np.float64],
    labels: NDArray[np.int64],
    limits: tuple[float, float] | None,
) -> Cue:
    auc = roc_auc(labels, column)
    higher = None if np.ptp(column) == 0 else int(auc >= 0.5)  # noqa: PLR2004
    if higher == 0 and name not in _FITTED:
        auc = 1 - auc
        limits = (1 - limits[1], 1 - limits[0]) if limits else None
    if name in _FITTED:
        # A model that was fitted to the labels has one direction; below 0.5 it found nothing.
        higher = None
    low, high = limits or (None, None)
    medians = (float(np.median(column[labels == 0])), float(np.median(column[labels == 1])))
    title = _FITTED.get(name) or next(title for n, title, _ in _MEASURED if n == name)
    return Cue(
        name=name,
        title=title,
        auc=auc,
        low=low,
        high=high,
        higher=higher,
        medians=None if name in _FITTED else medians,
        verdict=_verdict(low, constant=bool(np.ptp(column) == 0)),
    )


def _verdict(low: float | None, *, constant: bool) -> Verdict:
    if constant:
        return Verdict.WEAK
    if low is None:
        return Verdict.UNCLEAR
    if low >= STRONG:
        return Verdict.STRONG
    return Verdict.NOTICEABLE if low >= NOTICEABLE else Verdict.WEAK


_Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _folds(labels: NDArray[np.int64], patients: Sequence[str], seed: int) -> _Folds:
    """Return folds whose training parts hold both classes; none if there are none."""
    fewest = min(
        len({p for p, y in zip(patients, labels, strict=True) if y == label}) for label in (0, 1)
    )
    count = min(_FOLDS, fewest)
    if count < 2:  # noqa: PLR2004
        return []
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    folds = list(splitter.split(labels, labels, list(patients)))
    both = all(np.unique(labels[fitted]).size == 2 for fitted, _ in folds)  # noqa: PLR2004
    return folds if both else []


def _border_scores(
    borders: NDArray[np.uint8], labels: NDArray[np.int64], folds: _Folds
) -> NDArray[np.float64]:
    scores = np.empty(len(labels))
    for fitted, held_out in folds:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=2000)
        )
        model.fit(borders[fitted].astype(np.float32), labels[fitted])
        scores[held_out] = model.decision_function(borders[held_out].astype(np.float32))
    return scores


def _encoding_scores(
    encodings: NDArray[np.int64], labels: NDArray[np.int64], folds: _Folds
) -> NDArray[np.float64]:
    scores = np.empty(len(labels))
    count = int(encodings.max()) + 1
    prior = float(labels.mean())
    for fitted, held_out in folds:
        images = np.bincount(encodings[fitted], minlength=count)
        positives = np.bincount(encodings[fitted], weights=labels[fitted], minlength=count)
        # The prior is that of all images: a fold's own would tell which fold an image is in.
        share = (positives + _PRIOR_IMAGES * prior) / (images + _PRIOR_IMAGES)
        scores[held_out] = share[encodings[held_out]]
    if np.unique(encodings).size == 1:
        # One encoding: folds differ by rounding alone, and must not look like a cue.
        scores[:] = prior
    return scores
