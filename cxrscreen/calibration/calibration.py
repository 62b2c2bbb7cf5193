"""What turns a model's logits into decisions: of a bundle, or of a site."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cxrscreen.calibration.document import CalibrationDocument
from cxrscreen.calibration.operating_point import require_fingerprints
from cxrscreen.calibration.policies import Aim, Choice, choose
from cxrscreen.calibration.probability import Calibrator
from cxrscreen.config import describe_validation_error
from cxrscreen.errors import CalibrationError
from cxrscreen.records import OperatingPoint
from cxrscreen.vocabulary import Policy, Unit

#: No calibration is larger: a bound for what is read into memory.
_MAX_BYTES = 1 << 28
_DAMAGED_HINT = "Do not use it: calibrate again, or copy it again from where it was made."


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of labelled images, with what groups them.

    Attributes
    ----------
    logits
        float64 ``[N]``, finite.
    labels
        int64 ``[N]``, 1 for pneumonia.
    patients
        ``[N]``: same key, same patient.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]

    def __post_init__(self) -> None:
        if not self.logits.shape == self.labels.shape == self.patients.shape:
            message = "logits, labels and patients must be vectors of one length"
            raise ValueError(message)
        if not np.isfinite(self.logits).all() or not np.isin(self.labels, (0, 1)).all():
            message = "logits must be finite and labels 0 or 1"
            raise ValueError(message)

    def choose(self, aim: Aim) -> Choice:
        """Return the threshold for an aim; see :func:`cxrscreen.calibration.policies.choose`."""
        return choose(aim, self.logits, self.labels, self.patients)


@dataclass(frozen=True)
class Calibration:
    """Calibrator, operating points, and the scores that they were fitted on.

    Parameters
    ----------
    document
        What a calibration file holds, valid.
    file_sha256
        Of the file whose probabilities were adjusted to another prevalence.
    """

    document: CalibrationDocument
    file_sha256: str = ""

    @cached_property
    def sha256(self) -> str:
        """Hash of everything in the file: what it says of itself, and what reports name."""
        return self.file_sha256 or self.document.sha256()

    @cached_property
    def calibrator(self) -> Calibrator:
        """From logit to probability, at the site's prevalence."""
        return self.document.calibrator_record()

    @cached_property
    def points(self) -> tuple[OperatingPoint, ...]:
        """The operating points; the first is the default."""
        return self.document.points(self.calibrator)

    @property
    def default_point(self) -> OperatingPoint:
        """The operating point that is used where none is named."""
        return self.points[0]

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many calibration images have which value, by column of the report."""
        return self.document.counts

    @cached_property
    def scores(self) -> Scores | None:
        """What thresholds can be fitted on; ``None`` where nothing was calibrated."""
        held = self.document.scores
        if held is None:
            return None
        return Scores(
            np.array(held.logits, dtype=np.float64),
            np.array(held.labels, dtype=np.int64),
            np.array(held.patients, dtype=np.str_),
        )

    def point(self, name: str) -> OperatingPoint:
        """Return the operating point of a name.

        Raises
        ------
        CalibrationError
            There is none; the message names those that there are.
        """
        for point in self.points:
            if point.name == name:
                return point
        names = ", ".join(point.name for point in self.points)
        message = f"{self.document.name} has no operating point {name}"
        raise CalibrationError(message, hint=f"It has: {names}.")

    def at_target_recall(
        self, target: float, *, confidence: float = 0.95, unit: Unit = Unit.PATIENT
    ) -> OperatingPoint:
        """Return the highest threshold whose recall is at least ``target``.

        Fitted on the scores that the calibration keeps: no new data are needed.

        Raises
        ------
        CalibrationError
            It keeps no scores, or has too few positives; the message says how many are needed.
        """
        if self.scores is None:
            message = f"{self.document.name} keeps no calibration scores"
            hint = "Calibrate it with 'cxrscreen calibrate' and give the file as --calibration."
            raise CalibrationError(message, hint=hint)
        aim = Aim(Policy.TARGET_RECALL, target_recall=target, confidence=confidence, unit=unit)
        choice = self.scores.choose(aim)
        return OperatingPoint(
            name=choice.name,
            score=choice.score,
            threshold=self.calibrator.probability(choice.score),
            model=self.document.model,
            preprocessing=self.document.preprocessing,
            engine=self.document.engine,
            policy=choice.policy,
            guarantees=choice.guarantees,
        )

    def at_prevalence(self, prevalence: float) -> Calibration:
        """Return the same with probabilities for a site of another prevalence.

        Thresholds stay where they are, they are of logits, and so does the hash: it is that of
        the file, which a reader of the report has to find.

        Raises
        ------
        CalibrationError
            The prevalence of the calibration images is not known.
        """
        if self.document.calibration_prevalence is None:
            message = f"{self.document.name} was not calibrated: its prevalence is not known"
            raise CalibrationError(message, hint="Calibrate it with 'cxrscreen calibrate' first.")
        document = self.document.model_copy(update={"site_prevalence": prevalence})
        return replace(self, document=document, file_sha256=self.sha256)

    def require(self, *, model: str, preprocessing: str, engine: str) -> None:
        """Refuse to be used with another model, preprocessing or engine.

        Raises
        ------
        FingerprintMismatchError
            Any of the three differs; the message names each.
        """
        require_fingerprints(
            self.default_point, model=model, preprocessing=preprocessing, engine=engine
        )


def read_calibration(path: Path) -> Calibration:
    """Read and verify a calibration file.

    Raises
    ------
    CalibrationError
        It is not there, is none, or a byte of it has changed since it was made.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        hint = "Give a file made by 'cxrscreen calibrate'."
        raise CalibrationError(message, hint=hint) from error
    return parse_calibration(raw, str(path))


def parse_calibration(raw: bytes, place: str) -> Calibration:
    """Return the calibration that a file holds, verified.

    Parameters
    ----------
    raw
        The file's bytes.
    place
        Where they come from, for messages.

    Raises
    ------
    CalibrationError
        As :func:`read_calibration`.
    """
    try:
        content = json.loads(raw)
        if content.get("kind") != "cxrscreen calibration":
            raise ValueError  # noqa: TRY301 - the same as what is no JSON at all
        content.pop("sha256")
        document = CalibrationDocument.model_validate(content)
    except ValidationError as error:
        message = f"{place}: {describe_validation_error(error)}"
        hint = "It is damaged, or made by another version of cxrscreen."
        raise CalibrationError(message, hint=hint) from error
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        message = f"{place}: is no calibration"
        raise CalibrationError(
            message, hint="Give a file made by 'cxrscreen calibrate'."
        ) from error
    if document.to_bytes() != raw:
        message = f"{place}: its content is not what its own SHA-256 vouches for"
        raise CalibrationError(message, hint=_DAMAGED_HINT)
    return Calibration(document)
