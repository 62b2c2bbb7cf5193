"""Is this an upright, uninverted frontal chest radiograph? The packaged check.

The pneumonia model answers every image that it is given, a photograph of a dog too. This
check stands before it: a small network, trained by ``python -m tools.frontal_check train``,
that knows frontal chests from what else comes in an export.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, NoReturn

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrscreen.admission.frontal_network import (
    ARCHITECTURE,
    FrontalNetwork,
    standardise,
    thumbnail,
)
from cxrscreen.errors import BundleError

DOCUMENT: Final = "frontal_check.json"
WEIGHTS: Final = "frontal_check.safetensors"
# Below this spread of grey values there is nothing to look at; real chests lie above 0.1.
_MIN_SPREAD: Final = 0.02
# Real chests have less than 0.7 of their pixels at the ends of the range, borders included.
_MAX_SATURATION: Final = 0.95
_END: Final = 0.01
_HINT: Final = "Install cxrscreen again: the packaged check is not as it was released."


class Kind(StrEnum):
    """What an image looks like; the value completes the words "looks like:"."""

    FRONTAL = "upright frontal chest"
    LATERAL = "lateral view"
    TURNED_LEFT = "chest turned 90 degrees to the left"
    UPSIDE_DOWN = "chest upside down"
    TURNED_RIGHT = "chest turned 90 degrees to the right"
    INVERTED = "inverted chest, air bright"
    CROPPED = "part of a chest"
    OTHER = "no chest radiograph"
    BLANK = "blank or saturated"


#: What the network tells apart, in the order of its outputs.
NETWORK_KINDS: Final = tuple(kind for kind in Kind if kind is not Kind.BLANK)


class FrontalDocument(BaseModel):
    """The schema of ``frontal_check.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    architecture: str
    kinds: tuple[str, ...]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)]
    """An image whose probability of a frontal chest is below it is refused."""
    max_distance: Annotated[float, Field(gt=0.0)]
    """An image farther than this from the frontal chests of training is refused."""
    training: dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class FrontalVerdict:
    """What the check says of one image.

    Attributes
    ----------
    kind
        What it looks like. Of a refused image never ``FRONTAL``.
    accepted
        Whether a model may judge it.
    probability
        Of an upright frontal chest, 0..1.
    threshold
        The operating point: ``probability`` below it is refused.
    probabilities
        Of each kind; empty where plain statistics decided.
    detail
        The value that led to a refusal where it is not ``probability``; else empty.
    """

    kind: Kind
    accepted: bool
    probability: float
    threshold: float
    probabilities: Mapping[Kind, float]
    detail: str = ""

    def __post_init__(self) -> None:
        if self.accepted != (self.kind is Kind.FRONTAL):
            message = f"accepted={self.accepted} with kind {self.kind!r}"
            raise ValueError(message)

    @property
    def sentence(self) -> str:
        """The value that decided, and what the image looks like."""
        value = self.detail or f"P(frontal chest) is {self.probability:.3f}"
        return f"{value}; looks like: {self.kind}"


class FrontalCheck:
    """The packaged check, verified and ready.

    Parameters
    ----------
    folder
        Holds ``frontal_check.json`` and ``frontal_check.safetensors``.

    Raises
    ------
    BundleError
        A file is missing, damaged, or does not belong to the other.
    """

    def __init__(self, folder: Path) -> None:
        try:
            text = (folder / DOCUMENT).read_text(encoding="utf-8")
            weights = (folder / WEIGHTS).read_bytes()
        except (OSError, UnicodeDecodeError) as error:
            _refuse(f"{folder}: the frontal check cannot be read ({type(error).__name__})", error)
        try:
            self.document: Final = FrontalDocument.model_validate_json(text)
        except ValidationError as error:
            _refuse(f"{folder / DOCUMENT}: {error.error_count()} entries are wrong", error)
        if hashlib.sha256(weights).hexdigest() != self.document.weights_sha256:
            _refuse(f"{folder / WEIGHTS}: the SHA-256 is not the one in {DOCUMENT}")
        known = tuple(kind.name for kind in NETWORK_KINDS)
        if self.document.kinds != known or self.document.architecture != ARCHITECTURE:
            _refuse(f"{folder / DOCUMENT}: made for another version of cxrscreen")
        network = FrontalNetwork(len(known))
        try:
            stored = safetensors.torch.load(weights)
            self._centre = stored.pop("one_class.centre").float()
            self._whitening = stored.pop("one_class.whitening").float()
            network.load_state_dict({name: value.float() for name, value in stored.items()})
        except (safetensors.SafetensorError, RuntimeError, KeyError) as error:
            _refuse(f"{folder / WEIGHTS}: not the weights of this network", error)
        self._network: Final = network.fused()

    @classmethod
    def packaged(cls) -> FrontalCheck:
        """Return the check that ships with the package; it is loaded once."""
        return _packaged()

    def judge(self, pixels: NDArray[np.float32]) -> FrontalVerdict:
        """Say whether an image is an upright, uninverted frontal chest radiograph.

        Parameters
        ----------
        pixels
            float32 ``[H, W]`` in 0..1, air dark.

        Returns
        -------
        FrontalVerdict
            Accepted, or the kind that it looks like and the value that decided.
        """
        small = thumbnail(pixels)
        low, high = torch.quantile(small, torch.tensor((0.01, 0.99))).tolist()
        if high - low < _MIN_SPREAD:
            return self._blank(f"98% of its pixels lie within {high - low:.3f} of the range")
        ends = float(((small < _END) | (small > 1.0 - _END)).float().mean())
        if ends > _MAX_SATURATION:
            return self._blank(f"{ends:.0%} of its pixels are black or white")
        with torch.inference_mode():
            features = self._network.features(standardise(small[None]))
            shares = self._network.logits(features).softmax(1)[0].tolist()
        distance = float(((features[0] - self._centre) @ self._whitening).norm())
        probabilities = dict(zip(NETWORK_KINDS, shares, strict=True))
        return self._verdict(probabilities, distance)

    def _verdict(self, probabilities: dict[Kind, float], distance: float) -> FrontalVerdict:
        probability = probabilities[Kind.FRONTAL]
        near = distance <= self.document.max_distance
        accepted = near and probability >= self.document.threshold
        others = [kind for kind in NETWORK_KINDS if kind is not Kind.FRONTAL]
        likeliest = max(others, key=lambda kind: probabilities[kind])
        detail = ""
        if not accepted and probability >= self.document.threshold:
            limit = self.document.max_distance
            detail = f"distance {distance:.1f} from the chests of training, limit {limit:.1f}"
            likeliest = Kind.OTHER
        return FrontalVerdict(
            kind=Kind.FRONTAL if accepted else likeliest,
            accepted=accepted,
            probability=probability,
            threshold=self.document.threshold,
            probabilities=MappingProxyType(probabilities),
            detail=detail,
        )

    def _blank(self, detail: str) -> FrontalVerdict:
        return FrontalVerdict(
            kind=Kind.BLANK,
            accepted=False,
            probability=0.0,
            threshold=self.document.threshold,
            probabilities=MappingProxyType({}),
            detail=detail,
        )


@cache
def _packaged() -> FrontalCheck:
    return FrontalCheck(Path(str(importlib.resources.files("cxrscreen"))) / "admission")


def _refuse(message: str, cause: Exception | None = None) -> NoReturn:
    raise BundleError(message, hint=_HINT) from cause
