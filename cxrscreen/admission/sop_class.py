"""Admission by the kind of object: SOP class, modality, presentation intent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxrscreen.intake.header.sop_class import (
    COMPUTED_RADIOGRAPHY,
    DIGITAL_X_RAY_FOR_PROCESSING,
    PHOTOGRAPH,
    RADIOFLUOROSCOPIC,
    RADIOGRAPHS,
    SECONDARY_CAPTURES,
)
from cxrscreen.records import Admission, ImageRecord, IntendedUse, Permissions
from cxrscreen.vocabulary import RejectCode

_FLUOROSCOPY: Final = "RF"
# Secondary capture, photography, other: PS3.3 C.7.3.1.1.1.
_CAPTURE_MODALITIES: Final = ("SC", "XC", "OT")
_FOR_PROCESSING: Final = "FOR PROCESSING"


def check_object(
    record: ImageRecord, use: IntendedUse, permissions: Permissions, *, names_chest: bool
) -> Iterator[str | Admission]:
    """Yield warnings, and a refusal of what is no radiograph or not one for reading.

    Parameters
    ----------
    record, use, permissions
        As for :func:`~cxrscreen.admission.admit_header`.
    names_chest
        Whether the header names the chest anywhere: fluoroscopy must.
    """
    if record.sop_class_uid and record.sop_class_uid not in RADIOGRAPHS | SECONDARY_CAPTURES:
        yield _no_radiograph(record, use)
    yield from _modality(record, use)
    yield from _capture(record, use, permissions)
    if record.sop_class_uid == RADIOFLUOROSCOPIC or record.modality == _FLUOROSCOPY:
        if not names_chest:
            reason = "fluoroscopy (RF) that does not name a chest"
            yield Admission.refuse(RejectCode.WRONG_MODALITY, reason)
        yield "fluoroscopy (RF): other grey levels than a radiograph's"
    yield from _intent(record, permissions)


def _capture(
    record: ImageRecord, use: IntendedUse, permissions: Permissions
) -> Iterator[str | Admission]:
    """Check for scanned films, screen shots and photographs.

    Public collections store radiographs as secondary captures and keep their modality: one
    that still says CR or DX is taken at its word, with a warning.
    """
    if record.sop_class_uid in SECONDARY_CAPTURES:
        finding = f"SOPClassUID is {record.sop_class}"
    elif record.modality in _CAPTURE_MODALITIES:
        finding = f"Modality is {record.modality}"
    else:
        return
    converted = record.modality in use.modalities and record.sop_class_uid != PHOTOGRAPH
    if not converted and not permissions.secondary_capture:
        modality = record.modality or "not given"
        told = "" if finding.endswith(modality) else f", Modality is {modality}"
        yield Admission.refuse(RejectCode.SECONDARY_CAPTURE, f"{finding}{told}")
    yield f"secondary capture: {finding}"


def _no_radiograph(record: ImageRecord, use: IntendedUse) -> Admission:
    named = record.sop_class or f"{record.sop_class_uid}, a private or unknown class"
    if record.modality in (*use.modalities, _FLUOROSCOPY):
        reason = f"SOPClassUID is {named}, against Modality {record.modality}"
    elif record.modality:
        reason = f"SOPClassUID is {named} (Modality {record.modality}), not a radiograph"
    else:
        reason = f"SOPClassUID is {named}, not a radiograph"
    return Admission.refuse(RejectCode.WRONG_MODALITY, reason)


def _modality(record: ImageRecord, use: IntendedUse) -> Iterator[Admission]:
    modality = record.modality
    if not modality:
        # The class tells it.
        implied = {RADIOFLUOROSCOPIC: _FLUOROSCOPY, COMPUTED_RADIOGRAPHY: "CR"}
        if record.sop_class_uid in RADIOGRAPHS:
            modality = implied.get(record.sop_class_uid, "DX")
    if not modality or modality in (*use.modalities, _FLUOROSCOPY, *_CAPTURE_MODALITIES):
        return
    wanted = " or ".join(use.modalities)
    against = f" (SOPClassUID is {record.sop_class})" if record.sop_class else ""
    reason = f"Modality is {modality}, not {wanted}{against}"
    yield Admission.refuse(RejectCode.WRONG_MODALITY, reason)


def _intent(record: ImageRecord, permissions: Permissions) -> Iterator[str | Admission]:
    """Raw detector data: PS3.3 C.8.11.1.1.1, Presentation Intent Type."""
    if record.presentation_intent == _FOR_PROCESSING:
        finding = f"PresentationIntentType is {_FOR_PROCESSING}"
    elif record.sop_class_uid == DIGITAL_X_RAY_FOR_PROCESSING:
        finding = f"SOPClassUID is {record.sop_class}"
    else:
        return
    if not permissions.for_processing:
        yield Admission.refuse(RejectCode.FOR_PROCESSING, finding)
    yield f"raw detector data: {finding}"
