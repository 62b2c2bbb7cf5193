"""The frozen types that travel from a path to a row of the report.

A finished constructor holds a valid object: each ``__post_init__`` refuses the states that
the rest of the package must never see, above all a decision without a judged image.
"""

from cxrscreen.records.admission import Admission, Input, IntendedUse, Permissions
from cxrscreen.records.display import DisplayImage
from cxrscreen.records.image import (
    ChainStep,
    ImageRecord,
    Member,
    PatientIdentity,
    PixelImage,
    Source,
)
from cxrscreen.records.operating_point import Guarantee, OperatingPoint
from cxrscreen.records.screening import Prediction, RunSummary, ScreenRow

__all__ = [
    "Admission",
    "ChainStep",
    "DisplayImage",
    "Guarantee",
    "ImageRecord",
    "Input",
    "IntendedUse",
    "Member",
    "OperatingPoint",
    "PatientIdentity",
    "Permissions",
    "PixelImage",
    "Prediction",
    "RunSummary",
    "ScreenRow",
    "Source",
]
