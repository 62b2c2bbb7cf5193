from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscreen import screen
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.raster import read as raster
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.records import PixelImage
from cxrscreen.vocabulary import RejectCode


@pytest.fixture
def saved(tmp_path):
    def save(image: Image.Image, name: str, **options: object):
        image.save(tmp_path / name, **options)
        return raster.read_pixels(Content(tmp_path / name))

    return save


def test_png_of_8_and_16_bits_agree_with_the_numbers(saved, chest):
    eight, sixteen = np.rint(chest * 255).astype(np.uint8), np.rint(chest * 65535).astype(np.uint16)
    np.testing.assert_allclose(saved(Image.fromarray(eight), "8.png").pixels, eight / 255)
    np.testing.assert_allclose(
        saved(Image.fromarray(sixteen), "16.png").pixels, sixteen / 65535, atol=1e-7
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_any_mode_is_the_same_radiograph(saved, chest, mode):
    grey = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    converted = saved(grey.convert(mode), f"{mode}.png")
    np.testing.assert_allclose(converted.pixels, saved(grey, "L.png").pixels, atol=1.5 / 255)
    assert converted.colourfulness < 0.01


def test_cmyk_jpeg_is_close(saved, chest):
    grey = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    cmyk = saved(grey.convert("RGB").convert("CMYK"), "cmyk.jpg", quality=98)
    np.testing.assert_allclose(cmyk.pixels, saved(grey, "L.png").pixels, atol=0.03)


def test_exif_orientation_is_applied(saved, chest):
    grey = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(grey.transpose(Image.Transpose.ROTATE_90), "o.png", exif=exif)
    np.testing.assert_array_equal(turned.pixels, saved(grey, "L.png").pixels)


def test_transparency_is_air(saved):
    image = Image.new("RGBA", (200, 200), (255, 255, 255, 255))
    image.paste((255, 255, 255, 0), (0, 0, 100, 200))
    pixels = saved(image, "t.png").pixels
    assert pixels[:, :100].max() == 0
    assert pixels[:, 100:].min() == 1


def test_colour_is_measured(saved):
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8))
    assert saved(photo, "photo.png").colourfulness > 0.2


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"quality": 95}), ("a.png", {})])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.97])
def test_a_truncated_image_is_refused(tmp_path, chest, name, options, kept):
    path = tmp_path / name
    Image.fromarray(np.rint(chest * 255).astype(np.uint8)).save(path, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageRefusedError) as caught:
        raster.read_pixels(Content(path))
    assert caught.value.code is RejectCode.DECODE_FAILED


