"""The one table of the pixel chain: what becomes of every stored value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscreen.records import ChainStep

Values = NDArray[np.float64]

# Lookups by parts stay in the cache of the processor: NumPy widens every index to 64 bits.
_PART: Final = 1 << 17
# Below the precision of the pixels.
_SAME: Final = 1e-9
_PRECISE: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    detail: str
    values: Values


class ChainTable:
    """Output value of every stored value, under construction.

    Attributes
    ----------
    values
        float64, one for each value that the bits can hold, lowest first.
    bottom
        The stored value that ``values`` begins with.
    lowest, highest
        The least and the largest stored value that the image holds.
    warnings
        What had to be assumed.

    Parameters
    ----------
    stored
        Integers of 8 or 16 bits.
    bits, signed
        What the header says they are.
    """

    def __init__(self, stored: NDArray[np.integer], *, bits: int, signed: bool) -> None:
        self.bits, self.signed = bits, signed
        self.bottom = -(1 << (bits - 1)) if signed else 0
        self.lowest, self.highest = int(stored.min()), int(stored.max())
        self.values: Values = np.arange(self.bottom, self.bottom + (1 << bits), dtype=np.float64)
        self.warnings: list[str] = []
        self._steps = [_Step("stored values", "", self.values)]

    def holds(self, low: int, high: int) -> bool:
        """Return whether any stored value of the image may lie in a range."""
        return low <= self.highest and high >= self.lowest

    @property
    def is_untouched(self) -> bool:
        """Whether no step has been applied."""
        return len(self._steps) == 1

    def apply(self, name: str, detail: str, values: Values) -> None:
        """Add a step: its name, what it did, and the value of every stored value after it."""
        self.values = values
        self._steps.append(_Step(name, detail, values))

    def at(self, stored: int) -> float:
        """Return the value of one stored value, or of the nearest that the bits can hold."""
        position = min(max(stored - self.bottom, 0), self.values.size - 1)
        return float(self.values[position])

    def look_up(self, stored: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the image: float32 in 0..1, values outside clipped."""
        table = np.clip(self.values, 0.0, 1.0)
        line = _line(self.values, table)
        if line is not None:
            slope, at_bottom = line
            intercept = at_bottom - slope * self.bottom
            largest = max(abs(self.bottom), self.values.size) * abs(slope)
            # Beyond, single precision would show: a narrow window far from zero.
            if max(largest, abs(intercept)) <= _PRECISE:
                return _along(stored, slope, intercept)
        return _look_up(stored, table, bits=self.bits, signed=self.signed)

    def history(self, stored: NDArray[np.integer] | None) -> tuple[ChainStep, ...]:
        """Return the steps; with stored values, each with the image after it."""
        steps = []
        for step in self._steps:
            held = step.values[self.lowest - self.bottom : self.highest - self.bottom + 1]
            low, high = float(held.min()), float(held.max())
            pixels = None
            if stored is not None:
                shown = np.clip((step.values - low) / (high - low or 1.0), 0.0, 1.0)
                pixels = _look_up(stored, shown, bits=self.bits, signed=self.signed)
            steps.append(ChainStep(step.name, step.detail, low, high, pixels))
        return tuple(steps)


def _line(values: Values, table: Values) -> tuple[float, float] | None:
    """Return slope and intercept of a table that is a clipped straight line, else ``None``.

    Most are, of a linear rescale and a linear window, and a line takes half of the time.
    """
    inside = np.flatnonzero((values > 0.0) & (values < 1.0))
    if inside.size < 2:  # noqa: PLR2004 - a line needs two points
        return None
    first, last = int(inside[0]), int(inside[-1])
    if first == last:
        return None
    slope = float(values[last] - values[first]) / (last - first)
    intercept = float(values[first]) - slope * first
    line = np.clip(slope * np.arange(table.size) + intercept, 0.0, 1.0)
    return (slope, intercept) if np.abs(line - table).max() <= _SAME else None


def _along(stored: NDArray[np.integer], slope: float, intercept: float) -> NDArray[np.float32]:
    """Return ``slope * stored + intercept``, clipped to 0..1."""
    flat = np.ascontiguousarray(stored).ravel()
    pixels = np.empty(flat.size, dtype=np.float32)
    for start in range(0, flat.size, _PART):
        part = pixels[start : start + _PART]
        np.multiply(flat[start : start + _PART], np.float32(slope), out=part, dtype=np.float32)
        part += np.float32(intercept)
        np.clip(part, 0.0, 1.0, out=part)
    return pixels.reshape(stored.shape)


def _look_up(
    stored: NDArray[np.integer], values: Values, *, bits: int, signed: bool
) -> NDArray[np.float32]:
    table = values.astype(np.float32)
    width = 8 * stored.dtype.itemsize
    if signed:
        # Negative values come behind the others when their words are read as unsigned.
        half = 1 << (bits - 1)
        words = np.zeros(1 << width, dtype=np.float32)
        words[:half], words[-half:] = table[half:], table[:half]
        table = words
    index = np.ascontiguousarray(stored).view(f"u{stored.dtype.itemsize}").ravel()
    pixels = np.empty(index.size, dtype=np.float32)
    for start in range(0, index.size, _PART):
        part = slice(start, start + _PART)
        # The words were brought into range with the stored values: "clip" only saves a check.
        np.take(table, index[part], out=pixels[part], mode="clip")
    return pixels.reshape(stored.shape)
