"""Numbers as pages and pictures write them."""

from __future__ import annotations

from typing import Final

#: A probability that would be rounded to 0 or 1.
_TINY: Final = 0.0005


def probability_text(value: float) -> str:
    """Return a probability with three decimals, none of which says that something is certain."""
    if 0.0 < value < _TINY:
        return "< 0.001"
    if 1.0 - _TINY < value < 1.0:
        return "> 0.999"
    return f"{value:.3f}"
