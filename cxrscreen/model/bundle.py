"""A model bundle: a folder that is verified as a whole before anything in it is used."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from pydantic import ValidationError
from torch import nn

from cxrscreen.calibration.calibration import Calibration, parse_calibration
from cxrscreen.config import describe_validation_error
from cxrscreen.errors import BundleError, CalibrationError
from cxrscreen.model.document import BundleDocument, model_fingerprint
from cxrscreen.model.files import sha256_of_file
from cxrscreen.model.network import build_network
from cxrscreen.model.seen import parse_seen
from cxrscreen.output import BUNDLE_DOCUMENT
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import IntendedUse, OperatingPoint

DEFAULT_BUNDLE = "cnn-pediatric"
DOCUMENT = BUNDLE_DOCUMENT
WEIGHTS = "weights.safetensors"
CALIBRATION = "calibration.json"
SEEN = "seen_images.txt"
CARD = "MODEL_CARD.md"
_DAMAGED_HINT = "Do not use it: copy the bundle again from where it was made."


@dataclass(frozen=True, slots=True, eq=False)
class ModelBundle:
    """A verified model with everything that its use needs.

    Attributes
    ----------
    name
        Short name, for reports.
    sha256
        Hash of the whole bundle.
    network
        The network with its weights, in evaluation mode.
    model_fingerprint
        Hash of architecture and weights: what an operating point is bound to.
    spec
        The deterministic transform.
    intended_use
        Whom it may judge.
    calibration
        From its logits to probabilities and decisions.
    seen
        Beginnings of the SHA-256 of the images that it was made from, by part: see
        :mod:`cxrscreen.model.seen`.
    """

    name: str
    sha256: str
    network: nn.Module
    model_fingerprint: str
    spec: PreprocessSpec
    intended_use: IntendedUse
    calibration: Calibration
    seen: Mapping[str, frozenset[str]]
    document: BundleDocument

    @property
    def default_point(self) -> OperatingPoint:
        """The operating point that is used where none is named."""
        return self.calibration.default_point


def packaged_bundles() -> dict[str, Path]:
    """Return name and folder of every bundle that ships with the package."""
    root = Path(str(importlib.resources.files("cxrscreen"))) / "bundles"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{DOCUMENT}"))}


def load_bundle(bundle: str | Path | None = None) -> ModelBundle:
    """Load and verify a bundle.

    Parameters
    ----------
    bundle
        The name of a packaged bundle, or a folder (as a ``Path``, or as ``./NAME`` where it
        has the name of a packaged one); the packaged default if ``None``.

    Raises
    ------
    BundleError
        It is not there, of another schema, or a byte of it has changed since it was made.
    """
    folder = _find(bundle if bundle is not None else DEFAULT_BUNDLE)
    document = _read_document(folder)
    for name, expected in document.files.items():
        if "/" in name or "\\" in name or name.startswith("."):
            message = f"{folder / DOCUMENT}: lists a file outside the bundle"
            raise BundleError(message, hint=_DAMAGED_HINT)
        try:
            actual = sha256_of_file(folder / name)
        except OSError as error:
            message = f"{folder / name}: {error.strerror or 'cannot be read'}"
            hint = f"A bundle needs every file that {DOCUMENT} lists, readable to you."
            raise BundleError(message, hint=hint) from error
        if actual != expected:
            message = f"{folder / name}: its content is not what {DOCUMENT} vouches for"
            raise BundleError(message, hint=_DAMAGED_HINT)
    for needed in (WEIGHTS, CALIBRATION, SEEN):
        if needed not in document.files:
            message = f"{folder / DOCUMENT}: vouches for no {needed}"
            raise BundleError(message, hint=_DAMAGED_HINT)
    return ModelBundle(
        name=document.name,
        sha256=document.sha256(),
        network=_load_network(folder, document),
        model_fingerprint=model_fingerprint(document.network, document.files[WEIGHTS]),
        spec=document.preprocess_spec(),
        intended_use=document.intended_use_record(),
        calibration=_load_calibration(folder),
        seen=parse_seen(
            (folder / SEEN).read_text(encoding="ascii", errors="replace"), str(folder / SEEN)
        ),
        document=document,
    )


def _find(bundle: str | Path) -> Path:
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


def _read_document(folder: Path) -> BundleDocument:
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
        raise BundleError(message, hint=_DAMAGED_HINT) from error
    if document.to_bytes() != raw:
        message = f"{path}: its content is not what its own SHA-256 vouches for"
        raise BundleError(message, hint=_DAMAGED_HINT)
    return document


def _load_calibration(folder: Path) -> Calibration:
    path = folder / CALIBRATION
    try:
        return parse_calibration(path.read_bytes(), str(path))
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        raise BundleError(message, hint=_DAMAGED_HINT) from error
    except CalibrationError as error:
        raise BundleError(error.message, hint=error.hint) from error


def _load_network(folder: Path, document: BundleDocument) -> nn.Module:
    network = build_network(document.network, in_channels=document.preprocess.channels)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        message = f"{folder / WEIGHTS}: does not fit the network of {DOCUMENT}"
        raise BundleError(message, hint=_DAMAGED_HINT) from error
    return network.eval()
