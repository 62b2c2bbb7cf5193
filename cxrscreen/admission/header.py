"""Admission by the header: kind of object, species, image type, body part, view and age.

An empty element is common and no refusal by itself; an element that names something other
than a frontal chest radiograph of the intended population is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from cxrscreen.admission.sop_class import check_object
from cxrscreen.intake.header.elements import listed
from cxrscreen.records import Admission, ImageRecord, IntendedUse, Permissions
from cxrscreen.vocabulary import FRONTAL_VIEWS, RejectCode, SourceKind, View

_CHEST: Final = "CHEST"
_UNRECOGNISED: Final = "OTHER"
# Values of ImageType: PS3.3 C.7.6.1.1.2, and what vendors write behind the second value.
_LOCALISERS: Final = listed("LOCALIZER, LOCALISER, SCOUT, TOPOGRAM, SURVIEW")
_RECONSTRUCTIONS: Final = listed(
    "MPR, CURVED MPR, CSA MPR, PROJECTION IMAGE, MIP, MINIP, MAX_IP, MIN_IP, RECON, "
    "RECONSTRUCTED, RECONSTRUCTION, REFORMATTED, VOLUME, VOLUME RENDERED, AXIAL, TOMO, "
    "TOMOGRAM, TOMOGRAPHY, TOMOSYNTHESIS, TOMO_PROJ, RESAMPLED"
)
_SUBTRACTIONS: Final = listed(
    "SUBTRACTION, SUBTRACTED, SUBTRACT, DUAL ENERGY, DUAL_ENERGY, BONE, BONE_SUPP, SOFT, "
    "SOFT TISSUE, SOFT_TISSUE, SOFTTISSUE, TISSUE, BONE SUPPRESSED"
)
_SCREENS: Final = listed(
    "SCREEN SAVE, SCREEN_SAVE, SCREENSAVE, DOSE, DOSE REPORT, DOSE_REPORT, DOSE_INFO, "
    "REPORT, HISTOGRAM, GRAPH"
)
_WRONG_TYPES: Final = (
    (_LOCALISERS, "a localiser"),
    (_RECONSTRUCTIONS, "a reconstructed image"),
    (_SUBTRACTIONS, "a subtraction image"),
    (_SCREENS, "a picture of a screen or a report"),
)
#: Values of ImageType that mean something: PS3.3 C.7.6.1.1.2, and those above.
IMAGE_TYPES: Final = listed("ORIGINAL, DERIVED, PRIMARY, SECONDARY").union(
    *(known for known, _ in _WRONG_TYPES)
)

_Check = Callable[[ImageRecord, IntendedUse, Permissions], Iterator[str | Admission]]


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
        Refused with ``WRONG_MODALITY``, ``SECONDARY_CAPTURE``, ``FOR_PROCESSING``,
        ``NOT_HUMAN``, ``WRONG_IMAGE_TYPE``, ``WRONG_BODY_PART``, ``WRONG_VIEW`` or
        ``OUTSIDE_AGE_RANGE``, or admitted with what could not be checked as warnings.
    """
    if record.kind is not SourceKind.DICOM:
        return Admission.accept(("no DICOM header: view and age are not known",))
    warnings: list[str] = []
    for check in _CHECKS:
        for finding in check(record, intended_use, permissions or Permissions()):
            if isinstance(finding, Admission):
                return Admission.refuse(
                    finding.code or RejectCode.INTERNAL_ERROR, finding.reason, tuple(warnings)
                )
            warnings.append(finding)
    return Admission.accept(tuple(warnings))


def _untold(
    record: ImageRecord, _use: IntendedUse, _permissions: Permissions
) -> Iterator[str | Admission]:
    missing = [
        name
        for name, known in (
            ("SOP class", bool(record.sop_class_uid)),
            ("Modality", bool(record.modality)),
            ("body part", bool(record.body_part) or _names_chest(record)),
            ("view", record.view is not View.UNKNOWN),
            ("age", record.age_years is not None),
        )
        if not known
    ]
    if missing:
        yield f"the header does not tell: {', '.join(missing)}"


def _object(
    record: ImageRecord, use: IntendedUse, permissions: Permissions
) -> Iterator[str | Admission]:
    yield from check_object(record, use, permissions, names_chest=_names_chest(record))


def _species(
    record: ImageRecord, _use: IntendedUse, _permissions: Permissions
) -> Iterator[str | Admission]:
    if record.animal_evidence:
        reason = f"the header describes an animal: {record.animal_evidence}"
        yield Admission.refuse(RejectCode.NOT_HUMAN, reason)


