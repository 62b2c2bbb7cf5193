"""Everything that leads to the admission of one image, step by step, for people to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cxrscreen.admission.faults import refusal_of
from cxrscreen.admission.header import IMAGE_TYPES, admit_header
from cxrscreen.admission.pixels import admit_pixels
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.header.elements import defined_term
from cxrscreen.intake.header.facts import read_facts
from cxrscreen.intake.reader import OpenedImage, open_image
from cxrscreen.records import (
    Admission,
    ImageRecord,
    IntendedUse,
    Permissions,
    PixelImage,
    Source,
)
from cxrscreen.vocabulary import SourceKind, View

# PS3.3 C.8.11.1.
_INTENTS: Final = ("FOR PRESENTATION", "FOR PROCESSING")


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """One image, looked at as screening would, and further where screening would stop.

    Attributes
    ----------
    source
        Where it is.
    kind
        What it is.
    frames
        Number of images in the file; 0 if it could not be opened.
    facts
        What the file says, by keyword. Nothing that names a person.
    header
        Admission by the header, or why the file could not be opened.
    image
        The image after the pixel chain, with its history; ``None`` if it could not be read.
    pixels
        Admission by the pixels alone, or why they could not be read.
    """

    source: Source
    kind: SourceKind
    frames: int
    facts: dict[str, str] = field(repr=False)
    header: Admission
    image: PixelImage | None
    pixels: Admission | None

    @property
    def admission(self) -> Admission:
        """What screening would say: the first refusal, or all warnings."""
        if not self.header.admitted or self.pixels is None:
            return self.header
        warnings = (*self.header.warnings, *self.pixels.warnings)
        if self.pixels.code is None:
            return Admission.accept(warnings)
        return Admission.refuse(self.pixels.code, self.pixels.reason, warnings)


def inspect_image(
    source: Source,
    intended_use: IntendedUse,
    permissions: Permissions | None = None,
    *,
    frame: int = 0,
) -> Inspection:
    """Look at one image of a file: what it says, its pixel chain, its admission.

    The pixels are read even where the header refuses the image. Raises nothing for a file
    that cannot be read: that is what is found.

    Parameters
    ----------
    source
        The file.
    intended_use
        Whom the model was made for.
    permissions
        What the user asked to have judged all the same.
    frame
        Which of its images, from 0.
    """
    try:
        opened = open_image(source)
    except Exception as error:  # noqa: BLE001 - whatever a file provokes is the finding
        return Inspection(source, SourceKind.OTHER, 0, {}, refusal_of(error), None, None)
    record = opened.record
    header = admit_header(record, intended_use, permissions)
    warned = (*record.notes, *header.warnings)
    header = Admission(header.admitted, header.code, header.reason, warned)
    image, pixels = _look_at(opened, frame)
    return Inspection(
        source=source,
        kind=record.kind,
        frames=opened.frames,
        facts={**_facts_of(record), **_pixel_facts(opened, image)},
        header=header,
        image=image,
        pixels=pixels,
    )


def _look_at(opened: OpenedImage, frame: int) -> tuple[PixelImage | None, Admission]:
    try:
        image = opened.read_frame(frame, keep_steps=True)
        return image, admit_pixels(image, Admission.accept())
    except Exception as error:  # noqa: BLE001 - see inspect_image
        return None, refusal_of(error)


def _facts_of(record: ImageRecord) -> dict[str, str]:
    age, spacing = record.age_years, record.pixel_spacing_mm
    parts = {
        "SOPClassUID": record.sop_class or record.sop_class_uid,
        "Modality": record.modality,
        "PresentationIntentType": defined_term(record.presentation_intent, _INTENTS),
        "ImageType": "\\".join(defined_term(value, IMAGE_TYPES) for value in record.image_type),
        "BodyPartExamined": record.body_part,
        "parts in descriptions": ", ".join(
            dict.fromkeys((*record.series_parts, *record.study_parts))
        ),
        "view": _view(record),
        "PatientOrientation": "\\".join(record.patient_orientation),
        "Laterality": record.laterality,
        "age": "" if age is None else f"{age:.2f} years",
        "PatientSex": record.sex,
        "BurnedInAnnotation": "YES" if record.burned_in else "",
        "pixel spacing": "" if spacing is None else f"{spacing[0]:g} x {spacing[1]:g} mm",
    }
    return {keyword: value for keyword, value in parts.items() if value}


def _view(record: ImageRecord) -> str:
    if record.view is View.UNKNOWN:
        return ""
    named = record.view.value if record.view in (View.PA, View.AP) else record.view.lower()
    return f"{named} by {record.view_evidence}"


def _pixel_facts(opened: OpenedImage, image: PixelImage | None) -> dict[str, str]:
    if opened.record.kind is SourceKind.DICOM:
        try:
            return read_facts(opened.content)
        except ImageRefusedError:
            return {}
    if image is None:
        return {}
    height, width = image.pixels.shape
    return {"width, height": f"{width} x {height}"}
