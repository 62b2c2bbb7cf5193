from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels.chain import read_pixels as read_content
from cxrscreen.intake.pixels.chain import render
from cxrscreen.records import PixelImage
from cxrscreen.vocabulary import RejectCode

RAMP = np.arange(4096, dtype=np.int32).reshape(64, 64)


def read_pixels(path: Path) -> PixelImage:
    return read_content(Content(path))


def refusal(path: Path) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        read_pixels(path)
    return caught.value


def test_linear_window_by_hand(make_dicom):
    # PS3.3 C.11.2.1.2.1 with c = 2048, w = 4096: y = (x - 2047.5) / 4095 + 0.5 = x / 4095.
    path = make_dicom(RAMP, bits=12, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_pixels(path).pixels, RAMP / 4095, atol=1e-7)


def test_rescale_comes_before_the_window(make_dicom):
    path = make_dicom(
        RAMP, RescaleSlope="2", RescaleIntercept="-100", WindowCenter=3996, WindowWidth=8191
    )
    expected = np.clip((RAMP * 2.0 - 100 - 3995.5) / 8190 + 0.5, 0, 1)
    np.testing.assert_allclose(read_pixels(path).pixels, expected, atol=1e-6)


def test_monochrome1_is_the_same_radiograph_inverted(make_dicom):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = read_pixels(make_dicom(RAMP, **window)).pixels
    inverted = read_pixels(make_dicom(4095 - RAMP, photometric="MONOCHROME1", **window)).pixels
    np.testing.assert_allclose(plain, inverted, atol=1e-6)


def test_signed_values_keep_their_sign(make_dicom):
    path = make_dicom(RAMP - 2048, signed=True, WindowCenter=0, WindowWidth=4096)
    np.testing.assert_allclose(read_pixels(path).pixels, RAMP / 4095, atol=1e-6)


