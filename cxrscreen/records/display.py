"""A radiograph for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class DisplayImage:
    """A radiograph reduced for the eye, with the geometry of the whole one.

    Attributes
    ----------
    pixels
        uint8 ``[h, w]``, air dark.
    shape
        Rows and columns of the radiograph itself: the grid that maps are placed on.
    pixel_mm
        Distance of its rows and of its columns in millimetres, ``None`` if unknown.
    plane
        Where that distance holds, in words; empty if unknown.
    geometry
        What made this grid another one than that of the stored pixels, one sentence each.
    """

    pixels: NDArray[np.uint8]
    shape: tuple[int, int]
    pixel_mm: tuple[float, float] | None = None
    plane: str = ""
    geometry: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8 or self.pixels.size == 0:  # noqa: PLR2004
            message = f"pixels must be uint8 [h, w], not {self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(message)
        if self.pixels.shape[0] > self.shape[0] or self.pixels.shape[1] > self.shape[1]:
            message = f"{self.pixels.shape} pixels shown of {self.shape}"
            raise ValueError(message)
