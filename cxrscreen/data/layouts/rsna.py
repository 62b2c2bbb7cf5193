"""RSNA Pneumonia Detection Challenge: DICOM files and ``stage_2_train_labels.csv``.

Shih et al., "Augmenting the National Institutes of Health Chest Radiograph Dataset with Expert
Annotations of Possible Pneumonia", Radiology: Artificial Intelligence 1(1), 2019.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxrscreen.data.content import OnStep, unwatched
from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.layouts.folders import require_folder
from cxrscreen.data.rows import read_rows
from cxrscreen.errors import DatasetError, ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.records import ImageRecord, Source
from cxrscreen.vocabulary import View

LABELS: Final = "stage_2_train_labels.csv"
_IMAGES: Final = "stage_2_train_images"
_CLASSES: Final = "stage_2_detailed_class_info.csv"
_MAPPING: Final = "pneumonia-challenge-dataset-mappings_2018.json"
_ABNORMAL: Final = "no lung opacity / not normal"
_OPACITY: Final = "lung opacity"
_AS_PUBLISHED: Final = "Take the file as it was published."
_NO_MAPPING: Final = (
    f"without {_MAPPING} each image counts as a patient of its own, and several are of one "
    "patient: see docs/data.md"
)


def is_rsna(root: Path) -> bool:
    """Return whether a folder holds the labels of the challenge."""
    return (root / LABELS).is_file()


def read_rsna(root: Path, *, on_step: OnStep = unwatched) -> LabelledData:
    """Return the images of the training part with what their headers say.

    An image is positive if it has a box around an opacity. The others are normal or have
    something else: the challenge's "No Lung Opacity / Not Normal" is label 0 too. Only headers
    are read, no pixels.

    Raises
    ------
    DatasetError
        A file is missing or not as published.
    """
    require_folder(root)
    labels = _labels(root / LABELS)
    patients, notes = _patients(root / _MAPPING, labels)
    notes += _abnormal(root / _CLASSES, labels)
    images = []
    for number, (identifier, label) in enumerate(sorted(labels.items()), start=1):
        path = root / _IMAGES / f"{identifier}.dcm"
        record = _record(path)
        images.append(
            LabelledImage(
                path=path,
                name=path.relative_to(root).as_posix(),
                label=label,
                patient_key=patients.get(identifier, identifier),
                age_years=record.age_years,
                sex=record.sex or None,
                view=None if record.view is View.UNKNOWN else record.view.value,
            )
        )
        on_step("reading headers", number, len(labels))
    return LabelledData(tuple(sorted(images, key=lambda image: image.name)), tuple(notes))


def _rows(path: Path, column: str) -> Iterator[tuple[int, str, str]]:
    """Yield number, image and one cell of each row; an image has a row for each of its boxes."""
    if not path.is_file():
        message = f"{path}: no such file"
        raise DatasetError(message, hint="Give --data the folder that holds it.")
    table = read_rows(path, {"patientid", column})
    table.require("patientid", column)
    for number, row in table.rows:
        identifier = row["patientid"]
        # It becomes the name of a file.
        if not identifier or not identifier.replace("-", "").replace(".", "").isalnum():
            message = f"{path}, row {number}: patientId is none"
            raise DatasetError(message, hint=_AS_PUBLISHED)
        yield number, identifier, row[column]


def _labels(path: Path) -> dict[str, int]:
    labels: dict[str, int] = {}
    for number, identifier, target in _rows(path, "target"):
        if target not in ("0", "1"):
            message = f"{path}, row {number}: Target is neither 0 nor 1"
            raise DatasetError(message, hint=_AS_PUBLISHED)
        if labels.setdefault(identifier, int(target)) != int(target):
            message = f"{path}, row {number}: an earlier row gives the image another Target"
            raise DatasetError(message, hint=_AS_PUBLISHED)
    return labels


def _abnormal(path: Path, labels: dict[str, int]) -> list[str]:
    """Return how many of the normal images are not, and check the classes with the labels."""
    if not path.is_file():
        return []
    abnormal = set()
    for number, identifier, name in _rows(path, "class"):
        if identifier in labels and (name.casefold() == _OPACITY) != (labels[identifier] == 1):
            message = f"{path}, row {number}: the class contradicts {LABELS}"
            raise DatasetError(message, hint=_AS_PUBLISHED)
        if identifier in labels and name.casefold() == _ABNORMAL:
            abnormal.add(identifier)
    count = len(labels) - sum(labels.values())
    text = f"images labelled normal that are not normal otherwise: {len(abnormal):,} of {count:,}"
    return [text] if abnormal else []


def _patients(path: Path, labels: dict[str, int]) -> tuple[dict[str, str], list[str]]:
    """Return the patient of each image in ChestX-ray14, where the images come from.

    A file name there is the patient's number, an underscore, and the number of the image.
    """
    if not path.is_file():
        return {}, [_NO_MAPPING]
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        patients = {
            str(entry["subset_img_id"]): str(entry["img_id"]).rpartition("_")[0]
            for entry in entries
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{path}: is no list of subset_img_id and img_id"
        raise DatasetError(message, hint=_AS_PUBLISHED) from error
    missing = [identifier for identifier in labels if not patients.get(identifier)]
    if missing:
        message = f"{path}: lacks {len(missing)} of the images, such as {missing[0]}"
        raise DatasetError(message, hint=_AS_PUBLISHED)
    return patients, []


def _record(path: Path) -> ImageRecord:
    try:
        return open_image(Source(path)).record
    except ImageRefusedError as error:
        message = f"{path}: {error.reason}"
        raise DatasetError(message, hint="Unpack the archive of the images again.") from error
