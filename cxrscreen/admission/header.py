"""Admission by the header: modality, species, body part, view and age.

An empty element is common and no refusal by itself; an element that names something other
than a frontal chest radiograph of the intended population is one.
"""

from __future__ import annotations

import re
from typing import Final

from cxrscreen.records import Admission, ImageRecord, IntendedUse, Permissions
from cxrscreen.vocabulary import FRONTAL_VIEWS, RejectCode, SourceKind, View

_CHEST_WORDS: Final = frozenset(["CHEST", "THORAX", "TORAX", "LUNG", "LUNGS"])
_FOR_PROCESSING: Final = "FOR PROCESSING"


def admit_header(
    record: ImageRecord, intended_use: IntendedUse, permissions: Permissions | None = None
) -> Admission:
    """Decide by the header alone whether a model may judge an image.

    Parameters
    ----------
    record
        What the header says.
    intended_use
        Whom the model was made for.
    permissions
        What the user asked to have judged all the same, with a warning on the row.

    Returns
    -------
    Admission
        Refused with ``WRONG_MODALITY``, ``FOR_PROCESSING``, ``NOT_HUMAN``,
        ``WRONG_BODY_PART``, ``WRONG_VIEW`` or ``OUTSIDE_AGE_RANGE``, or admitted with
        what could not be checked as warnings.
    """
    if record.kind is not SourceKind.DICOM:
        return Admission.accept(("no DICOM header: view and age are not known",))
    refusal = _refusal(record, intended_use)
    if refusal is not None:
        return refusal
    return _admit_age(record, intended_use, permissions or Permissions())


def _refusal(record: ImageRecord, intended_use: IntendedUse) -> Admission | None:
    modality = record.modality
    if modality and modality not in intended_use.modalities:
        wanted = " or ".join(intended_use.modalities)
        return Admission.refuse(RejectCode.WRONG_MODALITY, f"Modality is {modality}, not {wanted}")
    if record.presentation_intent == _FOR_PROCESSING:
        return Admission.refuse(
            RejectCode.FOR_PROCESSING, f"PresentationIntentType is {_FOR_PROCESSING}"
        )
    if record.is_animal:
        return Admission.refuse(RejectCode.NOT_HUMAN, "the header describes an animal")
    if record.body_part and not set(re.findall(r"[A-Z]+", record.body_part)) & _CHEST_WORDS:
        return Admission.refuse(
            RejectCode.WRONG_BODY_PART, f"BodyPartExamined is {record.body_part}, not CHEST"
        )
    if record.view is not View.UNKNOWN and record.view not in FRONTAL_VIEWS:
        return Admission.refuse(
            RejectCode.WRONG_VIEW, f"the view is {record.view.lower()}, not frontal"
        )
    return None


def _admit_age(
    record: ImageRecord, intended_use: IntendedUse, permissions: Permissions
) -> Admission:
    missing = [
        name
        for name, known in (
            ("Modality", bool(record.modality)),
            ("body part", bool(record.body_part)),
            ("view", record.view is not View.UNKNOWN),
            ("age", record.age_years is not None),
        )
        if not known
    ]
    warnings = (f"the header does not tell: {', '.join(missing)}",) if missing else ()
    if record.age_years is None:
        return Admission.accept(warnings)
    youngest, oldest = intended_use.age_range_years
    # «Aged 1 to 5» is said of completed years: a child is 5 until its sixth birthday.
    if youngest <= record.age_years < oldest + 1:
        return Admission.accept(warnings)
    finding = f"age {record.age_years:.1f} years is outside the intended {youngest} to {oldest}"
    if permissions.out_of_scope:
        return Admission.accept((*warnings, f"out of scope: {finding}"))
    return Admission.refuse(RejectCode.OUTSIDE_AGE_RANGE, finding, warnings)
