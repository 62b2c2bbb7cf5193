"""What is known of a model's metrics: values, limits, and why one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.exact import check_level
from cxrscreen.evaluation.intervals import Interval
from cxrscreen.evaluation.metrics import Confusion

EXACT: Final = "Clopper-Pearson"
EXACT_PATIENTS: Final = "Clopper-Pearson, patients"
DELONG: Final = "DeLong"
PAIRS: Final = "exact, pairs of patients"
BOOTSTRAP: Final = "bootstrap over patients"
LIMITS: Final = "limits of recall and specificity"

#: Metrics in the order of tables, with the titles that people read.
TITLES: Final = {
    "accuracy": "Accuracy",
    "precision": "Precision (PPV)",
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "f1": "F1",
    "npv": "NPV",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}


_LEAST_REPLICATES: Final = 100


@dataclass(frozen=True, slots=True)
class Design:
    """How uncertainty is measured.

    Attributes
    ----------
    level
        Of the intervals, between 0 and 1.
    replicates
        Resamples of the bootstrap, 100 or more.
    seed
        Of the resamples.
    prevalence
        Between 0 and 1: adds PPV and NPV at this prevalence.

    Raises
    ------
    MetricError
        One of them is impossible.
    """

    level: float = 0.95
    replicates: int = 2000
    seed: int = 0
    prevalence: float | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.replicates < _LEAST_REPLICATES:
            message = f"{self.replicates} resamples are too few for an interval"
            raise MetricError(message, hint=f"Ask for {_LEAST_REPLICATES} or more.")
        if self.seed < 0:
            message = f"seed {self.seed} must not be negative"
            raise MetricError(message)
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            message = f"prevalence {self.prevalence:g} must lie between 0 and 1"
            raise MetricError(message, hint="Give a share such as 0.05.")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric of one model.

    Attributes
    ----------
    name, title
        A key of :data:`TITLES`, and what people read.
    value
        The metric; ``None`` where it is undefined or withheld.
    interval
        Its limits; ``None`` where there are none.
    method
        How the limits were computed, or empty.
    part, whole
        Of a proportion, the images it counts and those it is a share of.
    reason
        Why there is no value or no interval, or empty.
    """

    name: str
    title: str
    value: float | None
    interval: Interval | None = None
    method: str = ""
    part: int | None = None
    whole: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All metrics of one model on one set of images.

    Attributes
    ----------
    estimates
        In the order of :data:`TITLES`; PPV and NPV at ``prevalence`` follow where it is given.
    confusion
        The counts that the proportions come from.
    images, patients, positives, negatives
        Numbers of images and of patients; positives and negatives are images.
    positive_patients, negative_patients
        Patients with a positive, and with a negative image; one may have both.
    threshold_score
        A score at or above it is flagged.
    design
        How uncertainty was measured.
    """

    estimates: tuple[Estimate, ...]
    confusion: Confusion
    images: int
    patients: int
    positives: int
    negatives: int
    positive_patients: int
    negative_patients: int
    threshold_score: float
    design: Design

    def __getitem__(self, name: str) -> Estimate:
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        raise KeyError(name)

    @property
    def clustered(self) -> bool:
        """Some patient has more than one image."""
        return self.patients < self.images
