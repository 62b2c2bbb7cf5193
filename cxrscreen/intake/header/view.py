"""Which projection an image shows, by everything that its header says about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from cxrscreen.intake.header.elements import (
    as_code,
    coded,
    items,
    listed,
    meanings,
    text,
    texts,
    words,
)
from cxrscreen.vocabulary import FRONTAL_VIEWS, View

# Texts about this image or its series; the study's may name two views at once.
_SERIES_TEXTS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "PerformedProcedureStepDescription",
)
_STUDY_TEXTS: Final = ("StudyDescription", "RequestedProcedureDescription")
_SERIES_CODES: Final = ("PerformedProtocolCodeSequence",)
_STUDY_CODES: Final = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence")
SERIES_KEYWORDS: Final = (*_SERIES_TEXTS, *_SERIES_CODES)
#: Every element that describes an examination.
EXAMINATION_ELEMENTS: Final = (
    *SERIES_KEYWORDS,
    *_STUDY_TEXTS,
    *_STUDY_CODES,
    "RequestAttributesSequence",
)
#: Keyword and words of each text that describes the examination, not the patient.
Examination = tuple[tuple[str, tuple[str, ...]], ...]

_DECUBITUS_WORDS: Final = listed("DECUB, DECUBITUS, DECUBITO, DEKUBITUS, LLD, RLD, CROSSTABLE")
_LORDOTIC_WORDS: Final = listed("LORDOTIC, LORDOTISCH, LORDOTICA, APICAL")
_OBLIQUE_WORDS: Final = listed(
    "OBL, OBLIQUE, OBLIQUO, OBLICUA, OBLIQUA, SCHRAG, SCHRAEG, RAO, LAO, RPO, LPO, RLO, LLO"
)
_LATERAL_WORDS: Final = listed(
    "LAT, LATERAL, LATERALE, LATERALIS, LATEROLATERAL, LL, RL, SEITL, SEITLICH, PROFIL, "
    "PERFIL, ZIJDELINGS, BOCZNE, BOKOWE"
)
_FRONTAL_WORDS: Final = listed(
    "PA, AP, FRONTAL, FRONTALE, FRONT, FACE, FRENTE, POSTEROANTERIOR, ANTEROPOSTERIOR, "
    "POSTERIORANTERIOR, ANTERIORPOSTERIOR"
)
#: In this order: «AP lateral decubitus» is a decubitus view and «PA oblique» an oblique one.
_VIEW_OF_WORDS: Final = (
    (_DECUBITUS_WORDS, View.DECUBITUS),
    (_LORDOTIC_WORDS, View.LORDOTIC),
    (_OBLIQUE_WORDS, View.OBLIQUE),
    (_LATERAL_WORDS, View.LATERAL),
    (listed("PA"), View.PA),
    (listed("AP"), View.AP),
    (_FRONTAL_WORDS, View.FRONTAL),
)
# Values of ViewPosition that tell how the patient stood, or nothing.
_NO_VIEW_WORDS: Final = listed(
    "ERECT, UPRIGHT, STANDING, SITTING, SEMIERECT, SUPINE, PORTABLE, PORT, BED, BEDSIDE, "
    "MOBILE, STEHEND, SITZEND, LIEGEND, CHEST, THORAX, BUCKY, W, UNKNOWN, UNDEFINED, "
    "UNSPECIFIED, NONE, NA, N, A, DEFAULT, NULL"
)
_EXPIRATION_WORDS: Final = listed(
    "EXP, EXPIR, EXPIRATION, EXPIRATORY, EXPIRIUM, EXSPIRATION, ESPIRAZIONE, ESPIRACION, EXPIRACAO"
)
# PS3.16 CID 4010, in SNOMED CT and in the retired SNOMED RT style of older objects.
_VIEW_OF_CODE: Final = {
    **dict.fromkeys(listed("272479007, R-10214, R-40888"), View.PA),
    **dict.fromkeys(listed("399348003, R-10206"), View.AP),
    **dict.fromkeys(listed("399033003, R-10202"), View.FRONTAL),
    **dict.fromkeys(
        listed(
            "399067008, 399173006, 399198007, 399260004, 399352003, R-102CD, R-10236, R-10232, "
            "R-10224, R-10228, 30730003, G-A145"
        ),
        View.LATERAL,
    ),
    **dict.fromkeys(
        listed(
            "399312000, 399160007, 260427002, 399099002, 399135007, 399184004, 399006002, "
            "399368009, 399182000, 399059000, 399356000, 399236003, 399038007, 260426006, "
            "R-10208, R-10204, R-40783, R-10230, R-10220, R-10238, R-10212, R-10226, R-102C1, "
            "R-10216, R-40985, R-10234, R-10210, R-40782"
        ),
        View.OBLIQUE,
    ),
    **dict.fromkeys(
        listed(
            "399242004, 399061009, 399196006, 399162004, 399335002, 399132005, 399004004, "
            "399225005, 399288005, 260499007, 399351005, 399316002, 399272005, 399071006, "
            "399325008, 399255003, 399110001, 119376003, 399360002, R-102C6, R-10241, R-10244, "
            "R-10242, R-102C4, R-10252, R-10246, R-10250, R-10248, R-40810, R-102C7, R-102C8, "
            "R-102C5, R-102C3, R-10254, R-10256, R-102C2, G-8300, R-10257"
        ),
        View.OTHER,
    ),
}


@dataclass(frozen=True, slots=True)
class ViewFinding:
    """A view and what it rests on.

    Attributes
    ----------
    view
        The view, ``UNKNOWN`` if nothing tells.
    evidence
        The element and its value, or the word of ours that was found in it; safe to print.
    notes
        What contradicts it, one sentence each.
    """

    view: View
    evidence: str = ""
    notes: tuple[str, ...] = ()


def read_view(header: Dataset, examination: Examination) -> ViewFinding:
    """Return the view by position and code, else by orientation, else by description.

    PS3.3 C.8.11.5.1.1 (DX Positioning), C.7.6.1.1.1 (Patient Orientation). Where position
    and code contradict each other, the one that is not frontal counts.
    """
    notes = _expiration_notes(header, examination)
    stated = [found for found in (_by_position(header), _by_code(header)) if found is not None]
    stated.sort(key=lambda found: found.view in FRONTAL_VIEWS)
    described = _by_description(examination)
    by_orientation = _by_orientation(patient_orientation(header))
    if not stated:
        found = by_orientation or described or ViewFinding(View.UNKNOWN)
        return ViewFinding(found.view, found.evidence, notes)
    found = stated[0]
    if found.view in FRONTAL_VIEWS:
        notes += tuple(
            f"{other.evidence} contradicts {found.evidence}: a {other.view.lower()} view?"
            for other in (by_orientation, described)
            if other is not None
        )
    return ViewFinding(found.view, found.evidence, notes)


def read_examination(header: Dataset) -> Examination:
    """Return the words of every text that describes the examination, the series' first."""
    return tuple(_examination_words(header))


