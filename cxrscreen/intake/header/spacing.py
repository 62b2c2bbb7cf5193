"""The distance between pixels, and where it was measured."""

from __future__ import annotations

import math
from typing import Final

from pydicom.dataset import Dataset

from cxrscreen.intake.header.elements import texts

#: Relative difference up to which two spacings are the same.
_TOLERANCE: Final = 0.001


def read_spacing(header: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Return the spacing of rows and of columns in mm, and where it holds.

    PS3.3 10.7.1.3: ``ImagerPixelSpacing`` is measured at the front plane of the detector.
    ``PixelSpacing`` that differs from it is corrected for the magnification; alone it may be
    either.
    """
    at_detector, given = (
        _pair_mm(header, keyword) for keyword in ("ImagerPixelSpacing", "PixelSpacing")
    )
    if given is None:
        return at_detector, "at the detector (ImagerPixelSpacing)" if at_detector else ""
    if at_detector is None:
        return given, "by PixelSpacing, which does not say whether at the detector"
    if all(map(_nearly_equal, given, at_detector)):
        return given, "at the detector (PixelSpacing, ImagerPixelSpacing)"
    return given, "in the patient (PixelSpacing, corrected for magnification)"


def _pair_mm(header: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        row, column = (float(value) for value in texts(header, keyword))
    except ValueError:
        return None
    return (row, column) if 0 < row < math.inf and 0 < column < math.inf else None


def _nearly_equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE)
