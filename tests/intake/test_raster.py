from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import raster
from cxrscreen.intake.content import Content
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


def png_of(raw: bytes, *, shape: tuple[int, int], interlace: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", shape[1], shape[0], 8, 0, 0, 0, interlace)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b""))
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
