"""A bundle looked through from end to end, file by file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.errors import CxrScreenError
from cxrscreen.model.bundle import DOCUMENT, load_bundle
from cxrscreen.model.engines.openvino_runtime import is_installed
from cxrscreen.model.folder import FileFault, file_faults, find_bundle, read_document
from cxrscreen.vocabulary import Engine


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in the folder of a bundle.

    Attributes
    ----------
    folder
        Where it is.
    sha256
        Of the bundle, as its document has it.
    files
        Each file that the document lists, and what is wrong with it.
    strangers
        Names of what lies in the folder beside them.
    engines
        That it was calibrated for.
    fault
        What makes it unfit for use, if anything.
    """

    folder: Path
    sha256: str
    files: Mapping[str, FileFault | None]
    strangers: tuple[str, ...]
    engines: tuple[Engine, ...] = ()
    fault: FileFault | None = None


def verified(bundle: str | Path) -> Verified:
    """Read every byte of a bundle and check that it belongs together.

    Parameters
    ----------
    bundle
        As for :func:`cxrscreen.load_bundle`.

    Raises
    ------
    BundleError
        There is no bundle, or ``bundle.json`` itself is damaged.
    """
    folder = find_bundle(bundle)
    document = read_document(folder)
    files = file_faults(folder, document)
    strangers = tuple(
        sorted(path.name for path in folder.iterdir() if path.name not in {*files, DOCUMENT})
    )
    found = Verified(folder, document.sha256(), files, strangers)
    damaged = [(name, fault) for name, fault in files.items() if fault is not None]
    if damaged:
        name, fault = damaged[0]
        others = f" ({len(damaged)} files are damaged)" if len(damaged) > 1 else ""
        whole = FileFault(f"{folder / name}: {fault.message}{others}", fault.hint)
        return Verified(folder, found.sha256, files, strangers, fault=whole)
    try:
        engines = _belongs_together(folder)
    except CxrScreenError as error:
        whole = FileFault(error.message, error.hint)
        return Verified(folder, found.sha256, files, strangers, fault=whole)
    return Verified(folder, found.sha256, files, strangers, engines)


def _belongs_together(folder: Path) -> tuple[Engine, ...]:
    """Return the engines of a bundle, after checking each calibration against its model."""
    model = load_bundle(folder)
    for engine, calibration in model.calibrations.items():
        calibration.require(
            model=model.fingerprint_on(engine),
            preprocessing=model.spec.fingerprint(),
            engine=engine,
        )
    if model.quantization is not None and is_installed("openvino"):
        model.quantised_model()
    return tuple(model.calibrations)
