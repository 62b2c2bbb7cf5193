"""The parts that a split file names, read without judging them: that is what the audit does."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError

_COLUMNS = ("path", "part")


def with_parts(
    images: Sequence[LabelledImage], split_file: Path
) -> tuple[tuple[LabelledImage, ...], tuple[str, ...]]:
    """Return images with the parts of a split file, and what did not fit, in sentences.

    An image that the file puts into two parts is returned twice: the audit shows it. One that
    it does not name loses the part that it may have had.

    Parameters
    ----------
    images
        Of the data.
    split_file
        CSV with the columns ``path``, from the file's folder, and ``part``; others are
        ignored.

    Raises
    ------
    DatasetError
        The file cannot be read, has no such columns, or names none of the images.
    """
    parts = _parts(split_file)
    found: list[LabelledImage] = []
    missing = 0
    known = set()
    for image in images:
        key = os.path.realpath(image.path)
        known.add(key)
        if key in parts:
            found += [replace(image, part=part) for part in parts[key]]
        else:
            missing += 1
            found.append(replace(image, part=None))
    if missing == len(images):
        message = f"{split_file}: names none of the images of the data"
        raise DatasetError(message, hint="Its paths count from the folder that it lies in.")
    unknown = len(parts.keys() - known)
    notes = []
    if missing:
        notes.append(f"{missing} images of the data are in no part of {split_file.name}")
    if unknown:
        notes.append(f"{unknown} files of {split_file.name} are not among the data")
    return tuple(found), tuple(notes)


def _parts(split_file: Path) -> dict[str, list[str | None]]:
    parts: defaultdict[str, list[str | None]] = defaultdict(list)
    try:
        with split_file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            lacking = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if lacking:
                message = f"{split_file}: has no column {' and no column '.join(lacking)}"
                raise DatasetError(message, hint="Make it with 'cxrscreen data split'.")
            for row in reader:
                path = os.path.realpath(split_file.parent / (row["path"] or ""))
                parts[path].append(row["part"] or None)
    except OSError as error:
        message = f"{split_file}: {error.strerror or 'cannot be opened'}"
        raise DatasetError(message, hint="Check the path and its permissions.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{split_file}: is not a CSV file in UTF-8"
        raise DatasetError(message, hint="Make it with 'cxrscreen data split'.") from error
    return parts
