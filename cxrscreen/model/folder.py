"""The folder of a bundle: where it is, what lies in it, and whether that is what was put there."""

from __future__ import annotations

import importlib.resources
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import safetensors
import safetensors.torch
from pydantic import ValidationError
from torch import nn

from cxrscreen.calibration.calibration import Calibration, parse_calibration
from cxrscreen.config import describe_validation_error
from cxrscreen.errors import BundleError, CalibrationError
from cxrscreen.model.document import BundleDocument
from cxrscreen.model.files import sha256_of_file
from cxrscreen.model.network import build_network
from cxrscreen.model.quantised import (
    INT8_FILES,
    QUANTIZATION,
    QuantizationDocument,
    read_quantization,
)
from cxrscreen.output import BUNDLE_DOCUMENT
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine

DOCUMENT: Final = BUNDLE_DOCUMENT
WEIGHTS: Final = "weights.safetensors"
CALIBRATION: Final = "calibration.json"
SEEN: Final = "seen_images.txt"
CARD: Final = "MODEL_CARD.md"
DAMAGED_HINT: Final = "Do not use it: copy the bundle again from where it was made."


def calibration_file(engine: Engine) -> str:
    """Return the name of an engine's calibration in a bundle."""
    if engine is DEFAULT_ENGINE:
        return CALIBRATION
    return f"calibration-{engine}.json"


def engines_of(document: BundleDocument) -> tuple[Engine, ...]:
    """Return the engines that a bundle was calibrated for."""
    return tuple(engine for engine in Engine if calibration_file(engine) in document.files)


def packaged_bundles() -> dict[str, Path]:
    """Return name and folder of every bundle that ships with the package."""
    root = Path(str(importlib.resources.files("cxrscreen"))) / "bundles"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{DOCUMENT}"))}


@dataclass(frozen=True, slots=True)
class FileFault:
    """What is wrong with a file of a bundle, and what to do."""

    message: str
    hint: str


def file_faults(folder: Path, document: BundleDocument) -> dict[str, FileFault | None]:
    """Return what is wrong with each file that ``bundle.json`` lists; ``None`` if nothing is.

    Every byte of every file is read.
    """
    return {name: _fault(folder, name, sha256) for name, sha256 in document.files.items()}


def _fault(folder: Path, name: str, expected: str) -> FileFault | None:
    if "/" in name or "\\" in name or name.startswith("."):
        return FileFault(f"{DOCUMENT} lists a file outside the bundle", DAMAGED_HINT)
    try:
        actual = sha256_of_file(folder / name)
    except OSError as error:
        hint = f"A bundle needs every file that {DOCUMENT} lists, readable to you."
        return FileFault(error.strerror or "cannot be read", hint)
    if actual != expected:
        return FileFault(f"its content is not what {DOCUMENT} vouches for", DAMAGED_HINT)
    return None


def find_bundle(bundle: str | Path) -> Path:
    """Return the folder of a bundle, by the name of a packaged one or by its place.

    Raises
    ------
    BundleError
        There is none.
    """
    packaged = packaged_bundles()
    # First, so that a folder that happens to lie in the working directory replaces nothing.
    if isinstance(bundle, str) and bundle in packaged:
        return packaged[bundle]
    folder = Path(bundle)
    # os.path.isdir, because Path.is_dir raises for a name that is too long.
    if os.path.isdir(folder):  # noqa: PTH112
        return folder
    message = f"{bundle}: no such bundle folder"
    names = ", ".join(packaged) or "none"
    raise BundleError(message, hint=f"Give a folder made by 'cxrscreen train', or one of: {names}.")


def read_document(folder: Path) -> BundleDocument:
    """Read ``bundle.json`` and verify it, but none of the files that it lists.

    Raises
    ------
    BundleError
        It is not there, of another schema, or has changed since it was made.
    """
    path = folder / DOCUMENT
    try:
        raw = path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        raise BundleError(message, hint="Give a folder made by 'cxrscreen train'.") from error
    try:
        content = json.loads(raw)
        content.pop("sha256")
        document = BundleDocument.model_validate(content)
    except ValidationError as error:
        message = f"{path}: {describe_validation_error(error)}"
        hint = "It is damaged, or made by another version of cxrscreen."
        raise BundleError(message, hint=hint) from error
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        message = f"{path}: is no bundle document"
        raise BundleError(message, hint=DAMAGED_HINT) from error
    if document.to_bytes() != raw:
        message = f"{path}: its content is not what its own SHA-256 vouches for"
        raise BundleError(message, hint=DAMAGED_HINT)
    return document


def load_calibrations(folder: Path, document: BundleDocument) -> dict[Engine, Calibration]:
    """Return the calibration of each engine that the bundle was calibrated for.

    Raises
    ------
    BundleError
        One of them is damaged.
    """
    return {
        engine: _load_calibration(folder / calibration_file(engine))
        for engine in engines_of(document)
    }


def _load_calibration(path: Path) -> Calibration:
    try:
        return parse_calibration(path.read_bytes(), str(path))
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        raise BundleError(message, hint=DAMAGED_HINT) from error
    except CalibrationError as error:
        raise BundleError(error.message, hint=error.hint) from error


def load_quantization(folder: Path, document: BundleDocument) -> QuantizationDocument | None:
    """Return what is recorded of the bundle's int8 model; ``None`` where it holds none.

    Raises
    ------
    BundleError
        A file is missing, or the record is of another model.
    """
    held = [name for name in INT8_FILES if name in document.files]
    if not held:
        return None
    if len(held) < len(INT8_FILES):
        message = f"{folder / DOCUMENT}: vouches for {held[0]}, but not for all of the int8 model"
        raise BundleError(message, hint=DAMAGED_HINT)
    return read_quantization(folder / QUANTIZATION, document.files, WEIGHTS)


def load_network(folder: Path, document: BundleDocument) -> nn.Module:
    """Return the network with its weights, in evaluation mode.

    Raises
    ------
    BundleError
        The weights do not fit it.
    """
    network = build_network(document.network, in_channels=document.preprocess.channels)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        message = f"{folder / WEIGHTS}: does not fit the network of {DOCUMENT}"
        raise BundleError(message, hint=DAMAGED_HINT) from error
    return network.eval()
