"""The stored values of one frame, in the narrowest integers that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.codecs import codestream, levels
from cxrscreen.intake.codecs import table as codecs
from cxrscreen.intake.pixels.pixel_element import PixelElement, encapsulated_frame, native_frame
from cxrscreen.intake.pixels.pixel_format import PixelFormat
from cxrscreen.vocabulary import RejectCode

_BYTE_BITS = 8
# Wavelets come with lower resolutions of their own.
_WITH_LEVELS = (uid.JPEG2000Lossless, uid.JPEG2000)


def stored_values(element: PixelElement, pixels: PixelFormat, index: int) -> NDArray[np.integer]:
    """Return one frame: unused bits cleared, sign extended (PS3.5 section 8.1.1).

    Returns
    -------
    NDArray[np.integer]
        8 or 16 bits, ``[rows, columns]``, or ``[rows, columns, 3]`` in colour.

    Raises
    ------
    ImageRefusedError
        ``UNSUPPORTED_ENCODING``, ``DECODE_FAILED`` or ``MALFORMED_DICOM``.
    """
    decoder = _decoder(element.syntax)
    shift = pixels.high_bit + 1 - pixels.stored
    if decoder.is_encapsulated:
        if shift and element.syntax != uid.RLELossless:
            # PS3.5 section 8.2: a codestream holds values, not words.
            reason = f"HighBit is {pixels.high_bit} with {pixels.stored} bits stored, compressed"
            raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
        frame = encapsulated_frame(element, pixels, index)
        _require_size(frame, pixels, element.syntax)
        words = _decoded(frame, pixels, decoder)
    else:
        words = _words(native_frame(element, pixels, index), element, pixels)
    # Words may carry overlays beside the value (PS3.5 section 8.1.2); RLE packs their bytes.
    if shift:
        words = words.view(f"u{words.dtype.itemsize}") >> shift
    return _signed(words, pixels)


def fewer_values(
    element: PixelElement, pixels: PixelFormat, index: int, *, enough_px: int
) -> NDArray[np.integer] | None:
    """Return one frame at a lower resolution, or ``None`` where it has to be read in full.

    Whatever is odd about it is left to :func:`stored_values`, which says what.

    Parameters
    ----------
    enough_px
        Samples that the shorter side must keep.
    """
    if element.syntax not in _WITH_LEVELS or pixels.is_colour or pixels.signed:
        return None
    if pixels.high_bit + 1 != pixels.stored:
        return None
    try:
        frame = encapsulated_frame(element, pixels, index)
        _require_size(frame, pixels, element.syntax)
        skipped = levels.levels_to_skip(frame, bits=pixels.stored, enough_px=enough_px)
        return levels.decode(frame, bits=pixels.stored, skipped=skipped) if skipped else None
    except Exception:  # noqa: BLE001 - reading it in full finds out why
        return None


def _decoder(syntax: uid.UID) -> Decoder:
    try:
        return get_decoder(syntax)
    except RuntimeError as error:
        # What pydicom raises for a syntax that it does not know is a kind of it.
        named = syntax if syntax.is_valid else "(not a UID)"
        reason = f"no decoder for transfer syntax {named}"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason) from error


def _require_size(frame: bytes, pixels: PixelFormat, syntax: uid.UID) -> None:
    """Refuse a codestream of another size before its decoder reserves memory."""
    if syntax == uid.RLELossless:
        return
    expected = (pixels.rows, pixels.columns, pixels.samples)
    found = codestream.size_of(frame)
    if found is None:
        reason = "the compressed frame has no header of its kind: damaged"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    if found[:3] != expected:
        sizes = [f"{columns}x{rows}x{samples}" for rows, columns, samples in (found[:3], expected)]
        reason = f"the codestream holds {sizes[0]} samples where the header says {sizes[1]}"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)


def _decoded(frame: bytes, pixels: PixelFormat, decoder: Decoder) -> NDArray[np.integer]:
    plugin = codecs.decoder_for(decoder.UID, colour=pixels.is_colour)
    if plugin is None:
        reason = f"no decoder for transfer syntax {decoder.UID.name}"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": 1,
        "samples_per_pixel": pixels.samples,
        "photometric_interpretation": pixels.photometric,
        "bits_allocated": pixels.allocated,
        "bits_stored": pixels.stored,
        "pixel_representation": int(pixels.signed),
        "pixel_keyword": "PixelData",
        # The values are taken as they are decoded; the bits are put right here, once.
        "apply_j2k_sign_correction": False,
        "apply_jls_sign_correction": False,
        "correct_unused_bits": False,
    }
    if pixels.is_colour:
        # PS3.5 section 8.2: decoders give colour by pixels; RLE keeps it by planes.
        options["planar_configuration"] = int(uid.RLELossless == decoder.UID)
    try:
        raw, _ = decoder.as_array(
            encapsulate([frame]), index=0, raw=True, decoding_plugin=plugin, **options
        )
    except Exception as error:
        reason = f"the pixel data is truncated or damaged ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
    values: NDArray[np.integer] = raw
    return values


def _words(content: bytes, element: PixelElement, pixels: PixelFormat) -> NDArray[np.integer]:
    big = element.syntax == uid.ExplicitVRBigEndian
    if pixels.allocated == _BYTE_BITS:
        words = np.frombuffer(content, dtype=np.uint8)
    else:
        words = np.frombuffer(content, dtype=">u2" if big else "<u2").astype(np.uint16, copy=False)
    if not pixels.is_colour:
        return words.reshape(pixels.rows, pixels.columns)
    if pixels.frame_bytes * _BYTE_BITS // pixels.allocated != (
        pixels.rows * pixels.columns * pixels.samples
    ):
        return _from_halved(words, pixels)
    if pixels.planar:
        planes = words.reshape(pixels.samples, pixels.rows, pixels.columns)
        return np.moveaxis(planes, 0, -1)
    return words.reshape(pixels.rows, pixels.columns, pixels.samples)


def _from_halved(words: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.integer]:
    """Return YBR_FULL_422 with the colour differences repeated: PS3.3 C.7.6.3.1.2."""
    if pixels.columns % 2:
        reason = f"an odd number of columns in {pixels.photometric}"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    groups = words.reshape(-1, 4)
    full = np.empty((len(groups), 2, 3), dtype=words.dtype)
    full[:, :, 0] = groups[:, :2]
    full[:, :, 1] = groups[:, 2:3]
    full[:, :, 2] = groups[:, 3:4]
    return full.reshape(pixels.rows, pixels.columns, 3)


def _signed(words: NDArray[np.integer], pixels: PixelFormat) -> NDArray[np.integer]:
    """Clear the bits beside the value and extend its sign, where that changes anything."""
    unsigned = words.view(np.dtype(f"u{words.dtype.itemsize}"))
    used = 1 << pixels.stored
    width = 8 * words.dtype.itemsize
    if not pixels.signed:
        return (
            unsigned if pixels.stored == width or unsigned.max() < used else unsigned & (used - 1)
        )
    signed = words.view(np.dtype(f"i{words.dtype.itemsize}"))
    half = used // 2
    if pixels.stored == width or (signed.min() >= -half and signed.max() < half):
        return signed
    return (signed << (width - pixels.stored)) >> (width - pixels.stored)
