"""The very images that a bundle was made from, found again in the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.data.load import load_split, read_labelled
from cxrscreen.errors import BundleError, DatasetError

if TYPE_CHECKING:
    # The type alone: labelled data are read without torch.
    from cxrscreen.model.bundle import ModelBundle


def bundle_part(bundle: ModelBundle, data: Path, part: str) -> tuple[LabelledImage, ...]:
    """Return a part of the data that a bundle was made from.

    Parameters
    ----------
    bundle
        Says how the data were read and split.
    data
        The labelled folder, table or split file that the bundle was trained with.
    part
        ``training``, ``validation`` or ``calibration``.

    Raises
    ------
    DatasetError
        The images are not those that the bundle names, by their fingerprint.
    BundleError
        The bundle was made without such a part, or by another version.
    """
    training = bundle.document.training
    parts = {
        "training": training.training,
        "validation": training.validation,
        "calibration": training.calibration,
    }
    recorded = parts.get(part)
    if recorded is None:
        message = f"{bundle.name}: was made without a {part} part"
        there = [name for name, one in parts.items() if one is not None]
        raise BundleError(message, hint=f"It has: {', '.join(there)}.")
    try:
        # No more than what decides the split: the rest may be of an earlier version.
        config = DataConfig.model_validate(training.config["data"])
        seed = int(training.config["train"]["seed"])
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        message = f"{bundle.name}: its configuration is of another version"
        raise BundleError(message, hint="Train it again with this version.") from error
    try:
        images = load_split(data, config, seed=seed).parts()[part]
    except DatasetError:
        # Data that cannot be read say so themselves; those that cannot be split are others.
        read_labelled(data, config)
        images = ()
    if fingerprint(images) != recorded.fingerprint:
        message = f"{data}: its {part} part is not the one that {bundle.name} was made with"
        hint = f"Give the data, or the split file, of that training: {recorded.images} images."
        raise DatasetError(message, hint=hint)
    return images