def patient_orientation(header: Dataset) -> tuple[str, ...]:
    """Return ``PatientOrientation``, ``()`` unless it is two directions: PS3.3 C.7.6.1.1.1."""
    values = tuple(value.upper() for value in texts(header, "PatientOrientation"))
    valid = len(values) == 2 and all(v and set(v) <= set("APRLHF") for v in values)  # noqa: PLR2004
    return values if valid else ()


def view_of_words(found: set[str]) -> tuple[View, str]:
    """Return the view that words name and the word that did, ``UNKNOWN`` if none does."""
    for known, view in _VIEW_OF_WORDS:
        if found & known:
            return view, min(found & known)
    return View.UNKNOWN, ""


def _by_position(header: Dataset) -> ViewFinding | None:
    position = " ".join(texts(header, "ViewPosition"))
    found = set(words(position))
    if not found:
        return None
    evidence = f"ViewPosition ({as_code(position) or 'no code'})"
    view, _ = view_of_words(found)
    if view is not View.UNKNOWN:
        # «AP SUPINE» is AP, but other words may qualify it in ways not known here.
        alone = view in (View.PA, View.AP) and len(found) > 1
        return ViewFinding(View.FRONTAL if alone else view, evidence)
    return None if found <= _NO_VIEW_WORDS else ViewFinding(View.OTHER, evidence)


def _by_code(header: Dataset) -> ViewFinding | None:
    for value in coded(header, "ViewCodeSequence"):
        if value in _VIEW_OF_CODE:
            return ViewFinding(_VIEW_OF_CODE[value], f"ViewCodeSequence ({value})")
    for meaning in meanings(header, "ViewCodeSequence"):
        # «antero-posterior» is two words.
        named = set(words(meaning)) | {"".join(words(meaning))}
        view, word = view_of_words(named)
        if view is not View.UNKNOWN:
            return ViewFinding(view, f"ViewCodeSequence (the word {word})")
    return None


def _by_orientation(orientation: tuple[str, ...]) -> ViewFinding | None:
    """Return a view that is not frontal: a frontal one shows left-right and head-foot only."""
    first, second = (value[0] for value in orientation) if orientation else ("", "")
    evidence = "PatientOrientation (" + "\\".join(orientation) + ")"
    if "A" in (first, second) or "P" in (first, second):
        across = {first, second} <= set("APRL")
        return ViewFinding(View.OTHER if across else View.LATERAL, evidence)
    return None


def _by_description(examination: Examination) -> ViewFinding | None:
    # «Chest PA and lateral» names the examination: it says nothing about this image.
    for keyword, named in examination:
        found = set(named)
        view, word = view_of_words(found)
        if view in (View.UNKNOWN, *FRONTAL_VIEWS):
            continue
        # «AP left lateral decubitus» of a series names one view.
        one_view = view is View.DECUBITUS and keyword in SERIES_KEYWORDS
        if found & _FRONTAL_WORDS and not one_view:
            continue
        return ViewFinding(view, f"{keyword} (the word {word})")
    return None


def _expiration_notes(header: Dataset, examination: Examination) -> tuple[str, ...]:
    position = ("ViewPosition", words(text(header, "ViewPosition")))
    for keyword, named in (position, *examination):
        near = keyword in ("ViewPosition", *SERIES_KEYWORDS)
        if near and set(named) & _EXPIRATION_WORDS:
            return (f"taken in expiration by {keyword}: lungs look denser than they are",)
    return ()


def _examination_words(header: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    for keyword in (*_SERIES_TEXTS, *_STUDY_TEXTS):
        yield keyword, words(text(header, keyword))
    for keyword in (*_SERIES_CODES, *_STUDY_CODES):
        for meaning in meanings(header, keyword):
            yield keyword, words(meaning)
    for item in items(header, "RequestAttributesSequence"):
        for keyword in ("RequestedProcedureDescription", "ScheduledProcedureStepDescription"):
            yield keyword, words(text(item, keyword))
