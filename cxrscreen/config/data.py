"""Where labelled images come from, and how they are split."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cxrscreen.config.schema import Strict


class DataConfig(Strict):
    """What labelled data hold, and how they are read and split."""

    description: str = ""
    """Name, source and licence of the images, for the model card."""
    layout: Literal["auto", "folders", "table", "kaggle", "rsna", "nih"] = "auto"
    """How images, labels and patients are laid out; ``auto`` tells by what is there."""
    negative_folder: str = "NORMAL"
    positive_folder: str = "PNEUMONIA"
    patient_pattern: str | None = None
    """Regular expression on the file name; its groups, joined, are the patient's key."""
    validation_fraction: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.15
    calibration_fraction: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Share that neither training nor the choice of the epoch sees."""
    limit_images: Annotated[int, Field(ge=0)] = 0
    """Use about so many images, whole patients with the classes in proportion; 0 for all."""

    @field_validator("patient_pattern")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            message = f"not a regular expression: {error}"
            raise ValueError(message) from error
        if groups == 0:
            message = "needs at least one group in parentheses: the patient's key"
            raise ValueError(message)
        return pattern

    @model_validator(mode="after")
    def _two_folders(self) -> Self:
        if self.negative_folder == self.positive_folder:
            message = "negative_folder and positive_folder are the same"
            raise ValueError(message)
        return self
