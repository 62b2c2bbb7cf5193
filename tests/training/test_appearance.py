"""Grey levels and sharpness that images lend one another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from cxrscreen.training.appearance import (
    appearance,
    appearances,
    grey_levels_of,
    sharpness_of,
)
from cxrscreen.training.distortions import blur

SIDE = 96


def noise(seed: int) -> torch.Tensor:
    return torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def picture(seed: int = 0) -> torch.Tensor:
    """Return an image with structure at every scale, away from black and white."""
    return sum(blur(noise(seed + k), 2.0**k) for k in range(4)) / 8 + 0.25


def test_the_grey_levels_become_those_of_the_donor():
    image, donor = picture(), picture(9) ** 3
    moved = grey_levels_of(image, appearance(donor), 1.0)
    before = ks_2samp(image.flatten(), donor.flatten()).statistic
    after = ks_2samp(moved.flatten(), donor.flatten()).statistic
    assert before > 0.5
    assert after < 0.03


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), power=st.floats(0.3, 3.0))
def test_the_order_of_grey_levels_stays(seed, power):
    image = picture(seed)
    moved = grey_levels_of(image, appearance(picture(seed + 1) ** power), 1.0)
    order = image.flatten().argsort()
    assert float(moved.flatten()[order].diff().min()) >= -1e-6


def test_an_image_of_one_grey_becomes_another_one():
    flat = torch.full((1, SIDE, SIDE), 0.3)
    moved = grey_levels_of(flat, appearance(picture()), 1.0)
    assert float(moved.min()) == float(moved.max())
    assert 0 <= float(moved.max()) <= 1


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_the_sharpness_becomes_that_of_the_donor(sigma):
    sharp, soft = picture(), blur(picture(5), sigma)
    for image, donor in ((sharp, soft), (soft, sharp)):
        own, wanted = appearance(image).spectrum, appearance(donor).spectrum
        moved = appearance(sharpness_of(image, appearance(donor), 1.0)).spectrum
        # An octave above the lowest frequency, as far as the limit of the gain lets it.
        reached = np.clip(wanted / own, 0.25, 4.0)[17:] * own[17:]
        assert moved[17:] == pytest.approx(reached, rel=0.02)


def test_the_anatomy_stays_where_it_is():
    image = picture()
    moved = sharpness_of(image, appearance(blur(picture(5), 3.0)), 1.0)
    coarse = blur(image, 8.0) - blur(moved, 8.0)
    assert float(coarse.abs().max()) < 0.02
    assert float(moved.mean()) == pytest.approx(float(image.mean()), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.0))
def test_range_shape_and_argument_are_kept(seed, share):
    image, before = noise(seed), noise(seed)
    for exchange in (grey_levels_of, sharpness_of):
        result = exchange(image, appearance(noise(seed + 1) ** 2), share)
        assert result.dtype == torch.float32
        assert result.shape == image.shape
        assert 0 <= float(result.min()) <= float(result.max()) <= 1
        assert torch.equal(image, before)


def test_a_share_of_nothing_and_ones_own_appearance_change_nothing():
    image = picture()
    other, own = appearances([picture(3), image])
    for exchange in (grey_levels_of, sharpness_of):
        assert torch.allclose(exchange(image, other, 0.0), image, atol=1e-5)
    assert torch.allclose(sharpness_of(image, own, 1.0), image, atol=1e-5)
    assert torch.allclose(grey_levels_of(image, own, 1.0), image, atol=0.02)


def test_an_appearance_is_its_ranks_and_its_spectrum():
    image = picture()
    taken = appearance(image)
    ordered = np.sort(image.numpy(), axis=None)
    assert taken.quantiles[[0, 32, 64]] == pytest.approx(
        [ordered[0], ordered[round((len(ordered) - 1) / 2)], ordered[-1]], abs=1e-6
    )
    amplitude = np.abs(np.fft.fft2(image[0].numpy(), norm="ortho"))
    assert taken.spectrum[0] == pytest.approx(amplitude[0, 0], rel=1e-5)
