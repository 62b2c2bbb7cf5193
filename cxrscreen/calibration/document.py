"""A calibration as a file: of a bundle (``calibration.json`` in it), or of a site.

The file is canonical and carries the SHA-256 of its own content, like ``bundle.json``: a
threshold cannot move in silence.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cxrscreen.calibration.probability import Calibrator
from cxrscreen.errors import CalibrationError
from cxrscreen.records import Guarantee, OperatingPoint
from cxrscreen.vocabulary import CalibrationMethod, Policy, Quantity, Unit

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=0)]
#: Digits of a score in files: far less than what arithmetic in batches leaves undecided.
SCORE_DIGITS = 6


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GuaranteeDocument(_Strict):
    """What holds at an operating point."""

    quantity: Quantity
    target: Probability
    confidence: Probability
    unit: Unit
    units: Count
    errors: Count
    method: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.to_record()
        return self

    def to_record(self) -> Guarantee:
        """Return the record that travels."""
        return Guarantee(**dict(self))

    @classmethod
    def of(cls, guarantee: Guarantee) -> Self:
        """Return how a guarantee stands in a file."""
        return cls(
            quantity=guarantee.quantity,
            target=guarantee.target,
            confidence=guarantee.confidence,
            unit=guarantee.unit,
            units=guarantee.units,
            errors=guarantee.errors,
            method=guarantee.method,
        )


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class FiguresDocument(_Strict):
    """What a point came to on the calibration images: each a share and its two limits."""

    recall: tuple[Share, Share, Share]
    specificity: tuple[Share, Share, Share]
    flag_rate: tuple[Share, Share, Share]
    level: Probability


class PointDocument(_Strict):
    """An operating point: the logits that decide, and what is guaranteed there."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$", max_length=100)]
    score: float
    lower_score: float | None = None
    policy: Policy
    guarantees: tuple[GuaranteeDocument, ...] = ()
    figures: FiguresDocument | None = None

    @model_validator(mode="after")
    def _scores_are_in_order(self) -> Self:
        if self.lower_score is not None and self.lower_score > self.score:
            message = f"{self.name}: lower_score is above score"
            raise ValueError(message)
        return self


class CalibratorDocument(_Strict):
    """From logits to log-odds: a line through ``knots``."""

    method: CalibrationMethod
    knots: Annotated[tuple[tuple[float, float], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        try:
            self.to_record()
        except CalibrationError as error:
            raise ValueError(error.message) from error
        return self

    def to_record(self) -> Calibrator:
        """Return the function."""
        return Calibrator(self.method, self.knots)


class CalibrationDataDocument(_Strict):
    """The labelled images behind a calibration."""

    images: Count
    """That were given; those that were not screened among them."""
    positives: Count
    patients: Count
    not_screened: Count
    fingerprint: Sha256
    """Over file names and contents."""


class ScoresDocument(_Strict):
    """Score, label and pseudonymous patient of each screened image, in columns."""

    patients: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...]
    labels: tuple[Literal[0, 1], ...]
    logits: tuple[float, ...]

    @model_validator(mode="after")
    def _columns_are_equally_long(self) -> Self:
        if not len(self.patients) == len(self.labels) == len(self.logits) > 0:
            message = "patients, labels and logits must be of one length, and not empty"
            raise ValueError(message)
        return self


class CalibrationDocument(_Strict):
    """The whole of a calibration file."""

    schema_version: Literal[1]
    kind: Literal["cxrscreen calibration"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Of the site, or of the bundle that it comes with."""
    bundle: str
    model: Sha256
    preprocessing: Sha256
    engine: Annotated[str, Field(min_length=1)]
    version: str
    """Of cxrscreen."""
    calibrator: CalibratorDocument
    calibration_prevalence: Probability | None = None
    """Share of pneumonia among the calibration images."""
    site_prevalence: Probability | None = None
    """What probabilities are adjusted to."""
    operating_points: Annotated[tuple[PointDocument, ...], Field(min_length=1)]
    """The first is the default."""
    data: CalibrationDataDocument | None = None
    scores: ScoresDocument | None = None
    counts: dict[str, dict[str, Count]] = {}
    """Of the calibration images: how many with which value, by column of the report."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [point.name for point in self.operating_points]
        if len(set(names)) != len(names):
            message = "two operating points share a name"
            raise ValueError(message)
        if (self.data is None) != (self.scores is None):
            message = "scores and the data that they come from go together"
            raise ValueError(message)
        if self.site_prevalence is not None and self.calibration_prevalence is None:
            message = "site_prevalence needs calibration_prevalence"
            raise ValueError(message)
        return self

    def calibrator_record(self) -> Calibrator:
        """Return the function from logit to probability, at the site's prevalence."""
        calibrator = self.calibrator.to_record()
        if self.site_prevalence is None or self.calibration_prevalence is None:
            return calibrator
        return calibrator.at_prevalence(self.calibration_prevalence, self.site_prevalence)

    def points(self, calibrator: Calibrator) -> tuple[OperatingPoint, ...]:
        """Return the operating points, with thresholds as the calibrator makes them."""
        return tuple(
            OperatingPoint(
                name=point.name,
                score=point.score,
                threshold=calibrator.probability(point.score),
                model=self.model,
                preprocessing=self.preprocessing,
                engine=self.engine,
                policy=point.policy,
                guarantees=tuple(guarantee.to_record() for guarantee in point.guarantees),
                lower_score=point.lower_score,
                lower_threshold=(
                    None if point.lower_score is None else calibrator.probability(point.lower_score)
                ),
            )
            for point in self.operating_points
        )

    def sha256(self) -> str:
        """Return the hash of the content."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the canonical file content, the document's own hash included."""
        return _canonical({**self.model_dump(mode="json"), "sha256": self.sha256()})


def rounded(score: float) -> float:
    """Return a score as it stands in files."""
    if not math.isfinite(score):
        message = f"score {score} is not finite"
        raise ValueError(message)
    return round(score, SCORE_DIGITS)


def _canonical(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
