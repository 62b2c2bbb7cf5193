"""From stored DICOM values to a radiograph in 0..1 with air dark.

Stored values -> modality LUT -> VOI LUT -> polarity, after PS3.3 C.11 and PS3.14, composed
into one table over all stored values that the format can hold, so that the pixels themselves
are looked up once.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.dicom import items, number, quiet_readers, text
from cxrscreen.intake.pixels import border, colour, pixel_format, voi
from cxrscreen.intake.pixels.chain_table import ChainTable
from cxrscreen.intake.pixels.lookup_table import through_lut
from cxrscreen.intake.pixels.padding import padding_mask, padding_range
from cxrscreen.intake.pixels.pixel_element import PixelElement, open_pixels
from cxrscreen.intake.pixels.square_pixels import is_believed, is_square, pixel_aspect, to_square
from cxrscreen.intake.pixels.stored_values import fewer_values, stored_values
from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.vocabulary import RejectCode

#: More pixels than this are not believed.
MAX_PIXELS: Final = pixel_format.MAX_PIXELS
#: How many frames an object holds.
frames_of = pixel_format.frames_of
_MOSTLY = 0.5
# Darker than this on the way out, padding is air already.
_DARK = 0.01
_INTENSITY_DECADES = 2.0**-16
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
#: Steps that make of a stored value the same wherever it stands.
_BY_VALUE: Final = frozenset(
    {"stored values", "modality LUT", "rescale", "VOI LUT", "window", "inversion"}
)


def read_pixels(
    content: Content, frame: int = 0, *, keep_steps: bool = False, enough_px: int = 0
) -> PixelImage:
    """Decode one frame of a DICOM image and run it through the chain.

    The other frames are neither decoded nor copied.

    Parameters
    ----------
    content
        The object.
    frame
        Which frame, from 0.
    keep_steps
        Keep the image after each step in the history, for people to look at.
    enough_px
        Pixels of the shorter side with which the caller is content; 0 wants all. Where the
        encoding holds lower resolutions, and nothing depends on single pixels, a lower one is
        read.

    Returns
    -------
    PixelImage
        float32 ``[H, W]`` in 0..1, air dark; ``[Rows, Columns]`` unless pixels are not square
        or fewer were enough.

    Raises
    ------
    ImageRefusedError
        ``NO_PIXEL_DATA``, ``MALFORMED_DICOM``, ``UNSUPPORTED_ENCODING``, ``TOO_LARGE`` or
        ``DECODE_FAILED``.
    """
    with quiet_readers(), open_pixels(content) as element:
        pixels = pixel_format.read(element.header)
        if enough_px and not keep_steps:
            reduced = _reduced(element, pixels, frame, enough_px)
            if reduced is not None:
                return reduced
        stored = stored_values(element, pixels, frame)
        if pixels.is_colour:
            image = colour.from_samples(stored, pixels, syntax=element.syntax)
        elif pixels.photometric == pixel_format.PALETTE:
            image = colour.from_palette(stored, element.header)
        else:
            return render(element.header, stored, keep_steps=keep_steps)
        return _squared(
            _cleared(image, keep_steps=keep_steps), element.header, keep_steps=keep_steps
        )


def _reduced(
    element: PixelElement, pixels: pixel_format.PixelFormat, frame: int, enough_px: int
) -> PixelImage | None:
    """Return the image at a lower resolution, ``None`` where that is not the same image.

    A pixel that is the mean of several is no padding, blurs the edge of a border, and has other
    percentiles: only what a window or a VOI LUT makes of each value by itself stays the same.
    """
    header = element.header
    if pixels.photometric not in _GREY or header.get("PixelPaddingValue") is not None:
        return None
    if not any(header.get(keyword) for keyword in ("WindowCenter", "VOILUTSequence")):
        return None
    stored = fewer_values(element, pixels, frame, enough_px=enough_px)
    if stored is None:
        return None
    image = render(header, stored)
    if not {step.name for step in image.history} <= _BY_VALUE:
        return None
    detail = f"{pixels.columns}x{pixels.rows} read as {stored.shape[1]}x{stored.shape[0]}"
    step = _step("lower resolution", detail, image.pixels, keep_steps=False)
    return dataclasses.replace(
        image, history=(step, *image.history), whole_shape=(pixels.rows, pixels.columns)
    )


def render(header: Dataset, stored: NDArray[np.integer], *, keep_steps: bool = False) -> PixelImage:
    """Apply modality LUT, VOI LUT and polarity to stored values.

    Parameters
    ----------
    header
        Header of the image.
    stored
        Integers ``[Rows, Columns]`` that ``BitsStored`` and ``PixelRepresentation`` can hold.
    keep_steps
        Keep the image after each step in the history.
    """
    signed = number(header, "PixelRepresentation") == 1
    stored = stored.astype(f"{'i' if signed else 'u'}2") if stored.dtype.itemsize > 2 else stored  # noqa: PLR2004
    table = ChainTable(stored, bits=int(number(header, "BitsStored") or 16), signed=signed)
    ends = padding_range(header, signed=signed)
    padded = padding_mask(stored, ends) if ends and table.holds(*ends) else None
    _modality_lut(table, header)
    if text(header, "PresentationIntentType").upper() == "FOR PROCESSING":
        inverted = _attenuation(table, header)
        voi.spread(table, stored, padded, air_is_high=inverted, full_range=False)
    else:
        inverted = _is_inverted(header)
        _check_intensity_sign(table, header, inverted=inverted)
        voi.apply(table, header, stored, padded, air_is_high=inverted)
    if inverted:
        photometric = text(header, "PhotometricInterpretation").upper()
        table.apply("inversion", photometric, 1.0 - table.values)
    pixels = table.look_up(stored)
    history = table.history(stored if keep_steps else None)
    outside = _clear_outside(pixels, padded, table.warnings)
    if outside:
        history += (_step("outside to air", outside, pixels, keep_steps=keep_steps),)
    image = PixelImage(pixels=pixels, history=history, warnings=tuple(table.warnings))
    return _squared(image, header, keep_steps=keep_steps)


def _step(name: str, detail: str, pixels: NDArray[np.float32], *, keep_steps: bool) -> ChainStep:
    low, high = float(pixels.min()), float(pixels.max())
    shown = (pixels - np.float32(low)) / np.float32(high - low or 1.0) if keep_steps else None
    return ChainStep(name, detail, low, high, shown)


def _modality_lut(table: ChainTable, header: Dataset) -> None:
    """Apply the Modality LUT or the linear rescale: PS3.3 C.11.1.1."""
    luts = items(header, "ModalityLUTSequence")
    if luts:
        lut = through_lut(table.values, luts[0], big_endian=_is_big_endian(header))
        table.apply("modality LUT", lut.detail, lut.values)
        return
    slope = number(header, "RescaleSlope")
    intercept = number(header, "RescaleIntercept")
    if slope is None and intercept is None:
        return
    slope, intercept = slope if slope is not None else 1.0, intercept or 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        values = table.values * slope + intercept
    if slope == 0 or not np.isfinite(values).all():
        table.warnings.append("RescaleSlope or RescaleIntercept is not usable: ignored")
        return
    if (slope, intercept) == (1.0, 0.0):
        return
    table.apply("rescale", f"{slope:g} x + {intercept:g}", values)


def _is_big_endian(header: Dataset) -> bool:
    return header.original_encoding == (False, False)


def _is_inverted(header: Dataset) -> bool:
    """Return whether low values are shown white: PS3.3 C.7.6.3.1.2 and C.8.11.3.1.2."""
    photometric = text(header, "PhotometricInterpretation").upper()
    shape = text(header, "PresentationLUTShape").upper()
    inverted = photometric == "MONOCHROME1"
    if shape and (shape == "INVERSE") != inverted:
        # The standard ties the two together. Either could be the wrong one.
        reason = f"PresentationLUTShape contradicts {photometric}: the polarity is not known"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    return inverted


def _check_intensity_sign(table: ChainTable, header: Dataset, *, inverted: bool) -> None:
    """Warn where ``PixelIntensityRelationshipSign`` and the polarity disagree.

    PS3.3 C.8.11.3.1.2: with +1, lower stored values come from less X-ray intensity, that is
    from bone, and must be shown white; with -1 they are air.
    """
    sign = number(header, "PixelIntensityRelationshipSign")
    if sign not in (1, -1):
        return
    falling = table.values[0] > table.values[-1]
    low_is_bone = (sign == 1) != falling
    if low_is_bone != inverted:
        photometric = text(header, "PhotometricInterpretation").upper()
        table.warnings.append(
            f"PixelIntensityRelationshipSign {sign:+.0f} contradicts {photometric}: "
            "the polarity may be wrong"
        )


def _attenuation(table: ChainTable, header: Dataset) -> bool:
    """Turn raw detector values into attenuation; return whether they have to be inverted.

    PS3.3 C.8.11.3.1.2. The logarithm of a linear intensity is the path integral of the law of
    Beer and Lambert, up to its sign.
    """
    relationship = text(header, "PixelIntensityRelationship").upper()
    sign = number(header, "PixelIntensityRelationshipSign")
    inverted = text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
    if sign in (1, -1):
        inverted = sign == 1
    else:
        table.warnings.append("raw detector data without PixelIntensityRelationshipSign")
    if relationship == "LIN":
        values = table.values
        intensity = values if inverted else values[-1] + values[0] - values
        floor = max(float(intensity.max()), 1.0) * _INTENSITY_DECADES
        table.apply("logarithm", "of linear intensity", np.log2(np.maximum(intensity, floor)))
        inverted = True
    elif relationship not in ("LOG", "DISP"):
        table.warnings.append("raw detector data without a known PixelIntensityRelationship")
    table.warnings.append("raw detector data, not processed for presentation")
    return inverted


def _cleared(image: PixelImage, *, keep_steps: bool) -> PixelImage:
    """Return a luminance without what surrounds it; it has no padding (PS3.3 C.7.5.1.1.2)."""
    history, warnings = image.history, list(image.warnings)
    if keep_steps:
        shown = image.history[-1]
        history = (_step(shown.name, shown.detail, image.pixels, keep_steps=True),)
    outside = _clear_outside(image.pixels, None, warnings)
    if outside:
        history += (_step("outside to air", outside, image.pixels, keep_steps=keep_steps),)
    return PixelImage(image.pixels, image.colourfulness, history, tuple(warnings))


def _clear_outside(
    pixels: NDArray[np.float32], padded: NDArray[np.bool_] | None, warnings: list[str]
) -> str:
    """Turn padding and bright borders into air, in place; return what was turned, in words."""
    turned = []
    if padded is not None:
        share = float(padded.mean())
        if float(pixels[padded].max()) > _DARK:
            warnings.append(f"{share:.0%} of the image is pixel padding: taken as air")
        if share > _MOSTLY:
            warnings.append(f"pixel padding is {share:.0%} of the image")
        pixels[padded] = 0.0
        turned.append(f"padding {share:.1%}")
    # As a display shutter would.
    share = border.darken(pixels)
    if share:
        warnings.append(f"{share:.1%} of the image is a bright border: taken as air")
        turned.append(f"border {share:.1%}")
    return ", ".join(turned)


def _squared(image: PixelImage, header: Dataset, *, keep_steps: bool) -> PixelImage:
    aspect = pixel_aspect(header)
    if aspect is None or is_square(aspect):
        return image
    if not is_believed(aspect):
        warning = f"pixels {aspect:.3g} times as high as wide are not believed: taken as square"
        return PixelImage(
            image.pixels, image.colourfulness, image.history, (*image.warnings, warning)
        )
    pixels = to_square(image.pixels, aspect)
    detail = (
        f"aspect {aspect:.4g}, {image.pixels.shape[1]}x{image.pixels.shape[0]} to "
        f"{pixels.shape[1]}x{pixels.shape[0]}"
    )
    scale = tuple(
        after / before for after, before in zip(pixels.shape, image.pixels.shape, strict=True)
    )
    step = dataclasses.replace(
        _step("square pixels", detail, pixels, keep_steps=keep_steps), scale=scale
    )
    return PixelImage(pixels, image.colourfulness, (*image.history, step), image.warnings)
