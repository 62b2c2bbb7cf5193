from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.raster import read as raster
from cxrscreen.records import PixelImage
from cxrscreen.vocabulary import RejectCode

WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, BYTES = 273, 274, 277, 278, 279
PLANAR, SAMPLE_FORMAT = 284, 339
LONG = 4


def read(data: bytes) -> PixelImage:
    return raster.read_pixels(Content(Path("a.tif"), data))


def refused(data: bytes) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        read(data)
    return caught.value


def tiff_of(
    values: NDArray[np.integer],
    *,
    bits: int = 16,
    order: str = "<",
    strips: int = 1,
    following: int = 0,
    **changes: int | None,
) -> bytes:
    """An uncompressed TIFF, written by the letter of the specification."""
    rows, columns = values.shape
    if bits in (8, 16, 32):
        lines = [row.astype(f"{order}{values.dtype.kind}{bits // 8}").tobytes() for row in values]
    else:
        lines = [packed(row, bits) for row in values]
    rows_per_strip = -(-rows // strips)
    parts = [b"".join(lines[at : at + rows_per_strip]) for at in range(0, rows, rows_per_strip)]
    offsets = [8 + sum(map(len, parts[:at])) for at in range(len(parts))]
    tags: dict[int, list[int]] = {
        WIDTH: [columns],
        LENGTH: [rows],
        BITS: [bits],
        COMPRESSION: [1],
        PHOTOMETRIC: [BLACK_IS_ZERO],
        OFFSETS: offsets,
        SAMPLES: [1],
        ROWS_PER_STRIP: [rows_per_strip],
        BYTES: [len(part) for part in parts],
    }
    for name, value in changes.items():
        tag = int(name.removeprefix("tag_"))
        if value is None:
            del tags[tag]
        else:
            tags[tag] = [value]
    at = 8 + sum(map(len, parts))
    beyond = at + 2 + 12 * len(tags) + 4
    entries, far = b"", b""
    for tag, numbers in sorted(tags.items()):
        long = tag in (OFFSETS, BYTES) or max(numbers) > 0xFFFF
        code, kind = ("I", LONG) if long else ("H", 3)
        packed_numbers = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        place = packed_numbers.ljust(4, b"\0")
        if len(packed_numbers) > 4:
            place = struct.pack(f"{order}I", beyond + len(far))
            far += packed_numbers
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, at)
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", following)
    return head + b"".join(parts) + directory + far


def packed(row: NDArray[np.integer], bits: int) -> bytes:
    text = "".join(f"{int(value):0{bits}b}" for value in row)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 16),
    order=st.sampled_from("<>"),
    photometric=st.sampled_from((WHITE_IS_ZERO, BLACK_IS_ZERO)),
    strips=st.integers(1, 5),
    width=st.integers(3, 40),
)
def test_grey_of_any_bits_is_the_same_radiograph(bits, order, photometric, strips, width):
    top = (1 << bits) - 1
    ramp = np.rint(np.linspace(0, top, 9 * width)).astype(np.int64).reshape(9, width)
    # Turned round at every other pixel: a line of one grey at the edge would be a border.
    stored = np.where(np.indices(ramp.shape).sum(axis=0) % 2, ramp, top - ramp)
    stored = stored.astype(np.uint16 if bits > 8 else np.uint8)
    image = read(tiff_of(stored, bits=bits, order=order, strips=strips, tag_262=photometric))
    shown = stored / top if photometric == BLACK_IS_ZERO else 1 - stored / top
    np.testing.assert_allclose(image.pixels, shown, atol=1e-6)
    assert image.warnings == ()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_compressed_files_agree_with_the_numbers(chest, compression, bits):
    if compression == "jpeg" and bits == 16:
        pytest.skip("JPEG in TIFF has 8 bits")
    top = (1 << bits) - 1
    stored = np.rint(chest * top).astype(np.uint16 if bits == 16 else np.uint8)
    stream, options = io.BytesIO(), {"quality": 100} if compression == "jpeg" else {}
    Image.fromarray(stored).save(stream, "TIFF", compression=compression, **options)
    atol = 0.02 if compression == "jpeg" else 1e-6
    np.testing.assert_allclose(read(stream.getvalue()).pixels, stored / top, atol=atol)


