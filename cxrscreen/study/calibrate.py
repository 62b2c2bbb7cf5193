"""From labelled images to a calibration: of a bundle that is made, or of a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

import cxrscreen
from cxrscreen.calibration.calibration import Calibration, Scores
from cxrscreen.calibration.document import (
    CalibrationDataDocument,
    CalibrationDocument,
    CalibratorDocument,
    FiguresDocument,
    GuaranteeDocument,
    PointDocument,
    ScoresDocument,
    rounded,
)
from cxrscreen.calibration.fit import FittedCalibrator, fit_calibrator
from cxrscreen.calibration.point_figures import figures_at
from cxrscreen.calibration.policies import Aim, Choice
from cxrscreen.calibration.probability import Calibrator
from cxrscreen.data.dataset import fingerprint
from cxrscreen.errors import CalibrationError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.study.predict import LabelledRow, counts_of
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine, Policy

#: The point of a model that nothing was calibrated for: the logit of a probability of 0.5.
UNCALIBRATED_POINT = PointDocument(name="fixed-0.5", score=0.0, policy=Policy.FIXED)

#: Of a bundle; the default operating point is the first that the calibration part supports.
TARGET_RECALLS: Final = (0.95, 0.98, 0.90)
_TARGETS: Final = "target_recalls"
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """A calibration, how its calibrator was chosen, and the operating points with notes."""

    calibration: Calibration
    fitted: FittedCalibrator
    choices: tuple[Choice, ...]


def fit_calibration(
    bundle: ModelBundle,
    rows: Sequence[LabelledRow],
    aims: Sequence[Aim],
    *,
    name: str,
    site_prevalence: float | None = None,
) -> FittedCalibration:
    """Fit probabilities and thresholds on labelled images that were screened.

    Parameters
    ----------
    bundle
        The model that screened them.
    rows
        The images; those that were not screened are counted and not fitted on.
    aims
        What operating points are for; the first is the default.
    name
        Of the site, or of the bundle.
    site_prevalence
        Share of pneumonia at the site, where it is unlike that of the images.

    Raises
    ------
    CalibrationError
        No image was screened, a class is missing, or the images cannot support a threshold.
    """
    scores = scores_of(rows)
    fitted = fit_calibrator(scores.logits, scores.labels, scores.patients)
    choices = tuple(scores.choose(aim) for aim in aims)
    calibrator = fitted.calibrator
    document = CalibrationDocument(
        schema_version=1,
        kind="cxrscreen calibration",
        name=name,
        bundle=bundle.name,
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        engine=bundle.engine,
        version=cxrscreen.__version__,
        calibrator=CalibratorDocument(method=calibrator.method, knots=calibrator.knots),
        calibration_prevalence=float(scores.labels.mean()),
        site_prevalence=site_prevalence,
        operating_points=tuple(_point(choice, scores) for choice in choices),
        data=CalibrationDataDocument(
            images=len(rows),
            positives=sum(row.image.label for row in rows),
            patients=len({row.patient for row in rows}),
            not_screened=len(rows) - scores.labels.size,
            fingerprint=fingerprint([row.image for row in rows]),
        ),
        scores=ScoresDocument(
            patients=tuple(scores.patients.tolist()),
            labels=tuple(scores.labels.tolist()),
            logits=tuple(scores.logits.tolist()),
        ),
        counts=counts_of(rows),
    )
    return FittedCalibration(Calibration(document), fitted, choices)


def released_calibration(
    bundle: ModelBundle, rows: Sequence[LabelledRow]
) -> tuple[Calibration, tuple[str, ...]]:
    """Fit the calibration that a bundle is given when it is made.

    Parameters
    ----------
    bundle
        The model, with its engine.
    rows
        The calibration part, screened by it.

    Returns
    -------
    tuple
        The calibration, and what the images could not support, a sentence each. Where they
        support nothing, the one operating point is a probability of 0.5 without a guarantee.
    """
    plain = uncalibrated_bundle(bundle).calibration
    if not rows:
        return plain, ("no calibration part: nothing is guaranteed",)
    aims, notes = [], []
    try:
        scores = scores_of(rows)
        for target in bundle.document.training.config.get(_TARGETS, TARGET_RECALLS):
            aim = Aim(Policy.TARGET_RECALL, target_recall=target, confidence=CONFIDENCE)
            try:
                scores.choose(aim)
            except CalibrationError as error:
                notes.append(f"calibration: {error.one_line()}")
            else:
                aims.append(aim)
        if not aims:
            return plain, (*notes, "nothing is guaranteed at the operating point")
        fitted = fit_calibration(bundle, rows, aims, name=bundle.name)
    except CalibrationError as error:
        return plain, (f"calibration: {error.one_line()}",)
    return fitted.calibration, tuple(notes)


def uncalibrated_bundle(bundle: ModelBundle) -> ModelBundle:
    """Return a bundle as if its engine had not been calibrated: for its logits alone."""
    plain = uncalibrated(
        bundle.name,
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        engine=bundle.engine,
    )
    return replace(bundle, calibrations={bundle.engine: plain})


def uncalibrated(
    name: str, *, model: str, preprocessing: str, engine: Engine = DEFAULT_ENGINE
) -> Calibration:
    """Return the calibration of a model that has none: the logistic, and a point at 0.5."""
    identity = Calibrator.identity()
    return Calibration(
        CalibrationDocument(
            schema_version=1,
            kind="cxrscreen calibration",
            name=name,
            bundle=name,
            model=model,
            preprocessing=preprocessing,
            engine=engine,
            version=cxrscreen.__version__,
            calibrator=CalibratorDocument(method=identity.method, knots=identity.knots),
            operating_points=(UNCALIBRATED_POINT,),
        )
    )


def scores_of(rows: Sequence[LabelledRow]) -> Scores:
    """Return the scores of the images that were screened, as they stand in files.

    Raises
    ------
    CalibrationError
        None was.
    """
    judged = [(row, row.row.prediction) for row in rows if row.row.prediction is not None]
    if not judged:
        message = f"none of {len(rows)} images was screened"
        raise CalibrationError(message, hint="See 'cxrscreen inspect' for why one is refused.")
    return Scores(
        np.array([rounded(said.logit) for _, said in judged if said], dtype=np.float64),
        np.array([row.image.label for row, _ in judged], dtype=np.int64),
        np.array([row.patient for row, _ in judged], dtype=np.str_),
    )


def _point(choice: Choice, scores: Scores) -> PointDocument:
    lower = choice.score if choice.lower_score is None else choice.lower_score
    figures = figures_at((lower, choice.score), scores.logits, scores.labels, scores.patients)
    return PointDocument(
        name=choice.name,
        score=choice.score,
        lower_score=choice.lower_score,
        policy=choice.policy,
        guarantees=tuple(GuaranteeDocument.of(guarantee) for guarantee in choice.guarantees),
        figures=FiguresDocument(**asdict(figures)),
    )
