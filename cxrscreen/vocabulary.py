"""The words of the reports: decisions, engines, reject codes, views, kinds of source."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Decision(StrEnum):
    """What a row of the report says about its image."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    INDETERMINATE = "INDETERMINATE"
    NOT_SCREENED = "NOT_SCREENED"


class Engine(StrEnum):
    """Runtime and arithmetic of a network: what a threshold belongs to beside its model."""

    TORCH_FLOAT32 = "torch-float32"
    TORCH_BFLOAT16 = "torch-bfloat16"
    OPENVINO_FLOAT32 = "openvino-float32"
    OPENVINO_INT8 = "openvino-int8"

    @property
    def is_openvino(self) -> bool:
        """Whether it needs OpenVINO, and runs on the CPU alone."""
        return self in (Engine.OPENVINO_FLOAT32, Engine.OPENVINO_INT8)


#: Of every installation, and of a bundle's own ``calibration.json``.
DEFAULT_ENGINE: Final = Engine.TORCH_FLOAT32


class RejectCode(StrEnum):
    """Why an input is ``NOT_SCREENED``. The names are stable: scripts may rely on them."""

    UNREADABLE_FILE = "UNREADABLE_FILE"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    MALFORMED_DICOM = "MALFORMED_DICOM"
    NO_PIXEL_DATA = "NO_PIXEL_DATA"
    UNSUPPORTED_ENCODING = "UNSUPPORTED_ENCODING"
    DECODE_FAILED = "DECODE_FAILED"
    TOO_LARGE = "TOO_LARGE"
    TOO_SMALL = "TOO_SMALL"
    ARCHIVE_REFUSED = "ARCHIVE_REFUSED"
    DECODER_CRASHED = "DECODER_CRASHED"
    TIMED_OUT = "TIMED_OUT"
    DUPLICATE = "DUPLICATE"
    WRONG_MODALITY = "WRONG_MODALITY"
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    FOR_PROCESSING = "FOR_PROCESSING"
    WRONG_IMAGE_TYPE = "WRONG_IMAGE_TYPE"
    COLOUR = "COLOUR"
    NOT_HUMAN = "NOT_HUMAN"
    WRONG_BODY_PART = "WRONG_BODY_PART"
    WRONG_VIEW = "WRONG_VIEW"
    OUTSIDE_AGE_RANGE = "OUTSIDE_AGE_RANGE"
    BLANK = "BLANK"
    NOT_FRONTAL_CHEST = "NOT_FRONTAL_CHEST"
    ROTATED = "ROTATED"
    INVERTED = "INVERTED"
    CROPPED = "CROPPED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


#: One sentence per reject code, for tables and documentation.
REJECT_MEANING: dict[RejectCode, str] = {
    RejectCode.UNREADABLE_FILE: "The file or folder could not be opened.",
    RejectCode.NOT_AN_IMAGE: "The content is neither DICOM nor a supported raster image.",
    RejectCode.MALFORMED_DICOM: "The DICOM header is damaged or lacks what pixels need.",
    RejectCode.NO_PIXEL_DATA: "The DICOM object holds no image.",
    RejectCode.UNSUPPORTED_ENCODING: "No decoder for this transfer syntax or pixel format.",
    RejectCode.DECODE_FAILED: "The pixel data is truncated or damaged.",
    RejectCode.TOO_LARGE: "The image claims more pixels than the safety limit.",
    RejectCode.TOO_SMALL: "The image has too few pixels to be a radiograph.",
    RejectCode.ARCHIVE_REFUSED: "The archive is damaged, encrypted or breaks a safety limit.",
    RejectCode.DECODER_CRASHED: "The process that read the file died of it or ran out of memory.",
    RejectCode.TIMED_OUT: "Reading the file took longer than the limit.",
    RejectCode.DUPLICATE: "The same image as an earlier row, which holds its decision.",
    RejectCode.WRONG_MODALITY: "The object is not a projection radiograph (CR, DX or RF).",
    RejectCode.SECONDARY_CAPTURE: "A secondary capture or photograph, judged only when asked for.",
    RejectCode.FOR_PROCESSING: "Raw detector data, not processed for presentation.",
    RejectCode.WRONG_IMAGE_TYPE: "A localiser or reconstructed image, by its ImageType.",
    RejectCode.COLOUR: "The image is in colour: a photograph or an annotated copy.",
    RejectCode.NOT_HUMAN: "The header describes an animal.",
    RejectCode.WRONG_BODY_PART: "The header names a body part other than the chest.",
    RejectCode.WRONG_VIEW: "The header or the pixels show a view that is not frontal.",
    RejectCode.OUTSIDE_AGE_RANGE: "The patient's age is outside the model's intended use.",
    RejectCode.BLANK: "The image has no contrast.",
    RejectCode.NOT_FRONTAL_CHEST: "The pixels do not look like a frontal chest radiograph.",
    RejectCode.ROTATED: "The radiograph lies on its side or upside down.",
    RejectCode.INVERTED: "The grey levels look inverted, and no header explains it.",
    RejectCode.CROPPED: "Only a part of the chest is in the image.",
    RejectCode.INTERNAL_ERROR: "cxrscreen failed on this image: please report it.",
}


class SourceKind(StrEnum):
    """What the content of an input is, whatever its file name says."""

    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    OTHER = "OTHER"


class View(StrEnum):
    """Projection of a chest radiograph."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "FRONTAL"
    LATERAL = "LATERAL"
    OBLIQUE = "OBLIQUE"
    LORDOTIC = "LORDOTIC"
    DECUBITUS = "DECUBITUS"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


#: Views in which the beam crosses the chest front to back or back to front.
FRONTAL_VIEWS = frozenset({View.PA, View.AP, View.FRONTAL})


class Phi(StrEnum):
    """How much of what tells who a patient is a report holds."""

    PSEUDONYM = "pseudonym"
    FULL = "full"
    NONE = "none"


class Policy(StrEnum):
    """What a threshold was chosen for."""

    FIXED = "fixed"
    TARGET_RECALL = "target-recall"
    TARGET_SPECIFICITY = "target-specificity"
    YOUDEN = "youden"
    F_BETA = "f-beta"
    COST = "cost"
    TWO_THRESHOLDS = "two-thresholds"


class Quantity(StrEnum):
    """What is guaranteed at a threshold."""

    RECALL = "recall"
    SPECIFICITY = "specificity"


class Unit(StrEnum):
    """What is taken to be independent of one another."""

    PATIENT = "patient"
    IMAGE = "image"


class CalibrationMethod(StrEnum):
    """How a logit becomes a probability, from the simplest to the most flexible."""

    NONE = "none"
    TEMPERATURE = "temperature"
    PLATT = "platt"
    ISOTONIC = "isotonic"


#: Age in years below which a group ends, and its name.
AGE_GROUPS: Final = (
    (1, "under 1"),
    (3, "1 to 2"),
    (6, "3 to 5"),
    (12, "6 to 11"),
    (18, "12 to 17"),
    (40, "18 to 39"),
    (65, "40 to 64"),
    (200, "65 and over"),
)


def age_group(age_years: float | None) -> str:
    """Return the group of an age in years, such as ``3 to 5``; empty if it is not known."""
    if age_years is None:
        return ""
    return next((name for limit, name in AGE_GROUPS if age_years < limit), AGE_GROUPS[-1][1])
