"""What a DICOM header says that leads to an image's grey levels, for people to read."""

from __future__ import annotations

from typing import Final

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.tag import BaseTag, Tag

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.deflated import open_inflated
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.header.elements import code, defined_term, items, number
from cxrscreen.vocabulary import RejectCode

_KEYWORDS: Final = (
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
)
_TAGS: Final[list[BaseTag | int]] = [Tag(keyword) for keyword in _KEYWORDS]
# PS3.3 C.7.6.3.1.2, C.8.11.3.1.2 and C.11.6, and C.11.2.1.2.
_TERMS: Final[dict[str, frozenset[str]]] = {
    "PhotometricInterpretation": frozenset(term.value for term in PhotometricInterpretation),
    "PresentationLUTShape": frozenset(("IDENTITY", "INVERSE")),
    "VOILUTFunction": frozenset(("LINEAR", "LINEAR_EXACT", "SIGMOID")),
}
_LAST_TAG: Final = 0x5FFFFFFF


def read_facts(content: Content) -> dict[str, str]:
    """Return what the header says about the pixels, by the standard's keywords.

    Numbers, codes and the standard's own names: never free text, and nothing of the patient.

    Raises
    ------
    ImageRefusedError
        ``MALFORMED_DICOM``, or as :meth:`Content.open`.
    """
    try:
        with quiet_readers(), open_inflated(content) as stream:
            header = read_partial(
                stream,
                stop_when=lambda tag, _vr, _length: int.__gt__(tag, _LAST_TAG),
                force=True,
                specific_tags=_TAGS,
            )
            facts = _facts(header, _syntax(header.file_meta))
    except ImageRefusedError:
        raise
    except Exception as error:
        reason = f"the header does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    return {keyword: value for keyword, value in facts.items() if value}


def _facts(header: Dataset, syntax: str) -> dict[str, str]:
    rows, columns = _count(header, "Rows"), _count(header, "Columns")
    stored, allocated = _count(header, "BitsStored"), _count(header, "BitsAllocated")
    sign = {0: ", unsigned", 1: ", signed"}.get(_number(header, "PixelRepresentation"), "")
    return {
        "TransferSyntaxUID": syntax,
        "NumberOfFrames": _count(header, "NumberOfFrames"),
        "Columns, Rows": f"{columns} x {rows}" if rows and columns else "",
        "BitsStored": f"{stored} of {allocated}{sign}" if stored and allocated else "",
        "PhotometricInterpretation": _term(header, "PhotometricInterpretation"),
        "PresentationLUTShape": _term(header, "PresentationLUTShape"),
        "ModalityLUTSequence": _table(header, "ModalityLUTSequence"),
        "RescaleSlope": _count(header, "RescaleSlope"),
        "RescaleIntercept": _count(header, "RescaleIntercept"),
        "VOILUTSequence": _table(header, "VOILUTSequence"),
        "WindowCenter": _count(header, "WindowCenter"),
        "WindowWidth": _count(header, "WindowWidth"),
        "VOILUTFunction": _term(header, "VOILUTFunction"),
    }


def _syntax(meta: Dataset) -> str:
    found = uid.UID(next((str(e.value) for e in meta if e.keyword == "TransferSyntaxUID"), ""))
    if not found:
        return "not said"
    return found.name if found.is_valid else "not a UID"


def _term(header: Dataset, keyword: str) -> str:
    return defined_term(code(header, keyword), _TERMS[keyword])


def _number(header: Dataset, keyword: str) -> int:
    value = number(header, keyword)
    return -1 if value is None else int(value)


def _count(header: Dataset, keyword: str) -> str:
    value = number(header, keyword)
    return "" if value is None else f"{value:.10g}"


def _table(header: Dataset, keyword: str) -> str:
    count = len(items(header, keyword))
    return f"{count} table{'s' if count > 1 else ''}" if count else ""
