"""What a period is compared with, and the period itself: scores, counts, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.errors import CalibrationError, FingerprintMismatchError

#: The column that counts reject codes, of all rows; the empty code is a screened image.
REJECT_CODE: Final = "reject_code"
#: Columns that count what headers say, of the screened images only.
HEADER_COLUMNS: Final = ("view", "sex", "age_group", "modality", "manufacturer")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model made scores, on what and with what; empty where it is not known.

    Attributes
    ----------
    model, preprocessing, engine
        Fingerprints.
    bundle_sha256
        Hash of the whole bundle. It is compared only where a fingerprint of the model is
        missing: a bundle that was calibrated again holds the same model.
    """

    model: str
    preprocessing: str
    engine: str
    bundle_sha256: str = ""

    def differences(self, other: Identity) -> tuple[str, ...]:
        """Return the names of what differs; what one of both does not know counts as different."""
        by_model = bool(self.model and other.model)
        model = (
            ("model", self.model, other.model)
            if by_model
            else ("bundle", self.bundle_sha256, other.bundle_sha256)
        )
        pairs = (
            model,
            ("preprocessing", self.preprocessing, other.preprocessing),
            ("engine", self.engine, other.engine),
        )
        return tuple(name for name, ours, theirs in pairs if not ours or ours != theirs)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a period is compared with.

    Attributes
    ----------
    scores
        float64 ``[N]``: raw logits, one for each patient where patients are known.
    counts
        Of each column, how often each value is there: :data:`REJECT_CODE` of all images
        (``""`` for screened), :data:`HEADER_COLUMNS` of the screened ones. A column that is
        not known is left out, and so is not compared.
    labels
        int64 ``[N]`` of 0 and 1 aligned with ``scores``, or ``None``. With labels, any
        prevalence is allowed for in the period.
    name
        For people.
    recall_floor
        Recall that is guaranteed at the operating point, between 0 and 1, or ``None``.
    identity
        What made the scores.
    """

    scores: NDArray[np.float64]
    counts: Mapping[str, Mapping[str, int]]
    labels: NDArray[np.int64] | None
    name: str
    recall_floor: float | None
    identity: Identity

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.size == 0 or not np.isfinite(self.scores).all():
            message = f"{self.name}: the reference scores are empty or not finite"
            raise CalibrationError(message, hint="Calibrate again, or give another reference.")
        if self.labels is not None and (
            self.labels.shape != self.scores.shape or set(np.unique(self.labels)) != {0, 1}
        ):
            message = f"{self.name}: the reference labels are not of both classes, one a score"
            raise CalibrationError(message, hint="Give a reference with both classes.")
        if self.recall_floor is not None and not 0.0 < self.recall_floor < 1.0:
            message = f"{self.name}: a recall of {self.recall_floor} is not between 0 and 1"
            raise CalibrationError(message)


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """What is compared with a reference: the rows of one or more reports.

    Attributes
    ----------
    name
        For people.
    scores
        float64 ``[M]``: raw logits of screened images, one for each patient where the report
        tells patients apart.
    counts
        As in :class:`Reference`.
    identity
        What made the scores.
    rows, duplicates
        Rows of the reports, and those among them that are copies of earlier ones: copies are
        in no count.
    patients
        How many patients the rows are of, ``None`` if the report does not tell.
    recall_floor
        Recall that the report says is guaranteed, or ``None``.
    """

    name: str
    scores: NDArray[np.float64]
    counts: Mapping[str, Mapping[str, int]]
    identity: Identity
    rows: int
    duplicates: int = 0
    patients: int | None = None
    recall_floor: float | None = None


def reference_of(period: Period) -> Reference:
    """Return an earlier period as a reference: unlabelled, compared as it is."""
    return Reference(
        scores=period.scores,
        counts=period.counts,
        labels=None,
        name=period.name,
        recall_floor=period.recall_floor,
        identity=period.identity,
    )


def require_same_identity(reference: Reference, period: Period) -> None:
    """Refuse a period of another model, preprocessing or engine than the reference.

    Raises
    ------
    FingerprintMismatchError
        Any of them differs or is not known; the message names each.
    """
    differing = reference.identity.differences(period.identity)
    if differing:
        message = f"{period.name} was made with another {', '.join(differing)} than the reference"
        hint = "Scores of two models cannot be compared: give a reference of the same one."
        raise FingerprintMismatchError(message, hint=hint)
