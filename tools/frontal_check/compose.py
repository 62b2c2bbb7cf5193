"""Batches for training: frontal chests as they come, and everything that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cxrscreen.admission.frontal import NETWORK_KINDS, Kind
from cxrscreen.admission.frontal_network import INPUT_PX
from tools.frontal_check.augment import (
    Window,
    any_window,
    blurred,
    cropped_window,
    overlaid,
    regraded,
    sampled,
    whole_window,
)
from tools.frontal_check.shapes import chance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.frontal_check.sources import Bank

# Images of each recipe in a batch.
_FRONTAL = {"real/pediatric": 17, "real/adult frontal": 8, "phantom/frontal": 1}
_LATERAL = {"real/adult lateral": 5, "phantom/lateral": 1, "drawn/lateral": 2}
_TURNS = {1: Kind.TURNED_LEFT, 2: Kind.UPSIDE_DOWN, 3: Kind.TURNED_RIGHT}
_OF_EACH_TURN, _INVERTED, _CROPPED, _SCRAMBLED, _BODIES, _GRAPHICS, _REAL = 2, 4, 8, 7, 6, 3, 6
_ADULT_SHARE = 0.4


class Composer:
    """Draws batches from a bank.

    Parameters
    ----------
    bank
        Images by group; groups that are absent are left out (for leave-one-kind-out studies).
    seed
        Of all that is random here.
    """

    def __init__(self, bank: Bank, seed: int) -> None:
        self._groups = bank.groups
        self._rng = np.random.default_rng(seed)
        self._bodies = [g for g in bank.groups if g.startswith("body/") or g == "phantom/hand"]
        self._graphics = [g for g in bank.groups if g.startswith("graphics/")]
        frontal = set(_FRONTAL) | set(_LATERAL)
        real = [g for g in bank.groups if g.startswith("real/") and g not in frontal]
        self._real = real or self._graphics
        self._scrambles: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
            self._phases,
            self._patches,
            self._rolled,
            self._mosaic,
            self._tiny,
            self._warped,
            self._blended,
            self._spoiled,
        )

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images, float32 ``[B, S, S]`` in 0..1, and indices into ``NETWORK_KINDS``."""
        parts: list[tuple[torch.Tensor, Kind]] = [
            (self._framed(self._mixed(_FRONTAL)), Kind.FRONTAL),
            (self._laterals(), Kind.LATERAL),
            (1.0 - self._framed(self._chests(_INVERTED)), Kind.INVERTED),
            (self._cropped(), Kind.CROPPED),
        ]
        for turns, kind in _TURNS.items():
            chests = self._framed(self._chests(_OF_EACH_TURN))
            if kind is Kind.UPSIDE_DOWN or chance(self._rng, 0.9):
                parts.append((torch.rot90(chests, turns, (1, 2)), kind))
        other = [self._pick(self._scrambles)(self._chests(1)) for _ in range(_SCRAMBLED)]
        other += [self._anyhow(self._one(self._bodies), tilt=0.6) for _ in range(_BODIES)]
        other += [self._anyhow(self._one(self._graphics)) for _ in range(_GRAPHICS)]
        other += [self._anyhow(self._one(self._real)) for _ in range(_REAL)]
        parts.append((torch.cat(other), Kind.OTHER))
        images = overlaid(regraded(torch.cat([p for p, _ in parts]), self._rng), self._rng)
        labels = [NETWORK_KINDS.index(kind) for part, kind in parts for _ in range(len(part))]
        return images, torch.tensor(labels)

    def _take(self, group: str, count: int) -> torch.Tensor:
        images = self._groups[group]
        rows = self._rng.integers(0, len(images), count)
        return torch.from_numpy(images[rows].astype(np.float32) / np.float32(255.0))

    def _one(self, groups: list[str]) -> torch.Tensor:
        return self._take(groups[int(self._rng.integers(0, len(groups)))], 1)

    def _mixed(self, counts: dict[str, int]) -> torch.Tensor:
        return torch.cat([self._take(g, n) for g, n in counts.items() if g in self._groups])

    def _chests(self, count: int) -> torch.Tensor:
        known = "real/adult frontal" in self._groups
        adults = int(self._rng.binomial(count, _ADULT_SHARE)) if known else 0
        return self._mixed({"real/pediatric": count - adults, "real/adult frontal": adults})

    def _framed(self, images: torch.Tensor) -> torch.Tensor:
        return sampled(images, whole_window(self._rng, len(images)), self._rng)

    def _cropped(self) -> torch.Tensor:
        return sampled(self._chests(_CROPPED), cropped_window(self._rng, _CROPPED), self._rng)

    def _laterals(self) -> torch.Tensor:
        images = self._mixed(_LATERAL)
        window = any_window(self._rng, len(images), tilt=0.3)
        window.half[:] = np.clip(window.half, 0.6, 1.4)
        # The real ones are few: bodies of other shapes are made of them.
        window.warp[:] *= self._rng.choice((1.0, 2.5), len(images))
        seen = sampled(images, window, self._rng)
        return torch.where(torch.rand(len(seen), 1, 1) < 0.06, 1.0 - seen, seen)

    def _anyhow(self, images: torch.Tensor, tilt: float = np.pi) -> torch.Tensor:
        if chance(self._rng, 0.12):
            # Chests are nearly symmetric: symmetry alone must not make one.
            images = (images + images.flip(2)) / 2.0
        if chance(self._rng, 0.1):
            images = (images + self._one(self._real + self._bodies)) / 2.0
        seen = sampled(images, any_window(self._rng, len(images), tilt=tilt), self._rng)
        return 1.0 - seen if chance(self._rng, 0.25) else seen

    def _pick(
        self, choices: tuple[Callable[[torch.Tensor], torch.Tensor], ...]
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        return choices[int(self._rng.integers(0, len(choices)))]

    # What follows makes no chest of a chest.

    def _phases(self, images: torch.Tensor) -> torch.Tensor:
        seen = self._framed(images)
        noise = torch.from_numpy(self._rng.standard_normal(seen.shape, dtype=np.float32))
        phase = torch.angle(torch.fft.rfft2(noise))
        mixed = torch.fft.irfft2(torch.polar(torch.fft.rfft2(seen).abs(), phase))
        low, high = mixed.min(), mixed.max()
        return torch.div(mixed - low, high - low)

    def _patches(self, images: torch.Tensor) -> torch.Tensor:
        seen = self._framed(images)
        cells = int(self._rng.choice((2, 4, 7)))
        size = INPUT_PX // cells
        tiles = seen.reshape(-1, cells, size, cells, size).transpose(2, 3)
        tiles = tiles.reshape(len(seen), cells * cells, size, size)
        order = self._rng.permutation(cells * cells)
        if (order == np.arange(cells * cells)).all():
            order = np.roll(order, 1)
        tiles = tiles[:, torch.from_numpy(order)].reshape(-1, cells, cells, size, size)
        return tiles.transpose(2, 3).reshape(-1, INPUT_PX, INPUT_PX)

    def _rolled(self, images: torch.Tensor) -> torch.Tensor:
        seen = self._framed(images)
        axis = int(self._rng.integers(1, 3))
        return torch.roll(seen, int(self._rng.uniform(0.3, 0.7) * INPUT_PX), axis)

    def _mosaic(self, images: torch.Tensor) -> torch.Tensor:
        both = [self._framed(images), self._framed(self._chests(1))]
        if chance(self._rng, 0.3):
            both[1] = self._anyhow(self._one(self._real))
        joined = torch.cat(both, dim=2 if chance(self._rng, 0.7) else 1)
        if chance(self._rng, 0.3):
            joined = torch.cat([joined, joined.flip(0)], dim=1)
        size = (INPUT_PX, INPUT_PX)
        return functional.interpolate(joined[None], size=size, mode="bilinear", antialias=True)[0]

    def _tiny(self, images: torch.Tensor) -> torch.Tensor:
        half = self._rng.uniform(2.4, 5.0) * np.exp(self._rng.normal(0.0, 0.1, (1, 2)))
        centre = self._rng.uniform(-1.0, 1.0, (1, 2)) * (half - 1.0)
        still = np.zeros(1)
        return sampled(blurred(images), Window(centre, half, still, still), self._rng)

    def _warped(self, images: torch.Tensor) -> torch.Tensor:
        window = whole_window(self._rng, len(images))
        strong = np.full(len(images), self._rng.uniform(0.25, 0.6))
        return sampled(images, Window(window.centre, window.half, window.angle, strong), self._rng)

    def _blended(self, images: torch.Tensor) -> torch.Tensor:
        seen = self._framed(images)
        if chance(self._rng, 0.5):
            second = torch.rot90(
                self._framed(self._chests(1)), 1 + int(self._rng.integers(0, 3)), (1, 2)
            )
        else:
            second = self._anyhow(self._one(self._real + self._bodies))
        share = float(self._rng.uniform(0.45, 0.65))
        return (1.0 - share) * seen + share * second

    def _spoiled(self, images: torch.Tensor) -> torch.Tensor:
        """Burn out, blur beyond recognition, or drown in noise."""
        seen = self._framed(images)
        kind = int(self._rng.integers(0, 3))
        if kind == 0:
            level = torch.quantile(seen, float(self._rng.uniform(0.15, 0.85)))
            return torch.sigmoid((seen - level) * 80.0)
        if kind == 1:
            cells = int(self._rng.integers(2, 7))
            small = functional.adaptive_avg_pool2d(seen[None], cells)
            return functional.interpolate(small, size=seen.shape[-2:], mode="bicubic")[0].clamp(
                0, 1
            )
        noise = torch.from_numpy(self._rng.standard_normal(seen.shape, dtype=np.float32))
        return (0.5 + 0.15 * (seen - 0.5) + 0.3 * noise).clamp(0.0, 1.0)
