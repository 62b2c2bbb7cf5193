"""What went wrong with one image, as the refusal of its row."""

from __future__ import annotations

from cxrscreen.errors import ImageRefusedError
from cxrscreen.records import Admission
from cxrscreen.vocabulary import RejectCode


def refusal_of(error: Exception) -> Admission:
    """Return the refusal that an error of one image becomes.

    Of a fault of our own it names the type alone: a message may repeat what a header says
    about a person.
    """
    if isinstance(error, ImageRefusedError):
        return Admission.refuse(error.code, error.reason)
    if isinstance(error, MemoryError):
        reason = "reading it takes more memory than the limit"
        return Admission.refuse(RejectCode.TOO_LARGE, reason)
    return Admission.refuse(
        RejectCode.INTERNAL_ERROR, f"cxrscreen failed on this image ({type(error).__name__})"
    )
