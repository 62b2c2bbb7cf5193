"""Read a DICOM header and say what it tells about the image.

Keywords are the standard's. The identity of the patient is read into fields of its own, which
nothing prints; no free comment is read, and no error message repeats a value of the header that
could hold a name.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import BinaryIO, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.age import AGE_ELEMENTS, read_age
from cxrscreen.intake.header.body_part import read_body_part
from cxrscreen.intake.header.deflated import open_inflated
from cxrscreen.intake.header.elements import (
    as_code,
    code,
    coded,
    identifier,
    items,
    listed,
    meanings,
    number,
    person_name,
    text,
    texts,
    uid,
    words,
)
from cxrscreen.intake.header.sop_class import may_hold_frames, may_hold_radiograph, name_of
from cxrscreen.intake.header.spacing import read_spacing
from cxrscreen.intake.header.view import (
    EXAMINATION_ELEMENTS,
    Examination,
    patient_orientation,
    read_examination,
    read_view,
)
from cxrscreen.records import ImageRecord, PatientIdentity, Source
from cxrscreen.vocabulary import RejectCode, SourceKind

__all__ = [
    "describe",
    "items",
    "number",
    "parses_without_preamble",
    "quiet_readers",
    "read_header",
    "text",
]

# Not "cat" (CAT scan), "chat", "cane" and "vet" (veteran).
_ANIMAL_WORDS: Final = listed(
    "CANINE, DOG, DOGS, FELINE, EQUINE, HORSE, BOVINE, VETERINARY, PUPPY, KITTEN, HUND, "
    "KATZE, PFERD, VETERINAR, CHIEN, CHEVAL, VETERINAIRE, PERRO, CANINO, FELINO, EQUINO, "
    "VETERINARIO, CAVALLO, CACHORRO"
)
_HUMAN_WORDS: Final = listed("HOMO, HUMAN, MENSCH, HUMANO")
# Homo sapiens in SNOMED CT (two concepts), in the retired SNOMED RT style, and as NCBI taxon.
_HUMAN_CODES: Final = listed("337915000, 30996001, L-85003, L-85B00, 9606")
# Everything that admission looks at lies below; per-frame groups of enhanced objects above.
_LAST_TAG: Final = 0x0054FFFF
# What tells one object from another, up to SeriesInstanceUID.
_LAST_TAG_OF_OTHERS: Final = 0x0020000E
_NUMBER_OF_FRAMES: Final = 0x00280008
_IDENTITY: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "PatientSex",
)
_PERSON: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber")
_SPECIES: Final = (
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "PatientSexNeutered",
    "ResponsiblePersonRole",
)
_LATERALITY: Final = ("ImageLaterality", "Laterality", "FrameLaterality")
#: Every element of a header that admission reads; the pixel chain reads its own.
ELEMENTS_READ: Final = (
    *_IDENTITY,
    *_PERSON,
    *_SPECIES,
    *_LATERALITY,
    *EXAMINATION_ELEMENTS,
    *AGE_ELEMENTS,
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "ImageType",
    "PresentationIntentType",
    "BurnedInAnnotation",
    "Manufacturer",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NumberOfFrames",
    "Rows",
    "Columns",
)
_TAGS_READ: Final[list[BaseTag | int]] = [Tag(keyword) for keyword in ELEMENTS_READ]


class _Quiet:
    """Warnings and pydicom's logger switched off while any thread reads a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._restore = contextlib.ExitStack()

    def enter(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                logger = logging.getLogger("pydicom")
                self._restore.callback(setattr, logger, "disabled", logger.disabled)
                logger.disabled = True
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")

    def leave(self) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._restore.close()


_QUIET: Final = _Quiet()


@contextlib.contextmanager
def quiet_readers() -> Iterator[None]:
    """Keep pydicom and Pillow from warning and logging: they repeat values of the header."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


def parses_without_preamble(content: Content, head: bytes) -> bool:
    """Return whether a file without the ``DICM`` prefix is DICOM all the same.

    Strict: the file starts with an element of group 0002 or 0008 and a parse of its first
    elements finds a well-formed ``SOPClassUID``.
    """
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):  # noqa: PLR2004
        return False
    try:
        with quiet_readers(), open_inflated(content) as stream:
            header = pydicom.dcmread(
                stream, force=True, stop_before_pixels=True, specific_tags=["SOPClassUID"]
            )
            return bool(header.SOPClassUID.is_valid)
    except Exception:  # noqa: BLE001 - a parse of arbitrary bytes may raise anything
        return False


def read_header(content: Content) -> FileDataset:
    """Return the elements that admission needs, without reading the pixel data.

    Of an object that can be no radiograph, only those that identify it: most of an export
    is such objects, and their headers are long.

    Raises
    ------
    ImageRefusedError
        ``UNREADABLE_FILE``, ``MALFORMED_DICOM``, or ``TOO_LARGE`` for one that inflates
        beyond measure.
    """
    try:
        with quiet_readers(), open_inflated(content) as stream:
            header = _read_up_to(_LAST_TAG_OF_OTHERS, stream)
            if may_hold_radiograph(_sop_class_uid(header), code(header, "Modality")):
                stream.seek(0)
                header = _read_up_to(_LAST_TAG, stream)
            elif may_hold_frames(_sop_class_uid(header)):
                stream.seek(0)
                header = _read_up_to(_NUMBER_OF_FRAMES, stream)
    except ImageRefusedError:
        raise
    except Exception as error:
        # pydicom raises OSError for bad content too; only the system's own has a number.
        if isinstance(error, OSError) and error.errno is not None:
            reason = f"cannot be read: {error.strerror}"
            raise ImageRefusedError(RejectCode.UNREADABLE_FILE, reason) from error
        reason = f"the header does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    return header


def describe(header: Dataset, *, source: Source) -> ImageRecord:
    """Return what a DICOM header says about its image.

    Empty, absent and unreadable elements become empty fields: they are common and no error.
    No field but ``identity`` holds free text: only codes, UIDs, numbers, and words of our own
    vocabulary.
    """
    with quiet_readers():
        sop_class_uid, modality = _sop_class_uid(header), code(header, "Modality")
        # How an examination is described can change nothing for what is no radiograph.
        candidate = may_hold_radiograph(sop_class_uid, modality)
        examination = read_examination(header) if candidate else ()
        view, age = read_view(header, examination), read_age(header)
        body = read_body_part(header, examination)
        sex = text(header, "PatientSex").upper()[:1]
        spacing_mm, plane = read_spacing(header)
        return ImageRecord(
            source=source,
            kind=SourceKind.DICOM,
            sop_class_uid=sop_class_uid,
            sop_class=name_of(sop_class_uid),
            sop_instance_uid=uid(header, "SOPInstanceUID"),
            series_instance_uid=uid(header, "SeriesInstanceUID"),
            study_instance_uid=uid(header, "StudyInstanceUID"),
            modality=modality,
            image_type=tuple(as_code(value) for value in texts(header, "ImageType")),
            body_part=body.body_part,
            named_parts=body.named,
            series_parts=body.in_series,
            study_parts=body.in_study,
            laterality=_laterality(header),
            presentation_intent=code(header, "PresentationIntentType"),
            burned_in=code(header, "BurnedInAnnotation") == "YES",
            manufacturer=code(header, "Manufacturer"),
            view=view.view,
            view_evidence=view.evidence,
            patient_orientation=patient_orientation(header),
            age_years=age.years,
            birth_date_age_years=age.other_years,
            sex=sex if sex in ("M", "F", "O") else "",
            pixel_spacing_mm=spacing_mm,
            pixel_spacing_plane=plane,
            identity=PatientIdentity(
                patient_id=identifier(header, "PatientID"),
                issuer=identifier(header, "IssuerOfPatientID"),
                patient_name=person_name(header, "PatientName"),
                accession_number=identifier(header, "AccessionNumber"),
            ),
            animal_evidence=_animal_evidence(header, examination),
            notes=age.notes + view.notes,
        )


def _read_up_to(last: int, stream: BinaryIO) -> FileDataset:
    return read_partial(
        stream,
        # int's own comparison: a tag's is written in Python and takes a third of the time.
        stop_when=lambda tag, _vr, _length: int.__gt__(tag, last),
        force=True,
        specific_tags=_TAGS_READ,
    )


def _sop_class_uid(header: Dataset) -> str:
    """Return ``SOPClassUID``; a DICOMDIR has only the one of its file meta information."""
    found = uid(header, "SOPClassUID")
    meta = getattr(header, "file_meta", None)
    return found or (uid(meta, "MediaStorageSOPClassUID") if meta else "")


def _laterality(header: Dataset) -> str:
    """Return L, R, B or U: PS3.3 C.7.3.1 and C.8.11.2."""
    values = (code(header, keyword) for keyword in _LATERALITY)
    return next((value for value in values if value in ("L", "R", "B", "U")), "")


def _animal_evidence(header: Dataset, examination: Examination) -> str:
    """Return what tells of an animal, empty for a person: PS3.3 C.7.1.1."""
    species = set(words(text(header, "PatientSpeciesDescription")))
    if species:
        return "" if species & _HUMAN_WORDS else "PatientSpeciesDescription is not human"
    meant = set(words(" ".join(meanings(header, "PatientSpeciesCodeSequence"))))
    for value in coded(header, "PatientSpeciesCodeSequence"):
        if value and value not in _HUMAN_CODES and not meant & _HUMAN_WORDS:
            return f"PatientSpeciesCodeSequence is {value}, not human"
    if code(header, "ResponsiblePersonRole") == "OWNER":
        return "ResponsiblePersonRole is OWNER"
    # Elements of animals alone.
    for keyword in ("PatientBreedDescription", "PatientSexNeutered", "PatientBreedCodeSequence"):
        if text(header, keyword) or items(header, keyword):
            return f"{keyword} is there"
    for keyword, named in examination:
        if found := _ANIMAL_WORDS.intersection(named):
            return f"the word {min(found)} is in {keyword}"
    return ""
