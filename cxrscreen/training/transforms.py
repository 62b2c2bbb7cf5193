"""MONAI transforms: from a labelled image to the network's input.

``LoadRadiographd`` and ``ResizeRadiographd`` are deterministic and cached, the random
transforms of ``augment.py`` follow, ``NormaliseRadiographd`` closes. Without augmentation
the result is what :func:`cxrscreen.preprocess.to_tensor` gives in screening.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config.type_definitions import KeysCollection
from monai.transforms.transform import MapTransform

from cxrscreen import intake, preprocess
from cxrscreen.errors import DatasetError, ImageRefusedError
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import Source

Sample = Mapping[Hashable, Any]


class LoadRadiographd(MapTransform):
    """Replace a path by the radiograph's pixels, float32 ``[H, W]`` in 0..1, air dark."""

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Sample) -> dict[Hashable, Any]:
        """Read through the same intake as screening.

        Raises
        ------
        DatasetError
            The image cannot be read.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            path = Path(sample[key])
            try:
                sample[key] = intake.open_image(Source(path)).read_pixels().pixels
            except ImageRefusedError as error:
                message = f"{path}: {error.reason}"
                hint = "Remove the file from the training data, or replace it."
                raise DatasetError(message, hint=hint) from error
        return sample


class _PreprocessStep(MapTransform):
    """One function of ``preprocess.py`` with the specification of the bundle."""

    function: Callable[[Any, PreprocessSpec], torch.Tensor]

    def __init__(self, keys: KeysCollection, spec: PreprocessSpec) -> None:
        super().__init__(keys)
        self.spec = spec

    def __call__(self, data: Sample) -> dict[Hashable, Any]:
        """Replace each key's value by what the function makes of it."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.function(sample[key], self.spec)
        return sample


class ResizeRadiographd(_PreprocessStep):
    """Resample pixels to the network's square: ``[H, W]`` to ``[1, S, S]``."""

    function = staticmethod(preprocess.resize)


class NormaliseRadiographd(_PreprocessStep):
    """Normalise and copy to the network's channels: ``[1, S, S]`` to ``[C, S, S]``."""

    function = staticmethod(preprocess.normalise)
