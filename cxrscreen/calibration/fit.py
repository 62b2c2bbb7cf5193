"""Fit the map from logits to probabilities, as simple as the images justify."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedGroupKFold

from cxrscreen.calibration.probability import Calibrator, Knot
from cxrscreen.calibration.sample import Sample, checked_sample
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import CalibrationMethod

_Floats = NDArray[np.float64]
#: The slope of a line, for logits divided by their standard deviation.
_SLOPES: Final = (1e-3, 1e3)
#: Centres of two blocks that lie nearer, in standard deviations of the logits, are one.
_NEAREST: Final = 1e-6
_LEAST_PATIENTS: Final = 2


@dataclass(frozen=True, slots=True)
class MethodLoss:
    """What a method came to on images that it was not fitted to.

    Attributes
    ----------
    method
        The method.
    loss
        Mean log loss, in nats.
    standard_error
        Of ``loss``, by patients.
    behind, behind_error
        Mean of how much more than the best method it loses, image by image, and the
        standard error of that, by patients.
    """

    method: CalibrationMethod
    loss: float
    standard_error: float
    behind: float
    behind_error: float


@dataclass(frozen=True, slots=True)
class FittedCalibrator:
    """A calibration and why it is this one.

    Attributes
    ----------
    calibrator
        Fitted to all images by the chosen method.
    losses
        One for each method, from the simplest.
    prevalence
        Share of pneumonia among the images that it was fitted to.
    reason
        Why the method was chosen, in a sentence.
    """

    calibrator: Calibrator
    losses: tuple[MethodLoss, ...]
    prevalence: float
    reason: str


def fit_calibrator(
    logits: ArrayLike, labels: ArrayLike, patients: ArrayLike, *, seed: int = 0, folds: int = 5
) -> FittedCalibrator:
    """Fit every method and keep the simplest of those that are as good as the best.

    Each method is judged by the log loss on patients that it was not fitted to. The best one
    is replaced by the simplest whose loss is greater by no more than one standard error of
    the difference, taken image by image and clustered by patient: the one-standard-error
    rule of Breiman, Friedman, Olshen and Stone, *Classification and Regression Trees*, 1984,
    on paired differences. The order is none, temperature, Platt, isotonic.

    Parameters
    ----------
    logits
        ``[N]``, finite.
    labels
        ``[N]`` of 0 (normal) and 1 (pneumonia).
    patients
        ``[N]``: the key of the patient of each image.
    seed
        Of the folds.
    folds
        At most so many; fewer where a class has fewer patients.

    Raises
    ------
    CalibrationError
        The sample is invalid, all logits are equal, a class is missing or has a single
        patient.
    """
    sample = checked_sample(logits, labels, patients)
    _require_enough(sample)
    out_of_fold = _cross_validate(sample, seed=seed, folds=folds)
    best = min(out_of_fold, key=lambda method: float(out_of_fold[method].mean()))
    losses = tuple(
        _judge(method, values, out_of_fold[best], sample.owners)
        for method, values in out_of_fold.items()
    )
    chosen = next(one for one in losses if one.behind <= one.behind_error)
    return FittedCalibrator(
        calibrator=_FITS[chosen.method](sample.logits, sample.positive),
        losses=losses,
        prevalence=float(sample.positive.mean()),
        reason=_reason(chosen, best),
    )


def fit_method(method: CalibrationMethod, logits: ArrayLike, labels: ArrayLike) -> Calibrator:
    """Fit one method to all images.

    **Temperature** (Guo et al., "On Calibration of Modern Neural Networks", *ICML* 2017) and
    **Platt** scaling ("Probabilistic Outputs for Support Vector Machines", 1999) minimise the
    log loss of a line. **Isotonic** is the centered isotonic regression of Oron and Flournoy,
    *Statistics in Biopharmaceutical Research* 9, 2017: the blocks of pooled adjacent violators,
    each at the mean of its logits, joined by straight lines, here in log-odds. Beyond the
    outermost blocks it goes on as flat as the end piece or Platt's line, whichever is flatter.

    The labels are not 0 and 1 but Platt's ``1 / (n0 + 2)`` and ``(n1 + 1) / (n1 + 2)`` for
    ``n0`` normal and ``n1`` pneumonia images. So the slope stays finite on classes that are
    perfectly separated, and no block has a probability of 0 or 1. A line that would fall is
    flat but for 0.001 a standard deviation of the logits.

    Parameters
    ----------
    method
        Which.
    logits
        ``[N]``, finite.
    labels
        ``[N]`` of 0 and 1.

    Raises
    ------
    CalibrationError
        There is no image, or a number is not finite.
    """
    sample = checked_sample(logits, labels, np.arange(np.size(logits)))
    return _FITS[method](sample.logits, sample.positive)


def _none(_logits: _Floats, _positive: NDArray[np.bool_]) -> Calibrator:
    return Calibrator.identity()


def _temperature(logits: _Floats, positive: NDArray[np.bool_]) -> Calibrator:
    slope, _ = _line(logits, _targets(positive), intercept=False)
    return Calibrator(CalibrationMethod.TEMPERATURE, ((0.0, 0.0), (1.0, slope)))


def _platt(logits: _Floats, positive: NDArray[np.bool_]) -> Calibrator:
    slope, intercept = _line(logits, _targets(positive), intercept=True)
    return Calibrator(CalibrationMethod.PLATT, ((0.0, intercept), (1.0, intercept + slope)))


def _isotonic(logits: _Floats, positive: NDArray[np.bool_]) -> Calibrator:
    targets = _targets(positive)
    slope, _ = _line(logits, targets, intercept=True)
    blocks = _blocks(logits, targets)
    left = right = slope
    if len(blocks) > 1:
        left = min(slope, _slope(blocks[0], blocks[1]))
        right = min(slope, _slope(blocks[-2], blocks[-1]))
    # A knot a standard deviation beyond each end sets the slope of what follows.
    far = _spread(logits)
    first, last = blocks[0], blocks[-1]
    knots = (
        (first[0] - far, first[1] - far * left),
        *blocks,
        (last[0] + far, last[1] + far * right),
    )
    return Calibrator(CalibrationMethod.ISOTONIC, knots)


#: From the simplest to the most flexible.
_FITS: Final[Mapping[CalibrationMethod, Callable[[_Floats, NDArray[np.bool_]], Calibrator]]] = {
    CalibrationMethod.NONE: _none,
    CalibrationMethod.TEMPERATURE: _temperature,
    CalibrationMethod.PLATT: _platt,
    CalibrationMethod.ISOTONIC: _isotonic,
}


def _targets(positive: NDArray[np.bool_]) -> _Floats:
    positives = int(positive.sum())
    high = (positives + 1.0) / (positives + 2.0)
    return np.where(positive, high, 1.0 / (positive.size - positives + 2.0))


def _line(logits: _Floats, targets: _Floats, *, intercept: bool) -> tuple[float, float]:
    """Return slope and intercept of the least log loss: convex, and finite by the targets."""
    spread = _spread(logits)
    # With an intercept, centred: slope and intercept then hardly depend on one another.
    centre = float(logits.mean()) if intercept else 0.0
    scaled = (logits - centre) / spread

    def loss(line: _Floats) -> tuple[float, _Floats]:
        log_odds = line[0] * scaled + line[1]
        residual = np.where(log_odds > 0, 1.0, 0.0) - targets
        decay = np.exp(-np.abs(log_odds))
        residual += np.where(log_odds > 0, -1.0, 1.0) * decay / (1.0 + decay)
        value = (np.logaddexp(0.0, log_odds) - targets * log_odds).mean()
        return float(value), np.array([(residual * scaled).mean(), residual.mean()])

    share = float(targets.mean())
    start = math.log(share / (1.0 - share)) if intercept else 0.0
    bounds = [_SLOPES, (None, None) if intercept else (0.0, 0.0)]
    found = minimize(
        loss,
        [1.0, start],
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    )
    slope = float(found.x[0]) / spread
    return slope, float(found.x[1]) - slope * centre


def _blocks(logits: _Floats, targets: _Floats) -> tuple[Knot, ...]:
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(logits, targets)
    order = np.argsort(logits, kind="stable")
    places, values = logits[order], np.asarray(fitted, dtype=np.float64)[order]
    # Blocks whose means are equal to the last bits are one: the map must rise.
    starts = np.flatnonzero(np.r_[True, np.diff(values) > 1e-12])  # noqa: PLR2004
    blocks: list[Knot] = []
    for begin, end in zip(starts, (*starts[1:], values.size), strict=True):
        share = float(values[begin:end].mean())
        knot = (float(places[begin:end].mean()), math.log(share) - math.log1p(-share))
        if not blocks or knot[0] - blocks[-1][0] > _NEAREST * _spread(logits):
            blocks.append(knot)
    return tuple(blocks)


def _slope(left: Knot, right: Knot) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])


def _spread(logits: _Floats) -> float:
    return float(logits.std()) or 1.0


def _require_enough(sample: Sample) -> None:
    sample.require_both_classes()
    if np.ptp(sample.logits) == 0:
        message = f"all {sample.logits.size} logits are equal"
        raise CalibrationError(message, hint="Compute the predictions again.")
    for positive, kind in ((True, "pneumonia"), (False, "normal images")):
        count = len(sample.of_class(positive=positive).keys)
        if count < _LEAST_PATIENTS:
            message = f"{count} patient with {kind}: a calibration cannot be checked on others"
            raise CalibrationError(message, hint=f"Add patients with {kind}.")


def _cross_validate(sample: Sample, *, seed: int, folds: int) -> dict[CalibrationMethod, _Floats]:
    """Return the log loss of each image by the calibration that was fitted without it."""
    counts = [len(sample.of_class(positive=positive).keys) for positive in (True, False)]
    splitter = StratifiedGroupKFold(min(folds, *counts), shuffle=True, random_state=seed)
    losses = {method: np.empty(sample.logits.size) for method in _FITS}
    labels = sample.positive.astype(np.int64)
    for fitted, held_out in splitter.split(sample.logits, labels, sample.owners):
        for method, values in losses.items():
            calibrator = _FITS[method](sample.logits[fitted], sample.positive[fitted])
            log_odds = calibrator.log_odds(sample.logits[held_out])
            truth = np.where(sample.positive[held_out], 1.0, -1.0)
            values[held_out] = np.logaddexp(0.0, -truth * log_odds)
    return losses


def _judge(
    method: CalibrationMethod, losses: _Floats, best: _Floats, owners: NDArray[np.int64]
) -> MethodLoss:
    behind = losses - best
    return MethodLoss(
        method,
        float(losses.mean()),
        _clustered_error(losses, owners),
        float(behind.mean()),
        _clustered_error(behind, owners),
    )


def _clustered_error(values: _Floats, owners: NDArray[np.int64]) -> float:
    """Return the standard error of a mean over images whose patients are independent."""
    sums = np.bincount(owners, values - values.mean())
    return math.sqrt(float(sums @ sums) * sums.size / (sums.size - 1)) / values.size


def _reason(chosen: MethodLoss, best: CalibrationMethod) -> str:
    loss = f"a cross-validated log loss of {chosen.loss:.4f}"
    if chosen.method is best:
        return f"{best} has {loss}, the least of all methods"
    return (
        f"{chosen.method} has {loss}, {chosen.behind:.4f} more than {best}: no more than one "
        f"standard error of the difference ({chosen.behind_error:.4f}), and simpler"
    )
