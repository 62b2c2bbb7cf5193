"""From the decoded samples of a raster image to a radiograph in 0..1 with air dark.

Raster formats have no window. The full range of the declared bits is what a viewer shows,
and so do the 8-bit copies that models are trained on. Only where the values cannot be meant
so, as with 12 bits in words of 16, are they spread as the DICOM chain spreads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.pixels import border
from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.vocabulary import RejectCode

# Rec. 601 luminance, what Pillow's own conversion to grey uses.
_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_PERCENTILES: Final = (0.1, 99.9)
_BYTE_MAX: Final = 255
#: A radiograph that is meant to fill its range has white in it: of several thousand 8-bit
#: ones, none left the upper half of its range unused.
_LEAST_TOP: Final = 0.5
#: With less of the range than this, grey levels are so few or so close that noise decides.
_LEAST_SPREAD: Final = 1 / 8
_COLOURS: Final = 3
_WITH_ALPHA: Final = (2, 4)
_ROWS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a decoder of a raster format returns.

    Attributes
    ----------
    values
        Integers, ``[H, W]`` or ``[H, W, C]``: grey, grey and alpha, RGB, or RGB and alpha.
    top
        Largest value of the declared bits; ``None`` for signed values, which have no range
        that would be meant for display.
    detail
        Format and bits, for the history.
    inverted
        Whether the lowest value is white.
    reduced
        Whether the decoder dropped bits that the file holds.
    orientation
        EXIF orientation, 1 for upright.
    warnings
        What had to be assumed.
    """

    values: NDArray[Any]
    top: int | None
    detail: str
    inverted: bool = False
    reduced: bool = False
    orientation: int = 1
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Steps:
    keep: bool
    done: list[ChainStep]

    def add(
        self,
        name: str,
        detail: str,
        pixels: NDArray[Any],
        scale: tuple[float, float] | None = None,
    ) -> None:
        kept = pixels.astype(np.float32) if self.keep else None
        low, high = float(pixels.min()), float(pixels.max())
        self.done.append(ChainStep(name, detail, low, high, kept, scale))


def radiograph(samples: Samples, *, keep_steps: bool = False) -> PixelImage:
    """Turn samples into a radiograph.

    Parameters
    ----------
    samples
        Decoded samples.
    keep_steps
        Keep the pixels after each step in the history.

    Returns
    -------
    PixelImage
        float32 ``[H, W]`` in 0..1, upright. Colour becomes luminance, transparency is laid
        on black, the colour of air.

    Raises
    ------
    ImageRefusedError
        ``BLANK`` where the values fill too little of their range to be told apart, and
        ``UNSUPPORTED_ENCODING`` where they do because bits were lost in decoding.
    """
    # In place from here on: as floats, a large image is hundreds of megabytes.
    steps, warnings = _Steps(keep_steps, []), list(samples.warnings)
    grey, colourfulness = _grey(samples)
    steps.add("stored values", samples.detail, grey)
    low, high = _percentiles(grey)
    if samples.top is None or _is_narrow(samples, low, high):
        why = "signed values" if samples.top is None else _share(samples.top, low, high)
        if samples.reduced:
            reason = f"16-bit colour with {why}: too few grey levels are left to judge"
            raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
        if samples.top is not None and samples.top <= _BYTE_MAX:
            raise ImageRefusedError(RejectCode.BLANK, why)
        warnings.append(f"{why}: grey levels spread by percentiles")
        grey -= np.float32(low)
        grey /= np.float32(max(high - low, 1e-12))
        pixels = np.clip(grey, 0, 1, out=grey)
        steps.add("percentiles", "0.1 to 99.9 % of the pixels", pixels)
    else:
        grey /= np.float32(samples.top)
        pixels = np.clip(grey, 0, 1, out=grey)
        steps.add("full range", f"{samples.detail} / {samples.top}", pixels)
    if samples.inverted:
        np.subtract(1, pixels, out=pixels)
        steps.add("inversion", "the lowest value is white", pixels)
    if samples.orientation != 1:
        pixels = np.ascontiguousarray(_upright(pixels, samples.orientation))
        steps.add("orientation", f"EXIF {samples.orientation}", pixels, scale=(1.0, 1.0))
    pixels = pixels.astype(np.float32, copy=False)
    # As the DICOM chain does: a white frame would be taken for dense lungs, or worse.
    share = border.darken(pixels)
    if share:
        warnings.append(f"{share:.1%} of the image is a bright border: taken as air")
        steps.add("air", f"border {share:.1%}", pixels)
    return PixelImage(
        pixels=pixels,
        colourfulness=colourfulness,
        history=tuple(steps.done),
        warnings=tuple(warnings),
    )


def _is_narrow(samples: Samples, low: float, high: float) -> bool:
    top = samples.top or 1
    if high - low < _LEAST_SPREAD * top:
        return True
    return (top > _BYTE_MAX or samples.reduced) and high < _LEAST_TOP * top


def _share(top: int, low: float, high: float) -> str:
    return f"99.8 % of the values lie in {low:.0f}..{high:.0f} of 0..{top}"


def _percentiles(grey: NDArray[np.float32]) -> tuple[float, float]:
    # A hundred million values take long; every so many of them tell as much.
    sample = grey.ravel()[:: max(grey.size // 1_000_000, 1)]
    low, high = (percent / 100 * (sample.size - 1) for percent in _PERCENTILES)
    places = math.floor(low), math.ceil(high)
    parted = np.partition(sample, places)
    return float(parted[places[0]]), float(parted[places[1]])


def _grey(samples: Samples) -> tuple[NDArray[np.float32], float]:
    """Return grey values, and by how much of the full range the channels differ."""
    values, top = samples.values, float(samples.top or 1)
    if values.ndim == 2:  # noqa: PLR2004
        return values.astype(np.float32), 0.0
    grey = np.empty(values.shape[:2], dtype=np.float32)
    spread = 0.0
    # Some rows at a time: as floats, three channels of a large image are a gigabyte.
    for start in range(0, len(values), _ROWS_AT_ONCE):
        piece = values[start : start + _ROWS_AT_ONCE]
        planes = [piece[..., channel].astype(np.float32) for channel in range(piece.shape[2])]
        if len(planes) in _WITH_ALPHA:
            alpha = planes.pop() / np.float32(top)
            planes = [plane * alpha for plane in planes]
        shown = planes[0]
        if len(planes) == _COLOURS:
            red, green, blue = planes
            shown = red * _LUMINANCE[0] + green * _LUMINANCE[1] + blue * _LUMINANCE[2]
            most = np.maximum(np.maximum(red, green), blue)
            least = np.minimum(np.minimum(red, green), blue)
            spread += float((most - least).sum(dtype=np.float64))
        grey[start : start + _ROWS_AT_ONCE] = shown
    return grey, spread / (grey.size * top)


def _upright(pixels: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo an EXIF orientation (EXIF 2.3 section 4.6.4 A): where row 0 and column 0 lie."""
    if orientation >= 5:  # noqa: PLR2004 - 5 to 8 have rows and columns exchanged
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
