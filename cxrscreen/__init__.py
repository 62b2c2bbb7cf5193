"""cxrscreen: batch pneumonia screening of chest radiographs.

The names below are imported when they are first used: ``import cxrscreen`` and
``cxrscreen --help`` must not pay for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from cxrscreen.model.bundle import ModelBundle, load_bundle
    from cxrscreen.pipeline import ScreenOptions, screen
    from cxrscreen.records import ScreenRow
    from cxrscreen.tally import summarise
    from cxrscreen.vocabulary import Decision, RejectCode

__all__ = [
    "Decision",
    "ModelBundle",
    "RejectCode",
    "ScreenOptions",
    "ScreenRow",
    "load_bundle",
    "screen",
    "summarise",
]

_HOMES = {
    "Decision": "cxrscreen.vocabulary",
    "ModelBundle": "cxrscreen.model.bundle",
    "RejectCode": "cxrscreen.vocabulary",
    "ScreenOptions": "cxrscreen.pipeline",
    "ScreenRow": "cxrscreen.records",
    "load_bundle": "cxrscreen.model.bundle",
    "screen": "cxrscreen.pipeline",
    "summarise": "cxrscreen.tally",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name == "__version__":
        # Reading the installed metadata takes a tenth of the time that --help takes.
        return import_module("importlib.metadata").version("cxrscreen")
    if name not in _HOMES:
        message = f"module 'cxrscreen' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
