"""A radiograph under an activation map: the stronger a place, the less of the image shows."""

from __future__ import annotations

from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

_COLOURS: Final = "plasma"
#: Of the colour of a place, at most: the image stays visible under it.
_OPACITY: Final = 0.6
#: The grey of lungs, on which colours of a legend look as they do in the images.
_LUNG_GREY: Final = 0.4


def overlay(pixels: NDArray[np.float32], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a map over a radiograph.

    Parameters
    ----------
    pixels
        float32 ``[h, w]`` in 0..1.
    activation
        float32 ``[h, w]`` in 0..1; where it is 0, the radiograph is left as it is.

    Returns
    -------
    ndarray
        uint8 ``[h, w, 3]``.
    """
    colours = mpl.colormaps[_COLOURS](activation)[..., :3].astype(np.float32)
    opacity = np.float32(_OPACITY) * activation[..., None]
    mixed = (1 - opacity) * pixels[..., None] + opacity * colours
    painted: NDArray[np.uint8] = np.rint(255 * mixed).astype(np.uint8)
    return painted


def colour_scale(steps: int) -> NDArray[np.uint8]:
    """Return the colours from 0 to 1, as they look over the grey of lungs: uint8 ``[steps, 3]``."""
    values = np.linspace(0.0, 1.0, steps, dtype=np.float32)[None]
    painted: NDArray[np.uint8] = overlay(np.full_like(values, _LUNG_GREY), values)[0]
    return painted
