"""Read a DICOM header and say what it tells about the image.

Keywords are the standard's. Nothing here reads a name, an identifier or a free comment of a
patient, and no error message repeats a value of the header that could hold one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import threading
import warnings
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.deflated import open_inflated
from cxrscreen.records import ImageRecord, Source
from cxrscreen.vocabulary import RejectCode, SourceKind, View

# PS3.5 section 6.2, VR AS: three digits and a unit.
_AGE = re.compile(r"^\s*(\d{1,3})\s*([DWMY]?)\s*$", re.IGNORECASE)
_YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_DATE_DIGITS = 8
_OLDEST_YEARS = 130

# Texts that describe the examination, not the patient.
_EXAMINATION_TEXTS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
)
# Not "cat" (CAT scan) and not "vet" (veteran).
_ANIMAL_WORDS = frozenset(["canine", "dog", "feline", "equine", "horse", "bovine", "veterinary"])
_HUMAN_WORDS = frozenset(["homo", "human"])
_FRONTAL_WORDS = frozenset(["pa", "ap", "frontal"])
_OBLIQUE_WORDS = frozenset(["oblique", "rao", "lao", "rpo", "lpo"])
_LATERAL_WORDS = frozenset(["lateral", "lat", "ll", "rl", "lld", "rld"])
_VIEW_POSITIONS = {
    "PA": View.PA,
    "AP": View.AP,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LAT": View.LATERAL,
    "LATERAL": View.LATERAL,
    "LLO": View.OBLIQUE,
    "RLO": View.OBLIQUE,
    "LAO": View.OBLIQUE,
    "RAO": View.OBLIQUE,
    "LPO": View.OBLIQUE,
    "RPO": View.OBLIQUE,
}


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
    """Return every element before the pixel data, without reading the pixel data.

    Raises
    ------
    ImageRefusedError
        ``UNREADABLE_FILE``, ``MALFORMED_DICOM``, or ``TOO_LARGE`` for one that inflates
        beyond measure.
    """
    try:
        with quiet_readers(), open_inflated(content) as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            # pydicom parses elements when they are first used: do it where errors are caught.
            header.decode()
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

    Empty and absent elements become empty fields: they are common and no error.
    """
    with quiet_readers():
        notes: list[str] = []
        return ImageRecord(
            source=source,
            kind=SourceKind.DICOM,
            sop_class_uid=text(header, "SOPClassUID"),
            sop_instance_uid=text(header, "SOPInstanceUID"),
            series_instance_uid=text(header, "SeriesInstanceUID"),
            study_instance_uid=text(header, "StudyInstanceUID"),
            modality=text(header, "Modality").upper(),
            body_part=_body_part(header),
            presentation_intent=text(header, "PresentationIntentType").upper(),
            view=_view(header),
            age_years=_age_years(header, notes),
            sex=text(header, "PatientSex").upper()[:1],
            pixel_spacing_mm=_spacing_mm(header),
            is_animal=_is_animal(header),
            notes=tuple(notes),
        )


def text(header: Dataset, keyword: str) -> str:
    """Return an element's value as stripped text, empty if absent or unreadable."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom raises whatever a bad value provokes
        return ""
    if isinstance(value, pydicom.multival.MultiValue):
        value = next(iter(value), None)
    return "" if value is None else str(value).strip(" \0")


def number(header: Dataset, keyword: str) -> float | None:
    """Return an element's first value as a finite float, ``None`` if it is not one."""
    try:
        value = float(text(header, keyword))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none if it is absent, empty or no sequence."""
    try:
        value: Any = header.get(keyword)
        return [item for item in value or () if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 - see text()
        return []


def _words(value: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", value.lower()))


def _examination_words(header: Dataset) -> Iterator[frozenset[str]]:
    for keyword in _EXAMINATION_TEXTS:
        yield _words(text(header, keyword))
    for keyword in ("ViewCodeSequence", "PerformedProtocolCodeSequence", "ProcedureCodeSequence"):
        for item in items(header, keyword):
            yield _words(text(item, "CodeMeaning"))


def _body_part(header: Dataset) -> str:
    """Return ``BodyPartExamined`` or, without it, the coded region: PS3.3 C.8.11.2, CID 4009."""
    named = text(header, "BodyPartExamined")
    meanings = [text(item, "CodeMeaning") for item in items(header, "AnatomicRegionSequence")]
    return (named or next(iter(meanings), "")).upper()


def _is_animal(header: Dataset) -> bool:
    species = _words(text(header, "PatientSpeciesDescription"))
    if species and not species & _HUMAN_WORDS:
        return True
    if text(header, "PatientBreedDescription"):
        return True
    return any(words & _ANIMAL_WORDS for words in _examination_words(header))


def _view(header: Dataset) -> View:
    """Return the view by ``ViewPosition``, else by orientation, else by description.

    PS3.3 C.8.11.5.1.1 (DX Positioning), C.7.6.1.1.1 (Patient Orientation).
    """
    position = text(header, "ViewPosition").upper()
    if position:
        named = _words(position)
        if position in _VIEW_POSITIONS:
            return _VIEW_POSITIONS[position]
        for words, view in (
            (_OBLIQUE_WORDS, View.OBLIQUE),
            (_LATERAL_WORDS, View.LATERAL),
            (_FRONTAL_WORDS, View.FRONTAL),
        ):
            if named & words:
                return view
        return View.OTHER
    # Along a row of a frontal image lies left-right; of a lateral one, front-back.
    if text(header, "PatientOrientation").upper()[:1] in ("A", "P"):
        return View.LATERAL
    # «Chest PA and lateral» names the examination: it says nothing about this image.
    for words in _examination_words(header):
        if words & _LATERAL_WORDS and not words & _FRONTAL_WORDS:
            return View.LATERAL
    return View.UNKNOWN


def _age_years(header: Dataset, notes: list[str]) -> float | None:
    match = _AGE.match(text(header, "PatientAge"))
    if match:
        count, unit = int(match[1]), match[2].upper()
        age = count * _YEARS_PER_UNIT[unit]
        if not unit:
            notes.append("PatientAge has no unit: taken as years")
        if age <= _OLDEST_YEARS:
            return age
    born, studied = (_date(text(header, k)) for k in ("PatientBirthDate", "StudyDate"))
    if born and studied and born <= studied:
        age = (studied - born).days / 365.25
        if age <= _OLDEST_YEARS:
            return age
    return None


def _date(value: str) -> date | None:
    digits = value.replace(".", "").replace("-", "")
    if len(digits) != _DATE_DIGITS or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _spacing_mm(header: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in header.get(keyword) or ())
        except Exception:  # noqa: BLE001, S112 - see text()
            continue
        if row > 0 and column > 0:
            return row, column
    return None
