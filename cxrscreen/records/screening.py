"""What a model said of an image, the decision, and the row of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cxrscreen.records.admission import Admission
from cxrscreen.records.image import ImageRecord
from cxrscreen.vocabulary import Decision, RejectCode


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said: raw logit and the probability made of it (0..1)."""

    logit: float
    probability: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.logit) or not 0.0 <= self.probability <= 1.0:
            message = f"logit {self.logit}, probability {self.probability}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class ScreenRow:
    """One row of the report: exactly one for every image found.

    ``duplicate_of`` says where the same image was found before; its row holds the decision.
    """

    record: ImageRecord
    admission: Admission
    prediction: Prediction | None
    decision: Decision
    seconds: float
    duplicate_of: str = ""

    def __post_init__(self) -> None:
        judged = self.prediction is not None
        if judged != (self.decision is not Decision.NOT_SCREENED):
            message = f"decision {self.decision} with prediction {self.prediction}"
            raise ValueError(message)
        if judged and not self.admission.admitted:
            message = "a refused image has no prediction"
            raise ValueError(message)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings of this row, in the order in which they arose."""
        return self.record.notes + self.admission.warnings


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts of a finished run; they add up to the number of inputs."""

    inputs: int
    by_decision: Mapping[Decision, int] = field(default_factory=dict)
    by_reject_code: Mapping[RejectCode, int] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        refused = self.by_decision.get(Decision.NOT_SCREENED, 0)
        if sum(self.by_decision.values()) != self.inputs:
            message = f"{self.inputs} inputs but decisions {dict(self.by_decision)}"
            raise ValueError(message)
        if sum(self.by_reject_code.values()) != refused:
            message = f"{refused} refused but codes {dict(self.by_reject_code)}"
            raise ValueError(message)

    @property
    def not_screened(self) -> int:
        """Number of inputs without a decision."""
        return self.by_decision.get(Decision.NOT_SCREENED, 0)
