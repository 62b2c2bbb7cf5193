"""One folder of images for each class."""

from __future__ import annotations

from pathlib import Path

from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.patients import patient_keys
from cxrscreen.errors import DatasetError
from cxrscreen.intake.search.walk import list_files


def scan_labelled_folder(root: Path, config: DataConfig) -> tuple[LabelledImage, ...]:
    """Return the labelled images below ``root``, sorted by name.

    Parameters
    ----------
    root
        Holds one folder per class, named as in ``config``. Files whose name starts with a
        dot are skipped; every other file must be an image of a known patient.
    config
        Names of the folders, and the pattern of a patient.

    Raises
    ------
    DatasetError
        A folder is missing or empty, or a file name does not tell its patient.
    """
    require_folder(root)
    files = class_files(root, config)
    keys = patient_keys([file for file, _ in files], config.patient_pattern)
    images = [
        LabelledImage(
            path=file, name=file.relative_to(root).as_posix(), label=label, patient_key=key
        )
        for (file, label), key in zip(files, keys, strict=True)
    ]
    return tuple(sorted(images, key=lambda image: image.name))


def has_class_folders(root: Path, config: DataConfig) -> bool:
    """Return whether a folder holds a folder of one of the classes."""
    return any((root / name).is_dir() for name in (config.negative_folder, config.positive_folder))


def class_files(root: Path, config: DataConfig) -> list[tuple[Path, int]]:
    """Return the files of both class folders with their label.

    Raises
    ------
    DatasetError
        A class folder is missing, empty, or holds a folder that cannot be listed.
    """
    found: list[tuple[Path, int]] = []
    for label, folder in enumerate((config.negative_folder, config.positive_folder)):
        files = visible_files(root / folder)
        if not files:
            message = f"{root}: class folder {folder}/ is missing or empty"
            hint = (
                f"Both classes are needed: {config.negative_folder}/ and "
                f"{config.positive_folder}/ (names are set under data: in the config)."
            )
            raise DatasetError(message, hint=hint)
        found += [(file, label) for file in files]
    return found


def visible_files(folder: Path) -> list[Path]:
    """Return every file below a folder whose name does not start with a dot.

    Raises
    ------
    DatasetError
        A folder cannot be listed.
    """
    try:
        # The search of screening: a folder that cannot be listed is found as itself.
        files = [file for file in list_files(folder) if not file.name.startswith(".")]
        closed = next((file for file in files if file.is_dir()), None)
    except OSError as error:
        message = f"{folder}: {error.strerror or 'cannot be listed'}"
        raise DatasetError(message, hint="Check its permissions.") from error
    if closed is not None:
        message = f"{closed}: the folder cannot be listed"
        raise DatasetError(message, hint="Check its permissions.")
    return files


def require_folder(root: Path) -> None:
    """Refuse a path that is no folder that can be listed.

    Raises
    ------
    DatasetError
        It is none.
    """
    try:
        next(root.iterdir(), None)
    except FileNotFoundError as error:
        message = f"{root}: no such folder"
        raise DatasetError(message, hint="Give --data the folder that holds the data.") from error
    except NotADirectoryError as error:
        message = f"{root}: is a file, and this layout is a folder"
        raise DatasetError(message, hint="Give --data the folder that holds the data.") from error
    except OSError as error:
        message = f"{root}: {error.strerror or 'cannot be listed'}"
        raise DatasetError(message, hint="Check its permissions.") from error
