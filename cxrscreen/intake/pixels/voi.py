"""Values of interest: VOI LUT, window or, without either, the image's own grey levels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.special import expit

from cxrscreen.intake.header.dicom import items, number, text
from cxrscreen.intake.pixels.chain_table import ChainTable, Values
from cxrscreen.intake.pixels.grey_range import PERCENTILES, grey_range
from cxrscreen.intake.pixels.lookup_table import LookedUp, through_lut

_BYTE_BITS: Final = 8
# A mapping is judged on a sample: it is about a share of the pixels, not about each.
_SAMPLE_SIDE: Final = 128
_CLIPPED: Final = 0.005
_LEAST_BETWEEN: Final = 0.02
_LEAST_CONTRAST: Final = 0.05
_CONTRAST_PERCENTILES: Final = (1, 99)

Mask = NDArray[np.bool_] | None


def apply(
    table: ChainTable,
    header: Dataset,
    stored: NDArray[np.integer],
    padded: Mask,
    *,
    air_is_high: bool,
) -> None:
    """Map the values of interest to 0..1: PS3.3 C.11.2.1.

    The first VOI LUT, else the first window, else the image's own grey levels. A VOI LUT or
    window that shows next to nothing of this image is not applied either: a black image would
    be called negative.

    Parameters
    ----------
    table
        The chain so far; its values are the output of the modality LUT.
    header
        Header of the image.
    stored
        The image.
    padded
        Where it is padding.
    air_is_high
        Whether high values are air.
    """
    luts = items(header, "VOILUTSequence")
    center, width = number(header, "WindowCenter"), number(header, "WindowWidth")
    function = text(header, "VOILUTFunction").upper() or "LINEAR"
    if luts:
        big_endian = header.original_encoding == (False, False)
        lut = through_lut(table.values, luts[0], big_endian=big_endian)
        values = lut.values / _top(lut, table)
        if _shows(table, values, stored, padded):
            table.apply("VOI LUT", lut.detail, values)
            return
        table.warnings.append("the VOI LUT shows next to nothing of the image: ignored")
    if center is not None and width is not None and _usable_window(function, width):
        detail = f"{function} center {center:g} width {width:g}"
        values = _window(table.values, function, center, width)
        if _shows(table, values, stored, padded):
            table.apply("window", detail, values)
            return
        table.warnings.append("the window shows next to nothing of the image: ignored")
    elif center is not None or width is not None:
        table.warnings.append("the window is incomplete or unusable: ignored")
    if table.bits <= _BYTE_BITS and table.is_untouched:
        # Eight stored bits without rescale and window are display values already.
        top = (1 << table.bits) - 1
        table.apply("full range", f"{table.bits} bits", (table.values - table.bottom) / top)
        return
    spread(table, stored, padded, air_is_high=air_is_high, full_range=True)


def spread(
    table: ChainTable,
    stored: NDArray[np.integer],
    padded: Mask,
    *,
    air_is_high: bool,
    full_range: bool,
) -> None:
    """Spread the image's own grey levels over 0..1.

    Parameters
    ----------
    table, stored, padded, air_is_high
        As for :func:`apply`.
    full_range
        Whether the whole range of the bits may be taken.
    """
    falling = table.values[0] > table.values[-1]
    found = grey_range(
        stored, padding=padded, air_is_high=air_is_high != falling, full_range=full_range
    )
    low, high = sorted((table.at(found.low), table.at(found.high)))
    values = (table.values - low) / max(high - low, 1e-12)
    if found.bits:
        table.warnings.append(f"no usable window or VOI LUT: full range of {found.bits} bits taken")
        table.apply("full range", f"{found.bits} bits", values)
        return
    table.warnings.append("no usable window or VOI LUT: grey levels spread by percentiles")
    detail = (
        f"{PERCENTILES[0]:g} to {PERCENTILES[1]:g} % of the pixels"
        f" in {found.interior:.0%} of the image"
    )
    table.apply("percentiles", detail, values)


def _top(lut: LookedUp, table: ChainTable) -> float:
    """Return the entry that is white.

    It is the largest that the declared bits can hold. Writers declare 16 bits for tables that
    stay within 12, and the image would be nearly black: where not even half of the declared
    range is used, the fewest bits that hold the entries count.
    """
    used = max(lut.largest.bit_length(), 1)
    if used < lut.bits:
        table.warnings.append(f"the VOI LUT declares {lut.bits} bits and uses {used}: {used} taken")
    return float((1 << used) - 1)


def _shows(table: ChainTable, values: Values, stored: NDArray[np.integer], padded: Mask) -> bool:
    """Return whether a mapping to 0..1 leaves anything of the image to see."""
    rows, columns = (max(side // _SAMPLE_SIDE, 1) for side in stored.shape)
    sample = stored[::rows, ::columns]
    if padded is not None:
        sample = sample[~padded[::rows, ::columns]]
    if sample.size == 0 or table.lowest == table.highest:
        # There is nothing to see in any case.
        return True
    shown = values[np.subtract(sample, table.bottom, dtype=np.int64)]
    between = (shown > _CLIPPED) & (shown < 1 - _CLIPPED)
    if float(between.mean()) < _LEAST_BETWEEN:
        return False
    low, high = np.percentile(shown, _CONTRAST_PERCENTILES)
    return bool(high - low >= _LEAST_CONTRAST)


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
