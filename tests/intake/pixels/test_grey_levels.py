"""Padding, borders, windows that hide, polarity and the shape of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset

from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels.border import bright_corners, darken
from cxrscreen.intake.pixels.chain import read_pixels as read_content
from cxrscreen.intake.pixels.chain import render
from cxrscreen.records import PixelImage

FULL = {"WindowCenter": 2048, "WindowWidth": 4096}


def read_pixels(path: Path, **options: object) -> PixelImage:
    return read_content(Content(path), **options)


def header(bits: int = 12, photometric: str = "MONOCHROME2", **elements: object) -> Dataset:
    made = Dataset()
    made.BitsStored, made.PixelRepresentation = bits, 0
    made.PhotometricInterpretation = photometric
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def warned(image: PixelImage, word: str) -> bool:
    return any(word in warning for warning in image.warnings)


@pytest.fixture(scope="module")
def stored(chest):
    return np.rint(300 + chest * 3000).astype(np.uint16)


@pytest.mark.parametrize("voi", [FULL, {}])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, -40])
def test_white_padding_at_the_edge_becomes_air_and_nothing_else_moves(
    make_dicom, stored, photometric, voi, limit
):
    inverted = photometric == "MONOCHROME1"
    words = (4095 - stored if inverted else stored).astype(int)
    words[80:90, 100:110] = white = 0 if inverted else 4095
    plain = read_pixels(make_dicom(words, photometric=photometric, **voi))
    words[:, :50] = words[:20] = white
    elements = dict(voi, PixelPaddingValue=white)
    if limit is not None:
        words[:, :25] = white + (40 if inverted else -40)
        elements["PixelPaddingRangeLimit"] = white + (40 if inverted else -40)
    image = read_pixels(make_dicom(words, photometric=photometric, **elements))
    assert image.pixels[:, :50].max() == image.pixels[:20].max() == 0
    np.testing.assert_allclose(image.pixels[20:, 50:], plain.pixels[20:, 50:], atol=0.01)
    # The same value inside of the body is no padding.
    assert image.pixels[85, 105] == 1
    assert warned(image, "padding")


def test_padding_of_signed_values_is_understood_as_word_and_as_number(make_dicom, stored):
    words = stored.astype(int) - 2048
    words[:, :60] = -2048
    window = {"WindowCenter": 0, "WindowWidth": 4096, "photometric": "MONOCHROME1"}
    for value in (-2048, 65536 - 2048):
        path = make_dicom(words, signed=True, **window)
        dataset = header(photometric="MONOCHROME1", WindowCenter=0, WindowWidth=4096)
        dataset.PixelRepresentation = 1
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
        assert render(dataset, words).pixels[:, :60].max() == 0
        assert read_pixels(path).pixels[100, 100] > 0


def test_an_image_that_is_mostly_padding_warns(make_dicom, stored):
    words = stored.copy()
    words[:120] = 0
    assert warned(read_pixels(make_dicom(words, PixelPaddingValue=0, **FULL)), "60%")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    grey=st.sampled_from([0, 1200, 2000, 4095]),
    sides=st.tuples(*[st.floats(0, 0.2)] * 4),
    inverted=st.booleans(),
    low=st.sampled_from([0, 300, 900]),
)
def test_a_border_of_one_grey_leaves_the_inside_as_it_is(chest, grey, sides, inverted, low):
    words = np.rint(low + chest * 2200).astype(np.uint16)
    if inverted:
        words, grey = 4095 - words, 4095 - grey
    made = header(photometric="MONOCHROME1" if inverted else "MONOCHROME2")
    top, bottom, left, right = (round(share * 200) for share in sides)
    framed = np.pad(words, ((top, bottom), (left, right)), constant_values=grey)
    inside = render(made, framed).pixels[top : top + 200, left : left + 260]
    np.testing.assert_allclose(inside, render(made, words).pixels, atol=0.01)


def test_a_bright_border_becomes_air_and_a_radiograph_without_one_stays(chest):
    pixels = chest.astype(np.float32)
    same = pixels.copy()
    assert darken(same) == 0
    np.testing.assert_array_equal(same, pixels)
    framed = np.pad(pixels, 30, constant_values=0.9)
    assert darken(framed) == pytest.approx(1 - pixels.size / framed.size)
    np.testing.assert_array_equal(framed[30:-30, 30:-30], pixels)
    assert framed[:30].max() == framed[:, -30:].max() == 0


@pytest.mark.parametrize(
    ("middle", "noise", "shadow"),
    [(0.97, 0.012, 0.0), (0.92, 0.03, 0.0), (0.99, 0.0, 0.12), (0.6, 0.012, 0.0)],
)
def test_a_page_with_a_grain_or_a_shadow_is_a_border_too(chest, middle, noise, shadow):
    pixels = chest.astype(np.float32)
    page = np.full((260, 320), middle) + np.random.default_rng(0).normal(0, noise, (260, 320))
    page -= np.linspace(0, shadow, 320)
    page[30:-30, 30:-30] = pixels
    framed = np.clip(page, 0, 1).astype(np.float32)
    darken(framed)
    np.testing.assert_array_equal(framed[30:-30, 30:-30], pixels)
    # What is left of the page is noise that is as dark as air.
    assert framed[:30].max() <= 0.25
    assert framed[:, -30:].max() <= 0.25


def test_a_bright_shoulder_or_abdomen_at_the_edge_is_no_border(chest):
    pixels = (chest * 0.5).astype(np.float32)
    pixels[-20:, 10:-10] = 0.95
    pixels[60:150, :8] = 0.95
    same = pixels.copy()
    assert darken(same) == 0
    np.testing.assert_array_equal(same, pixels)
    assert bright_corners(same) == 0


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("factor", [1, 8])
def test_bright_corners_are_measured_inside_of_a_border(chest, framed, factor):
    pixels = np.repeat(np.repeat(chest, factor, axis=0), factor, axis=1).astype(np.float32)
    height, width = pixels.shape
    assert bright_corners(pixels) == 0
    rows, columns = np.indices(pixels.shape)
    triangle = rows / height + columns / width < 0.4
    pixels[triangle] = 1
    whole = pixels.size
    if framed:
        pixels = np.pad(pixels, 20)
        whole = pixels.size
    assert bright_corners(pixels) == pytest.approx(triangle.sum() / whole, rel=0.1)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "PALETTE COLOR", "MONOCHROME2"])
def test_a_white_frame_is_air_in_every_photometric_interpretation(make_dicom, chest, photometric):
    framed = np.pad(np.rint(chest * 200).astype(np.uint8), 30, constant_values=255)
    elements: dict[str, object] = {}
    if photometric == "PALETTE COLOR":
        for channel in ("Red", "Green", "Blue"):
            elements[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
            elements[f"{channel}PaletteColorLookupTableData"] = bytes(range(256))
    elif photometric != "MONOCHROME2":
        neutral = framed if photometric == "RGB" else np.full_like(framed, 128)
        samples = np.stack([framed, neutral, neutral], axis=-1)
        elements = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PixelData": samples.tobytes()}
    image = read_pixels(
        make_dicom(framed, bits=8, photometric=photometric, **elements), keep_steps=True
    )
    assert image.pixels[:30].max() == image.pixels[:, -30:].max() == 0
    np.testing.assert_allclose(
        image.pixels[30:-30, 30:-30], framed[30:-30, 30:-30] / 255, atol=1e-5
    )
    assert warned(image, "bright border")
    assert image.history[-1].name == "outside to air"
    assert all(step.pixels is not None for step in image.history)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("declared", [12, 16])
def test_without_a_window_a_filled_range_is_shown_as_it_is(chest, photometric, declared):
    words = np.rint(chest * 4095).astype(np.uint16)
    expected = words / 4095
    if photometric == "MONOCHROME1":
        words = (1 << 12) - 1 - words
    image = render(header(declared, photometric), words)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)


def test_a_marker_does_not_decide_the_grey_levels(chest):
    words = np.rint(200 + chest * 1000).astype(np.uint16)
    plain = render(header(), words).pixels
    words[5:25, 5:15] = 4095
    marked = render(header(), words).pixels
    np.testing.assert_allclose(marked[30:], plain[30:], atol=0.02)


def lut(entries, bits: int, first: int = 0) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.LUTData = np.asarray(entries).astype("<u2").tobytes()
    return item


def test_a_voi_lut_that_declares_more_bits_than_it_uses_is_not_dark(stored):
    entries = np.arange(4096)
    honest = render(header(VOILUTSequence=[lut(entries, 12)]), stored)
    boasting = render(header(VOILUTSequence=[lut(entries, 16)]), stored)
    np.testing.assert_array_equal(boasting.pixels, honest.pixels)
    assert warned(boasting, "declares 16 bits")
    assert not honest.warnings


@pytest.mark.parametrize(
    "voi",
    [
        {"WindowCenter": 60000, "WindowWidth": 100},
        {"WindowCenter": -5000, "WindowWidth": 100},
        {"WindowCenter": 2000, "WindowWidth": 1},
        {"WindowCenter": 0, "WindowWidth": 1_000_000},
        {"VOILUTSequence": [lut(np.zeros(4096, int), 12)]},
    ],
)
def test_a_window_that_hides_the_image_is_not_applied(stored, voi):
    image = render(header(**voi), stored)
    np.testing.assert_array_equal(image.pixels, render(header(), stored).pixels)
    assert image.pixels.std() > 0.1
    assert warned(image, "next to nothing")


def test_the_first_of_several_windows(stored):
    several = render(header(WindowCenter=[2048, 9], WindowWidth=[4096, 3]), stored)
    np.testing.assert_array_equal(several.pixels, render(header(**FULL), stored).pixels)


@pytest.mark.parametrize(
    ("photometric", "sign", "slope", "contradicts"),
    [
        ("MONOCHROME2", -1, 1, False),
        ("MONOCHROME2", 1, 1, True),
        ("MONOCHROME1", 1, 1, False),
        ("MONOCHROME1", -1, 1, True),
        ("MONOCHROME2", 1, -1, False),
    ],
)
def test_a_sign_that_contradicts_the_polarity_is_told(
    stored, photometric, sign, slope, contradicts
):
    made = header(
        photometric=photometric,
        PixelIntensityRelationshipSign=sign,
        RescaleSlope=slope,
        RescaleIntercept=0,
    )
    assert warned(render(made, stored), "contradicts") == contradicts


@pytest.mark.parametrize("sign", [1, -1])
def test_raw_linear_intensity_becomes_attenuation(chest, sign):
    intensity = np.rint(60000 * np.exp(-4 * chest)).astype(np.uint16)
    raw = intensity if sign == 1 else 65535 - intensity
    made = header(
        16,
        "MONOCHROME2",
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=sign,
    )
    image = render(made, raw)
    # By Beer and Lambert the logarithm is the chest again, up to the ends of the scale.
    assert np.corrcoef(image.pixels.ravel(), chest.ravel())[0, 1] > 0.99
    assert warned(image, "raw detector data")


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (400, 260)),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (200, 520)),
        ({"PixelAspectRatio": [2, 1]}, (400, 260)),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [0.1, 0.1]}, (200, 260)),
        ({"PixelSpacing": [0.1, 0.1005]}, (200, 260)),
        ({"PixelSpacing": [100, 1]}, (200, 260)),
        ({"PixelSpacing": [0, 1]}, (200, 260)),
    ],
)
def test_pixels_become_square(make_dicom, stored, elements, shape):
    plain = read_pixels(make_dicom(stored, **FULL)).pixels
    image = read_pixels(make_dicom(stored, **FULL, **elements))
    assert image.pixels.shape == shape
    assert image.pixels.mean() == pytest.approx(plain.mean(), abs=0.01)
    assert (image.history[-1].name == "square pixels") == (shape != (200, 260))
    assert warned(image, "not believed") == (elements.get("PixelSpacing") == [100, 1])


def test_steps_are_kept_when_asked_for(make_dicom, stored):
    path = make_dicom(4095 - stored, photometric="MONOCHROME1", PixelSpacing=[0.2, 0.1], **FULL)
    assert all(step.pixels is None for step in read_pixels(path).history)
    image = read_pixels(path, keep_steps=True)
    assert [step.name for step in image.history] == [
        "stored values",
        "window",
        "inversion",
        "square pixels",
    ]
    for step in image.history:
        assert step.pixels.dtype == np.float32
        assert (step.pixels.min(), step.pixels.max()) == pytest.approx((0, 1), abs=0.15)
    np.testing.assert_allclose(image.history[0].pixels, 1 - image.history[2].pixels, atol=1e-6)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_is_read_from_a_file_of_either_kind(make_dicom, stored, syntax, signed):
    low = -2048 if signed else 0
    words = 4095 - stored.astype(int) + low
    words[:, :60] = low
    path = make_dicom(
        words,
        signed=signed,
        photometric="MONOCHROME1",
        syntax=syntax,
        PixelPaddingValue=low,
        WindowCenter=2048 + low,
        WindowWidth=4096,
    )
    image = read_pixels(path)
    assert image.pixels[:, :60].max() == 0
    # A border that is not padding would have been told of as a border.
    assert warned(image, "padding")
    assert not warned(image, "border")
