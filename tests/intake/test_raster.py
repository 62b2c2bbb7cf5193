from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import raster
from cxrscreen.vocabulary import RejectCode


@pytest.fixture
def saved(tmp_path):
    def save(image: Image.Image, name: str, **options: object):
        image.save(tmp_path / name, **options)
        return raster.read_pixels(tmp_path / name)

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
    image = Image.new("RGBA", (200, 200), (255, 255, 255, 0))
    assert saved(image, "t.png").pixels.max() == 0


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
        raster.read_pixels(path)
    assert caught.value.code is RejectCode.DECODE_FAILED


def test_an_absurd_size_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(ImageRefusedError) as caught:
        raster.read_pixels(path)
    assert caught.value.code is RejectCode.TOO_LARGE