def spread(chest: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(chest, [0.1, 99.9], method="nearest")
    return np.clip((chest - low) / (high - low), 0, 1)


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_12_bits_in_words_of_16_are_spread_and_said_so(chest, photometric):
    stored = np.rint(chest * 4095).astype(np.uint16)
    if photometric == WHITE_IS_ZERO:
        stored = 4095 - stored
    image = read(tiff_of(stored, tag_262=photometric))
    np.testing.assert_allclose(image.pixels, spread(chest), atol=0.002)
    assert any("spread by percentiles" in warning for warning in image.warnings)


def test_signed_values_are_spread(chest):
    stored = (np.rint(chest * 4095) - 2048).astype(np.int16)
    image = read(tiff_of(stored, tag_339=2))
    np.testing.assert_allclose(image.pixels, spread(chest), atol=0.002)
    assert image.warnings


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(chest, orientation):
    upright = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    for data in (
        tiff_of(np.asarray(stored), bits=8, tag_274=orientation),
        saved(stored, orientation, "TIFF"),
        saved(stored, orientation, "PNG"),
    ):
        np.testing.assert_allclose(read(data).pixels, np.asarray(upright) / 255, atol=1e-6)


def saved(image: Image.Image, orientation: int, form: str) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(stream, form, exif=exif)
    return stream.getvalue()


def test_the_first_page_is_read_with_a_warning(chest):
    pages = [Image.fromarray(np.rint(shown * 255).astype(np.uint8)) for shown in (chest, 1 - chest)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    image = read(stream.getvalue())
    np.testing.assert_allclose(image.pixels, np.asarray(pages[0]) / 255)
    assert "pages" in image.warnings[0]


def test_a_directory_that_follows_itself_ends(chest):
    stored = np.rint(chest * 255).astype(np.uint8)
    assert read(tiff_of(stored, bits=8, following=8 + stored.size)).warnings


RAMP = np.arange(200 * 150, dtype=np.uint16).reshape(200, 150)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tag_262": None}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_262": 5}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_339": 3}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_258": 32}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_259": 50000}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_259": 5, "tag_258": 12}, RejectCode.UNSUPPORTED_ENCODING),
        ({"tag_256": 700_000}, RejectCode.TOO_LARGE),
        ({"tag_257": 201}, RejectCode.DECODE_FAILED),
        ({"tag_257": 0}, RejectCode.DECODE_FAILED),
        ({"tag_279": 59_999}, RejectCode.DECODE_FAILED),
        ({"tag_279": 0}, RejectCode.DECODE_FAILED),
        ({"tag_273": 1 << 30}, RejectCode.DECODE_FAILED),
        ({"tag_273": None}, RejectCode.DECODE_FAILED),
        ({"tag_278": 100}, RejectCode.DECODE_FAILED),
    ],
)
def test_what_cannot_be_read_as_it_was_meant_is_refused_by_name(changes, code):
    assert refused(tiff_of(RAMP, **changes)).code is code


def test_planes_of_16_bits_are_refused_because_pillow_misreads_them():
    reason = refused(tiff_of(RAMP, tag_284=2, tag_277=3, tag_262=2)).reason
    assert "planes" in reason


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", None]
)
def test_a_truncated_file_is_refused(chest, compression):
    stream = io.BytesIO()
    image = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    image.save(stream, "TIFF", compression=compression)
    whole = stream.getvalue()
    assert read(whole).pixels.shape == chest.shape
    # Pillow writes the directory in front of the pixels or behind them.
    assert refused(whole[: len(whole) * 2 // 3]).code is RejectCode.DECODE_FAILED


def test_damage_in_deflated_strips_is_found_by_their_checksum(chest, capfd):
    stream = io.BytesIO()
    noisy = (chest + np.random.default_rng(0).normal(0, 0.02, chest.shape)).clip(0, 1)
    Image.fromarray(np.rint(noisy * 255).astype(np.uint8)).save(
        stream, "TIFF", compression="tiff_adobe_deflate"
    )
    whole = stream.getvalue()
    for at in range(len(whole) // 4, len(whole) * 3 // 4, 997):
        spoilt = bytearray(whole)
        spoilt[at] ^= 16
        assert refused(bytes(spoilt)).code is RejectCode.DECODE_FAILED
    assert capfd.readouterr() == ("", "")


def test_a_zeroed_block_of_packbits_is_found(chest):
    stream = io.BytesIO()
    noisy = (chest + np.random.default_rng(0).normal(0, 0.02, chest.shape)).clip(0, 1)
    Image.fromarray(np.rint(noisy * 255).astype(np.uint8)).save(
        stream, "TIFF", compression="packbits"
    )
    whole = stream.getvalue()
    for at in range(len(whole) // 4, len(whole) * 3 // 4, 1999):
        assert refused(whole[:at] + bytes(300) + whole[at + 300 :]).code is RejectCode.DECODE_FAILED


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 300), value=st.integers(0, 255), data=st.data())
def test_any_header_byte_may_be_wrong(at, value, data):
    small = np.arange(20 * 15, dtype=np.uint16).reshape(20, 15) * 200
    whole = tiff_of(small, strips=data.draw(st.integers(1, 4)))
    header = bytearray(whole)
    place = at if at < 8 else len(whole) - at
    header[place] = value
    # Anything but a refusal fails.
    with contextlib.suppress(ImageRefusedError):
        read(bytes(header))
