"""Conditions that need to know what is judged: cues of one class given to the other.

A model that judges by a cue does worse where the classes have exchanged it, and no worse where
it judges by the finding. The cues are those of the training part (``reference.py``); of the
judged images nothing but the label is known, which says whose cue is put on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from cxrscreen.training import cues, distortions
from cxrscreen.training.reference import ClassReference, CueReference
from cxrscreen.training.shifts import FRAME_SHARE, Condition

#: One image with the reference, its label, and the number from which it draws an image.
Exchange = Callable[[torch.Tensor, CueReference, int, int], torch.Tensor]

#: A prime, so that neighbours draw images that are no neighbours, and all are drawn in the end.
_STRIDE: Final = 7919


@dataclass(frozen=True, slots=True)
class _OnLabelled:
    """Exchanges in a row, for images of known labels; a class, so that it can be sent."""

    reference: CueReference
    labels: NDArray[np.int64]
    exchanges: tuple[Exchange, ...]
    only: int | None = None

    def __call__(self, image: torch.Tensor, index: int) -> torch.Tensor:
        label = int(self.labels[index])
        if self.only is not None and label != self.only:
            return image
        for exchange in self.exchanges:
            image = exchange(image, self.reference, label, index * _STRIDE)
        return image


def cue_conditions(reference: CueReference, labels: NDArray[np.int64]) -> tuple[Condition, ...]:
    """Return the conditions under which cues are taken away or exchanged.

    Parameters
    ----------
    reference
        Of the training part, resized as the judged images are.
    labels
        ``[N]`` of 0 and 1, of the images that will be judged, in their order.
    """

    def row(name: str, family: str, *exchanges: Exchange, only: int | None = None) -> Condition:
        return Condition(name, family, _OnLabelled(reference, labels, exchanges, only))

    return (
        row("sharpness of the other class", "sharpness", _sharpness),
        row("sharpness beyond the other class", "sharpness", _sharpness_beyond),
        row("sharpness of an image of the other class", "sharpness", _sharpness_of_one),
        row("sharpness in common", "sharpness", _sharpness_in_common),
        row("grey levels of the other class", "levels", _levels),
        row("grey levels of an image of the other class", "levels", _levels_of_one),
        row("grey levels in common", "levels", _levels_in_common),
        row("percentiles 5 and 95 of the other class", "levels", _range),
        row("frame of the other class, 8%", "frame", partial(_frame, width=FRAME_SHARE)),
        row("frame of the other class, 12%", "frame", partial(_frame, width=0.12)),
        row("sharpness and levels of the other class", "cues", _sharpness_and_levels),
        row(
            "normal images with sharpness and levels of pneumonia",
            "cues",
            _sharpness_and_levels,
            only=0,
        ),
        row(
            "sharpness, levels and frame of the other class",
            "cues",
            partial(_frame, width=FRAME_SHARE),
            _sharpness_and_levels,
        ),
        row(
            "sharpness and levels of the other class, resolution 128 px, JPEG 50",
            "cues",
            _sharpness_and_levels,
            _exported,
        ),
    )


def _other(reference: CueReference, label: int) -> ClassReference:
    return reference.of(1 - label)


def _sharpness(image: torch.Tensor, reference: CueReference, label: int, _: int) -> torch.Tensor:
    return cues.with_spectrum(image, _moved(image, reference, label, 1.0))


def _sharpness_beyond(
    image: torch.Tensor, reference: CueReference, label: int, _: int
) -> torch.Tensor:
    return cues.with_spectrum(image, _moved(image, reference, label, 2.0))


def _moved(
    image: torch.Tensor, reference: CueReference, label: int, share: float
) -> NDArray[np.float64]:
    """Return the image's own spectrum, moved by the difference of the classes.

    What single images have beyond their class stays: one spectrum for all would be a cue too.
    """
    difference = _other(reference, label).spectrum - reference.of(label).spectrum
    return cues.radial_spectrum(image) + share * difference


def _sharpness_of_one(
    image: torch.Tensor, reference: CueReference, label: int, draw: int
) -> torch.Tensor:
    spectra = _other(reference, label).spectra
    return cues.with_spectrum(image, spectra[draw % len(spectra)])


def _sharpness_in_common(
    image: torch.Tensor, reference: CueReference, _label: int, _: int
) -> torch.Tensor:
    return cues.with_spectrum(image, reference.spectrum)


def _levels(image: torch.Tensor, reference: CueReference, label: int, _: int) -> torch.Tensor:
    return cues.with_levels(image, _other(reference, label).level)


def _levels_of_one(
    image: torch.Tensor, reference: CueReference, label: int, draw: int
) -> torch.Tensor:
    levels = _other(reference, label).levels
    return cues.with_levels(image, levels[draw % len(levels)])


def _levels_in_common(
    image: torch.Tensor, reference: CueReference, _label: int, _: int
) -> torch.Tensor:
    return cues.with_levels(image, reference.level)


def _sharpness_and_levels(
    image: torch.Tensor, reference: CueReference, label: int, draw: int
) -> torch.Tensor:
    # The levels first: they stretch fine detail with all the rest, which then becomes as it
    # shall be.
    wanted = _moved(image, reference, label, 1.0)
    return cues.with_spectrum(_levels(image, reference, label, draw), wanted)


def _range(image: torch.Tensor, reference: CueReference, label: int, _: int) -> torch.Tensor:
    return cues.with_range(image, *_other(reference, label).range)


def _frame(
    image: torch.Tensor, reference: CueReference, label: int, draw: int, *, width: float
) -> torch.Tensor:
    return cues.with_frame(image, _other(reference, label).image(draw), width)


def _exported(image: torch.Tensor, _reference: CueReference, _label: int, _: int) -> torch.Tensor:
    return distortions.jpeg(distortions.resolution(image, 128), 50)
