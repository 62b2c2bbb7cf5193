from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.raster import huffman, jpeg_check
from cxrscreen.intake.raster import read as raster
from cxrscreen.records import PixelImage
from cxrscreen.vocabulary import RejectCode


def read(data: bytes) -> PixelImage:
    return raster.read_pixels(Content(Path("a.jpg"), data))


def refused(data: bytes) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        read(data)
    return caught.value


def jpeg_of(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.fixture
def grey(chest) -> Image.Image:
    noisy = (chest + np.random.default_rng(0).normal(0, 0.02, chest.shape)).clip(0, 1)
    return Image.fromarray(np.rint(noisy * 255).astype(np.uint8))


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(("L", "RGB", "CMYK")),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(1, 100),
    noise=st.sampled_from((0.0, 5.0, 80.0)),
    subsampling=st.sampled_from((0, 1, 2)),
    restarts=st.sampled_from((0, 1, 7)),
    optimize=st.booleans(),
    progressive=st.booleans(),
    extreme=st.booleans(),
)
def test_a_sound_jpeg_is_never_called_damaged(
    mode, size, quality, noise, subsampling, restarts, optimize, progressive, extreme
):
    rng = np.random.default_rng(3)
    values = rng.normal(128, noise, (size[1], size[0], 3))
    if extreme:
        values = np.where(values > 128, 255, 0)
    image = Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert(mode)
    data = jpeg_of(
        image,
        quality=quality,
        optimize=optimize,
        progressive=progressive,
        restart_marker_blocks=restarts,
        **({"subsampling": subsampling} if mode == "RGB" else {}),
    )
    assert jpeg_check.require_sound(data) is not progressive


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("restarts", [0, 5])
def test_machine_code_walks_as_python_does(grey, mode, restarts, monkeypatch):
    pytest.importorskip("numba")
    small = grey.resize((120, 90)).convert(mode)
    sound = jpeg_of(small, quality=85, restart_marker_blocks=restarts)
    rng = np.random.default_rng(7)
    files = [
        sound,
        *(
            bytes([*sound[:at], sound[at] ^ 1 << rng.integers(8), *sound[at + 1 :]])
            for at in rng.integers(2, len(sound) - 2, 400)
        ),
    ]

    def verdicts() -> list[str]:
        said = []
        for file in files:
            try:
                said.append(str(jpeg_check.require_sound(file)))
            except (jpeg_check.JpegDamageError, KeyError) as error:
                said.append(str(error))
        return said

    compiled = verdicts()
    monkeypatch.setattr(huffman, "_compiled_walk", lambda: None)
    assert verdicts() == compiled
    assert compiled[0] == "True"
    assert sum("do not end" in said for said in compiled) > 50
    assert compiled.count("True") > 20


def test_real_jpegs_are_sound(real_data):
    files = sorted(real_data.rglob("*.jp*g"))[::40]
    assert files
    for file in files:
        assert jpeg_check.require_sound(file.read_bytes())


def test_most_flipped_bits_that_change_the_picture_are_found(grey):
    whole, rng = jpeg_of(grey, quality=90), np.random.default_rng(5)
    sound = read(whole).pixels
    start = jpeg_check.parse(whole).scans[0].data.start
    refusals = far = 0
    for _ in range(150):
        spoilt = bytearray(whole)
        spoilt[rng.integers(start, len(whole) - 2)] ^= 1 << rng.integers(8)
        try:
            difference = np.abs(read(bytes(spoilt)).pixels - sound).mean()
        except ImageRefusedError:
            refusals += 1
        else:
            far += difference > 0.02
    # libjpeg complains of fewer than a quarter, and lets as many pass that are far.
    assert refusals > 30
    assert far <= 5


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_zeroed_block_is_found(grey, mode):
    whole = jpeg_of(grey.convert("RGB").convert(mode), quality=90)
    start = jpeg_check.parse(whole).scans[0].data.start
    places = range(start, len(whole) - 300, len(whole) // 20)
    judged = 0
    for at in places:
        with contextlib.suppress(ImageRefusedError):
            read(whole[:at] + bytes(200) + whole[at + 200 :])
            judged += 1
    # Zeros are codes too: now and then as many blocks come out of them.
    assert judged <= len(places) // 10


def test_a_progressive_jpeg_without_its_last_scans_is_refused(grey):
    whole = jpeg_of(grey, progressive=True)
    jpeg = jpeg_check.parse(whole)
    assert len(jpeg.scans) > 3
    for scan in jpeg.scans[:-1]:
        assert refused(whole[: scan.data.stop] + b"\xff\xd9").code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("change", ["leave out", "exchange", "double"])
def test_restart_intervals_are_counted(grey, change):
    whole = jpeg_of(grey, restart_marker_blocks=40)
    data = jpeg_check.parse(whole).scans[0].data
    marks = [
        at
        for at in range(data.start, data.stop)
        if whole[at : at + 1] == b"\xff" and 0xD0 <= whole[at + 1] <= 0xD7
    ]
    first, second, third = marks[3:6]
    middle = {
        "leave out": whole[:first] + whole[second:],
        "exchange": whole[:first] + whole[second:third] + whole[first:second] + whole[third:],
        "double": whole[:second] + whole[first:second] + whole[second:],
    }[change]
    assert refused(middle).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [
        (5, 65_000, RejectCode.DECODE_FAILED),
        (7, 16, RejectCode.DECODE_FAILED),
        (5, 0, RejectCode.DECODE_FAILED),
        (5, 8, RejectCode.DECODE_FAILED),
    ],
)
def test_a_size_that_is_not_the_pictures_is_refused(grey, offset, value, code):
    spoilt = bytearray(jpeg_of(grey))
    frame = bytes(spoilt).index(b"\xff\xc0")
    struct.pack_into(">H", spoilt, frame + offset, value)
    assert refused(bytes(spoilt)).code is code


