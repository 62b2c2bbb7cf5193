"""Labelled images from whatever names them: what every command's ``--data`` goes through."""

from __future__ import annotations

from pathlib import Path

from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage, scan_labelled_folder
from cxrscreen.data.split import Split, split_by_patient


def load_labelled(path: Path, config: DataConfig) -> tuple[LabelledImage, ...]:
    """Return the labelled images that a path names, sorted by name.

    Parameters
    ----------
    path
        A folder in one of the known layouts, a table, or a split file.
    config
        How to read it.

    Raises
    ------
    DatasetError
        It is none of these, or an image lacks a label or a patient.
    """
    return scan_labelled_folder(path, config)


def load_split(path: Path, config: DataConfig, *, seed: int) -> Split:
    """Return the parts that a split file names, or split what the path names.

    Raises
    ------
    DatasetError
        As :func:`load_labelled`, or a patient is in two parts.
    """
    return split_by_patient(
        load_labelled(path, config),
        validation_fraction=config.validation_fraction,
        calibration_fraction=config.calibration_fraction,
        seed=seed,
    )
