"""Kaggle's "Chest X-Ray Images (Pneumonia)": parts, and a folder of each class in each."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.layouts.folders import class_files, has_class_folders, require_folder
from cxrscreen.data.patients import patient_keys
from cxrscreen.errors import DatasetError

_PARTS: Final = ("train", "val", "test")
# The archive unpacks into a folder of this name; some copies hold another one in it.
_ARCHIVE_FOLDER: Final = "chest_xray"


def kaggle_root(root: Path, config: DataConfig) -> Path | None:
    """Return the folder that holds ``train/`` with its classes, ``None`` if there is none."""
    folder = root
    for _ in range(3):
        if has_class_folders(folder / "train", config):
            return folder
        folder /= _ARCHIVE_FOLDER
    return None


def read_kaggle(root: Path, config: DataConfig) -> LabelledData:
    """Return the images of all parts; ``part`` is the folder's name.

    Raises
    ------
    DatasetError
        There is no such layout, a part lacks a class, or a file name does not tell its
        patient.
    """
    require_folder(root)
    base = kaggle_root(root, config)
    if base is None:
        message = f"{root}: holds no train/ with {config.negative_folder}/ and"
        message += f" {config.positive_folder}/"
        raise DatasetError(message, hint="Give --data the folder that holds train/ and test/.")
    files = [
        (file, label, part)
        for part in _PARTS
        if (base / part).is_dir()
        for file, label in class_files(base / part, config)
    ]
    keys = patient_keys([file for file, _, _ in files], config.patient_pattern)
    images = [
        LabelledImage(
            path=file,
            name=file.relative_to(base).as_posix(),
            label=label,
            patient_key=key,
            part=part,
        )
        for (file, label, part), key in zip(files, keys, strict=True)
    ]
    return LabelledData(tuple(sorted(images, key=lambda image: image.name)))
