"""Take values out of a DICOM header, whatever a writer put there.

A header in the wild holds empty elements, elements of another VR than the standard's, and
free text where a code belongs. Nothing here raises, and :func:`code` lets nothing through
that does not look like a code: what it returns may be printed.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Container, Iterator
from datetime import date
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PersonName

#: Longer values are no code and no description; matching words in them is not worth the time.
_MAX_CHARACTERS: Final = 1024
# PS3.5 section 6.2: CS has 16 characters, A-Z, digits, blank and underscore. Vendors add
# letters of their language and separators; a caret or an equals sign would be a name's.
_CODE: Final = re.compile(r"[\w ./,&()+-]{1,32}")
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_CHARACTERS: Final = 64
_WORD: Final = re.compile(r"[^\W\d_]+")
# «P.A.» and «a/p» are one word each.
_SPLIT_PROJECTION: Final = re.compile(r"\b([AP])\s?[./]\s?([AP])\b")
# Letters that have no decomposition into a base letter and an accent.
_LETTERS: Final = str.maketrans({"Ł": "L", "Ø": "O", "Æ": "AE", "Œ": "OE", "Đ": "D", "İ": "I"})
_DATE_DIGITS: Final = 8


def text(header: Dataset, keyword: str) -> str:
    """Return an element's first value as stripped text, empty if absent or unreadable."""
    return next(iter(texts(header, keyword)), "")


def texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values of an element as stripped text, none if absent or unreadable."""
    try:
        value = _value(header, keyword)
        values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    except Exception:  # noqa: BLE001 - pydicom raises whatever a bad value provokes
        return ()
    return tuple(
        str(value)[:_MAX_CHARACTERS].strip(" \0")
        for value in values
        # A sequence or bytes in the place of a text would be printed with all they hold.
        if isinstance(value, str | int | float)
    )


def identifier(header: Dataset, keyword: str) -> str:
    """Return an identifier without padding, empty if absent or unreadable: PS3.5 section 6.2.

    A backslash in it makes several values of one: they are joined again. Letters that can be
    written in two ways are written in one, so that equal identifiers are equal.
    """
    value = "\\".join(texts(header, keyword)).strip()
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def person_name(header: Dataset, keyword: str) -> str:
    """Return a person's name with its component groups, empty if absent or unreadable."""
    try:
        value = _value(header, keyword)
        names = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        found = "\\".join(str(name) for name in names if isinstance(name, PersonName | str))
    except Exception:  # noqa: BLE001 - see texts()
        return ""
    return unicodedata.normalize("NFC", found[:_MAX_CHARACTERS].strip(" \0"))


def _value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever a writer put there
    # Most elements are absent: a look-up by keyword or a KeyError costs more than all the rest.
    tag = _tag(keyword)
    return header[tag].value if tag in header.keys() else None  # noqa: SIM118 - faster than in


@functools.cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def code(header: Dataset, keyword: str) -> str:
    """Return an element's first value in capitals if it looks like a code, else nothing.

    The result is safe to print in a report.
    """
    return as_code(text(header, keyword))


def as_code(value: str) -> str:
    """Return a text in capitals if it looks like a code, else nothing."""
    value = " ".join(value.upper().split())
    return value if _CODE.fullmatch(value) else ""


def defined_term(value: str, terms: Container[str]) -> str:
    """Return a code if it is one of the standard's terms, else that it is none.

    A code may be a name: anything may stand in an element.
    """
    return value if not value or value in terms else "(not a defined term)"


def uid(header: Dataset, keyword: str) -> str:
    """Return a UID, empty if absent or not made of digits and dots: PS3.5 section 9.1."""
    value = text(header, keyword)
    return value if len(value) <= _UID_CHARACTERS and _UID.fullmatch(value) else ""


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
        value = _value(header, keyword)
        return [item for item in value or () if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 - see texts()
        return []


def day(header: Dataset, keyword: str) -> date | None:
    """Return a date, ``None`` if it is absent or no date: PS3.5 section 6.2, VR DA and DT."""
    digits = text(header, keyword).replace(".", "").replace("-", "")[:_DATE_DIGITS]
    if len(digits) != _DATE_DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def plain(value: str) -> str:
    """Return text in capitals without accents, so that words of any spelling compare."""
    value = value.upper()
    if not value.isascii():
        value = _without_accents(value)
    return _SPLIT_PROJECTION.sub(r"\1\2", value)


def _without_accents(value: str) -> str:
    decomposed = unicodedata.normalize("NFKD", value)
    stripped = "".join(c for c in decomposed if not unicodedata.combining(c))
    # Hangul syllables come apart too, and are put together again.
    return unicodedata.normalize("NFC", stripped.translate(_LETTERS))


def listed(vocabulary: str) -> frozenset[str]:
    """Return the entries of a vocabulary that is written with commas between them."""
    return frozenset(vocabulary.split(", "))


def words(value: str) -> tuple[str, ...]:
    """Return the words of a text in their order, in capitals, without accents and digits."""
    return tuple(_WORD.findall(plain(value))) if value else ()


def meanings(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield the code meanings of a code sequence: PS3.3 section 8.3."""
    for item in items(header, keyword):
        yield text(item, "CodeMeaning")


def coded(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield the code values of a code sequence: PS3.3 section 8.1."""
    for item in items(header, keyword):
        yield as_code(text(item, "CodeValue"))
