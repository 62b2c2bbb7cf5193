from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from cxrscreen.preprocess import (
    Fit,
    GreyLevels,
    PreprocessSpec,
    normalise,
    resize,
    to_radiograph,
    to_tensor,
)

SPEC = PreprocessSpec()


@settings(max_examples=40, deadline=None)
@given(
    pixels=npst.arrays(
        np.float32,
        npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=60),
        elements=st.floats(0, 1, width=32),
    ),
    fit=st.sampled_from(Fit),
)
def test_any_radiograph_becomes_the_networks_square(pixels, fit):
    spec = PreprocessSpec(size_px=32, fit=fit)
    square = resize(pixels, spec)
    assert square.shape == (1, 32, 32)
    assert 0 <= float(square.min()) <= float(square.max()) <= 1
    tensor = to_tensor(pixels, spec)
    assert tensor.shape == (3, 32, 32)
    torch.testing.assert_close(tensor[0], (square[0] - 0.5) / 0.25)
    torch.testing.assert_close(tensor[0], tensor[2])


def test_resampling_agrees_with_pillow(chest):
    pixels = chest.astype(np.float32)
    ours = resize(pixels, SPEC)[0].numpy()
    pillow = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, pillow, atol=2e-3)


def test_an_image_of_the_right_size_is_left_alone(chest):
    pixels = resize(chest.astype(np.float32), SPEC)[0].numpy()
    np.testing.assert_array_equal(resize(pixels, SPEC)[0].numpy(), pixels)


def test_padding_keeps_the_aspect_ratio_and_fills_with_air():
    square = resize(np.ones((100, 50), dtype=np.float32), PreprocessSpec(fit=Fit.PAD))[0]
    assert float(square[:, :50].max()) == 0
    assert float(square[:, -50:].max()) == 0
    assert float(square[:, 60:160].min()) == 1


def test_the_input_is_not_written_to(chest):
    pixels = chest.astype(np.float32)
    before = pixels.copy()
    normalise(resize(pixels, SPEC), SPEC)
    np.testing.assert_array_equal(pixels, before)


SQUARES = npst.arrays(np.float32, (24, 24), elements=st.floats(0, 1, width=16))


def levels_of(pixels, grey_levels):
    spec = PreprocessSpec(size_px=24, mean=0.0, std=1.0, channels=1, grey_levels=grey_levels)
    return normalise(torch.from_numpy(pixels)[None], spec)[0]


@settings(max_examples=60, deadline=None)
@given(pixels=SQUARES, levels=st.sampled_from(GreyLevels))
def test_grey_levels_keep_their_order_and_their_range(pixels, levels):
    result = levels_of(pixels, levels)
    assert result.min() >= 0
    assert result.max() <= 1
    order = torch.from_numpy(pixels).flatten().argsort()
    assert (result.flatten()[order].diff() >= -1e-6).all()


@settings(max_examples=60, deadline=None)
@given(
    pixels=npst.arrays(np.float32, (24, 24), elements=st.integers(0, 255).map(lambda v: v / 255)),
    gamma=st.floats(0.6, 1.6),
)
def test_equalised_levels_are_the_ranks_whatever_the_curve(pixels, gamma):
    # Each grey level must keep one of its own among the counted steps: not where a curve with a
    # gamma of more than 1 is flat.
    bent = (0.2 + 0.8 * pixels) ** np.float32(gamma)
    before, after = (levels_of(image, GreyLevels.EQUALISE) for image in (pixels, bent))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_stretched_levels_do_not_know_window_and_centre(chest):
    pixels = resize(chest.astype(np.float32), SPEC)
    spec = PreprocessSpec(grey_levels=GreyLevels.PERCENTILES)
    faint = 0.3 + 0.4 * pixels
    torch.testing.assert_close(normalise(pixels, spec), normalise(faint, spec), atol=0.02, rtol=0)


def test_levels_are_counted_without_the_border(chest):
    pixels = resize(chest.astype(np.float32), SPEC)
    framed = pixels.clone()
    framed[:, :20] = 1.0
    for levels in GreyLevels:
        spec = PreprocessSpec(grey_levels=levels)
        torch.testing.assert_close(
            normalise(pixels, spec)[:, 30:], normalise(framed, spec)[:, 30:], atol=0, rtol=0
        )


def test_equalised_levels_are_spread_evenly(chest):
    pixels = resize(chest.astype(np.float32), SPEC)
    middle = normalise(pixels, PreprocessSpec(grey_levels=GreyLevels.EQUALISE, mean=0, std=1))
    shares = torch.quantile(middle[0, 22:-22, 22:-22].flatten(), torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.5, 0.75]), atol=0.02, rtol=0)


