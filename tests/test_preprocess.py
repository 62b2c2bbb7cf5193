from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from cxrscreen.preprocess import Fit, PreprocessSpec, normalise, resize, to_tensor

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


@pytest.mark.parametrize(
    "change", [{"size_px": 256}, {"fit": Fit.PAD}, {"mean": 0.4}, {"std": 0.3}, {"channels": 1}]
)
def test_every_change_moves_the_fingerprint(change):
    assert PreprocessSpec(**change).fingerprint() != SPEC.fingerprint()


def test_the_fingerprint_is_stable():
    # Bundles out there carry it: if this fails, their thresholds are refused.
    assert SPEC.fingerprint() == PreprocessSpec().fingerprint()
    assert SPEC.fingerprint().startswith("b234d4289364965c")
