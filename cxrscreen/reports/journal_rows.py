"""Rows on their way into the journal, and out of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cxrscreen.records import Prediction
from cxrscreen.reports.table import Cell
from cxrscreen.vocabulary import Decision, RejectCode

_CHECKSUM_BYTES: Final = 8
_COLUMNS: Final = (
    "number, place, frame, decision, reject_code, probability, score, warnings, uid, pixels, "
    "cells, thumbnail, checksum"
)
ADD: Final = f"INSERT INTO rows ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608
ALL: Final = f"SELECT {_COLUMNS} FROM rows ORDER BY number"  # noqa: S608 - names of our own


@dataclass(frozen=True, slots=True, eq=False)
class JournalEntry:
    """A row of the report on its way into the journal.

    Attributes
    ----------
    place
        Of its input in the frozen list, from 0.
    frame
        Number of the frame, from 1; 0 for an object of a single frame.
    decision, reject_code
        What was decided, or why not.
    probability, score
        What the model said, with all digits; ``None`` if not screened.
    warnings
        How many the row has.
    cells
        The row of the report, finished but for its rank.
    identity
        By what a copy of the image is recognised: hashes of its UID and of its pixels.
    thumbnail
        A small picture for a page, as the bytes of its file.
    ends_batch
        Whether a run can go on behind it.
    """

    place: int
    frame: int
    decision: Decision
    reject_code: RejectCode | None
    probability: float | None
    score: float | None
    warnings: int
    cells: Mapping[str, Cell]
    identity: tuple[bytes, bytes] | None = None
    thumbnail: bytes | None = None
    ends_batch: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRow:
    """A row of the finished report.

    Attributes
    ----------
    number
        In the order of the report, from 0.
    cells
        By the names of the columns, with its rank on the worklist, where 1 is read first.
    warnings
        How many it has.
    thumbnail
        A small picture, as the bytes of its file, where there is one.
    """

    number: int
    cells: Mapping[str, Cell]
    warnings: int
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image that has a decision, to be looked at once more.

    Attributes
    ----------
    number
        Of its row, from 0.
    place, frame
        Of its input in the frozen list, from 0; of the frame, from 1, or 0 for a single one.
    decision, prediction
        What was decided, and on what.
    pixels
        Hash of what the network saw.
    """

    number: int
    place: int
    frame: int
    decision: Decision
    prediction: Prediction
    pixels: bytes


def values_of(number: int, entry: JournalEntry) -> tuple[object, ...]:
    """Return what the table holds of a row of the report, which is the ``number``-th from 0."""
    uid, pixels = entry.identity or (None, None)
    values = (
        number,
        entry.place,
        entry.frame,
        entry.decision.value,
        None if entry.reject_code is None else entry.reject_code.value,
        entry.probability,
        # SQLite stores -0.0 as 0.0, whose checksum is another one.
        None if entry.score is None else entry.score + 0.0,
        entry.warnings,
        uid,
        pixels,
        json.dumps(dict(entry.cells), separators=(",", ":")),
        entry.thumbnail,
    )
    return (*values, _checksum(values))


def is_sound(row: Sequence[object]) -> bool:
    """Return whether a row of the table is as it was written."""
    return row[-1] == _checksum(tuple(row[:-1]))


def _checksum(values: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(values).encode(), digest_size=_CHECKSUM_BYTES).digest()
