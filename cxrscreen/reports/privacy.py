"""What a report may tell of a patient: pseudonyms in the place of names, numbers and paths."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscreen.records import ImageRecord, PatientIdentity, ScreenRow, Source
from cxrscreen.vocabulary import Phi

#: Bytes of the key of pseudonyms.
KEY_BYTES: Final = 32
# 64 bits tell a billion patients apart with few doubles; images are more, and links to them.
_PERSON_BYTES: Final = 8
_PLACE_BYTES: Final = 16
_FRAME: Final = re.compile(r" frame \d+\Z")
_NOBODY: Final = PatientIdentity()


@dataclass(frozen=True, slots=True)
class Privacy:
    """How much of what tells who a patient is a report holds.

    Parameters
    ----------
    phi
        ``pseudonym`` keeps paths and UIDs, by which the study is found again. ``full`` tells
        patient and order too. ``none`` tells neither, and replaces paths and UIDs as well.
    key
        32 secret bytes, without which nobody can try out which number or path leads to a
        pseudonym.
    """

    phi: Phi
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            message = f"a key of {len(self.key)} bytes instead of {KEY_BYTES}"
            raise ValueError(message)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits by which equal keys are recognised, and that reveal neither."""
        return self._hash("fingerprint", "", size=_PERSON_BYTES)

    def shown(self, row: ScreenRow) -> ScreenRow:
        """Return a row as it may be shown, whatever shows it: with pseudonyms of its own.

        Parameters
        ----------
        row
            As screening yields it.

        Returns
        -------
        ScreenRow
            ``record.patient_key`` and ``accession_key`` are filled where the header names a
            patient and an order. ``record.identity`` is empty unless ``phi`` is ``full``. With
            ``none``, source, UIDs and ``duplicate_of`` are hashes.
        """
        record = row.record
        identity = record.identity
        # With its length: a number and its issuer are never taken for others.
        issuer = f"{len(identity.issuer)} {identity.issuer}"
        record = dataclasses.replace(
            record,
            identity=identity if self.phi is Phi.FULL else _NOBODY,
            patient_key=self._pseudonym("patient", identity.patient_id, issuer),
            accession_key=self._pseudonym("accession", identity.accession_number),
        )
        if self.phi is not Phi.NONE:
            return dataclasses.replace(row, record=record)
        return dataclasses.replace(
            row, record=self._without_place(record), duplicate_of=self._earlier(row.duplicate_of)
        )

    def source(self, source: Source) -> Source:
        """Return where an image is as it may be shown."""
        if self.phi is not Phi.NONE:
            return source
        return Source(Path(self._place(source.location)), frame=source.frame)

    def pattern(self, glob: str) -> str:
        """Return a pattern of paths as it may be shown: it may hold a part of one."""
        return self._place(glob) if self.phi is Phi.NONE else glob

    def _without_place(self, record: ImageRecord) -> ImageRecord:
        return dataclasses.replace(
            record,
            source=self.source(record.source),
            sop_instance_uid=self._uid(record.sop_instance_uid),
            series_instance_uid=self._uid(record.series_instance_uid),
            study_instance_uid=self._uid(record.study_instance_uid),
        )

    def _earlier(self, named: str) -> str:
        """Return a source that is named with its frame, as the row of that source shows it."""
        frame = _FRAME.search(named)
        end = frame.start() if frame else len(named)
        return self._place(named[:end]) + named[end:]

    def _place(self, location: str) -> str:
        return self._hash("place", location, size=_PLACE_BYTES) if location else ""

    def _uid(self, value: str) -> str:
        return self._hash("uid", value, size=_PLACE_BYTES) if value else ""

    def _pseudonym(self, kind: str, value: str, qualifier: str = "") -> str:
        return self._hash(kind, f"{qualifier} {value}", size=_PERSON_BYTES) if value else ""

    def _hash(self, kind: str, value: str, *, size: int) -> str:
        """Return a keyed BLAKE2b hash (RFC 7693); ``kind`` keeps equal texts of two kinds apart."""
        content = value.encode("utf-8", "surrogateescape" if _is_bytes(value) else "replace")
        return hashlib.blake2b(
            content, digest_size=size, key=self.key, person=kind.encode()
        ).hexdigest()


def _is_bytes(value: str) -> bool:
    """Return whether a text can be bytes of a file name again."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
