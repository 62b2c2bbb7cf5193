"""Colour pixels to grey: secondary captures, screenshots, photographs.

What comes back is the luminance, and how far the colours are from grey, so that admission can
refuse what is in colour indeed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.header.dicom import number
from cxrscreen.intake.pixels.pixel_format import PixelFormat
from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.vocabulary import RejectCode

# Recommendation ITU-R BT.601.
_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# PS3.3 C.7.6.3.1.2: the differences are stored scaled by these to the range of the luminance.
_BLUE_SCALE: Final = 1.772
_RED_SCALE: Final = 1.402
_GREEN_SCALES: Final = (0.344136, 0.714136)
_CHANNELS: Final = ("Red", "Green", "Blue")
_ROWS_AT_ONCE: Final = 256
_BYTE_BITS: Final = 8


def from_samples(
    samples: NDArray[np.integer], pixels: PixelFormat, *, syntax: uid.UID
) -> PixelImage:
    """Return the luminance of an image with three samples a pixel.

    Parameters
    ----------
    samples
        ``[H, W, 3]``, as ``PhotometricInterpretation`` says (PS3.3 C.7.6.3.1.2).
    pixels
        The format.
    syntax
        Transfer syntax; decoders of JPEG 2000 have undone ``YBR_ICT`` and ``YBR_RCT``.

    Raises
    ------
    ImageRefusedError
        ``UNSUPPORTED_ENCODING`` for the retired partial ranges.
    """
    if pixels.photometric.startswith("YBR_PARTIAL"):
        reason = f"PhotometricInterpretation is {pixels.photometric}: retired"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    decoded_to_rgb = syntax.is_encapsulated and syntax != uid.RLELossless
    is_ybr = pixels.photometric.startswith("YBR_FULL") and not decoded_to_rgb
    top = float((1 << pixels.stored) - 1)
    grey = np.empty(samples.shape[:2], dtype=np.float32)
    spread = 0.0
    # By parts: three channels in floating point are six times the image.
    for start in range(0, samples.shape[0], _ROWS_AT_ONCE):
        part = samples[start : start + _ROWS_AT_ONCE].astype(np.float32) / np.float32(top)
        rows = slice(start, start + _ROWS_AT_ONCE)
        if is_ybr:
            grey[rows] = part[..., 0]
            spread += _ybr_spread(part, (1 << (pixels.stored - 1)) / top)
        else:
            grey[rows] = part @ _LUMINANCE
            spread += float((part.max(axis=2) - part.min(axis=2)).sum(dtype=np.float64))
    return _image(grey, spread / grey.size, pixels.photometric)


def from_palette(stored: NDArray[np.integer], header: Dataset) -> PixelImage:
    """Return the luminance of a palette image: PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6.

    Raises
    ------
    ImageRefusedError
        ``MALFORMED_DICOM`` where a table is not what its descriptor says,
        ``UNSUPPORTED_ENCODING`` for segmented tables.
    """
    if "SegmentedRedPaletteColorLookupTableData" in header:
        reason = "the palette is segmented"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    lowest, highest = int(stored.min()), int(stored.max())
    values = np.arange(lowest, highest + 1)
    channels = np.stack([_palette_channel(header, name, values) for name in _CHANNELS], axis=1)
    grey = (channels @ _LUMINANCE).astype(np.float32)
    spread = channels.max(axis=1) - channels.min(axis=1)
    index = np.subtract(stored, lowest, dtype=np.int64)
    return _image(grey[index], float(spread[index].mean(dtype=np.float64)), "PALETTE COLOR")


def _palette_channel(
    header: Dataset, name: str, values: NDArray[np.integer]
) -> NDArray[np.float32]:
    keyword = f"{name}PaletteColorLookupTable"
    try:
        count, first, bits = (int(value) for value in header[f"{keyword}Descriptor"].value)
        count = count or 1 << 16
        data = header[f"{keyword}Data"].value
        big = header.original_encoding == (False, False)
        # PS3.3 C.7.6.3.1.5: entries of 8 bits are bytes, or words by some writers.
        wide = len(data) >= 2 * count
        entries = np.frombuffer(data, dtype=(">u2" if big else "<u2") if wide else "u1")[:count]
        if number(header, "PixelRepresentation") == 1 and first >= 1 << 15:
            first -= 1 << 16
        valid = entries.size == count and bits in (_BYTE_BITS, 2 * _BYTE_BITS)
        largest = int(entries.max())
    except Exception as error:
        reason = f"the palette does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    if not valid or largest >= 1 << bits:
        reason = "the palette is not what its descriptor says"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    positions = np.clip(values - first, 0, count - 1)
    scaled: NDArray[np.float32] = entries[positions].astype(np.float32) / ((1 << bits) - 1)
    return scaled


def _ybr_spread(part: NDArray[np.float32], middle: float) -> float:
    """Return the sum of the differences between the channels of RGB, without the luminance."""
    blue, red = part[..., 1] - middle, part[..., 2] - middle
    shifts = (
        _RED_SCALE * red,
        -_GREEN_SCALES[0] * blue - _GREEN_SCALES[1] * red,
        _BLUE_SCALE * blue,
    )
    spread = np.maximum.reduce(shifts) - np.minimum.reduce(shifts)
    return float(spread.sum(dtype=np.float64))


def _image(grey: NDArray[np.float32], colourfulness: float, photometric: str) -> PixelImage:
    np.clip(grey, 0.0, 1.0, out=grey)
    low, high = float(grey.min()), float(grey.max())
    return PixelImage(
        pixels=grey,
        colourfulness=colourfulness,
        history=(ChainStep("luminance", photometric, low, high),),
        warnings=(f"{photometric} pixels: luminance taken",),
    )
