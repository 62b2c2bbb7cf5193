"""OpenVINO and NNCF, imported so that they report to nobody.

Both send usage data to their makers over the network once they are imported, unless the
package ``openvino_telemetry``, which does the sending, cannot be: then they take a stub of their
own that does nothing. So it cannot be.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Final

from cxrscreen.errors import EngineError

_TELEMETRY: Final = "openvino_telemetry"
#: Name and extra of each package.
_SOURCES: Final = {"openvino": ("OpenVINO", "openvino"), "nncf": ("NNCF", "quantize")}


def silence() -> None:
    """Keep OpenVINO and NNCF from sending anything, before either is imported.

    A program that has imported OpenVINO before it imports this has let it report already; what
    it holds of the sender is told to send no more.
    """
    sender = sys.modules.get(_TELEMETRY)
    if sender is not None:
        _mute(sender)
    # Python raises ImportError for a module that stands here as None.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


def import_openvino() -> ModuleType:
    """Return ``openvino``, silent.

    Raises
    ------
    EngineError
        It is not installed.
    """
    return _silent("openvino")


def import_nncf() -> ModuleType:
    """Return ``nncf``, silent.

    Raises
    ------
    EngineError
        It is not installed.
    """
    return _silent("nncf")


def require_installed(package: str) -> None:
    """Refuse to go on without OpenVINO or NNCF.

    Raises
    ------
    EngineError
        It is not installed; the hint says how to.
    """
    if not is_installed(package):
        title, extra = _SOURCES[package]
        message = f"{title} is not installed"
        raise EngineError(message, hint=f"Install it with: pip install 'cxrscreen[{extra}]'.")


def _silent(package: str) -> ModuleType:
    require_installed(package)
    silence()
    try:
        return importlib.import_module(package)
    except ImportError as error:
        message = f"{package} cannot be imported here"
        hint = f"Install it again with: pip install 'cxrscreen[{_SOURCES[package][1]}]'."
        raise EngineError(message, hint=hint) from error


def _mute(sender: ModuleType) -> None:
    for name in ("send_event", "send_error", "send_stack_trace", "start_session", "end_session"):
        if hasattr(sender.Telemetry, name):
            setattr(sender.Telemetry, name, _nothing)


def _nothing(*_arguments: object, **_named: object) -> None:
    """Send nothing."""
