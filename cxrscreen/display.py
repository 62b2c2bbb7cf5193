"""From a radiograph to a picture of it that is small enough to carry and to look at."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cxrscreen.records import DisplayImage, ImageRecord, PixelImage


def for_display(image: PixelImage, record: ImageRecord, *, longest_px: int) -> DisplayImage:
    """Reduce a radiograph for people to look at, and keep the geometry of the whole one.

    Parameters
    ----------
    image
        After the pixel chain.
    record
        What its header says.
    longest_px
        Of the longer side, at most.

    Returns
    -------
    DisplayImage
        No larger than ``image``.

    Raises
    ------
    ValueError
        ``longest_px`` is less than 1.
    """
    if longest_px < 1:
        message = f"longest_px is {longest_px}: at least 1"
        raise ValueError(message)
    shape: tuple[int, int] = (image.pixels.shape[0], image.pixels.shape[1])
    picture = Image.fromarray(np.rint(image.pixels * np.float32(255)).astype(np.uint8))
    share = min(longest_px / max(shape), 1.0)
    if share < 1.0:
        size = tuple(max(round(side * share), 1) for side in reversed(shape))
        picture = picture.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    return DisplayImage(
        pixels=np.asarray(picture),
        shape=shape,
        pixel_mm=_pixel_mm(image, record),
        plane=record.pixel_spacing_plane,
        geometry=tuple(
            f"{step.name}: {step.detail}" for step in image.history if step.scale is not None
        ),
    )


def _pixel_mm(image: PixelImage, record: ImageRecord) -> tuple[float, float] | None:
    """Return the spacing on the radiograph's grid: the header speaks of the stored pixels."""
    if record.pixel_spacing_mm is None:
        return None
    row, column = record.pixel_spacing_mm
    for step in image.history:
        if step.scale is not None:
            row, column = row / step.scale[0], column / step.scale[1]
    return row, column