def _image_type(
    record: ImageRecord, _use: IntendedUse, _permissions: Permissions
) -> Iterator[str | Admission]:
    for value in record.image_type:
        for known, meaning in _WRONG_TYPES:
            if value in known:
                reason = f"ImageType names {value}: {meaning}"
                yield Admission.refuse(RejectCode.WRONG_IMAGE_TYPE, reason)
    if record.image_type[1:2] == ("SECONDARY",) and record.modality in ("CR", "DX"):
        yield "ImageType is SECONDARY: made from another image after the examination"
    if record.burned_in:
        yield "BurnedInAnnotation is YES: the picture may show the patient's identity"


def _body_part(
    record: ImageRecord, _use: IntendedUse, _permissions: Permissions
) -> Iterator[str | Admission]:
    named = record.named_parts
    # What is said of the series is nearer to the image than what is said of its study.
    described = record.series_parts or record.study_parts
    others = [part for part in described if part != _CHEST]
    if named:
        yield from _named_part(record)
        if others and _CHEST not in described:
            yield f"the examination is described as {others[0]}, against BodyPartExamined"
    elif others and _CHEST not in described:
        level = "series" if record.series_parts else "study"
        reason = f"the description of the {level} names {others[0]} and no chest"
        yield Admission.refuse(RejectCode.WRONG_BODY_PART, reason)
    elif others:
        yield f"the examination is described as CHEST and {others[0]}"
    if record.laterality in ("L", "R"):
        finding = f"Laterality is {record.laterality}: one side of a paired part"
        if not _names_chest(record):
            yield Admission.refuse(RejectCode.WRONG_BODY_PART, f"{finding}, and no chest is named")
        yield finding


def _named_part(record: ImageRecord) -> Iterator[str | Admission]:
    beside = [part for part in record.named_parts if part not in (_CHEST, _UNRECOGNISED)]
    if _CHEST not in record.named_parts:
        reason = f"BodyPartExamined is {record.body_part}, not CHEST"
        yield Admission.refuse(RejectCode.WRONG_BODY_PART, reason)
    elif beside:
        reason = f"BodyPartExamined is {record.body_part}: {beside[0]} beside the chest"
        yield Admission.refuse(RejectCode.WRONG_BODY_PART, reason)


def _view(
    record: ImageRecord, _use: IntendedUse, _permissions: Permissions
) -> Iterator[str | Admission]:
    if record.view is not View.UNKNOWN and record.view not in FRONTAL_VIEWS:
        by = f" by {record.view_evidence}" if record.view_evidence else ""
        reason = f"the view is {record.view.lower()}{by}, not frontal"
        yield Admission.refuse(RejectCode.WRONG_VIEW, reason)
    if not record.patient_orientation:
        return
    # Where the rows and the columns of the image lead to: PS3.3 C.7.6.1.1.1.
    along_row, along_column = (value[:1] for value in record.patient_orientation)
    shown = "\\".join(record.patient_orientation)
    if along_row in ("H", "F"):
        yield f"PatientOrientation is {shown}: the image lies on its side"
    elif along_column == "H":
        yield f"PatientOrientation is {shown}: the image is upside down"
    elif along_row == "R":
        yield f"PatientOrientation is {shown}: left and right are exchanged"


def _age(
    record: ImageRecord, use: IntendedUse, permissions: Permissions
) -> Iterator[str | Admission]:
    youngest, oldest = use.age_range_years
    for age, by in ((record.age_years, ""), (record.birth_date_age_years, " by PatientBirthDate")):
        # «Aged 1 to 5» is said of completed years: a child is 5 until its sixth birthday.
        if age is None or youngest <= age < oldest + 1:
            continue
        finding = f"age {_spelled(age)}{by} is outside the intended {youngest} to {oldest} years"
        if not permissions.out_of_scope:
            yield Admission.refuse(RejectCode.OUTSIDE_AGE_RANGE, finding)
        yield f"out of scope: {finding}"


def _spelled(years: float) -> str:
    """Return an age rounded down, so that it reads as outside a range that it is outside of."""
    if years < 2:  # noqa: PLR2004 - as PatientAge does: months up to two years
        return f"{math.floor(years * 12)} months"
    return f"{math.floor(years * 10) / 10:.1f} years"


def _names_chest(record: ImageRecord) -> bool:
    return _CHEST in (*record.named_parts, *record.series_parts, *record.study_parts)


_CHECKS: Final[tuple[_Check, ...]] = (
    _object,
    _species,
    _image_type,
    _body_part,
    _view,
    _untold,
    _age,
)
