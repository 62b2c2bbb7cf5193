"""Which patient a file belongs to, by its name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cxrscreen.errors import DatasetError

#: File names of "Chest X-Ray Images (Pneumonia)": person<N>_<bacteria|virus>_<k> is the patient
#: (aetiology, N), the number alone is not; IM-<N>- and NORMAL2-IM-<N>- are two series.
KERMANY_PATTERN: Final = r"^(?:(person\d+)_(bacteria|virus)_|((?:NORMAL2-)?IM-\d+)-)"

_WHAT_A_PATTERN_IS: Final = (
    "a regular expression on the file name whose groups are the patient; '(.+)' says that each "
    "file is a patient of its own."
)


def patient_key(file: Path, pattern: str) -> str:
    """Return the patient's key: the groups of ``pattern`` that took part, joined.

    Raises
    ------
    DatasetError
        The pattern does not match: a guessed patient would leak across the split.
    """
    key = _key_of(file, pattern)
    if key is None:
        message = f"{file}: the file name does not match data.patient_pattern"
        raise DatasetError(message, hint="Change the pattern (--patient-pattern), or the name.")
    return key


def patient_keys(files: Sequence[Path], pattern: str | None) -> list[str]:
    """Return the patient's key of each file.

    Parameters
    ----------
    files
        All of a data set.
    pattern
        As in :func:`patient_key`. With ``None`` the names must all be those of "Chest X-Ray
        Images (Pneumonia)".

    Raises
    ------
    DatasetError
        A file name does not tell its patient.
    """
    if pattern is not None:
        return [patient_key(file, pattern) for file in files]
    keys = []
    for file in files:
        key = _key_of(file, KERMANY_PATTERN)
        if key is None:
            message = f"{file}: the file name does not tell the patient"
            hint = f"Give data.patient_pattern (--patient-pattern), {_WHAT_A_PATTERN_IS}"
            raise DatasetError(message, hint=hint)
        keys.append(key)
    return keys


def _key_of(file: Path, pattern: str) -> str | None:
    # One name may be written in two ways: a Mac takes letters and their accents apart.
    match = re.search(pattern, unicodedata.normalize("NFC", file.name))
    groups = [group for group in match.groups() if group] if match else []
    return "-".join(groups) or None
