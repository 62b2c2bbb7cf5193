"""Tell a layout by what is there."""

from __future__ import annotations

from pathlib import Path

from cxrscreen.config import DataConfig
from cxrscreen.data.layouts.folders import has_class_folders, require_folder
from cxrscreen.data.layouts.kaggle import kaggle_root
from cxrscreen.data.layouts.nih import TABLES, nih_table
from cxrscreen.data.layouts.rsna import LABELS, is_rsna
from cxrscreen.errors import DatasetError


def detect_layout(path: Path, config: DataConfig) -> str:
    """Return the layout of labelled data: a value of ``DataConfig.layout`` other than auto.

    A file is a table; its content is for the reader to judge.

    Raises
    ------
    DatasetError
        Nothing is there, or no layout, or more than one.
    """
    if path.is_file():
        if path.name in (*TABLES, LABELS):
            message = f"{path}: is a part of a data set"
            raise DatasetError(message, hint="Give --data the folder that it lies in.")
        return "table"
    require_folder(path)
    # A class folder that cannot be looked into fails when it is read.
    there = {
        "folders": has_class_folders(path, config),
        "kaggle": kaggle_root(path, config) is not None,
        "rsna": is_rsna(path),
        "nih": nih_table(path) is not None,
    }
    found = [name for name, is_there in there.items() if is_there]
    if not found:
        message = (
            f"{path}: neither {config.negative_folder}/ and {config.positive_folder}/ nor train/ "
            "with them, no stage_2_train_labels.csv and no Data_Entry_2017.csv"
        )
        hint = "docs/data.md shows the layouts. A table is given by its own path."
        raise DatasetError(message, hint=hint)
    if len(found) > 1:
        message = f"{path}: holds the layouts {' and '.join(found)}"
        raise DatasetError(message, hint="Say which with --layout, or data.layout in the config.")
    return found[0]
