"""Take a cue of an image away, or give it that of another: sharpness, grey levels, border.

Pure functions as in ``distortions.py``: float32 ``[1, S, S]`` in 0..1, air dark; none changes its
argument. A cue is what tells the classes of a data set apart without a finding being looked at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

Curve = NDArray[np.float64]

#: Rings of equal width that the spectrum is averaged over, from 0 to half a cycle a pixel.
RINGS: Final = 32
#: Points of a quantile function, from the darkest to the brightest pixel.
LEVELS: Final = 257
#: Sharpness is what is finer than 16 pixels a cycle (0.0625 cycles a pixel). Below 8 px of half a
#: wave lie ribs, vessels and noise; above it heart, lungs and diaphragm, which stay as they are.
_FIRST_RING: Final = 4
#: Over these rings below it, the change sets in.
_RAMP_RINGS: Final = 2
#: A spectrum is changed at most by this factor: noise is not blown up without end.
_LARGEST_GAIN: Final = 3.0
_TINY: Final = 1e-12
_BINS: Final = 1024


def radial_spectrum(image: torch.Tensor) -> Curve:
    """Return how much of an image lies at each fineness.

    The root mean square of the coefficients of the cosine transform in rings of the spatial
    frequency. The cosine transform goes on beyond the edge as a mirror does, so that opposite
    edges that differ do not look like fine detail, as they do to a Fourier transform.

    Returns
    -------
    ndarray
        float64 ``[RINGS]``, natural logarithms; ring ``r`` holds frequencies from
        ``r / (2 * RINGS)`` cycles a pixel on, the last one all above it as well.
    """
    coefficients = fft.dctn(image[0].numpy(), norm="ortho")
    power = _ring_means(np.square(coefficients, dtype=np.float64))
    return 0.5 * np.log(power + _TINY)


def with_spectrum(image: torch.Tensor, spectrum: Curve) -> torch.Tensor:
    """Give an image the fine detail of a spectrum, no more and no less.

    Each coefficient finer than 16 pixels a cycle is scaled by the ratio of the two spectra
    there, at most by three; what is coarser than 32 stays as it is.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    spectrum
        ``[RINGS]``, as :func:`radial_spectrum` gives it.
    """
    coefficients = fft.dctn(image[0].numpy(), norm="ortho")
    own = 0.5 * np.log(_ring_means(np.square(coefficients, dtype=np.float64)) + _TINY)
    limit = np.log(_LARGEST_GAIN)
    onset = np.clip((np.arange(RINGS) - _FIRST_RING) / _RAMP_RINGS + 1.0, 0.0, 1.0)
    gain = np.exp(np.clip(spectrum - own, -limit, limit) * onset)
    place = _rings(*coefficients.shape)[0]
    scaled = coefficients * np.interp(place, np.arange(RINGS) + 0.5, gain).astype(np.float32)
    changed = fft.idctn(scaled, norm="ortho").astype(np.float32)
    return torch.from_numpy(changed)[None].clamp_(0.0, 1.0)


def level_curve(image: torch.Tensor) -> Curve:
    """Return the quantile function of the grey levels: ``[LEVELS]``, rising, in 0..1."""
    values = np.sort(image.numpy(), axis=None).astype(np.float64)
    return np.interp(np.linspace(0, values.size - 1, LEVELS), np.arange(values.size), values)


def with_levels(image: torch.Tensor, curve: Curve) -> torch.Tensor:
    """Give an image the grey levels of a quantile function; the order of its pixels stays.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    curve
        ``[n]``, rising, in 0..1: from the darkest to the brightest pixel that shall be. A line
        from 0 to 1 equalises.
    """
    pixels = image.numpy()
    bins = (pixels * (_BINS - 1) + 0.5).astype(np.int64)
    counts = np.bincount(bins.ravel(), minlength=_BINS)
    # The middle rank of a bin: pixels of one grey stay of one grey.
    ranks = (np.cumsum(counts) - 0.5 * counts) / pixels.size
    table = np.interp(ranks, np.linspace(0.0, 1.0, curve.size), curve)
    changed = np.interp(pixels, np.linspace(0.0, 1.0, _BINS), table).astype(np.float32)
    return torch.from_numpy(changed).clamp_(0.0, 1.0)


def with_range(image: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Stretch the grey levels so that the 5th and the 95th percentile come to lie as asked.

    An image whose two percentiles are equal stays as it is.
    """
    curve = level_curve(image)
    own_low, own_high = (float(curve[round(share * (LEVELS - 1))]) for share in (0.05, 0.95))
    if own_high <= own_low:
        return image
    factor = (high - low) / (own_high - own_low)
    return ((image - own_low) * factor + low).clamp_(0.0, 1.0)


