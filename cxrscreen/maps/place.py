"""From what the network saw of an image to a map on the radiograph's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cxrscreen.explain import Explainer
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.preprocess import from_resized, to_radiograph


@dataclass(frozen=True, slots=True, eq=False)
class PlacedMap:
    """An activation map twice.

    Attributes
    ----------
    network
        float32 ``[size_px, size_px]`` in 0..1, as :mod:`cxrscreen.explain` makes it.
    radiograph
        The same on the radiograph's own grid: float32 ``[H, W]`` in 0..1.
    """

    network: NDArray[np.float32]
    radiograph: NDArray[np.float32]


class MapMaker:
    """Makes maps with one model.

    Parameters
    ----------
    bundle
        The model. It is left as it is.
    device
        Where to compute; where the network is, if ``None``.
    """

    def __init__(self, bundle: ModelBundle, device: torch.device | None = None) -> None:
        self._spec = bundle.spec
        self._explain = Explainer(bundle.network, bundle.document.network, device=device)

    def __call__(self, pixels: NDArray[np.float32], shape: tuple[int, int]) -> PlacedMap | None:
        """Return the map of an image, ``None`` where nothing raises its score.

        Parameters
        ----------
        pixels
            float32 ``[size_px, size_px]`` in 0..1, resized and not normalised.
        shape
            Rows and columns of the radiograph before that.
        """
        found = self._explain(from_resized(pixels, self._spec))
        if found is None:
            return None
        return PlacedMap(found, to_radiograph(found, shape, self._spec))
