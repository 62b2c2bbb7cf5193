"""Where an image is, what its header says, and its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.vocabulary import SourceKind, View


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member lies in its archive.

    Attributes
    ----------
    name
        Its name as the archive has it.
    position
        Of a zip, its place in the central directory; of a tar, the offset of its data in
        bytes.
    size
        Bytes, unpacked.
    occurrence
        Which of the members of this name, from 1: archives may hold several.
    """

    name: str
    position: int
    size: int
    occurrence: int = 1

    def __str__(self) -> str:
        return self.name if self.occurrence == 1 else f"{self.name}#{self.occurrence}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an image is: a file, a member of an archive, a frame of either.

    Attributes
    ----------
    path
        Path as the user gave it, with the folder's part below it appended.
    members
        The way into an archive, and into the archive in it; empty for a file on disk.
    frame
        Number of the frame as DICOM counts, from 1; 0 for an object of a single frame.
    stamp
        Size and time of change (ns) of the archive when it was listed: a member is not read
        from another archive that has come under its name.
    """

    path: Path
    members: tuple[Member, ...] = ()
    frame: int = 0
    stamp: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def location(self) -> str:
        """Path and members as text, ``export.zip!folder/image.dcm``, without the frame."""
        return "!".join([str(self.path), *map(str, self.members)])

    def __str__(self) -> str:
        return f"{self.location} frame {self.frame}" if self.frame else self.location


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """What names the person and the order of an image; no ``repr`` and no message shows it.

    Attributes
    ----------
    patient_id, issuer
        DICOM ``PatientID`` and ``IssuerOfPatientID``, without padding; empty if absent.
    patient_name
        DICOM ``PatientName``, its component groups separated by ``=``; empty if absent.
    accession_number
        DICOM ``AccessionNumber``, without padding; empty if absent.
    """

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)


_NOBODY: Final = PatientIdentity()


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What an input says about itself: where it is and what its header holds.

    Attributes
    ----------
    source
        Where it is.
    kind
        What the content is.
    sop_class
        Registered name of the SOP class, empty if it is private or unknown.
    modality, body_part, presentation_intent
        DICOM ``Modality``, ``BodyPartExamined``, ``PresentationIntentType``; empty if absent.
    image_type
        The values of DICOM ``ImageType``; a value that is no code is empty.
    named_parts
        Parts of the body that ``BodyPartExamined`` and the coded region name, in a fixed
        vocabulary: ``CHEST``, ``KNEE``; ``OTHER`` for one that is not recognised.
    series_parts, study_parts
        Parts that descriptions of the series and of the study name, likewise.
    laterality
        ``L``, ``R``, ``B`` or ``U`` of the image, empty if absent.
    burned_in
        Whether DICOM ``BurnedInAnnotation`` is ``YES``.
    manufacturer
        DICOM ``Manufacturer`` in capitals, empty if absent or not like a name of one.
    view
        Projection as far as the header tells.
    view_evidence
        The element that tells the view, with its value if that is a code.
    patient_orientation
        The two values of DICOM ``PatientOrientation``, none if absent or malformed.
    age_years
        Age at the study in years, ``None`` if unknown.
    birth_date_age_years
        Age by the date of birth where it contradicts ``PatientAge``, else ``None``.
    sex
        DICOM ``PatientSex`` (``M``, ``F``, ``O``), empty if absent.
    pixel_spacing_mm
        Row and column spacing of the stored pixels in millimetres, ``None`` if unknown.
    pixel_spacing_plane
        Where it holds and by which element, in words; empty if unknown.
    animal_evidence
        What in the header tells of an animal; empty for a person.
    identity
        Of the person and the order; not shown by ``repr``.
    patient_key, accession_key
        Pseudonyms that group the images of one patient and of one order; empty until a report
        is made of the record, and where the header names none.
    notes
        What reading the header had to assume, one sentence each.
    """

    source: Source
    kind: SourceKind
    sop_class_uid: str = ""
    sop_class: str = ""
    sop_instance_uid: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    body_part: str = ""
    named_parts: tuple[str, ...] = ()
    series_parts: tuple[str, ...] = ()
    study_parts: tuple[str, ...] = ()
    laterality: str = ""
    presentation_intent: str = ""
    burned_in: bool = False
    manufacturer: str = ""
    view: View = View.UNKNOWN
    view_evidence: str = ""
    patient_orientation: tuple[str, ...] = ()
    age_years: float | None = None
    birth_date_age_years: float | None = None
    sex: str = ""
    pixel_spacing_mm: tuple[float, float] | None = None
    pixel_spacing_plane: str = ""
    animal_evidence: str = ""
    identity: PatientIdentity = field(default=_NOBODY, repr=False)
    patient_key: str = ""
    accession_key: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for age in (self.age_years, self.birth_date_age_years):
            if age is not None and not 0 <= age < 200:  # noqa: PLR2004
                message = f"age of {age} years"
                raise ValueError(message)


@dataclass(frozen=True, slots=True, eq=False)
class ChainStep:
    """One step of the pixel chain and the range of values after it.

    Attributes
    ----------
    name, detail
        What was done.
    low, high
        Least and largest value that the image holds after it.
    pixels
        Where asked for, the image after it: float32 ``[H, W]``, ``low`` to ``high`` scaled to
        0..1.
    scale
        Of a step that gave the image another grid: rows and columns after it for each one
        before; (1, 1) where rows or columns only changed places.
    """

    name: str
    detail: str
    low: float
    high: float
    pixels: NDArray[np.float32] | None = None
    scale: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PixelImage:
    """A radiograph as numbers: float32 ``[H, W]`` in 0..1, air dark.

    Attributes
    ----------
    pixels
        float32 array of shape ``[H, W]``, values in 0..1, air 0 and bone towards 1.
    colourfulness
        Largest mean difference between colour channels, 0 for grey, in units of full range.
    history
        What was done to the stored values, step by step.
    warnings
        What the chain had to assume, one sentence each.
    whole_shape
        Rows and columns of the whole image, where fewer pixels were read than the file holds.
    """

    pixels: NDArray[np.float32]
    colourfulness: float = 0.0
    history: tuple[ChainStep, ...] = ()
    warnings: tuple[str, ...] = ()
    whole_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32:  # noqa: PLR2004
            message = f"pixels must be float32 [H, W], not {self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(message)
        if self.pixels.size == 0:
            message = "pixels are empty"
            raise ValueError(message)
        low, high = float(self.pixels.min()), float(self.pixels.max())
        # A NaN fails this comparison too.
        if not (low >= 0.0 and high <= 1.0):
            message = f"pixels must lie in 0..1, not {low}..{high}"
            raise ValueError(message)
