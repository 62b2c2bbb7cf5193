"""Labelled images, class weights, and the fingerprint of a set of images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.config import DataConfig
from cxrscreen.errors import DatasetError
from cxrscreen.intake.search.walk import list_files

#: File names of "Chest X-Ray Images (Pneumonia)": person<N>_<bacteria|virus>_<k> is the patient
#: (aetiology, N), the number alone is not; IM-<N>- and NORMAL2-IM-<N>- are two series.
KERMANY_PATTERN = r"^(?:(person\d+)_(bacteria|virus)_|((?:NORMAL2-)?IM-\d+)-)"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a labelled data set.

    Attributes
    ----------
    path
        Where it lies.
    name
        Path below the data folder, with forward slashes: the same on every machine.
    label
        1 for pneumonia, 0 for normal.
    patient_key
        Same key, same patient.
    age_years, sex, view, site
        Where the data say so. ``sex`` is ``F``, ``M`` or ``O``; ``view`` and ``site`` are as
        the data write them.
    part
        The part that the data themselves assign the image to, such as ``train`` or ``test``.
    """

    path: Path
    name: str
    label: int
    patient_key: str
    age_years: float | None = None
    sex: str | None = None
    view: str | None = None
    site: str | None = None
    part: str | None = None


def scan_labelled_folder(root: Path, config: DataConfig) -> tuple[LabelledImage, ...]:
    """Return the labelled images below ``root``, sorted by name.

    Parameters
    ----------
    root
        Holds one folder per class, named as in ``config``. Files whose name starts with a
        dot are skipped; every other file must be an image of a known patient.

    Raises
    ------
    DatasetError
        A folder is missing or empty, or a file name does not tell its patient.
    """
    if not root.is_dir():
        message = f"{root}: no such folder"
        raise DatasetError(message, hint="Give --data the folder that holds the classes.")
    images: list[LabelledImage] = []
    for label, folder in enumerate((config.negative_folder, config.positive_folder)):
        files = _files(root / folder)
        if not files:
            message = f"{root}: class folder {folder}/ is missing or empty"
            hint = (
                f"Training needs two classes: {config.negative_folder}/ and "
                f"{config.positive_folder}/ (names are set under data: in the config)."
            )
            raise DatasetError(message, hint=hint)
        images += [
            LabelledImage(
                path=file,
                name=file.relative_to(root).as_posix(),
                label=label,
                patient_key=patient_key(file, config.patient_pattern or KERMANY_PATTERN),
            )
            for file in files
        ]
    return tuple(sorted(images, key=lambda image: image.name))


def patient_key(file: Path, pattern: str) -> str:
    """Return the patient's key: the groups of ``pattern`` that took part, joined.

    Raises
    ------
    DatasetError
        The pattern does not match: a guessed patient would leak across the split.
    """
    match = re.search(pattern, file.name)
    groups = [group for group in match.groups() if group] if match else []
    if not groups:
        message = f"{file}: the file name does not match data.patient_pattern"
        raise DatasetError(message, hint="Change the pattern in the config, or the file's name.")
    return "-".join(groups)


def class_weights(labels: Sequence[int]) -> tuple[float, float]:
    """Return the loss weight of a negative and of a positive image.

    ``n / (2 n_c)`` for class ``c`` of ``n_c`` among ``n`` images (King and Zeng, "Logistic
    regression in rare events data", 2001): both classes then weigh the same as a whole.

    Raises
    ------
    DatasetError
        A class has no image.
    """
    total, positives = len(labels), sum(labels)
    if not 0 < positives < total:
        message = f"{total} images with {positives} positives: one class is empty"
        raise DatasetError(message, hint="Class weights need images of both classes.")
    return total / (2 * (total - positives)), total / (2 * positives)


def fingerprint(images: Sequence[LabelledImage]) -> str:
    """Return the SHA-256 over names and contents of images, whatever their order."""
    digest = hashlib.sha256()
    for image in sorted(images, key=lambda image: image.name):
        content = hashlib.sha256(image.path.read_bytes()).hexdigest()
        digest.update(f"{content}  {image.name}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    # The search of screening: what cannot be listed is found, and fails by its name.
    return [file for file in list_files(folder) if not file.name.startswith(".")]
