from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.codecs import fast as fast_decoders
from cxrscreen.intake.codecs import rle
from cxrscreen.intake.codecs import table as codecs
from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels import pixel_format
from cxrscreen.intake.pixels.chain import frames_of, read_pixels
from cxrscreen.intake.pixels.pixel_element import open_pixels
from cxrscreen.intake.pixels.stored_values import stored_values
from cxrscreen.vocabulary import RejectCode

FRAMES = np.random.default_rng(5).integers(0, 4096, (3, 48, 64))


def values(path: Path, frame: int = 0):
    with open_pixels(Content(path)) as element:
        return stored_values(element, pixel_format.read(element.header), frame)


def refusal(path: Path, frame: int = 0) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        values(path, frame)
    return caught.value


def grey_j2k(frame) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame.astype(np.uint16)).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


@pytest.fixture
def cine(make_dicom):
    """Return a writer of three frames."""

    def write(kind: str) -> Path:
        path = make_dicom(FRAMES[0], NumberOfFrames=3, bits=16)
        dataset = pydicom.dcmread(path)
        dataset.PixelData = FRAMES.astype("<u2").tobytes()
        if kind == "RLE":
            dataset.compress(uid.RLELossless, generate_instance_uid=False)
        elif kind != "native":
            frames = [grey_j2k(frame) for frame in FRAMES]
            dataset.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
            if kind == "extended":
                data, offsets, lengths = encapsulate_extended(frames)
                dataset.PixelData = data
                dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
            else:
                dataset.PixelData = encapsulate(
                    frames,
                    fragments_per_frame=2 if kind == "fragments" else 1,
                    has_bot=kind != "no table",
                )
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.mark.parametrize("kind", ["native", "RLE", "table", "no table", "fragments", "extended"])
def test_each_frame_of_several(cine, kind):
    path = cine(kind)
    assert frames_of(pydicom.dcmread(path)) == 3
    for number, frame in enumerate(FRAMES):
        np.testing.assert_array_equal(values(path, number), frame)
    for number in (3, -1):
        assert refusal(path, number).code is RejectCode.DECODE_FAILED


def test_a_file_that_ends_in_its_last_frame_still_gives_the_first(cine):
    path = cine("native")
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(values(path, 0), FRAMES[0])
    assert "truncated" in refusal(path, 2).reason


@pytest.mark.parametrize("kind", ["RLE", "j2k", "extended"])
@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("claimed", [None, 1, 2])
def test_a_frame_that_the_header_does_not_count_is_not_lost(
    make_dicom, cine, kind, with_table, claimed
):
    path = cine(kind)
    dataset = pydicom.dcmread(path)
    if claimed is None:
        del dataset.NumberOfFrames
    else:
        dataset.NumberOfFrames = claimed
    if kind != "extended":
        found = [get_frame(dataset.PixelData, index, number_of_frames=3) for index in range(3)]
        dataset.PixelData = encapsulate(found, has_bot=with_table)
    dataset.save_as(path)
    refused = refusal(path)
    assert refused.code is RejectCode.MALFORMED_DICOM
    expected = f"the pixel data hold 3 frames where the header says {claimed or 1}"
    assert refused.reason == expected


def test_a_frame_in_several_fragments_is_one_frame(make_dicom):
    codestream = grey_j2k(FRAMES[0])
    path = make_dicom(FRAMES[0], bits=16, syntax=uid.JPEG2000Lossless, frame=codestream)
    dataset = pydicom.dcmread(path)
    for table in (True, False):
        dataset.PixelData = encapsulate([codestream], fragments_per_frame=5, has_bot=table)
        dataset.save_as(path)
        np.testing.assert_array_equal(values(path), FRAMES[0])


@pytest.mark.parametrize("claimed", ["0", "-3", "", None])
def test_no_sensible_number_of_frames_is_one(make_dicom, claimed):
    header = pydicom.Dataset()
    if claimed is not None:
        header.add_new("NumberOfFrames", "IS", claimed)
    assert frames_of(header) == 1