@pytest.mark.parametrize(
    ("marker", "precision", "name"),
    [
        (0xC3, 8, "lossless"),
        (0xC9, 8, "arithmetic"),
        (0xF7, 8, "JPEG-LS"),
        (0xC1, 12, "12 bits"),
        (0xC5, 8, "process 5"),
    ],
)
def test_processes_that_are_not_read_are_refused_by_name(grey, marker, precision, name):
    spoilt = bytearray(jpeg_of(grey))
    frame = bytes(spoilt).index(b"\xff\xc0")
    spoilt[frame + 1], spoilt[frame + 4] = marker, precision
    refusal = refused(bytes(spoilt))
    assert refusal.code is RejectCode.UNSUPPORTED_ENCODING
    assert name in refusal.reason


def inks(grey: Image.Image, kind: str) -> Image.Image:
    """The same grey in inks: 255 is full ink, as Pillow counts."""
    ink, none = Image.eval(grey, lambda value: 255 - value), Image.new("L", grey.size)
    bands = {"black": (none, none, none, ink), "colours": (ink, ink, ink, none)}[kind]
    return Image.merge("CMYK", bands)


@pytest.mark.parametrize("kind", ["black", "colours"])
@pytest.mark.parametrize("progressive", [False, True])
def test_cmyk_has_the_polarity_of_its_grey(grey, kind, progressive):
    data = jpeg_of(inks(grey, kind), quality=97, progressive=progressive)
    image = read(data)
    np.testing.assert_allclose(image.pixels, np.asarray(grey) / 255, atol=0.05)
    assert image.colourfulness < 0.01


def test_ycck_has_the_polarity_of_its_grey(grey):
    # Pillow stores 255 less its ink. Transform 2 reads the first three bands as luminance and
    # colour of what is no ink: T.81 and Adobe's note 5116.
    neutral = Image.new("L", grey.size, 127)
    bands = (grey, neutral, neutral, Image.new("L", grey.size))
    data = bytearray(jpeg_of(Image.merge("CMYK", bands), quality=97))
    transform = bytes(data).index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    assert jpeg_check.parse(bytes(data)).adobe_transform == 2
    np.testing.assert_allclose(read(bytes(data)).pixels, np.asarray(grey) / 255, atol=0.05)


def test_cmyk_without_adobes_marker_is_refused_because_its_polarity_is_not_known(grey):
    data = jpeg_of(inks(grey, "black"))
    start = data.index(b"\xff\xee")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    refusal = refused(data[:start] + data[end:])
    assert refusal.code is RejectCode.UNSUPPORTED_ENCODING
    assert "polarity" in refusal.reason


def test_a_file_with_several_pictures_is_read_with_a_warning(grey):
    stream = io.BytesIO()
    grey.save(stream, "MPO", save_all=True, append_images=[Image.new("L", (50, 50))], quality=95)
    image = read(stream.getvalue())
    assert image.pixels.shape == (grey.height, grey.width)
    assert "several pictures" in image.warnings[0]


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 700), value=st.integers(0, 255))
def test_any_header_byte_may_be_wrong(at, value):
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))
    data = bytearray(jpeg_of(ramp))
    data[at % len(data)] = value
    # Anything but a refusal fails.
    with contextlib.suppress(ImageRefusedError):
        read(b"\xff\xd8" + bytes(data[2:]))
