"""imagecodecs as a decoder plugin for pydicom, where it is installed (extra ``fast``).

Only for JPEG-LS, whose decoding ISO/IEC 14495-1 fixes to the bit, near-lossless too, and where
damage is noticed as well as by SimpleITK. Its other decoders are faster still and are not
used: those of JPEG lossless and HTJ2K give noise for a damaged frame without a word.
"""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from cxrscreen.intake.codecs.simpleitk import checked_bytes

PLUGIN: Final = "imagecodecs"
DECODER_DEPENDENCIES: Final = dict.fromkeys(
    (uid.JPEGLSLossless, uid.JPEGLSNearLossless), ("numpy", "imagecodecs>=2024.9.22")
)


def is_available(syntax: str) -> bool:
    """Return whether the package is here and decodes a transfer syntax."""
    return syntax in DECODER_DEPENDENCIES and importlib.util.find_spec("imagecodecs") is not None


def register() -> None:
    """Make the plugin known to pydicom's decoders, once, if the package is here."""
    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if is_available(syntax) and PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the stored values of one grey frame, as ``simpleitk.decode_frame`` does.

    Raises
    ------
    ValueError
        Another shape or more bits than the header says; imagecodecs' own errors for damage.
    """
    import imagecodecs  # noqa: PLC0415 - an optional package

    return checked_bytes(np.asarray(imagecodecs.jpegls_decode(source)), runner)
