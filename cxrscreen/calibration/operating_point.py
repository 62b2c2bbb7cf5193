"""From a logit to a decision, at a point that belongs to this very model."""

from __future__ import annotations

from cxrscreen.errors import FingerprintMismatchError
from cxrscreen.records import OperatingPoint
from cxrscreen.vocabulary import Decision


def decide(logit: float, point: OperatingPoint) -> Decision:
    """Return ``POSITIVE`` at or above the point's score, else ``NEGATIVE``.

    Of a point with two thresholds, ``INDETERMINATE`` from the lower one on. The logit decides
    and not the probability: what turns one into the other may change without the decision.
    """
    if logit >= point.score:
        return Decision.POSITIVE
    if point.lower_score is not None and logit >= point.lower_score:
        return Decision.INDETERMINATE
    return Decision.NEGATIVE


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
        hint = "Calibrate again with this bundle."
        if differing == ["engine"]:
            message += f", {point.engine}"
            hint = f"Give --engine {point.engine}, or calibrate again on {engine}."
        raise FingerprintMismatchError(message, hint=hint)
