"""What the journal tells of images that are looked at once more."""

from __future__ import annotations

from dataclasses import dataclass

from cxrscreen.records import Prediction
from cxrscreen.vocabulary import Decision


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image that has a decision, to be looked at once more.

    Attributes
    ----------
    number
        Of its row, from 0.
    place, frame
        Of its input in the frozen list, from 0; of the frame, from 1, or 0 for a single one.
    decision, prediction
        What was decided, and on what.
    pixels
        Hash of what the network saw.
    """

    number: int
    place: int
    frame: int
    decision: Decision
    prediction: Prediction
    pixels: bytes
