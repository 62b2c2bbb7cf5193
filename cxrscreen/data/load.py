"""Labelled images from whatever names them: what every command's ``--data`` goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscreen.config import DataConfig
from cxrscreen.data.content import OnStep, content_ids, unwatched
from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.layouts.detect import detect_layout
from cxrscreen.data.layouts.folders import scan_labelled_folder
from cxrscreen.data.layouts.kaggle import read_kaggle
from cxrscreen.data.layouts.nih import read_nih
from cxrscreen.data.layouts.rsna import read_rsna
from cxrscreen.data.layouts.table import read_table
from cxrscreen.data.partition import partition
from cxrscreen.data.split import Split
from cxrscreen.data.split_file import is_split_file, read_split_file
from cxrscreen.errors import DatasetError

#: What every layout may tell of an image, by the names of a table's columns.
IMAGE_COLUMNS: Final = ("age", "sex", "view", "site", "part")


@dataclass(frozen=True, slots=True)
class LoadedSplit:
    """Parts, and what a user should know of how they came about, a sentence each."""

    split: Split
    notes: tuple[str, ...] = ()


def load_labelled(path: Path, config: DataConfig) -> tuple[LabelledImage, ...]:
    """Return the labelled images that a path names, sorted by name.

    Parameters
    ----------
    path
        A folder in one of the known layouts, a table, or a split file. Of a split file the
        parts are kept and nothing is verified: see :func:`load_split`.
    config
        How to read it.

    Raises
    ------
    DatasetError
        It is none of these, or an image lacks a label or a patient.
    """
    return read_labelled(path, config).images


def load_split(path: Path, config: DataConfig, *, seed: int) -> Split:
    """Return the parts that a split file names, or split what the path names.

    Raises
    ------
    DatasetError
        As :func:`load_labelled`, or a patient or a content is in two parts, or a file of a
        split file has changed.
    """
    return read_split(path, config, seed=seed).split


def read_labelled(
    path: Path,
    config: DataConfig,
    *,
    columns: Sequence[str] = (),
    on_step: OnStep = unwatched,
) -> LabelledData:
    """Return what :func:`load_labelled` returns, with notes on what was left out.

    Parameters
    ----------
    columns
        Further columns of a table to read, into each image's ``attributes``.
    on_step
        Told how far the work is.

    Raises
    ------
    DatasetError
        As :func:`load_labelled`, or a column is asked for that is not there.
    """
    further = tuple(name for name in columns if name not in IMAGE_COLUMNS)
    try:
        return _read(path, config, further, on_step)
    except OSError as error:
        place = error.filename or path
        message = f"{place}: {error.strerror or type(error).__name__}"
        raise DatasetError(message, hint="Check the path and its permissions.") from error


def read_split(
    path: Path, config: DataConfig, *, seed: int, on_step: OnStep = unwatched
) -> LoadedSplit:
    """Return what :func:`load_split` returns, with notes on what was left out.

    Raises
    ------
    DatasetError
        As :func:`load_split`.
    """
    # Whatever the layout is that it was made from.
    if is_split_file(path):
        return LoadedSplit(read_split_file(path, on_step=on_step))
    data = read_labelled(path, config, on_step=on_step)
    contents = content_ids([image.path for image in data.images], on_step=on_step)
    return LoadedSplit(*partition(data, contents, config, seed=seed))


def _read(path: Path, config: DataConfig, further: Sequence[str], on_step: OnStep) -> LabelledData:
    if is_split_file(path):
        return read_table(path, further)
    layout = config.layout if config.layout != "auto" else detect_layout(path, config)
    if further and layout != "table":
        message = f"{path}: images in the layout {layout} have no column {further[0]}"
        hint = f"They have {', '.join(IMAGE_COLUMNS)}; a table may have others."
        raise DatasetError(message, hint=hint)
    match layout:
        case "folders":
            return LabelledData(scan_labelled_folder(path, config))
        case "kaggle":
            return read_kaggle(path, config)
        case "rsna":
            return read_rsna(path, on_step=on_step)
        case "nih":
            return read_nih(path)
        case _:
            return read_table(path, further)
