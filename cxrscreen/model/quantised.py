"""The int8 form of a network in a bundle: its files, and what it was checked for.

``quantization.json`` is vouched for by ``bundle.json``, as the two files of the model are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrscreen.config import NetworkConfig, describe_validation_error
from cxrscreen.errors import BundleError
from cxrscreen.model.document import Sha256

INT8_XML: Final = "int8.xml"
INT8_WEIGHTS: Final = "int8.bin"
QUANTIZATION: Final = "quantization.json"
#: Everything that a bundle must have to hold an int8 model, beside its calibration.
INT8_FILES: Final = (INT8_XML, INT8_WEIGHTS, QUANTIZATION)
_DAMAGED_HINT: Final = "Do not use it: copy the bundle again from where it was made."

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RangesDocument(_Strict):
    """The images whose activations set the ranges of the int8 numbers."""

    part: Literal["training"]
    images: Count
    fingerprint: Sha256
    """Over file names and contents."""


class CheckDocument(_Strict):
    """The int8 model beside the float32 one, on the calibration part."""

    images: Count
    positives: Count
    patients: Count
    auc_float32: Share
    auc_int8: Share
    auc_difference: tuple[float, float, float]
    """int8 minus float32, and its two limits."""
    level: Share
    largest_probability_change: Share
    mean_probability_change: Share
    largest_logit_change: Annotated[float, Field(ge=0.0)]
    point: str
    """The operating point of the float32 model, its default, that decisions were compared at."""
    decisions_changed: Count
    """Where the int8 model is held to the float32 model's threshold: before its own was fitted."""


class LimitsDocument(_Strict):
    """What the check had to stay within."""

    auc_loss: Share
    """The lower limit of the AUC's difference is no further below 0."""
    decisions_changed: Share
    """Of all images."""


class QuantizationDocument(_Strict):
    """The whole of ``quantization.json``."""

    schema_version: Literal[1]
    kind: Literal["cxrscreen quantization"]
    weights: Sha256
    """SHA-256 of the weights that were quantised."""
    xml: Sha256
    bin: Sha256
    method: str
    ranges: RangesDocument
    check: CheckDocument
    limits: LimitsDocument
    versions: dict[str, str]

    def to_bytes(self) -> bytes:
        """Return the canonical file content."""
        return _canonical(self.model_dump(mode="json"))


def read_quantization(path: Path, files: Mapping[str, str], weights: str) -> QuantizationDocument:
    """Read ``quantization.json``, whose content has been verified.

    Parameters
    ----------
    path
        The file.
    files
        What ``bundle.json`` vouches for.
    weights
        Name of the file of weights.

    Raises
    ------
    BundleError
        It is none, or of other files than these.
    """
    try:
        document = QuantizationDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        message = f"{path}: {describe_validation_error(error)}"
        hint = "It is damaged, or made by another version of cxrscreen."
        raise BundleError(message, hint=hint) from error
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        raise BundleError(message, hint=_DAMAGED_HINT) from error
    made_of = (document.weights, document.xml, document.bin)
    if made_of != (files.get(weights), files.get(INT8_XML), files.get(INT8_WEIGHTS)):
        message = f"{path}: is of other weights than the bundle holds"
        raise BundleError(
            message, hint="Quantise the bundle again with 'cxrscreen bundle quantize'."
        )
    return document


def int8_fingerprint(network: NetworkConfig, weights: str, xml: str, weights_int8: str) -> str:
    """Return the SHA-256 of architecture, weights and int8 model: what a threshold is bound to.

    Parameters
    ----------
    network
        The architecture.
    weights, xml, weights_int8
        SHA-256 of the files.
    """
    content = {
        "network": network.model_dump(mode="json"),
        "weights": weights,
        "int8": {"xml": xml, "bin": weights_int8},
    }
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
