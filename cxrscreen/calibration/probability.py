"""From a logit to a probability."""

from __future__ import annotations

import math


def probability_of(logit: float) -> float:
    """Return the logistic of ``logit``: 0..1, without overflow at either end."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)
