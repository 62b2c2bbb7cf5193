"""Cues: each is measured as defined, taken over as asked, and nothing else of an image is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage
from torch.nn import functional

from cxrscreen.errors import DatasetError
from cxrscreen.training import cues, distortions
from cxrscreen.training.cue_shifts import cue_conditions
from cxrscreen.training.reference import measure_reference
from cxrscreen.training.robustness import ResizedImages

SIDE = 96


def picture(seed: int = 0, grain: float = 0.05) -> torch.Tensor:
    """A smooth image with some grain."""
    random = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 1, 7, 7, generator=random)
    smooth = functional.interpolate(rough, size=(SIDE, SIDE), mode="bicubic")[0]
    noisy = smooth * 0.6 + 0.2 + grain * torch.randn(1, SIDE, SIDE, generator=random)
    return noisy.clamp(0.0, 1.0).contiguous()


def sharpness(image: torch.Tensor) -> float:
    return float(ndimage.laplace(image[0].numpy()).std())


FLAT = torch.full((1, SIDE, SIDE), 0.3)
CALLS = st.one_of(
    st.tuples(
        st.just(cues.with_spectrum),
        st.tuples(st.floats(-40, 5).map(lambda level: np.full(cues.RINGS, level))),
    ),
    st.tuples(
        st.just(cues.with_levels),
        st.tuples(st.lists(st.floats(0, 1), min_size=2, max_size=9).map(sorted).map(np.array)),
    ),
    st.tuples(st.just(cues.with_range), st.tuples(st.floats(0, 0.5), st.floats(0.5, 1))),
    st.tuples(st.just(cues.equalised), st.just(())),
    st.tuples(st.just(cues.clahe), st.just(())),
    st.tuples(st.just(cues.with_frame), st.tuples(st.just(picture(99)), st.floats(0, 0.5))),
    st.tuples(st.just(cues.without_centre), st.tuples(st.floats(0, 0.5))),
)


@settings(max_examples=150, deadline=None)
@given(call=CALLS, image=st.one_of(st.integers(0, 20).map(picture), st.just(FLAT)))
def test_shape_and_range_are_kept_and_the_argument_too(call, image):
    change, strength = call
    before = image.clone()
    result = change(image, *strength)
    assert result.shape == image.shape
    assert result.dtype == torch.float32
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(image, before)
    assert torch.equal(result, change(image, *strength))


def test_the_spectrum_of_a_single_wave_lies_in_its_ring():
    ring = 10
    coefficients = np.zeros((SIDE, SIDE), np.float32)
    # Ring r begins at r / (2 * RINGS) cycles a pixel: at row r * SIDE / RINGS of the transform.
    coefficients[ring * SIDE // cues.RINGS + 1, 0] = 2.0
    wave = torch.from_numpy(fft.idctn(coefficients, norm="ortho"))[None]
    spectrum = cues.radial_spectrum(wave)
    assert int(spectrum.argmax()) == ring
    others = np.delete(spectrum, ring)
    assert np.all(others < spectrum[ring] - 10)


def test_white_noise_has_a_level_spectrum_of_its_standard_deviation():
    noise = 0.1 * torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(np.exp(cues.radial_spectrum(noise)[4:]), 0.1, rtol=0.15)


def test_an_image_takes_the_fine_detail_of_another_and_keeps_its_own_coarse_one():
    soft, sharp = picture(1, grain=0.02), picture(2, grain=0.05)
    sharpened = cues.with_spectrum(soft, cues.radial_spectrum(sharp))
    assert sharpness(sharpened) == pytest.approx(sharpness(sharp), rel=0.1)
    softened = cues.with_spectrum(sharp, cues.radial_spectrum(soft))
    assert sharpness(softened) == pytest.approx(sharpness(soft), rel=0.1)
    for changed, own in ((sharpened, soft), (softened, sharp)):
        coarse = [distortions.blur(image, 8.0) for image in (changed, own)]
        assert float((coarse[0] - coarse[1]).abs().mean()) < 0.005


def test_its_own_spectrum_changes_nothing_and_no_other_more_than_threefold():
    image = picture(3)
    same = cues.with_spectrum(image, cues.radial_spectrum(image))
    torch.testing.assert_close(same, image, atol=1e-5, rtol=0)
    faint = 0.5 + (picture(4, grain=0.01) - 0.5) * 0.1
    blown_up = cues.with_spectrum(faint, np.full(cues.RINGS, 5.0))
    assert sharpness(blown_up) == pytest.approx(3 * sharpness(faint), rel=0.02)


def test_levels_are_quantiles_and_are_taken_over():
    image, other = picture(5), picture(6)
    shares = np.linspace(0, 1, cues.LEVELS)
    np.testing.assert_allclose(cues.level_curve(image), np.quantile(image.numpy(), shares))
    changed = cues.with_levels(image, cues.level_curve(other))
    np.testing.assert_allclose(
        cues.level_curve(changed)[5:-5], cues.level_curve(other)[5:-5], atol=0.01
    )
    # Brighter stays brighter.
    order = image.flatten().argsort()
    assert bool((changed.flatten()[order].diff() >= -1e-6).all())


def test_equalised_levels_are_even():
    np.testing.assert_allclose(
        cues.level_curve(cues.equalised(picture(7))), np.linspace(0, 1, cues.LEVELS), atol=0.02
    )


def test_the_range_goes_where_it_is_asked_to():
    changed = cues.with_range(picture(8), 0.1, 0.7)
    np.testing.assert_allclose(np.quantile(changed.numpy(), [0.05, 0.95]), [0.1, 0.7], atol=0.01)
    assert torch.equal(cues.with_range(FLAT, 0.1, 0.7), FLAT)


def test_clahe_of_one_tile_without_a_limit_equalises():
    image = picture(9)
    whole = cues.clahe(image, clip_limit=1e9, tiles=1)
    grey = (image.numpy() * 255 + 0.5).astype(int)
    values, counts = np.unique(grey, return_counts=True)
    expected = dict(zip(values, np.cumsum(counts) / grey.size, strict=True))
    np.testing.assert_allclose(
        whole.numpy().ravel(), [expected[value] for value in grey.ravel()], atol=1e-6
    )


def test_clahe_brings_out_a_faint_pattern_in_the_dark():
    image = torch.full((1, SIDE, SIDE), 0.8)
    image[..., :48] = 0.1
    image[..., :48:2] += 0.02
    changed = cues.clahe(image, clip_limit=8)
    assert float(changed[..., :40].std()) > 2 * float(image[..., :40].std())


def test_a_frame_comes_from_the_other_and_the_centre_stays():
    image, other = picture(10), picture(11)
    changed = cues.with_frame(image, other, 0.1)
    edge = round(0.09 * SIDE) - 1
    assert torch.equal(changed[..., :edge, :], other[..., :edge, :])
    assert torch.equal(changed[..., -edge:], other[..., -edge:])
    inner = (..., slice(edge + 4, -edge - 4), slice(edge + 4, -edge - 4))
    assert torch.equal(changed[inner], image[inner])


def test_a_hidden_centre_tells_nothing():
    hidden = [cues.without_centre(picture(seed), 0.25) for seed in (1, 2)]
    inner = (..., slice(24, 72), slice(24, 72))
    assert bool((hidden[0][inner] == 0.5).all())
    outside = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    outside[inner] = False
    assert torch.equal(hidden[0][outside], picture(1)[outside])


@pytest.fixture(scope="module")
def images() -> ResizedImages:
    """Negatives are sharp and dark, positives soft and bright."""
    labels = np.arange(40) % 2
    pixels = [
        picture(seed, grain=0.02 if label else 0.05) * (0.9 if label else 0.6)
        for seed, label in enumerate(labels)
    ]
    return ResizedImages(torch.stack(pixels), labels)


def test_under_the_conditions_the_classes_have_exchanged_their_cues(images):
    reference = measure_reference(images.pixels, images.labels)
    by_name = {c.name: c for c in cue_conditions(reference, images.labels)}

    def means(name: str, measure) -> tuple[float, float]:
        condition = by_name[name]
        values = [measure(condition.distort(p, i)) for i, p in enumerate(images.pixels)]
        return tuple(float(np.mean(values[label::2])) for label in (0, 1))

    def grey(image: torch.Tensor) -> float:
        return float(image.mean())

    def border(image: torch.Tensor) -> float:
        return float(image[..., :3].mean())

    clean = [
        [float(np.mean([f(p) for p in images.pixels[label::2]])) for label in (0, 1)]
        for f in (sharpness, grey, border)
    ]
    for suffix in ("the other class", "an image of the other class"):
        assert means(f"sharpness of {suffix}", sharpness) == pytest.approx(clean[0][::-1], rel=0.1)
        assert means(f"grey levels of {suffix}", grey) == pytest.approx(clean[1][::-1], rel=0.05)
    beyond = means("sharpness beyond the other class", sharpness)
    assert beyond[0] < 0.8 * clean[0][1]
    assert beyond[1] > 1.2 * clean[0][0]
    for cue, measure in (("sharpness", sharpness), ("grey levels", grey)):
        low, high = means(f"{cue} in common", measure)
        assert low == pytest.approx(high, rel=0.05)
    assert means("frame of the other class, 8%", border) == pytest.approx(clean[2][::-1], rel=0.05)
    both = "sharpness and levels of the other class"
    assert means(both, grey) == pytest.approx(clean[1][::-1], rel=0.05)
    assert means(both, sharpness) == pytest.approx(clean[0][::-1], rel=0.1)
    only = by_name["normal images with sharpness and levels of pneumonia"]
    assert torch.equal(only.distort(images.pixels[1], 1), images.pixels[1])
    assert grey(only.distort(images.pixels[0], 0)) == pytest.approx(clean[1][1], rel=0.1)


def test_the_conditions_can_be_sent_and_repeated(images):
    reference = measure_reference(images.pixels, images.labels)
    conditions = cue_conditions(reference, images.labels)
    assert len({condition.name for condition in conditions}) == len(conditions)
    for condition in conditions:
        sent = pickle.loads(pickle.dumps(condition))  # noqa: S301 - our own
        for index in (0, 1):
            image = images.pixels[index]
            before = image.clone()
            result = condition.distort(image, index)
            assert torch.equal(image, before)
            assert torch.equal(result, sent.distort(image, index))


def test_a_reference_is_of_both_classes_and_evenly_spread(images):
    reference = measure_reference(images.pixels, images.labels, most=5)
    assert [len(reference.of(label).spectra) for label in (0, 1)] == [5, 5]
    expected = (images.pixels[1::2][[0, 4, 8, 12, 16]] * 255).round().to(torch.uint8)
    assert torch.equal(reference.of(1).pixels, expected)
    torch.testing.assert_close(
        reference.of(1).image(6), images.pixels[1::2][4], atol=0.5 / 255 + 1e-6, rtol=0
    )
    with pytest.raises(DatasetError, match="label 1"):
        measure_reference(images.pixels[::2], images.labels[::2])