def test_overlay_bits_beside_the_value_are_ignored(make_dicom):
    clean = read_pixels(make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096))
    dirty = make_dicom(RAMP | 0xA000, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(read_pixels(dirty).pixels, clean.pixels)


def test_voi_lut_sequence_goes_before_the_window(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 8]
    lut.LUTData = (np.arange(4096) // 16).astype("<u2").tobytes()
    path = make_dicom(RAMP, VOILUTSequence=[lut], WindowCenter=10, WindowWidth=20)
    np.testing.assert_allclose(read_pixels(path).pixels, (RAMP // 16) / 255, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_data_set_in_explicit_vr_that_is_called_implicit(make_dicom, bits):
    stored = RAMP if bits > 8 else RAMP % 256
    path = make_dicom(stored, bits=bits, RescaleSlope="1", RescaleIntercept="0")
    expected = read_pixels(path).pixels
    explicit, implicit = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"
    content = path.read_bytes()
    assert content.count(explicit) == 1
    path.write_bytes(content.replace(explicit, implicit))
    np.testing.assert_array_equal(read_pixels(path).pixels, expected)


@pytest.mark.parametrize("first", [-2048, 65536 - 2048])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_negative_first_value_of_a_table_may_be_noted_as_unsigned(make_dicom, keyword, first):
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US" if first > 0 else "SS", [4096, first, 12])
    lut.LUTData = (np.arange(4096) // 64 * 64).astype("<u2").tobytes()
    lut.ModalityLUTType = "US"
    window = {"WindowCenter": 2048, "WindowWidth": 4096} if keyword[0] == "M" else {}
    path = make_dicom(RAMP - 2048, signed=True, **{keyword: [lut]}, **window)
    np.testing.assert_allclose(read_pixels(path).pixels, RAMP // 64 * 64 / 4095, atol=1e-6)


def test_modality_lut_sequence(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 16]
    lut.ModalityLUTType = "US"
    lut.LUTData = np.arange(4096)[::-1].astype("<u2").tobytes()
    path = make_dicom(RAMP, ModalityLUTSequence=[lut], WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_pixels(path).pixels, (4095 - RAMP) / 4095, atol=1e-6)


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 2048},
        {"WindowCenter": 2048, "WindowWidth": 0.5},
        {"WindowCenter": "nan", "WindowWidth": 100},
        {"WindowCenter": 2048, "WindowWidth": "inf"},
        {"WindowCenter": 2048, "WindowWidth": 100, "VOILUTFunction": "CUBIC"},
    ],
)
def test_without_a_usable_window_the_image_spreads_its_own_grey_levels(make_dicom, elements):
    image = read_pixels(make_dicom(1000 + RAMP // 2, bits=12, **elements))
    assert image.pixels.min() == 0
    assert image.pixels.max() == 1
    assert any("percentiles" in warning for warning in image.warnings)


def test_eight_bits_without_window_are_display_values(make_dicom):
    stored = (RAMP // 16).clip(20, 200)
    np.testing.assert_allclose(read_pixels(make_dicom(stored, bits=8)).pixels, stored / 255)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    # pydicom turns the grey scale round for a negative slope; the standard does not.
    slope=st.sampled_from([1.0, 0.5, 2.0]),
    intercept=st.integers(-2000, 2000),
    center=st.floats(-3000, 6000),
    width=st.floats(1.5, 9000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    signed=st.booleans(),
)
def test_window_equals_pydicom(slope, intercept, center, width, function, signed):
    stored = RAMP - 2048 * signed
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsStored, header.PixelRepresentation = 12, int(signed)
    header.RescaleSlope, header.RescaleIntercept = str(slope), str(intercept)
    header.WindowCenter, header.WindowWidth = f"{center:.6g}", f"{width:.6g}"
    header.VOILUTFunction = function
    values = apply_modality_lut(stored, header)
    with np.errstate(over="ignore"):
        windowed = apply_voi_lut(values, header)
    # pydicom maps onto the range of the rescaled values: bring it to 0..1.
    ends = sorted(value * slope + intercept for value in (-2048 * signed, 4095 - 2048 * signed))
    expected = np.clip((windowed - ends[0]) / (ends[1] - ends[0]), 0, 1)
    image = render(header, stored)
    # A window that hides the image is not applied, and what it makes white is a border.
    assume(not any("next to" in each or "border" in each for each in image.warnings))
    np.testing.assert_allclose(image.pixels, expected, atol=2e-6)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_header_gives_pixels_in_range(data):
    header = Dataset()
    header.PhotometricInterpretation = data.draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
    header.BitsStored = data.draw(st.integers(1, 16))
    header.PixelRepresentation = data.draw(st.integers(0, 1))
    if data.draw(st.booleans()):
        header.WindowCenter = data.draw(st.integers(-70000, 70000))
        header.WindowWidth = data.draw(st.integers(-5, 70000))
    if data.draw(st.booleans()):
        header.RescaleSlope = data.draw(st.sampled_from(["0", "1", "-3", "1e-9", "0.25"]))
        header.RescaleIntercept = data.draw(st.integers(-70000, 70000))
    top = 1 << header.BitsStored
    low = -(top // 2) if header.PixelRepresentation else 0
    values = data.draw(st.lists(st.integers(low, low + top - 1), min_size=1, max_size=30))
    # PixelImage itself refuses what is outside 0..1 or not a number.
    assert render(header, np.array([values], dtype=np.int32)).pixels.shape == (1, len(values))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_jpeg_baseline_decodes_as_pillow_does(make_dicom, chest):
    grey = Image.fromarray((chest * 255).astype(np.uint8))
    jpeg = encoded(grey, "JPEG", quality=95)
    stored = np.asarray(grey)
    path = make_dicom(stored, bits=8, syntax=uid.JPEGBaseline8Bit, frame=jpeg)
    expected = np.asarray(Image.open(io.BytesIO(jpeg))) / 255
    np.testing.assert_allclose(read_pixels(path).pixels, expected, atol=1.01 / 255)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_jpeg2000_lossless_is_exact_for_both_polarities(make_dicom, chest, photometric):
    stored = (chest * 65535).astype(np.uint16)
    j2k = encoded(Image.fromarray(stored), "JPEG2000", no_jp2=True, irreversible=False)
    window = {"WindowCenter": 32768, "WindowWidth": 65536, "photometric": photometric}
    plain = make_dicom(stored, bits=16, **window)
    packed = make_dicom(stored, bits=16, syntax=uid.JPEG2000Lossless, frame=j2k, **window)
    np.testing.assert_array_equal(read_pixels(packed).pixels, read_pixels(plain).pixels)


def test_rle_is_exact(make_dicom, chest):
    stored = (chest * 4095).astype(np.uint16)
    plain = make_dicom(stored, WindowCenter=2048, WindowWidth=4096)
    dataset = pydicom.dcmread(plain)
    dataset.compress(uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(plain.with_name("rle.dcm"))
    np.testing.assert_array_equal(
        read_pixels(plain.with_name("rle.dcm")).pixels, read_pixels(plain).pixels
    )


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_syntaxes_are_exact(make_dicom, syntax):
    plain = read_pixels(make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096))
    other = read_pixels(make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096, syntax=syntax))
    np.testing.assert_array_equal(other.pixels, plain.pixels)


@pytest.mark.parametrize("columns", [63, 62, 32])
def test_rows_that_a_writer_has_padded_do_not_shear_the_image(make_dicom, columns):
    path = make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096, Columns=columns)
    assert refusal(path).code is RejectCode.MALFORMED_DICOM


def test_one_byte_of_padding_to_an_even_length_is_allowed(make_dicom):
    image = read_pixels(make_dicom(RAMP[:63, :63] // 16, bits=8))
    assert image.pixels.shape == (63, 63)


def test_contradicting_polarities_are_refused(make_dicom):
    path = make_dicom(RAMP, PresentationLUTShape="INVERSE")
    assert refusal(path).code is RejectCode.MALFORMED_DICOM
    assert "polarity" in refusal(path).reason
    agreeing = make_dicom(RAMP, photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert read_pixels(agreeing).pixels[0, 0] == 1


def test_a_big_endian_lookup_table(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 12]
    lut.LUTData = np.arange(4096)[::-1].astype(">u2").tobytes()
    path = make_dicom(RAMP, VOILUTSequence=[lut])
    dataset = pydicom.dcmread(path)
    dataset.VOILUTSequence[0]["LUTData"].VR = "OW"
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, little_endian=False, implicit_vr=False, force_encoding=True)
    np.testing.assert_allclose(read_pixels(path).pixels, (4095 - RAMP) / 4095, atol=1e-6)


def test_a_table_with_more_than_its_bits_is_refused(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 10]
    lut.LUTData = (np.arange(4096) * 16).astype("<u2").tobytes()
    assert refusal(make_dicom(RAMP, VOILUTSequence=[lut])).code is RejectCode.MALFORMED_DICOM


def test_a_codestream_of_another_shape_is_refused(make_dicom, chest):
    grey = Image.fromarray((chest * 255).astype(np.uint8))
    jpeg = encoded(grey, "JPEG", quality=95)
    swapped = np.zeros(grey.size, dtype=np.uint8)
    path = make_dicom(swapped, bits=8, syntax=uid.JPEGBaseline8Bit, frame=jpeg)
    assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("bits", [8, 12])
def test_a_codestream_with_more_bits_than_declared_is_refused(make_dicom, chest, bits):
    stored = (chest * 65535).astype(np.uint16)
    j2k = encoded(Image.fromarray(stored), "JPEG2000", no_jp2=True, irreversible=False)
    path = make_dicom(stored >> 8, bits=bits, syntax=uid.JPEG2000Lossless, frame=j2k)
    assert refusal(path).code is RejectCode.DECODE_FAILED


def test_truncated_uncompressed_pixels_are_refused(make_dicom):
    path = make_dicom(RAMP)
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("kept", [0.98, 0.5, 0.1])
def test_a_compressed_frame_without_its_end_is_refused_not_filled_with_grey(
    make_dicom, chest, kept
):
    grey = Image.fromarray((chest * 255).astype(np.uint8))
    jpeg = encoded(grey, "JPEG", quality=95)
    cut = jpeg[: int(len(jpeg) * kept)]
    path = make_dicom(np.asarray(grey), bits=8, syntax=uid.JPEGBaseline8Bit, frame=cut)
    assert refusal(path).code is RejectCode.DECODE_FAILED


def test_a_damaged_frame_that_the_codec_mends_in_silence_is_refused(make_dicom, chest, capfd):
    grey = Image.fromarray((chest * 255).astype(np.uint8))
    jpeg = bytearray(encoded(grey, "JPEG", quality=95))
    start = jpeg.index(b"\xff\xda") + 400
    del jpeg[start : start + 2000]
    path = make_dicom(np.asarray(grey), bits=8, syntax=uid.JPEGBaseline8Bit, frame=bytes(jpeg))
    assert refusal(path).code is RejectCode.DECODE_FAILED
    assert capfd.readouterr().err == ""


def test_a_file_cut_inside_its_compressed_frame_is_refused(make_dicom, chest):
    grey = Image.fromarray((chest * 255).astype(np.uint8))
    frame = encoded(grey, "JPEG", quality=95)
    path = make_dicom(np.asarray(grey), bits=8, syntax=uid.JPEGBaseline8Bit, frame=frame)
    path.write_bytes(path.read_bytes()[:-4000])
    assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"PixelData": None}, RejectCode.NO_PIXEL_DATA),
        ({"Rows": None}, RejectCode.MALFORMED_DICOM),
        ({"Rows": 60000, "Columns": 60000}, RejectCode.TOO_LARGE),
        ({"NumberOfFrames": 2}, RejectCode.DECODE_FAILED),
        ({"NumberOfFrames": 2_000_000_000}, RejectCode.TOO_LARGE),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, RejectCode.DECODE_FAILED),
        ({"PhotometricInterpretation": "RGB"}, RejectCode.MALFORMED_DICOM),
        ({"PhotometricInterpretation": "HSV"}, RejectCode.UNSUPPORTED_ENCODING),
        ({"PhotometricInterpretation": None}, RejectCode.UNSUPPORTED_ENCODING),
        ({"BitsAllocated": 1, "BitsStored": 1}, RejectCode.UNSUPPORTED_ENCODING),
        ({"PixelData": None, "FloatPixelData": b"\0" * 8}, RejectCode.UNSUPPORTED_ENCODING),
        ({"BitsAllocated": 32, "BitsStored": 32}, RejectCode.UNSUPPORTED_ENCODING),
        ({"BitsStored": 17}, RejectCode.UNSUPPORTED_ENCODING),
    ],
)
def test_what_the_chain_does_not_cover_is_refused_by_name(make_dicom, elements, code):
    assert refusal(make_dicom(RAMP, **elements)).code is code


def test_an_unknown_compression_is_refused(make_dicom):
    path = make_dicom(RAMP, syntax=uid.MPEG2MPML, frame=encapsulate([b"\0\0"]))
    assert refusal(path).code is RejectCode.UNSUPPORTED_ENCODING


def test_pixel_data_of_an_unknown_representation_are_refused(make_dicom):
    path = make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096)
    content = path.read_bytes()
    assert content.count(b"\xe0\x7f\x10\x00OW") == 1
    path.write_bytes(content.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00OU"))
    assert refusal(path).code in (RejectCode.DECODE_FAILED, RejectCode.MALFORMED_DICOM)


def test_two_transfer_syntaxes_are_refused(make_dicom):
    path = make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008\\1.2.1"))
    assert refusal(path).code is RejectCode.MALFORMED_DICOM


def test_a_short_lookup_table_is_refused(make_dicom):
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 8]
    lut.LUTData = b"\0\0" * 10
    assert refusal(make_dicom(RAMP, VOILUTSequence=[lut])).code is RejectCode.MALFORMED_DICOM