def as_jpeg(chest, mode: str, **options: object) -> bytes:
    # Noise makes the file large enough to damage its middle.
    noisy = chest + np.random.default_rng(0).normal(0, 0.02, chest.shape)
    image = Image.fromarray(np.rint(noisy.clip(0, 1) * 255).astype(np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_its_codec_would_mend_is_refused(tmp_path, chest, mode, progressive, capfd):
    path = tmp_path / "a.jpg"
    whole = as_jpeg(chest, mode, progressive=progressive)
    path.write_bytes(whole)
    assert raster.read_pixels(Content(path)).pixels.shape == chest.shape
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\xff\xd9")
    with pytest.raises(ImageRefusedError, match="damaged"):
        raster.read_pixels(Content(path))
    if not progressive:
        path.write_bytes(whole[:middle] + whole[middle + 1000 :])
        with pytest.raises(ImageRefusedError, match="damaged"):
            raster.read_pixels(Content(path))
    assert capfd.readouterr().err == ""


def read(data: bytes) -> PixelImage:
    return raster.read_pixels(Content(Path("a.bin"), data))


def png_of(
    raw: bytes,
    *,
    shape: tuple[int, int],
    interlace: int = 0,
    depth: int = 8,
    colour: int = 0,
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", shape[1], shape[0], depth, colour, 0, 0, interlace)
    chunks = ((b"IHDR", header), *extra, (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    parts = [chunk(kind, data) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("rows", [200, 199, 120])
def test_a_png_without_all_of_its_rows_is_refused_not_filled_with_black(tmp_path, chest, rows):
    grey = np.rint(chest * 255).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in grey[:rows])
    path = tmp_path / "a.png"
    path.write_bytes(png_of(raw, shape=grey.shape))
    if rows == len(grey):
        np.testing.assert_allclose(raster.read_pixels(Content(path)).pixels, grey / 255)
    else:
        with pytest.raises(ImageRefusedError) as caught:
            raster.read_pixels(Content(path))
        assert caught.value.code is RejectCode.DECODE_FAILED


def test_an_interlaced_png_is_measured_by_its_passes(tmp_path):
    # 3x5: five of the seven passes have pixels; 15 pixels and a filter byte for each row.
    for left_out, whole in ((0, True), (1, False)):
        length = 15 + sum(rows for rows, columns in ADAM7_OF_3_BY_5 if columns)
        raw = (b"\0\xff" + bytes(length))[: length - left_out]
        (tmp_path / "a.png").write_bytes(png_of(raw, shape=(3, 5), interlace=1))
        if whole:
            assert raster.read_pixels(Content(tmp_path / "a.png")).pixels.shape == (3, 5)
        else:
            with pytest.raises(ImageRefusedError):
                raster.read_pixels(Content(tmp_path / "a.png"))


# Rows and columns of each pass over 3 rows of 5 columns.
ADAM7_OF_3_BY_5 = ((1, 1), (1, 1), (0, 2), (1, 1), (1, 3), (2, 2), (1, 5))


def test_an_absurd_size_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(ImageRefusedError) as caught:
        raster.read_pixels(Content(path))
    assert caught.value.code is RejectCode.TOO_LARGE


def test_16_bit_png_and_8_bit_jpeg_have_the_same_probability(tmp_path, chest, packaged):
    grey = np.rint(chest * 255).astype(np.uint8)
    Image.fromarray(np.rint(chest * 65535).astype(np.uint16)).save(tmp_path / "16.png")
    Image.fromarray(np.rint(chest * 65535).astype(np.uint16)).save(tmp_path / "16.tif")
    Image.fromarray(grey).save(tmp_path / "8.jpg", quality=98)
    Image.fromarray(grey).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    # One by one: together, the later ones would be duplicates of the first.
    alone = ScreenOptions(workers=0)
    rows = [row for file in tmp_path.iterdir() for row in screen([file], packaged, alone)]
    found = [row.prediction.probability for row in rows if row.prediction]
    assert len(found) == len(rows) == 4
    assert max(found) - min(found) < 0.005


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15])
def test_fewer_bits_in_a_png_of_16_are_spread_not_judged_as_black(saved, chest, bits):
    stored = np.rint(chest * ((1 << bits) - 1)).astype(np.uint16)
    image = saved(Image.fromarray(stored), "unscaled.png")
    low, high = np.percentile(chest, [0.1, 99.9], method="nearest")
    shown = np.clip((chest - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.pixels, shown, atol=2 / (1 << min(bits, 10)) + 0.004)
    assert "spread by percentiles" in image.warnings[0]


def test_values_around_the_middle_of_16_bits_are_spread(saved, chest):
    # Signed values of 12 bits that were moved into the unsigned range.
    image = saved(Image.fromarray(np.rint(chest * 4095 + 32768).astype(np.uint16)), "moved.png")
    assert image.pixels.min() == 0
    assert image.pixels.max() == 1


def test_an_almost_black_image_of_8_bits_is_refused_not_judged(saved, chest):
    with pytest.raises(ImageRefusedError) as caught:
        saved(Image.fromarray((np.rint(chest * 4095) / 256).astype(np.uint8)), "dark.png")
    assert caught.value.code is RejectCode.BLANK
    assert "of 0..255" in caught.value.reason


@pytest.mark.parametrize("colour", [2, 6])
def test_16_bit_colour_keeps_its_bits(chest, colour):
    channels = 3 if colour == 2 else 4
    stored = np.rint(chest * 4095)[..., None].repeat(channels, axis=2)
    if channels == 4:
        stored[..., 3] = 65535
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    image = read(png_of(raw, shape=chest.shape, depth=16, colour=colour))
    low, high = np.percentile(chest, [0.1, 99.9], method="nearest")
    np.testing.assert_allclose(
        image.pixels, np.clip((chest - low) / (high - low), 0, 1), atol=0.002
    )
    assert image.colourfulness == 0


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_fill_the_range(depth):
    bits = np.random.default_rng(0).integers(0, 2, (160, 160 * depth), dtype=np.uint8)
    raw = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    weights = 1 << np.arange(depth)[::-1]
    stored = bits.reshape(160, 160, depth) @ weights
    image = read(png_of(raw, shape=(160, 160), depth=depth))
    np.testing.assert_allclose(image.pixels, stored / ((1 << depth) - 1), atol=1e-6)


def test_a_transparent_value_of_16_bits_is_air(chest):
    stored = np.rint(chest * 65535).astype(">u2")
    stored[:50] = 60_000
    raw = b"".join(b"\0" + row.tobytes() for row in stored)
    extra = ((b"tRNS", struct.pack(">H", 60_000)),)
    image = read(png_of(raw, shape=chest.shape, depth=16, extra=extra))
    assert image.pixels[:50].max() == 0


def test_of_an_animated_png_the_first_picture_is_read_with_a_warning(tmp_path, chest):
    frames = [Image.fromarray(np.rint(c * 255).astype(np.uint8)) for c in (chest, 1 - chest)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    image = raster.read_pixels(Content(tmp_path / "a.png"))
    np.testing.assert_allclose(image.pixels, np.asarray(frames[0]) / 255)
    assert "animated" in image.warnings[0]


@pytest.mark.parametrize("at", [20, 45, 100, -30, -16, -6])
def test_one_flipped_bit_in_a_png_is_found(tmp_path, chest, at):
    path = tmp_path / "a.png"
    Image.fromarray(np.rint(chest * 255).astype(np.uint8)).save(path)
    spoilt = bytearray(path.read_bytes())
    spoilt[at] ^= 4
    with pytest.raises(ImageRefusedError):
        read(bytes(spoilt))


def test_a_png_with_rows_left_over_is_refused(chest):
    grey = np.rint(chest * 255).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in grey)
    with pytest.raises(ImageRefusedError) as caught:
        read(png_of(raw, shape=(grey.shape[0] - 8, grey.shape[1])))
    assert caught.value.code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x25\0\0\0\0\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\x06\0\0\0\0\0\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0nonsense",
        b"",
    ],
)
def test_malformed_exif_neither_turns_nor_refuses(chest, form, exif):
    grey = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    stream = io.BytesIO()
    grey.save(stream, form, **({} if form == "TIFF" else {"exif": exif}))
    assert np.abs(read(stream.getvalue()).pixels - np.asarray(grey) / 255).mean() < 0.02


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        # A sparse file: it takes no room.
        stream.truncate(30 << 30)
    with pytest.raises(ImageRefusedError) as caught:
        raster.read_pixels(Content(path))
    assert caught.value.code is RejectCode.TOO_LARGE


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_in_a_comment_takes_no_memory(chest, kind):
    grey = np.rint(chest * 255).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in grey)
    head = b"k\0\1\0\0\0" if kind == b"iTXt" else b"k\0\0"
    bomb = head + zlib.compress(bytes(80 << 20))
    tracemalloc.start()
    with contextlib.suppress(ImageRefusedError):
        read(png_of(raw, shape=grey.shape, extra=((kind, bomb),)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_the_steps_are_kept_when_asked_for(saved, chest, tmp_path):
    saved(Image.fromarray(np.rint(chest * 4095).astype(np.uint16)), "12.png")
    content = Content(tmp_path / "12.png")
    steps = raster.read_pixels(content, keep_steps=True).history
    assert [step.name for step in steps] == ["stored values", "percentiles"]
    assert all(step.pixels is not None and step.pixels.shape == chest.shape for step in steps)
    assert all(step.pixels is None for step in raster.read_pixels(content).history)
