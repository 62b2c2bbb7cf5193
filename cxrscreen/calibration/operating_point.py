"""From a probability to a decision, at a point that belongs to this very model."""

from __future__ import annotations

from cxrscreen.errors import FingerprintMismatchError
from cxrscreen.records import OperatingPoint
from cxrscreen.vocabulary import Decision


def decide(probability: float, point: OperatingPoint) -> Decision:
    """Return ``POSITIVE`` at or above the threshold, else ``NEGATIVE``."""
    return Decision.POSITIVE if probability >= point.threshold else Decision.NEGATIVE


def require_fingerprints(
    point: OperatingPoint, *, model: str, preprocessing: str, engine: str
) -> None:
    """Refuse an operating point of another model, preprocessing or engine.

    Raises
    ------
    FingerprintMismatchError
        Any of the three differs; the message names each.
    """
    differing = [
        name
        for name, ours, theirs in (
            ("model", model, point.model),
            ("preprocessing", preprocessing, point.preprocessing),
            ("engine", engine, point.engine),
        )
        if ours != theirs
    ]
    if differing:
        message = f"operating point {point.name} was fitted with another {', '.join(differing)}"
        raise FingerprintMismatchError(message, hint="Calibrate again with this bundle.")
