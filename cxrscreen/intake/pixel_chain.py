"""From stored DICOM values to a radiograph in 0..1 with air dark.

Stored values -> modality LUT -> VOI LUT -> polarity, after PS3.3 C.11 and PS3.14, composed
into one table over all stored values that the image holds, so that the pixels themselves
are touched once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from scipy.special import expit

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import decoders
from cxrscreen.intake.content import Content
from cxrscreen.intake.dicom import items, number, quiet_readers, text
from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.vocabulary import RejectCode

#: A radiograph of 43 x 43 cm at 50 micrometres has 74 million pixels; more is not believed.
MAX_PIXELS: Final = 100_000_000
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_MAX_BITS = 16
_BYTE_BITS = 8
# Without a window, the darkest and brightest thousandth are left to markers and dead pixels.
_PERCENTILES = (0.1, 99.9)
_JPEG_FAMILY_END = b"\xff\xd9"
_RLE = pydicom.uid.RLELossless

Values = NDArray[np.float64]


@dataclass(slots=True)
class _Chain:
    """The table under construction: output value of every stored value."""

    values: Values
    history: list[ChainStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def apply(self, name: str, detail: str, values: Values) -> None:
        self.values = values
        self.history.append(ChainStep(name, detail, float(values.min()), float(values.max())))


def read_pixels(content: Content, frame: int = 0) -> PixelImage:
    """Decode one frame of a DICOM image and run it through the chain.

    Parameters
    ----------
    content
        The object.
    frame
        Which frame, from 0.

    Returns
    -------
    PixelImage
        float32 ``[Rows, Columns]`` in 0..1, air dark.

    Raises
    ------
    ImageRefusedError
        ``NO_PIXEL_DATA``, ``MALFORMED_DICOM``, ``UNSUPPORTED_ENCODING``, ``TOO_LARGE``,
        ``COLOUR`` or ``DECODE_FAILED``.
    """
    with quiet_readers():
        try:
            dataset = _read_all(content)
            del frame
            # pydicom parses an element when it is first used: do it where errors are caught.
            dataset.get("PixelData")
        except Exception as error:
            reason = f"the pixel data cannot be read ({type(error).__name__})"
            raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
        _check_pixel_format(dataset)
        stored = _stored_values(dataset)
        return render(dataset, stored)


def _read_all(content: Content) -> Dataset:
    with content.open() as stream:
        return pydicom.dcmread(stream, force=True)


def render(dataset: Dataset, stored: NDArray[np.int32]) -> PixelImage:
    """Apply modality LUT, VOI LUT and polarity to stored values.

    Parameters
    ----------
    dataset
        Header of the image.
    stored
        int32 ``[Rows, Columns]``.
    """
    lowest, highest = int(stored.min()), int(stored.max())
    chain = _Chain(np.arange(lowest, highest + 1, dtype=np.float64))
    chain.history.append(ChainStep("stored values", "", lowest, highest))
    index = stored - lowest
    _modality_lut(chain, dataset)
    _voi(chain, dataset, index)
    _polarity(chain, dataset)
    table = np.clip(chain.values, 0.0, 1.0).astype(np.float32)
    return PixelImage(
        pixels=table[index],
        history=tuple(chain.history),
        warnings=tuple(chain.warnings),
    )


def _check_pixel_format(dataset: Dataset) -> None:
    """Refuse what the chain does not cover before any memory is spent on it."""
    if len(dataset) == 0:
        # pydicom drops what it has read when a file ends inside an encapsulated element.
        raise ImageRefusedError(RejectCode.DECODE_FAILED, "the file ends inside its pixel data")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        reason = "the pixel data are floating-point numbers"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    if "PixelData" not in dataset:
        raise ImageRefusedError(RejectCode.NO_PIXEL_DATA, "the object holds no PixelData")
    rows, columns, allocated, bits = (
        number(dataset, keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    if not rows or not columns or not allocated or not bits:
        reason = "Rows, Columns, BitsAllocated or BitsStored is missing"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    frames = int(number(dataset, "NumberOfFrames") or 1)
    if frames > 1:
        raise ImageRefusedError(
            RejectCode.UNSUPPORTED_ENCODING, f"the object holds {frames} frames"
        )
    if rows * columns > MAX_PIXELS:
        reason = f"{columns:.0f}x{rows:.0f} pixels are more than {MAX_PIXELS}"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if (number(dataset, "SamplesPerPixel") or 1) != 1 or photometric not in _MONOCHROME:
        reason = f"PhotometricInterpretation is {photometric or 'absent'}, not monochrome"
        raise ImageRefusedError(RejectCode.COLOUR, reason)
    if allocated not in (_BYTE_BITS, _MAX_BITS) or not 1 <= bits <= allocated:
        reason = f"{bits:.0f} bits stored in {allocated:.0f} allocated"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)


def _stored_values(dataset: Dataset) -> NDArray[np.int32]:
    """Return the stored values, PS3.5 section 8.1.1: unused bits cleared, sign extended."""
    syntax = _transfer_syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except RuntimeError as error:
        # What pydicom raises for a syntax that it does not know is a kind of it.
        named = syntax if syntax.is_valid else "(not a UID)"
        reason = f"no decoder for transfer syntax {named}"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason) from error
    plugin = ""
    if decoder.is_encapsulated:
        decoders.register()
        # pydicom's own RLE decoder is the faster one.
        plugin = "pydicom" if syntax == _RLE else decoders.PLUGIN
        if plugin not in decoder.available_plugins:
            reason = f"no decoder for transfer syntax {syntax.name}"
            raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
        _check_frame_is_whole(dataset, syntax)
    else:
        _check_length(dataset)
    try:
        raw, _ = decoder.as_array(dataset, index=0, raw=True, decoding_plugin=plugin)
    except Exception as error:
        reason = f"the pixel data is truncated or damaged ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
    bits = int(dataset.BitsStored)
    values = raw.astype(np.int32)
    if not decoder.is_encapsulated:
        # Uncompressed words may carry overlays beside the value (PS3.5 section 8.1.2).
        values >>= max(int(number(dataset, "HighBit") or bits - 1) + 1 - bits, 0)
    values &= (1 << bits) - 1
    if number(dataset, "PixelRepresentation") == 1:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values


def _transfer_syntax(dataset: Dataset) -> pydicom.uid.UID:
    """Return the syntax that the file names or, without file meta, the one it was read in."""
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if isinstance(syntax, str) and syntax:
        return pydicom.uid.UID(syntax)
    if syntax:
        reason = "TransferSyntaxUID holds more than one value"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    if _is_big_endian(dataset):
        return pydicom.uid.ExplicitVRBigEndian
    return pydicom.uid.ImplicitVRLittleEndian


def _is_big_endian(dataset: Dataset) -> bool:
    return dataset.original_encoding == (False, False)


def _check_length(dataset: Dataset) -> None:
    """Refuse uncompressed pixel data that are not as long as the header says.

    Longer ones are no luxury: rows that a writer has padded shear the image when the excess
    is taken for the beginning of the next row. PS3.5 section 8.1.1: one byte of padding at
    most, to an even length.
    """
    expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // _BYTE_BITS
    found = len(dataset.PixelData)
    if found < expected:
        reason = f"the pixel data end after {found} of {expected} bytes: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)
    if found > expected + expected % 2:
        reason = f"{found} bytes of pixel data where the header says {expected}"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)


def _check_frame_is_whole(dataset: Dataset, syntax: pydicom.uid.UID) -> None:
    """Refuse a compressed frame without its end marker.

    JPEG decoders fill what is missing with grey and call it a success; a lung that was not
    transmitted must not be judged as clear.
    """
    if syntax == _RLE:
        return
    try:
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    except Exception as error:
        reason = f"the compressed frame cannot be found ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
    # Writers pad a frame of odd length with 00 or FF (PS3.5 annex A.4).
    if not frame.rstrip(b"\x00\xff").endswith(_JPEG_FAMILY_END):
        reason = "the compressed frame ends before its end marker: truncated"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason)


def _modality_lut(chain: _Chain, dataset: Dataset) -> None:
    """Apply the Modality LUT or the linear rescale: PS3.3 C.11.1.1."""
    luts = items(dataset, "ModalityLUTSequence")
    if luts:
        values, detail = _through_lut(chain.values, luts[0], big_endian=_is_big_endian(dataset))
        chain.apply("modality LUT", detail, values)
        return
    slope = number(dataset, "RescaleSlope")
    intercept = number(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return
    slope, intercept = slope if slope is not None else 1.0, intercept or 0.0
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        chain.warnings.append("RescaleSlope or RescaleIntercept is not usable: ignored")
        return
    if (slope, intercept) == (1.0, 0.0):
        return
    detail = f"{slope:g} x + {intercept:g}"
    chain.apply("rescale", detail, chain.values * slope + intercept)


def _voi(chain: _Chain, dataset: Dataset, index: NDArray[np.int32]) -> None:
    """Map the values of interest to 0..1: PS3.3 C.11.2.1; without any, by the image itself."""
    luts = items(dataset, "VOILUTSequence")
    if luts:
        values, detail = _through_lut(chain.values, luts[0], big_endian=_is_big_endian(dataset))
        top = float((1 << _lut_bits(luts[0])) - 1)
        chain.apply("VOI LUT", detail, values / top)
        return
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    if center is not None and width is not None and _usable_window(function, width):
        detail = f"{function} center {center:g} width {width:g}"
        chain.apply("window", detail, _window(chain.values, function, center, width))
        return
    if center is not None or width is not None:
        chain.warnings.append("the window is incomplete or unusable: ignored")
    bits = int(dataset.BitsStored)
    if bits <= _BYTE_BITS and len(chain.history) == 1:
        # Eight stored bits without rescale and window are display values already.
        signed = number(dataset, "PixelRepresentation") == 1
        offset = 1 << (bits - 1) if signed else 0
        chain.apply("full range", f"{bits} bits", (chain.values + offset) / ((1 << bits) - 1))
        return
    cumulative = np.cumsum(np.bincount(index.ravel(), minlength=chain.values.size))
    low, high = sorted(
        float(chain.values[np.searchsorted(cumulative, cumulative[-1] * percent / 100)])
        for percent in _PERCENTILES
    )
    chain.warnings.append("no window and no VOI LUT: grey levels spread by percentiles")
    detail = f"{_PERCENTILES[0]:g} to {_PERCENTILES[1]:g} % of the pixels"
    chain.apply("percentiles", detail, (chain.values - low) / max(high - low, 1e-12))


def _usable_window(function: str, width: float) -> bool:
    # PS3.3 C.11.2.1.2: LINEAR needs a width of at least 1, the others a positive one.
    return {"LINEAR": width >= 1, "LINEAR_EXACT": width > 0, "SIGMOID": width > 0}.get(
        function, False
    )


def _window(values: Values, function: str, center: float, width: float) -> Values:
    """Return the windowed values in 0..1: PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    if function == "SIGMOID":
        return np.asarray(expit(4.0 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _lut_bits(item: Dataset) -> int:
    return int(item.LUTDescriptor[2])


def _through_lut(values: Values, item: Dataset, *, big_endian: bool) -> tuple[Values, str]:
    """Look values up in a LUT item: PS3.3 C.11.1.1.1 (descriptor and data)."""
    try:
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count or 1 << 16
        data, word = item.LUTData, ">u2" if big_endian else "<u2"
        table = (
            np.frombuffer(data, dtype=word if len(data) >= 2 * count else "u1")
            if isinstance(data, bytes)
            else np.asarray(data)
        )[:count].astype(np.float64)
        valid = table.size == count and 1 <= bits <= _MAX_BITS and table.max() < 1 << bits
    except Exception as error:
        reason = f"a lookup table of the header does not parse ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason) from error
    if not valid:
        reason = "a lookup table of the header is not what its descriptor says"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    positions = np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)
    return table[positions], f"{count} entries of {bits} bits"


def _polarity(chain: _Chain, dataset: Dataset) -> None:
    """Make air dark: PS3.3 C.7.6.3.1.2, MONOCHROME1 shows its lowest value white."""
    photometric = text(dataset, "PhotometricInterpretation").upper()
    shape = text(dataset, "PresentationLUTShape").upper()
    inverted = photometric == "MONOCHROME1"
    if shape and (shape == "INVERSE") != inverted:
        # PS3.3 C.8.11.3.1.2 ties the two together. Either could be the wrong one.
        reason = f"PresentationLUTShape contradicts {photometric}: the polarity is not known"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    if inverted:
        chain.apply("inversion", photometric, 1.0 - chain.values)
