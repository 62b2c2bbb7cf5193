"""From attenuation to a displayed radiograph: scatter, noise, plate reader, grey scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

if TYPE_CHECKING:
    from tools.phantom.solids import Array

# The plate reader cannot tell more than this attenuation from its own offset.
DARKEST_SIGNAL = 2.0e-4
# Blurs wider than this many pixels are taken at a quarter of the resolution.
WIDE = 12.0
# Attenuation above which a pixel belongs to the body.
BODY = 0.5


@dataclass(frozen=True)
class Exposure:
    """How a plate is exposed.

    Attributes
    ----------
    pixel : float
        Pixel side in mm.
    blur : float
        Blur of detector and motion in mm, standard deviation.
    photons : float
        Photons per mm² in free air.
    scatter : float
        Scattered share of the radiation, 0..1.
    """

    pixel: float
    blur: float
    photons: float
    scatter: float


def _wide_blur(plane: Array, sigma: float) -> Array:
    """Blur widely at a quarter of the resolution, which no eye can tell."""
    if sigma < WIDE:
        return np.asarray(gaussian_filter(plane, sigma, mode="nearest"))
    small = gaussian_filter(plane, 2.0, mode="nearest")[::4, ::4]
    small = gaussian_filter(small, sigma / 4.0, mode="nearest")
    factor = tuple(a / b for a, b in zip(plane.shape, small.shape, strict=True))
    return np.asarray(zoom(small, factor, order=1, mode="nearest", grid_mode=True))


def expose(attenuation: Array, exposure: Exposure, rng: np.random.Generator) -> Array:
    """Return the logarithmic signal of a storage plate behind the child.

    Parameters
    ----------
    attenuation : ndarray of float64
        Line integrals, at least 0.
    exposure : Exposure
        Pixel size, blur, dose and scatter.
    rng : numpy.random.Generator
        Source of the quantum noise.

    Returns
    -------
    ndarray of float64
        Apparent attenuation with noise, about 0 in free air.
    """
    pixel = exposure.pixel
    primary = np.exp(-attenuation)
    fog = _wide_blur(np.exp(-1.1 * attenuation), 22.0 / pixel)
    # Scatter comes from tissue, so free air far from the child gets none of it.
    source = _wide_blur(np.minimum(attenuation, 2.0) / 2.0, 14.0 / pixel)
    veil = np.minimum(fog, 0.35) * source * (1.0 - np.exp(-2.0 * attenuation))
    signal = primary + exposure.scatter * veil
    signal = gaussian_filter(signal, max(exposure.blur / pixel, 0.42), mode="nearest")
    deviation = np.sqrt(signal / (exposure.photons * pixel**2))
    # A plate's point spread also correlates its noise a little.
    noise = gaussian_filter(rng.standard_normal(signal.shape), 0.45, mode="nearest") * 1.5
    signal = np.maximum(signal + deviation * noise, DARKEST_SIGNAL)
    return np.asarray(-np.log(signal), dtype=np.float64)


def display(signal: Array, *, pixel: float, latitude: float, level: float, edge: float) -> Array:
    """Map a plate's signal to grey values as a plate reader does.

    Parameters
    ----------
    signal : ndarray of float64
        Apparent attenuation.
    pixel : float
        Pixel side in mm.
    latitude : float
        Span of attenuation shown as grey.
    level : float
        Shift of the middle of the grey scale, in units of attenuation.
    edge : float
        Strength of the edge enhancement.

    Returns
    -------
    ndarray of float64
        Grey values 0..1, air dark; shape of `signal`.
    """
    broad = _wide_blur(signal, 9.0 / pixel)
    fine = gaussian_filter(signal, 1.6 / pixel, mode="nearest")
    covered = 1.0 - np.exp(-np.maximum(broad, 0.0) * 2.0)
    # Multi-frequency processing: thick and thin regions share one scale, borders stand out.
    shaped = signal + covered * edge * (0.55 * (signal - broad) + 0.9 * (signal - fine))
    body = signal[signal > BODY]
    middle = float(np.median(body)) if body.size else 1.0
    scaled = (shaped - middle - level) / latitude
    toe = 1.0 / (1.0 + np.exp(-4.6 * (scaled + 0.0)))
    black = 1.0 / (1.0 + np.exp(4.6 * (middle + level - 0.12) / latitude))
    grey = (toe - black) / (1.0 - black)
    return np.asarray(np.clip(grey * 0.97, 0.0, 1.0), dtype=np.float64)
