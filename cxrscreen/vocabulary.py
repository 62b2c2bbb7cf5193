"""The words of the reports: decisions, reject codes, views, kinds of source."""

from __future__ import annotations

from enum import StrEnum


class Decision(StrEnum):
    """What a row of the report says about its image."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    INDETERMINATE = "INDETERMINATE"
    NOT_SCREENED = "NOT_SCREENED"


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
    MULTI_FRAME = "MULTI_FRAME"
    WRONG_MODALITY = "WRONG_MODALITY"
    FOR_PROCESSING = "FOR_PROCESSING"
    COLOUR = "COLOUR"
    NOT_HUMAN = "NOT_HUMAN"
    WRONG_BODY_PART = "WRONG_BODY_PART"
    WRONG_VIEW = "WRONG_VIEW"
    OUTSIDE_AGE_RANGE = "OUTSIDE_AGE_RANGE"
    BLANK = "BLANK"
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
    RejectCode.MULTI_FRAME: "The object holds more than one frame.",
    RejectCode.WRONG_MODALITY: "The object is not a projection radiograph (CR or DX).",
    RejectCode.FOR_PROCESSING: "Raw detector data, not processed for presentation.",
    RejectCode.COLOUR: "The image is in colour: a photograph or an annotated copy.",
    RejectCode.NOT_HUMAN: "The header describes an animal.",
    RejectCode.WRONG_BODY_PART: "The header names a body part other than the chest.",
    RejectCode.WRONG_VIEW: "The header names a view that is not frontal.",
    RejectCode.OUTSIDE_AGE_RANGE: "The patient's age is outside the model's intended use.",
    RejectCode.BLANK: "The image has no contrast.",
    RejectCode.INTERNAL_ERROR: "cxrscreen failed on this image: please report it.",
}


class SourceKind(StrEnum):
    """What the content of an input is, whatever its file name says."""

    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"
    OTHER = "OTHER"


class View(StrEnum):
    """Projection of a chest radiograph."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "FRONTAL"
    LATERAL = "LATERAL"
    OBLIQUE = "OBLIQUE"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


#: Views in which the beam crosses the chest front to back or back to front.
FRONTAL_VIEWS = frozenset({View.PA, View.AP, View.FRONTAL})
