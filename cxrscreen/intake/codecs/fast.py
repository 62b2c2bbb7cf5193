"""imagecodecs as a decoder plugin for pydicom, where it is installed (extra ``fast``).

Only where decoding is fixed to the bit and damage is noticed as well as by SimpleITK: JPEG-LS,
near-lossless too (ISO/IEC 14495-1), and JPEG lossless, whose codes are counted afterwards in
either case. Its decoder of HTJ2K is faster still and is not used: it gives noise for a damaged
frame without a word.
"""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from cxrscreen.intake.codecs import simpleitk
from cxrscreen.intake.codecs.simpleitk import LOSSLESS_JPEG, checked_bytes
from cxrscreen.intake.raster.lossless_check import require_whole_lossless

PLUGIN: Final = "imagecodecs"
DECODER_DEPENDENCIES: Final = dict.fromkeys(
    (uid.JPEGLSLossless, uid.JPEGLSNearLossless, *LOSSLESS_JPEG),
    ("numpy", "imagecodecs>=2024.9.22"),
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

    if runner.transfer_syntax not in LOSSLESS_JPEG:
        return checked_bytes(np.asarray(imagecodecs.jpegls_decode(source)), runner)
    content = source.rstrip(b"\0")
    try:
        values = np.asarray(imagecodecs.jpeg8_decode(content))
    except (imagecodecs.Jpeg8Error, ImportError, ValueError):
        # Damage, or a libjpeg without the lossless process.
        return simpleitk.decode_frame(source, runner)
    if not require_whole_lossless(content, values):
        return simpleitk.decode_frame(source, runner)
    return checked_bytes(values, runner)
