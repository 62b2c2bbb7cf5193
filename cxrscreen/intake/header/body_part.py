"""Which part of the body an image shows, by codes and by words in several languages.

A description of an examination may hold anything, a patient's name included. So nothing of
it leaves this module but the names of the parts that were recognised in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from cxrscreen.intake.header.elements import as_code, coded, listed, meanings, plain, texts, words
from cxrscreen.intake.header.view import SERIES_KEYWORDS, Examination

CHEST: Final = "CHEST"
_CHEST_WORDS: Final = (
    "CHEST THORAX LUNG LUNGS TORAX TORACE POUMON POUMONS PECHO "
    "PULMON PULMONES PULMAO PULMOES POLMONE POLMONI PULMO PULMONARY CXR BRUST BRUSTKORB LUNGE "
    "LUNGEN BORSTKAS LONGEN LUNGOR LUNGER TORAKS AKCIGER GOGUS PLUCA PIERSIOWA PIERSIOWEJ "
    "HRUDNIK PLICE KEUHKOT MELLKAS THORAXAUFNAHME THORAXUBERSICHT THORAXUEBERSICHT "
    "RONTGENTHORAX ROENTGENTHORAX LUNGENAUFNAHME ГРУДЬ КЛЕТКА КЛЕТКИ ЛЕГКИЕ ЛЕГКИХ"
)
# Whole words only, and no word that also means something else in a description of a chest
# (arm: C-arm, main: main hospital, back, cat, pe). Ribs and clavicles are part of a chest,
# but an examination that is named after them is exposed and collimated for bone.
_PARTS: Final[dict[str, str]] = {
    "ABDOMEN": "ABDOMEN ABDOMINAL ABD ADDOME ABDOME BAUCH BUIK BRZUCH KUB BNS ASP COLON STOMACH "
    "BOWEL BARIUM ЖИВОТ БРЮШНОЙ",
    "PELVIS": "PELVIS PELVIC BECKEN BASSIN BACINO BACIA BEKKEN MIEDNICA ТАЗ",
    "HIP": "HIP HIPS HUFTE HUEFTE HUFTGELENK HANCHE CADERA ANCA QUADRIL HEUP BIODRO",
    "SPINE": "SPINE SPINAL CSPINE TSPINE LSPINE CERVICAL LUMBAR LUMBOSACRAL HWS BWS LWS SACRUM "
    "COCCYX WIRBELSAULE WIRBELSAEULE RACHIS COLUMNA RACHIDE COLONNA COLUNA WERVELKOLOM "
    "KREGOSLUP VERTEBRA SCOLIOSIS SKOLIOSE ПОЗВОНОЧНИК ПОЗВОНОЧНИКА",
    "SKULL": "SKULL HEAD CRANIUM SCHADEL SCHAEDEL CRANE CRANEO CRANIO SCHEDEL CZASZKA SINUS "
    "SINUSES ORBIT ORBITS MANDIBLE MAXILLA JAW FACIAL ZYGOMA TEETH DENTAL TMJ BRAIN ЧЕРЕП",
    "NECK": "NECK HALS CUELLO COLLO ADENOIDS ADENOID",
    "SHOULDER": "SHOULDER SHOULDERS SCHULTER EPAULE HOMBRO SPALLA OMBRO SCHOUDER SCAPULA",
    "CLAVICLE": "CLAVICLE CLAVICLES CLAVICULA CLAVICOLA CLAVICULE SCHLUSSELBEIN SCHLUESSELBEIN",
    "STERNUM": "STERNUM ESTERNON STERNO BRUSTBEIN",
    "RIB": "RIB RIBS RIPPEN COSTILLAS COSTAL COSTELAS RIBBEN",
    "BREAST": "BREAST BREASTS MAMMA MAMMO MAMMOGRAPHY MAMMOGRAM",
    "UPPER LIMB": "HUMERUS HUMERO OBERARM FOREARM UNTERARM ANTEBRAZO AVAMBRACCIO RADIUS ULNA "
    "ELBOW ELLENBOGEN ELLBOGEN COUDE CODO GOMITO COTOVELO ELLEBOOG LOKIEC",
    "HAND": "HAND HANDS WRIST WRISTS FINGER FINGERS THUMB HANDGELENK POIGNET MUNECA POLSO PUNHO "
    "POLS DOIGT DEDO SCAPHOID MANO MAO DLON NADGARSTEK BONEAGE КИСТЬ",
    "LOWER LIMB": "FEMUR FEMORE THIGH TIBIA FIBULA OBERSCHENKEL UNTERSCHENKEL LEG LEGS EXTREMITY "
    "EXTREMITIES EXTREMITAT LIMB JAMBE PIERNA GAMBA PERNA БЕДРО",
    "KNEE": "KNEE KNEES KNIE KNIEGELENK GENOU RODILLA GINOCCHIO JOELHO KOLANO PATELLA КОЛЕНО",
    "ANKLE": "ANKLE ANKLES SPRUNGGELENK CHEVILLE TOBILLO CAVIGLIA TORNOZELO ENKEL",
    "FOOT": "FOOT FEET FUSS PIED PIEDE VOET STOPA TOE TOES CALCANEUS HEEL СТОПА",
    "SKELETON": "SKELETON SKELETAL BONE BONES",
    "WHOLE BODY": "BABYGRAM WHOLEBODY",
}
_PART_OF_WORD: Final = {
    plain(word): part
    for part, listed in {CHEST: _CHEST_WORDS, **_PARTS}.items()
    for word in listed.split()
}
# Scripts without blanks between words: these are searched for, the longer ones first.
_PART_OF_IDEOGRAMS: Final = {
    "胸椎": "SPINE",
    "腰椎": "SPINE",
    "頸椎": "SPINE",
    "颈椎": "SPINE",
    "胸部": CHEST,
    "胸片": CHEST,
    "흉부": CHEST,
    "腹部": "ABDOMEN",
    "복부": "ABDOMEN",
    "骨盤": "PELVIS",
    "骨盆": "PELVIS",
    "頭部": "SKULL",
    "膝": "KNEE",
    "무릎": "KNEE",
    "肩": "SHOULDER",
    "足": "FOOT",
    "手": "HAND",
}
# PS3.16 CID 4009 with the retired SNOMED RT identifiers of older objects. What the group
# holds beside these is told by its meaning.
_CHEST_CODES: Final = listed("51185008, 43799004, 816094009, 39607008, T-D3000, T-D3200, T-28000")
# Apex of lung: a lordotic view.
_APEX_CODES: Final = listed("86598002, T-280A0")
# Chest and abdomen in one image, or more of the body.
_MORE_THAN_CHEST_CODES: Final = listed(
    "416550000, 416775004, 416319003, 416152001, 417437006, 38266002, R-FAB55, R-FAB56, "
    "R-FAB54, R-FAB53, R-FAB52, T-D0010"
)
# Values of BodyPartExamined that name nothing.
_PLACEHOLDERS: Final = listed(
    "UNKNOWN, UNDEFINED, UNSPECIFIED, NONE, NA, N, A, DEFAULT, NULL, OTHER"
)
#: A value of ``BodyPartExamined`` that is no code and so is not repeated.
NOT_A_CODE: Final = "(not a code)"


@dataclass(frozen=True, slots=True)
class BodyPartFinding:
    """What a header says about the part of the body.

    Attributes
    ----------
    body_part
        ``BodyPartExamined`` or, without it, the coded region; capitals, safe to print.
    named
        Parts that these two name; ``("OTHER",)`` for one that is not recognised.
    in_series, in_study
        Parts that the descriptions of the image's series and study name.
    """

    body_part: str
    named: tuple[str, ...]
    in_series: tuple[str, ...]
    in_study: tuple[str, ...]


def read_body_part(header: Dataset, examination: Examination) -> BodyPartFinding:
    """Return the parts named by code and by description: PS3.3 C.8.11.2, C.7.5.1, C.7.3.1."""
    # One value by the standard; writers that put several mean all of them.
    examined = " ".join(texts(header, "BodyPartExamined"))
    if set(words(examined)) <= _PLACEHOLDERS:
        examined = ""
    regions = list(_region_parts(header))
    meaning = next((m for m in meanings(header, "AnatomicRegionSequence") if m), "")
    shown = (as_code(examined or meaning) or NOT_A_CODE) if examined or meaning else ""
    named = [*parts_in(examined), *regions]
    if examined and not parts_in(examined):
        named.append("OTHER")
    in_series: list[str] = []
    in_study: list[str] = []
    for keyword, named_words in examination:
        near = keyword in SERIES_KEYWORDS
        (in_series if near else in_study).extend(_parts_of(named_words))
    return BodyPartFinding(shown, _once(named), _once(in_series), _once(in_study))


def parts_in(value: str) -> tuple[str, ...]:
    """Return the parts of the body that a text names, in a fixed vocabulary."""
    return _parts_of(words(value))


def _parts_of(named_words: Iterable[str]) -> tuple[str, ...]:
    found = []
    for word in named_words:
        if word in _PART_OF_WORD:
            found.append(_PART_OF_WORD[word])
        elif not word.isascii():
            found += _parts_in_ideograms(word)
    return _once(found)


def _parts_in_ideograms(word: str) -> Iterator[str]:
    for ideograms, part in _PART_OF_IDEOGRAMS.items():
        if ideograms in word:
            yield part
            word = word.replace(ideograms, " ")


def _region_parts(header: Dataset) -> Iterator[str]:
    values = list(coded(header, "AnatomicRegionSequence"))
    for value, meaning in zip(values, meanings(header, "AnatomicRegionSequence"), strict=True):
        if value in _CHEST_CODES:
            yield CHEST
        elif value in _MORE_THAN_CHEST_CODES:
            yield "WHOLE BODY"
        elif value in _APEX_CODES:
            yield "OTHER"
        elif value or meaning:
            yield from parts_in(meaning) or ("OTHER",)


def _once(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parts))
