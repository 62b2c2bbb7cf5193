"""A model bundle: a folder that is verified as a whole before anything in it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from torch import nn

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.errors import BundleError, CalibrationError, EngineError
from cxrscreen.model.document import BundleDocument, model_fingerprint
from cxrscreen.model.engines.openvino_runtime import require_installed
from cxrscreen.model.folder import (
    CALIBRATION,
    CARD,
    DAMAGED_HINT,
    DOCUMENT,
    SEEN,
    WEIGHTS,
    file_faults,
    find_bundle,
    load_calibrations,
    load_network,
    load_quantization,
    packaged_bundles,
    read_document,
)
from cxrscreen.model.quantised import (
    INT8_WEIGHTS,
    INT8_XML,
    QuantizationDocument,
    int8_fingerprint,
)
from cxrscreen.model.seen import parse_seen
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import IntendedUse, OperatingPoint
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine

__all__ = [
    "CALIBRATION",
    "CARD",
    "DEFAULT_BUNDLE",
    "DOCUMENT",
    "SEEN",
    "WEIGHTS",
    "ModelBundle",
    "load_bundle",
    "packaged_bundles",
]
DEFAULT_BUNDLE: Final = "resnet50-pediatric"


@dataclass(frozen=True, slots=True, eq=False)
class ModelBundle:
    """A verified model with everything that its use needs, opened for one engine.

    Attributes
    ----------
    name
        Short name, for reports.
    sha256
        Hash of the whole bundle.
    network
        The network with its weights, in evaluation mode.
    model_fingerprint
        Hash of architecture and weights, of those that the engine runs: what an operating
        point is bound to.
    spec
        The deterministic transform.
    intended_use
        Whom it may judge.
    calibrations
        From logits to probabilities and decisions, for each engine that it was calibrated for.
    seen
        Beginnings of the SHA-256 of the images that it was made from, by part: see
        :mod:`cxrscreen.model.seen`.
    engine
        What it shall run on.
    folder
        Where it was read from; ``None`` for one that is being made.
    quantization
        Of its int8 model, if it holds one.
    """

    name: str
    sha256: str
    network: nn.Module
    model_fingerprint: str
    spec: PreprocessSpec
    intended_use: IntendedUse
    calibrations: Mapping[Engine, Calibration]
    seen: Mapping[str, frozenset[str]]
    document: BundleDocument
    engine: Engine = DEFAULT_ENGINE
    folder: Path | None = None
    quantization: QuantizationDocument | None = None

    @property
    def calibration(self) -> Calibration:
        """From its logits to probabilities and decisions, on its engine.

        Raises
        ------
        CalibrationError
            It was not calibrated for this engine.
        """
        calibration = self.calibrations.get(self.engine)
        if calibration is None:
            message = f"{self.name} was not calibrated for {self.engine}"
            hint = (
                f"Make a calibration with 'cxrscreen calibrate --engine {self.engine}' and give "
                f"it as --calibration; it has one for {', '.join(self.calibrations)}."
            )
            raise CalibrationError(message, hint=hint)
        return calibration

    @property
    def default_point(self) -> OperatingPoint:
        """The operating point that is used where none is named."""
        return self.calibration.default_point

    def on(self, engine: Engine | str) -> ModelBundle:
        """Return the same bundle, opened for an engine.

        Parameters
        ----------
        engine
            One of :class:`~cxrscreen.vocabulary.Engine`, or its name.

        Raises
        ------
        EngineError
            There is none of that name, or it is not installed.
        BundleError
            The bundle holds no int8 model.
        """
        try:
            engine = Engine(engine)
        except ValueError as error:
            message = f"{engine}: no such engine"
            raise EngineError(message, hint=f"There are {', '.join(Engine)}.") from error
        if engine.is_openvino:
            require_installed("openvino")
        return replace(self, engine=engine, model_fingerprint=self.fingerprint_on(engine))

    def fingerprint_on(self, engine: Engine) -> str:
        """Return the fingerprint of the model that an engine runs.

        Raises
        ------
        BundleError
            The bundle holds no int8 model, and the engine runs one.
        """
        if engine is self.engine or Engine.OPENVINO_INT8 not in (engine, self.engine):
            return self.model_fingerprint
        weights = self.document.files[WEIGHTS]
        if engine is not Engine.OPENVINO_INT8:
            return model_fingerprint(self.document.network, weights)
        if self.quantization is None:
            message = f"{self.name} holds no int8 model"
            hint = "Make a bundle with one by 'cxrscreen bundle quantize'."
            raise BundleError(message, hint=hint)
        return int8_fingerprint(
            self.document.network, weights, self.quantization.xml, self.quantization.bin
        )

    def quantised_model(self) -> Any:  # noqa: ANN401 - OpenVINO publishes no types
        """Return the int8 model, verified once more.

        Raises
        ------
        BundleError
            There is none, or it has changed since the bundle was loaded.
        EngineError
            OpenVINO is not installed.
        """
        from cxrscreen.model.engines.openvino_engine import parse  # noqa: PLC0415 - only here

        if self.folder is None:
            message = f"{self.name} holds no int8 model"
            raise BundleError(message, hint="Save the bundle first.")
        contents: list[bytes] = []
        for name in (INT8_XML, INT8_WEIGHTS):
            path = self.folder / name
            try:
                content = path.read_bytes()
            except OSError as error:
                message = f"{path}: {error.strerror or 'cannot be read'}"
                raise BundleError(message, hint=DAMAGED_HINT) from error
            if hashlib.sha256(content).hexdigest() != self.document.files.get(name):
                message = f"{path}: has changed since the bundle was loaded"
                raise BundleError(message, hint=DAMAGED_HINT)
            contents.append(content)
        return parse(contents[0], contents[1], str(self.folder / INT8_XML))


def load_bundle(
    bundle: str | Path | None = None, *, engine: Engine | str | None = None
) -> ModelBundle:
    """Load and verify a bundle.

    Parameters
    ----------
    bundle
        The name of a packaged bundle, or a folder (as a ``Path``, or as ``./NAME`` where it
        has the name of a packaged one); the packaged default if ``None``.
    engine
        What it shall run on; ``torch-float32`` if ``None``.

    Raises
    ------
    BundleError
        It is not there, of another schema, or a byte of it has changed since it was made; or
        it holds no int8 model, and that is asked for.
    EngineError
        The engine is not known or not installed.
    """
    folder = find_bundle(bundle if bundle is not None else DEFAULT_BUNDLE)
    document = read_document(folder)
    for name, fault in file_faults(folder, document).items():
        if fault:
            message = f"{folder / name}: {fault.message}"
            raise BundleError(message, hint=fault.hint)
    for needed in (WEIGHTS, CALIBRATION, SEEN):
        if needed not in document.files:
            message = f"{folder / DOCUMENT}: vouches for no {needed}"
            raise BundleError(message, hint=DAMAGED_HINT)
    loaded = ModelBundle(
        name=document.name,
        sha256=document.sha256(),
        network=load_network(folder, document),
        model_fingerprint=model_fingerprint(document.network, document.files[WEIGHTS]),
        spec=document.preprocess_spec(),
        intended_use=document.intended_use_record(),
        calibrations=load_calibrations(folder, document),
        seen=parse_seen(
            (folder / SEEN).read_text(encoding="ascii", errors="replace"), str(folder / SEEN)
        ),
        document=document,
        folder=folder,
        quantization=load_quantization(folder, document),
    )
    return loaded if engine is None else loaded.on(engine)
