"""Distortions against scipy, Pillow, torch and formulas."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from cxrscreen.training import distortions
from cxrscreen.training.distortions import Warp
from cxrscreen.training.shifts import CONDITIONS, DIAGNOSTICS

SIDE = 48


def picture(seed: int = 0, side: int = SIDE) -> torch.Tensor:
    """A smooth image with both ends of the range in it."""
    rough = torch.rand(1, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    smooth = functional.interpolate(rough, size=(side, side), mode="bicubic")[0]
    return ((smooth - smooth.min()) / (smooth.max() - smooth.min())).contiguous()


shares = st.floats(0.0, 0.3)
WARPS = st.builds(
    Warp,
    rotation_degrees=st.floats(-45, 45),
    zoom=st.tuples(st.floats(0.5, 1.5), st.floats(0.5, 1.5)),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    flip=st.booleans(),
    crop=st.tuples(shares, shares, shares, shares),
)
CALLS = st.one_of(
    st.tuples(st.just(distortions.warp), st.tuples(WARPS)),
    st.tuples(st.just(distortions.border_crop), st.tuples(shares, shares, shares, shares)),
    st.tuples(st.just(distortions.gamma), st.tuples(st.floats(0.1, 5))),
    st.tuples(st.just(distortions.contrast), st.tuples(st.floats(0.1, 5))),
    st.tuples(st.just(distortions.brightness), st.tuples(st.floats(-1, 1))),
    st.tuples(st.just(distortions.blur), st.tuples(st.floats(0, 20))),
    st.tuples(st.just(distortions.unsharp), st.tuples(st.floats(0.1, 5), st.floats(0, 4))),
    st.tuples(st.just(distortions.resolution), st.tuples(st.integers(1, 2 * SIDE))),
    st.tuples(st.just(distortions.jpeg), st.tuples(st.integers(1, 95))),
    st.tuples(
        st.just(distortions.border_erase),
        st.tuples(st.floats(0, 0.4), st.sampled_from(["air", "mean"])),
    ),
)


@settings(max_examples=150, deadline=None)
@given(call=CALLS, seed=st.integers(0, 20))
def test_shape_and_range_are_kept_and_the_argument_too(call, seed):
    distort, strength = call
    image = picture(seed)
    before = image.clone()
    result = distort(image, *strength)
    assert result.shape == image.shape
    assert result.dtype == torch.float32
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(image, before)
    assert torch.equal(result, distort(image, *strength))


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("warp", (Warp(),)),
        ("border_crop", (0.0, 0.0, 0.0, 0.0)),
        ("gamma", (1.0,)),
        ("contrast", (1.0,)),
        ("brightness", (0.0,)),
        ("blur", (0.0,)),
        ("unsharp", (1.0, 0.0)),
        ("resolution", (SIDE,)),
        ("border_erase", (0.0,)),
        ("noise", (0.0, torch.Generator())),
    ],
)
def test_no_strength_changes_nothing(name, strength):
    image = picture()
    assert torch.equal(getattr(distortions, name)(image, *strength), image)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 1.5, 4.0, 20.0])
def test_blur_is_that_of_scipy(sigma):
    image = picture()
    expected = ndimage.gaussian_filter(image[0].numpy(), sigma, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(distortions.blur(image, sigma)[0], expected, atol=1e-5)


@pytest.mark.parametrize("quality", [5, 30, 90])
def test_jpeg_is_that_of_pillow(quality):
    image, stream = picture(), io.BytesIO()
    grey = np.rint(image[0].numpy() * 255).astype(np.uint8)
    Image.fromarray(grey).save(stream, "JPEG", quality=quality)
    expected = np.asarray(Image.open(stream)) / 255
    np.testing.assert_allclose(distortions.jpeg(image, quality)[0], expected, atol=1e-7)


@given(exponent=st.floats(0.2, 4), factor=st.floats(0.2, 4), offset=st.floats(-1, 1))
@settings(max_examples=25, deadline=None)
def test_grey_levels_by_formula(exponent, factor, offset):
    image = picture(3)
    x = image.numpy().astype(np.float64)
    mean = x.mean()
    np.testing.assert_allclose(distortions.gamma(image, exponent), x**exponent, atol=2e-6)
    np.testing.assert_allclose(
        distortions.contrast(image, factor), np.clip(mean + factor * (x - mean), 0, 1), atol=2e-6
    )
    np.testing.assert_allclose(
        distortions.brightness(image, offset), np.clip(x + offset, 0, 1), atol=1e-6
    )


def test_resolution_is_pillows_reduction_enlarged_again():
    image = picture()
    small = Image.fromarray(image[0].numpy()).resize((17, 17), Image.Resampling.BILINEAR)
    expected = small.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(distortions.resolution(image, 17)[0], expected, atol=1e-5)


def test_border_crop_is_pillows_box():
    image = picture()
    expected = Image.fromarray(image[0].numpy()[5:38, 12:24]).resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR
    )
    result = distortions.border_crop(image, 12 / SIDE, 24 / SIDE, 5 / SIDE, 10 / SIDE)
    np.testing.assert_allclose(result[0], expected, atol=1e-5)


def test_a_crop_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="leaves nothing"):
        distortions.border_crop(picture(), 0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize("fill", ["air", "mean"])
def test_the_erased_frame_is_flat_and_the_rest_untouched(fill):
    image = picture()
    result = distortions.border_erase(image, 0.25, fill)
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[12:36, 12:36] = True
    assert torch.equal(result[0, inside], image[0, inside])
    value = float(image.mean()) if fill == "mean" else 0.0
    assert result[0, ~inside].unique().tolist() == pytest.approx([value])


def test_noise_has_its_deviation_and_its_seed():
    image = torch.full((1, 200, 200), 0.5)
    first, again, other = (
        distortions.noise(image, 0.05, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float((first - image).std()) == pytest.approx(0.05, rel=0.02)


@settings(max_examples=50, deadline=None)
@given(change=WARPS, seed=st.integers(0, 20))
def test_a_warp_is_that_of_affine_grid_and_grid_sample(change, seed):
    image = picture(seed)
    left, right, top, bottom = (round(share * SIDE) for share in change.crop)
    cropped = image[:, top : SIDE - bottom, left : SIDE - right]
    if change.flip:
        cropped = cropped.flip(-1)
    matrix = torch.tensor([distortions.inverse_map(change)])
    grid = functional.affine_grid(matrix, (1, 1, SIDE, SIDE), align_corners=False)
    expected = functional.grid_sample(
        cropped[None], grid, padding_mode="zeros", align_corners=False
    )
    torch.testing.assert_close(distortions.warp(image, change), expected[0], atol=2e-4, rtol=0)


def test_a_flip_is_exactly_left_to_right():
    image = torch.arange(16.0).reshape(1, 4, 4) / 16
    assert torch.equal(distortions.warp(image, Warp(flip=True)), image.flip(-1))


def test_one_resampling_is_the_composition_in_the_order_that_is_promised():
    image = picture(side=128)
    change = Warp(
        rotation_degrees=10, zoom=(1.2, 1.1), shift=(0.05, -0.03), flip=True, crop=(0.1, 0, 0, 0.05)
    )
    stepwise = distortions.border_crop(image, *change.crop)
    for single in (
        Warp(flip=True),
        Warp(zoom=change.zoom),
        Warp(rotation_degrees=10),
        Warp(shift=change.shift),
    ):
        stepwise = distortions.warp(stepwise, single)
    # Away from the border, which each resampling mixes with the air around it.
    inside = (..., slice(24, -24), slice(24, -24))
    once = distortions.warp(image, change)
    torch.testing.assert_close(once[inside], stepwise[inside], atol=0.02, rtol=0)
    other_order = distortions.warp(distortions.warp(image, Warp(shift=change.shift)), change)
    assert not torch.allclose(once[inside], other_order[inside], atol=0.05)


def test_signs_of_the_geometry():
    image = torch.zeros(1, 41, 41)
    image[0, 20, 30] = 1.0

    def spot(change: Warp) -> tuple[int, int]:
        row, column = divmod(int(distortions.warp(image, change).argmax()), 41)
        return row, column

    assert spot(Warp(rotation_degrees=90)) == (10, 20)
    assert spot(Warp(shift=(5 / 41, 3 / 41))) == (23, 35)
    assert spot(Warp(zoom=(1.5, 1.0))) == (20, 35)
    assert spot(Warp(flip=True)) == (20, 10)


def test_what_is_cropped_does_not_come_back_when_the_image_shrinks():
    image = torch.full((1, 40, 40), 0.25)
    image[:, :4], image[:, -4:], image[..., :4], image[..., -4:] = 1.0, 1.0, 1.0, 1.0
    change = Warp(rotation_degrees=30, zoom=(0.6, 0.6), crop=(0.1, 0.1, 0.1, 0.1))
    assert float(distortions.warp(image, change).max()) == pytest.approx(0.25)


def test_the_conditions_are_named_once_and_change_what_they_say():
    every = (*CONDITIONS, *DIAGNOSTICS)
    assert len({condition.name for condition in every}) == len(every)
    image = picture(side=224)
    for condition in every:
        result = pickle.loads(pickle.dumps(condition)).distort(image, 3)  # noqa: S301 - our own
        assert result.shape == image.shape
        assert 0 <= float(result.min()) <= float(result.max()) <= 1
        assert torch.equal(result, condition.distort(image, 3))
        assert torch.equal(result, image) == (condition.family == "clean")


def test_noise_of_the_conditions_differs_between_images():
    image = picture()
    noisy = [condition for condition in CONDITIONS if condition.family == "noise"]
    assert len(noisy) == 2
    for condition in noisy:
        assert not torch.equal(condition.distort(image, 0), condition.distort(image, 1))