def blob(shape, centre, widths):
    rows, columns = (
        np.exp(-0.5 * ((np.arange(size) - place) / width) ** 2)
        for size, place, width in zip(shape, centre, widths, strict=True)
    )
    return (rows[:, None] * columns[None, :]).astype(np.float32)


def centre_of(values):
    weights = values.astype(np.float64)
    total = weights.sum()
    return tuple(
        float((weights.sum(axis=1 - axis) * np.arange(size)).sum() / total)
        for axis, size in enumerate(values.shape)
    )


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(8, 500),
    width=st.integers(8, 500),
    size_px=st.integers(16, 96),
    fit=st.sampled_from(Fit),
    down=st.floats(0.3, 0.7),
    across=st.floats(0.3, 0.7),
)
def test_what_lies_at_a_place_of_the_radiograph_comes_back_there(
    height, width, size_px, fit, down, across
):
    """To within a pixel of the network's grid, in either direction by itself."""
    spec, shape = PreprocessSpec(size_px=size_px, fit=fit), (height, width)
    sides = shape if fit is Fit.STRETCH else (max(shape),) * 2
    networks_px = [side / size_px for side in sides]
    centre = (down * (height - 1), across * (width - 1))
    widths = [max(pitch, 0.06 * size) for pitch, size in zip(networks_px, shape, strict=True)]
    original = blob(shape, centre, widths)
    back = to_radiograph(resize(original, spec)[0].numpy(), shape, spec)
    assert back.shape == shape
    assert back.dtype == np.float32
    for found, meant, pitch in zip(centre_of(back), centre_of(original), networks_px, strict=True):
        assert abs(found - meant) < max(pitch, 0.5)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("shape", [(200, 260), (260, 200), (40, 50), (64, 64), (33, 4000)])
def test_a_single_bright_pixel_of_the_network_covers_its_own_part_of_the_radiograph(fit, shape):
    spec = PreprocessSpec(size_px=64, fit=fit)
    for row, column in ((31, 10), (32, 50)):
        values = np.zeros((64, 64), dtype=np.float32)
        values[row, column] = 1.0
        back = to_radiograph(values, shape, spec)
        assert 0.0 <= back.min() <= back.max() <= 1.0
        # What the network sees of the place that is brightest must be that pixel.
        peak = np.unravel_index(back.argmax(), shape)
        spot = np.zeros(shape, dtype=np.float32)
        spot[peak] = 1.0
        seen = np.unravel_index(resize(spot, spec)[0].numpy().argmax(), (64, 64))
        assert abs(seen[0] - row) <= 1
        assert abs(seen[1] - column) <= 1


def test_the_way_back_of_a_known_map_is_known():
    """Four network pixels over eight of the radiograph, by hand: centres at 0.5 and 2.5."""
    values = np.zeros((4, 4), dtype=np.float32)
    values[:, 1] = 1.0
    back = to_radiograph(values, (8, 8), PreprocessSpec(size_px=4))
    np.testing.assert_allclose(back[3], [0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0], atol=1e-6)
    padded = to_radiograph(values, (4, 8), PreprocessSpec(size_px=4, fit=Fit.PAD))
    np.testing.assert_allclose(padded, back[2:6], atol=1e-6)


def test_padding_is_left_out_on_the_way_back():
    spec = PreprocessSpec(size_px=32, fit=Fit.PAD)
    air = resize(np.ones((100, 50), dtype=np.float32), spec)[0].numpy()
    assert to_radiograph(air, (100, 50), spec)[:, 4:-4].min() > 0.99


@pytest.mark.parametrize(("values", "shape"), [((31, 32), (9, 9)), ((32, 32), (0, 9))])
def test_a_map_of_another_grid_is_refused(values, shape):
    with pytest.raises(ValueError, match="grid of 32"):
        to_radiograph(np.zeros(values, np.float32), shape, PreprocessSpec(size_px=32))


@pytest.mark.parametrize(
    "change",
    [{"size_px": 256}, {"fit": Fit.PAD}, {"mean": 0.4}, {"std": 0.3}, {"channels": 1}]
    + [{"grey_levels": levels} for levels in (GreyLevels.PERCENTILES, GreyLevels.EQUALISE)],
)
def test_every_change_moves_the_fingerprint(change):
    assert PreprocessSpec(**change).fingerprint() != SPEC.fingerprint()


def test_the_fingerprint_is_stable():
    # Bundles out there carry it: if this fails, their thresholds are refused.
    assert SPEC.fingerprint() == PreprocessSpec().fingerprint()
    assert SPEC.fingerprint().startswith("b234d4289364965c")
