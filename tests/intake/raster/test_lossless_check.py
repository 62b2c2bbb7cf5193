from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.intake.raster.jpeg_check import JpegDamageError
from cxrscreen.intake.raster.lossless_check import require_whole_lossless

imagecodecs = pytest.importorskip("imagecodecs")


def encoded(values: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=bits)
    )


def image(bits: int, shape: tuple[int, int], noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    values = np.linspace(0, top, shape[1])[None] + rng.normal(0, noise * top, shape)
    return values.clip(0, top).astype(np.uint8 if bits <= 8 else np.uint16)


@settings(max_examples=100, deadline=None)
@given(
    bits=st.sampled_from((8, 10, 12, 15, 16)),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    noise=st.sampled_from((0.0, 0.01, 1.0, 50.0)),
    seed=st.integers(0, 99),
)
def test_a_sound_frame_is_counted_to_its_last_bit(bits, shape, noise, seed):
    values = image(bits, shape, noise, seed)
    assert require_whole_lossless(encoded(values, bits), values)


def test_the_largest_difference_has_no_bits_of_its_own():
    values = np.array([[32768, 0, 32768, 65535]], dtype=np.uint16)
    assert require_whole_lossless(encoded(values, 16), values)


@pytest.mark.parametrize("predictor", [2, 4, 7])
def test_other_predictors_are_not_counted(predictor):
    values = image(12, (20, 30), 0.1, 0)
    assert not require_whole_lossless(encoded(values, 12, predictor), values)


def test_another_picture_than_the_frames_is_refused():
    values = image(12, (40, 50), 0.05, 0)
    other = values.copy()
    other[7, 9] ^= 0x3FF
    with pytest.raises(JpegDamageError):
        require_whole_lossless(encoded(values, 12), other)


def test_data_behind_the_last_code_are_refused():
    values = image(12, (40, 50), 0.05, 0)
    frame = encoded(values, 12)
    with pytest.raises(JpegDamageError, match="do not end"):
        require_whole_lossless(frame[:-2] + b"\x55\x55" + frame[-2:], values)


def test_flipped_bits_that_put_the_decoder_out_of_step_are_found():
    values = image(12, (120, 150), 0.01, 0)
    frame = encoded(values, 12)
    rng = np.random.default_rng(1)
    passed = noticed = 0
    for at in rng.integers(700, len(frame) - 2, 300):
        damaged = bytearray(frame)
        damaged[at] ^= 1 << rng.integers(8)
        read = imagecodecs.jpeg8_decode(bytes(damaged))
        # A changed difference moves the rest of its row and no more can be seen of it, but where
        # the decoder is out of step, differences change by the hundred.
        steps = np.diff(read.astype(int), axis=1) != np.diff(values.astype(int), axis=1)
        if steps.sum() > 200:
            try:
                require_whole_lossless(bytes(damaged), read)
                passed += 1
            except JpegDamageError:
                noticed += 1
    assert noticed > 20
    assert passed <= noticed / 10
