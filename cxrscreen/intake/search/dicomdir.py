"""DICOMDIR: the index of a DICOM medium (PS3.10 section 8)."""

from __future__ import annotations

from typing import Any, Final

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.dicom import items, quiet_readers
from cxrscreen.vocabulary import RejectCode

# MediaStorageSOPClassUID with its explicit VR and length, as file meta is always written.
_DIRECTORY_CLASS: Final = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"
_PREFIX: Final = slice(128, 132)
# A directory of a million images has some 300 MB; a disc holds less.
_MAX_BYTES: Final = 512 << 20


def is_dicomdir(head: bytes) -> bool:
    """Return whether a file is a DICOMDIR, by the media storage class of its file meta."""
    return head[_PREFIX] == b"DICM" and _DIRECTORY_CLASS in head


def referenced_files(content: Content) -> list[tuple[str, ...]]:
    """Return the files that a DICOMDIR lists, each as the parts of its path.

    Returns
    -------
    list of tuple of str
        ``ReferencedFileID`` (PS3.3 F.3.2.2), relative to the folder of the DICOMDIR, in its
        order and each once. Parts that would climb out of that folder are left as they are:
        the caller looks names up, it does not open them.

    Raises
    ------
    ImageRefusedError
        ``MALFORMED_DICOM``: it does not parse. ``TOO_LARGE``.
    """
    if content.size() > _MAX_BYTES:
        reason = f"the DICOMDIR has more than {_MAX_BYTES} bytes"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    try:
        with quiet_readers(), content.open() as stream:
            directory = pydicom.dcmread(stream)
            _require_whole(directory)
            found: dict[tuple[str, ...], None] = {}
            for record in items(directory, "DirectoryRecordSequence"):
                named = record.get("ReferencedFileID")
                if named:
                    parts = (named,) if isinstance(named, str) else tuple(named)
                    found[tuple(str(part).strip(" \0") for part in parts)] = None
    except Exception as error:
        reason = f"the DICOMDIR does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    return list(found)


def _require_whole(directory: Dataset) -> None:
    """Refuse a truncated directory: pydicom gives of it what is there, and says nothing."""
    records: Any = directory.get_item("DirectoryRecordSequence")
    if records is None:
        raise EOFError
    if isinstance(records, RawDataElement) and len(records.value or b"") < records.length:
        raise EOFError
