"""Which decoder reads which transfer syntax, here and now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom import uid

from cxrscreen.intake.codecs import fast as fast_decoders
from cxrscreen.intake.codecs import rle
from cxrscreen.intake.codecs import simpleitk as decoders

_NATIVE: Final = {
    uid.ImplicitVRLittleEndian: "implicit little endian",
    uid.ExplicitVRLittleEndian: "explicit little endian",
    uid.DeflatedExplicitVRLittleEndian: "deflated",
    uid.ExplicitVRBigEndian: "explicit big endian",
}


# The registered names fill three lines of a terminal each.
_SHORT_NAMES: Final = {
    uid.JPEGBaseline8Bit: "JPEG baseline",
    uid.JPEGExtended12Bit: "JPEG extended, 12 bits",
    uid.JPEGLossless: "JPEG lossless",
    uid.JPEGLosslessSV1: "JPEG lossless, SV1",
    uid.JPEGLSLossless: "JPEG-LS lossless",
    uid.JPEGLSNearLossless: "JPEG-LS near-lossless",
    uid.JPEG2000Lossless: "JPEG 2000 lossless",
    uid.JPEG2000: "JPEG 2000",
    uid.HTJ2KLossless: "HTJ2K lossless",
    uid.HTJ2KLosslessRPCL: "HTJ2K lossless, RPCL",
    uid.HTJ2K: "HTJ2K",
    uid.RLELossless: "RLE lossless",
}


@dataclass(frozen=True, slots=True)
class CodecRow:
    """How one transfer syntax is decoded.

    Attributes
    ----------
    uid, name
        The transfer syntax and a short name of it.
    decoder
        What decodes its grey images in this environment; ``none needed`` for the
        uncompressed ones.
    others
        What could decode them as well and is not used: slower, or not the same to the bit.
    """

    uid: str
    name: str
    decoder: str
    others: tuple[str, ...] = ()


def decoder_for(syntax: uid.UID, *, colour: bool = False) -> str | None:
    """Return the name of pydicom's plugin that decodes a compressed syntax, if any does.

    Faster decoders stand before the others, but only where they give the same stored values
    to the bit: a package that is installed or not must never move a probability.
    """
    _register()
    available = _available(syntax)
    if colour:
        available = tuple(name for name in available if name != fast_decoders.PLUGIN)
    return next(iter(available), None)


def codec_table() -> tuple[CodecRow, ...]:
    """Return one row for every transfer syntax that can be read."""
    _register()
    rows = [CodecRow(syntax, name, "none needed") for syntax, name in _NATIVE.items()]
    for syntax in decoders.DECODER_DEPENDENCIES:
        used, *others = _available(syntax)
        if used == rle.PLUGIN and rle.is_accelerated():
            used = f"{used}, {fast_decoders.PLUGIN}"
        rows.append(CodecRow(syntax, _SHORT_NAMES[syntax], used, tuple(others)))
    return tuple(rows)


def _register() -> None:
    for plugin in (decoders, fast_decoders, rle):
        plugin.register()


def _available(syntax: str) -> tuple[str, ...]:
    """Return the decoders of a syntax, the one to use first."""
    return tuple(
        plugin.PLUGIN for plugin in (rle, fast_decoders, decoders) if plugin.is_available(syntax)
    )