@pytest.mark.parametrize("shape", [(5, 7), (4, 6)])
def test_bytes_in_words_of_big_endian(make_dicom, shape):
    # PS3.5 section 8.1.1 and annex A.3: the bytes of all frames are packed into words first.
    frames = np.random.default_rng(1).integers(0, 256, (3, *shape)).astype(np.uint8)
    packed = frames.tobytes() + b"\0" * (frames.size % 2)
    swapped = np.frombuffer(packed, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
    path = make_dicom(frames[0], bits=8, NumberOfFrames=3)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = swapped
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(values(path, number), frame)


@pytest.mark.parametrize("high_bit", [11, 12, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_rle_packs_words_whose_value_may_not_be_at_the_bottom(make_dicom, high_bit, signed):
    stored = FRAMES[0] - 2048 * signed
    path = make_dicom(FRAMES[0], bits=16)
    dataset = pydicom.dcmread(path)
    shifted = (stored & 0xFFF) << (high_bit - 11)
    dataset.PixelData = (shifted | (1 if high_bit > 11 else 0)).astype("<u2").tobytes()
    dataset.compress(uid.RLELossless, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, high_bit
    dataset.PixelRepresentation = int(signed)
    dataset.save_as(path)
    np.testing.assert_array_equal(values(path), stored)


def test_a_codestream_with_a_high_bit_beside_its_values_is_refused_by_name(make_dicom):
    codestream = grey_j2k(FRAMES[0])
    path = make_dicom(FRAMES[0], bits=12, syntax=uid.JPEG2000Lossless, frame=codestream, HighBit=15)
    refused = refusal(path)
    assert refused.code is RejectCode.UNSUPPORTED_ENCODING
    assert refused.reason == "HighBit is 15 with 12 bits stored, compressed"


def test_a_bomb_in_the_deflated_syntax_is_refused(make_dicom, monkeypatch):
    path = make_dicom(FRAMES[0] * 0, syntax=uid.DeflatedExplicitVRLittleEndian)
    assert values(path).shape == FRAMES[0].shape
    monkeypatch.setattr("cxrscreen.intake.header.deflated.MAX_INFLATED_BYTES", 5000)
    assert refusal(path).code is RejectCode.TOO_LARGE


def test_a_deflated_file_without_its_end_is_refused(make_dicom):
    path = make_dicom(FRAMES[0], syntax=uid.DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(path).code is RejectCode.MALFORMED_DICOM


def test_a_codestream_that_claims_to_be_huge_is_refused_before_it_is_decoded(make_dicom):
    frame = bytearray(grey_j2k(FRAMES[0]))
    struct.pack_into(">2I", frame, 8, 1 << 20, 1 << 20)
    path = make_dicom(FRAMES[0], bits=16, syntax=uid.JPEG2000Lossless, frame=bytes(frame))
    assert "codestream" in refusal(path).reason


@pytest.mark.parametrize("fast", [True, False])
def test_a_lost_part_of_an_rle_frame_is_noticed(make_dicom, monkeypatch, fast):
    if fast:
        pytest.importorskip("imagecodecs")
    monkeypatch.setattr(rle, "is_accelerated", lambda: fast)
    path = make_dicom(FRAMES[0])
    dataset = pydicom.dcmread(path)
    dataset.compress(uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    np.testing.assert_array_equal(values(path), FRAMES[0])
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    for start in range(200, len(frame) - 300, 400):
        dataset.PixelData = encapsulate([frame[:start] + frame[start + 50 :]])
        dataset.save_as(path)
        assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("fast", [True, False])
def test_jpeg_ls_is_the_same_with_both_decoders_and_damage_is_noticed(
    make_dicom, monkeypatch, fast
):
    imagecodecs = pytest.importorskip("imagecodecs")
    if not fast:
        monkeypatch.setattr(fast_decoders, "is_available", lambda _: False)
    assert (codecs.decoder_for(uid.JPEGLSLossless) == "imagecodecs") == fast
    frame = bytes(imagecodecs.jpegls_encode(FRAMES[0].astype(np.uint16)))
    sound = make_dicom(FRAMES[0], bits=16, syntax=uid.JPEGLSLossless, frame=frame)
    np.testing.assert_array_equal(values(sound), FRAMES[0])
    holed = frame[:1000] + frame[1060:]
    path = make_dicom(FRAMES[0], bits=16, syntax=uid.JPEGLSLossless, frame=holed)
    assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEGLossless])
def test_jpeg_lossless_is_the_same_with_both_decoders_and_damage_is_noticed(
    make_dicom, monkeypatch, fast, syntax
):
    imagecodecs = pytest.importorskip("imagecodecs")
    if not fast:
        monkeypatch.setattr(fast_decoders, "is_available", lambda _: False)
    assert (codecs.decoder_for(syntax) == "imagecodecs") == fast
    stored = FRAMES[0].astype(np.uint16)
    for predictor in (1,) if syntax == uid.JPEGLosslessSV1 else (1, 2, 4):
        frame = bytes(
            imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=16)
        )
        sound = make_dicom(FRAMES[0], bits=16, syntax=syntax, frame=frame)
        np.testing.assert_array_equal(values(sound), FRAMES[0])
    for cut in (slice(1000, 1060), slice(len(frame) // 2, -2)):
        holed = bytearray(frame)
        del holed[cut]
        path = make_dicom(FRAMES[0], bits=16, syntax=syntax, frame=bytes(holed))
        assert refusal(path).code is RejectCode.DECODE_FAILED


@pytest.mark.parametrize("fast", [True, False])
def test_values_that_jpeg_lossless_leads_out_of_their_bits_are_not_wrapped(
    make_dicom, monkeypatch, fast
):
    imagecodecs = pytest.importorskip("imagecodecs")
    if not fast:
        monkeypatch.setattr(fast_decoders, "is_available", lambda _: False)
    stored = np.full((64, 64), 1000, dtype=np.uint16)
    stored[20] = np.arange(64) * 20 + 1000
    frame = bytes(imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1, bitspersample=12))
    path = make_dicom(stored, bits=10, syntax=uid.JPEGLosslessSV1, frame=frame)
    assert refusal(path).code is RejectCode.DECODE_FAILED


def test_the_table_of_codecs_names_a_decoder_for_every_syntax():
    table = codecs.codec_table()
    assert len({row.uid for row in table}) == len(table) == 16
    assert all(row.decoder and row.name for row in table)


def test_white_that_a_lossy_codestream_overshoots_stays_white(make_dicom):
    imagecodecs = pytest.importorskip("imagecodecs")
    stripes = np.zeros((64, 64), dtype=np.uint16)
    stripes[:, 3::7] = 1023
    frame = bytes(imagecodecs.jpeg8_encode(stripes, level=60, bitspersample=12))
    assert int(imagecodecs.jpeg8_decode(frame).max()) > 1023
    path = make_dicom(stripes, bits=10, syntax=uid.JPEGExtended12Bit, frame=frame)
    assert values(path)[stripes == 1023].min() > 500


COLOUR = np.random.default_rng(3).integers(0, 256, (32, 48, 3)).astype(np.uint8)
BT601 = np.array([0.299, 0.587, 0.114])


def colour_dicom(make_dicom, photometric, samples, *, planar=0, bits=8, **more) -> Path:
    path = make_dicom(np.zeros(samples.shape[:2], int), bits=bits, photometric=photometric)
    dataset = pydicom.dcmread(path)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, planar
    data = np.moveaxis(samples, -1, 0) if planar else samples
    dataset.PixelData = np.ascontiguousarray(data).tobytes()
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
def test_rgb_becomes_luminance_and_keeps_how_colourful_it_is(make_dicom, planar, bits):
    samples = COLOUR if bits == 8 else COLOUR.astype(np.uint16) * 257
    image = read_pixels(Content(colour_dicom(make_dicom, "RGB", samples, planar=planar, bits=bits)))
    np.testing.assert_allclose(image.pixels, COLOUR @ BT601 / 255, atol=1e-6)
    spread = (COLOUR.max(axis=2).astype(int) - COLOUR.min(axis=2)).mean() / 255
    assert image.colourfulness == pytest.approx(spread, abs=1e-6)
    assert any("luminance" in warning for warning in image.warnings)


def test_grey_in_rgb_is_not_colourful_and_y_of_ybr_is_the_luminance(make_dicom):
    grey = np.repeat(COLOUR[..., :1], 3, axis=2)
    rgb = read_pixels(Content(colour_dicom(make_dicom, "RGB", grey)))
    ybr = grey.copy()
    ybr[..., 1:] = 128
    full = read_pixels(Content(colour_dicom(make_dicom, "YBR_FULL", ybr)))
    for image in (rgb, full):
        np.testing.assert_allclose(image.pixels, COLOUR[..., 0] / 255, atol=1e-6)
        assert image.colourfulness < 1e-6
    halved = np.stack([grey[:, ::2, 0], grey[:, 1::2, 0]], axis=-1)
    halved = np.concatenate([halved, np.full_like(halved, 128)], axis=-1)
    path = colour_dicom(make_dicom, "YBR_FULL_422", ybr, PixelData=halved.tobytes())
    np.testing.assert_array_equal(read_pixels(Content(path)).pixels, full.pixels)


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.RLELossless])
def test_compressed_colour_equals_another_decoder(make_dicom, syntax):
    smooth = np.asarray(Image.fromarray(COLOUR).resize((96, 64), Image.Resampling.BICUBIC))
    photometric = "YBR_FULL_422" if syntax == uid.JPEGBaseline8Bit else "RGB"
    path = colour_dicom(make_dicom, photometric, smooth)
    dataset = pydicom.dcmread(path)
    expected = smooth @ BT601 / 255
    if syntax == uid.RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        stream = io.BytesIO()
        kind, options = (
            ("JPEG", {"quality": 95})
            if syntax == uid.JPEGBaseline8Bit
            else ("JPEG2000", {"no_jp2": True})
        )
        Image.fromarray(smooth).save(stream, kind, **options)
        expected = np.asarray(Image.open(stream).convert("RGB")) @ BT601 / 255
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    image = read_pixels(Content(path))
    np.testing.assert_allclose(image.pixels, expected, atol=0.012)
    assert image.colourfulness > 0.1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette(make_dicom, bits):
    stored = np.arange(256).reshape(16, 16)
    colours = np.random.default_rng(1).integers(0, 1 << bits, (3, 256))
    elements = {}
    for name, entries in zip(("Red", "Green", "Blue"), colours, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        word = "<u2" if bits == 16 else "u1"
        elements[f"{name}PaletteColorLookupTableData"] = entries.astype(word).tobytes()
    path = make_dicom(stored, bits=8, photometric="PALETTE COLOR", **elements)
    image = read_pixels(Content(path))
    np.testing.assert_allclose(
        image.pixels, (BT601 @ colours / ((1 << bits) - 1)).reshape(16, 16), atol=1e-6
    )
    assert image.colourfulness > 0.1


@pytest.mark.parametrize("name", ["RG2", "RG3"])
@pytest.mark.parametrize("encoding", ["RLE", "JPLL", "JLSL", "J2KR"])
def test_lossless_encodings_of_real_radiographs_are_exact(real_data, name, encoding):
    folder = real_data / "dicom" / "wg04"
    reference = values(folder / f"{name}_UNC.dcm")
    np.testing.assert_array_equal(values(folder / f"{name}_{encoding}.dcm"), reference)


@pytest.mark.parametrize("name", ["RG2", "RG3"])
@pytest.mark.parametrize(
    ("encoding", "function"),
    [("JPLY", "jpeg8_decode"), ("JLSN", "jpegls_decode"), ("J2KI", "jpeg2k_decode")],
)
def test_lossy_encodings_of_real_radiographs_err_no_more_than_another_decoder(
    real_data, name, encoding, function
):
    imagecodecs = pytest.importorskip("imagecodecs")
    folder = real_data / "dicom" / "wg04"
    reference = values(folder / f"{name}_UNC.dcm").astype(int)
    path = folder / f"{name}_{encoding}.dcm"
    frame = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    other = np.abs(getattr(imagecodecs, function)(frame).astype(int) - reference)
    found = np.abs(values(path).astype(int) - reference)
    # One grey level of 1024 for rounding.
    assert found.max() <= other.max() + 1
    assert found.mean() <= other.mean() + 0.01


def deflated(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def test_a_deflated_object_whose_pixels_are_not_its_end_is_refused(make_dicom):
    path = make_dicom(FRAMES[0], bits=16, syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    body = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    for behind, sound in ((b"", True), (b"\0", True), (bytes(range(8)), False), (b"x" * 9, False)):
        path.write_bytes(content[:start] + deflated(body + behind))
        if sound:
            np.testing.assert_array_equal(values(path), values(make_dicom(FRAMES[0], bits=16)))
        else:
            with pytest.raises(ImageRefusedError) as caught:
                values(path)
            assert caught.value.code is RejectCode.DECODE_FAILED
    trailer = struct.pack("<II", zlib.crc32(body), len(body))
    path.write_bytes(content[:start] + deflated(body) + trailer)
    np.testing.assert_array_equal(values(path), values(make_dicom(FRAMES[0], bits=16)))
    path.write_bytes(content[:start] + deflated(body) + trailer[::-1])
    with pytest.raises(ImageRefusedError):
        values(path)