def equalised(image: torch.Tensor) -> torch.Tensor:
    """Spread the grey levels evenly over 0..1."""
    return with_levels(image, np.linspace(0.0, 1.0, 2))


def clahe(image: torch.Tensor, *, clip_limit: float = 2.0, tiles: int = 8) -> torch.Tensor:
    """Equalise in tiles, with limited contrast (CLAHE).

    Zuiderveld, *Graphics Gems IV*, 1994: the histogram of each tile is cut at a limit, what is
    cut is spread over all grey levels, and between the centres of tiles their curves are
    interpolated.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    clip_limit
        Height at which a histogram is cut, in multiples of its mean; at least 1.
    tiles
        Along each side.
    """
    levels = 256
    pixels = image[0].numpy()
    grey = (pixels * (levels - 1) + 0.5).astype(np.int64)
    rows, columns = (np.arange(side) * tiles // side for side in grey.shape)
    tile = rows[:, None] * tiles + columns[None, :]
    counts = np.bincount((tile * levels + grey).ravel(), minlength=tiles * tiles * levels)
    histogram = counts.reshape(tiles * tiles, levels).astype(np.float64)
    size = histogram.sum(axis=1, keepdims=True)
    limit = clip_limit * size / levels
    excess = np.maximum(histogram - limit, 0.0).sum(axis=1, keepdims=True)
    curves = np.cumsum(np.minimum(histogram, limit) + excess / levels, axis=1) / size
    y, x = ((np.arange(side) + 0.5) * tiles / side - 0.5 for side in grey.shape)
    total = np.zeros(grey.shape)
    for tile_y, weight_y in _neighbours(y, tiles):
        for tile_x, weight_x in _neighbours(x, tiles):
            curve = curves[tile_y[:, None] * tiles + tile_x[None, :], grey]
            total += weight_y[:, None] * weight_x[None, :] * curve
    return torch.from_numpy(total.astype(np.float32))[None].clamp_(0.0, 1.0)


def with_frame(image: torch.Tensor, other: torch.Tensor, width: float) -> torch.Tensor:
    """Replace the outer frame by that of another image of the same size.

    Parameters
    ----------
    image, other
        ``[1, S, S]`` in 0..1.
    width
        Of the frame, as a share of the side. Over a fiftieth of the side at its inner edge one
        image fades into the other, so that no line is drawn.
    """
    return torch.lerp(image, other, _frame(image, width))


def without_centre(image: torch.Tensor, width: float, level: float = 0.5) -> torch.Tensor:
    """Leave the outer frame alone and paint one grey level over all within.

    Parameters
    ----------
    image
        ``[1, S, S]`` in 0..1.
    width
        Of the frame, as a share of the side, rounded to whole pixels.
    level
        The same for every image: the mean of what is hidden would tell of it.
    """
    rows, columns = image.shape[-2:]
    y, x = round(width * rows), round(width * columns)
    framed = image.clone()
    framed[..., y : rows - y, x : columns - x] = level
    return framed


def _neighbours(
    place: NDArray[np.float64], tiles: int
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]:
    """Return the tile before and the tile after each place, with their weights."""
    before = np.floor(place).astype(np.int64)
    share = place - before
    return (
        (np.clip(before, 0, tiles - 1), 1.0 - share),
        (np.clip(before + 1, 0, tiles - 1), share),
    )


def _frame(image: torch.Tensor, width: float) -> torch.Tensor:
    """Return ``[S, S]``: 1 in the frame, 0 within, falling over a fiftieth of the side."""
    distances = []
    for side in image.shape[-2:]:
        centres = (torch.arange(side, dtype=image.dtype) + 0.5) / side
        distances.append(torch.minimum(centres, 1.0 - centres))
    nearest = torch.minimum(distances[0][:, None], distances[1][None, :])
    return ((width - nearest) * 50 + 0.5).clamp_(0.0, 1.0)


def _ring_means(power: NDArray[np.float64]) -> NDArray[np.float64]:
    _, ring, sizes = _rings(*power.shape)
    totals = np.bincount(ring.ravel(), weights=power.ravel(), minlength=RINGS)
    means: NDArray[np.float64] = totals / sizes
    return means


@lru_cache(maxsize=4)
def _rings(
    rows: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each coefficient its place among the rings and its ring; the rings' sizes."""
    y, x = (np.arange(side) / side for side in (rows, columns))
    place = np.hypot(y[:, None], x[None, :]) * RINGS
    ring = np.minimum(place.astype(np.int64), RINGS - 1)
    sizes = np.maximum(np.bincount(ring.ravel(), minlength=RINGS), 1).astype(np.float64)
    return place, ring, sizes
