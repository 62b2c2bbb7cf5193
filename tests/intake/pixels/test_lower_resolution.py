from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid

from cxrscreen.examine import Examined, ExamineSettings, examine
from cxrscreen.intake.codecs.levels import decode, levels_to_skip
from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels.chain import read_pixels
from cxrscreen.model.predictor import Predictor, choose_device
from cxrscreen.preprocess import to_tensor
from cxrscreen.records import Input, Permissions, Source
from cxrscreen.vocabulary import RejectCode

imagecodecs = pytest.importorskip("imagecodecs")

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
ENOUGH = 448
# The lossless bound of the parity test.
PARITY = 0.005


@pytest.fixture(scope="module")
def large(chest) -> NDArray[np.uint16]:
    """A radiograph of 12 bits with the noise of a detector, larger than any network needs."""
    enlarged = Image.fromarray(chest.astype(np.float32)).resize((1300, 1000), Image.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 0.004, (1000, 1300))
    return np.rint(np.clip(np.asarray(enlarged) + noise, 0, 1) * 4095).astype(np.uint16)


def encode(words: NDArray[np.uint16], *, bits: int = 12, **options: object) -> bytes:
    options = {"reversible": True, **options}
    return bytes(imagecodecs.jpeg2k_encode(words, codecformat="j2k", bitspersample=bits, **options))


def write(make_dicom, words, frame=None, *, syntax=uid.JPEG2000Lossless, **options):
    elements = {**WINDOW, **options}
    frame = encode(words) if frame is None else frame
    return make_dicom(words, syntax=syntax, frame=frame, **elements)


def examined(path, packaged) -> Examined:
    settings = ExamineSettings(packaged.spec, packaged.intended_use, Permissions())
    (image,) = examine(Input(Source(path)), settings)
    return image


@pytest.mark.parametrize(
    ("syntax", "options"),
    [
        (uid.JPEG2000Lossless, {}),
        (uid.JPEG2000, {"reversible": False, "level": 45}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_lower_resolution_is_judged_as_the_whole_is(
    make_dicom, large, packaged, syntax, options, photometric
):
    words = 4095 - large if photometric == "MONOCHROME1" else large
    path = write(
        make_dicom, words, encode(words, **options), syntax=syntax, photometric=photometric
    )
    whole = read_pixels(Content(path))
    fewer = read_pixels(Content(path), enough_px=ENOUGH)
    assert whole.pixels.shape == large.shape
    assert fewer.pixels.shape == (500, 650)
    assert fewer.whole_shape == large.shape
    predictor = Predictor(packaged, choose_device("cpu"))
    logits = predictor.logits([to_tensor(each.pixels, packaged.spec) for each in (whole, fewer)])
    probabilities = [packaged.calibration.calibrator.probability(logit) for logit in logits]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=PARITY)


def test_two_levels_stay_where_the_pixels_are(large):
    """A sample of a level lies beside the middle of those that it stands for: it is moved."""
    frame = encode(large)
    assert levels_to_skip(frame, bits=12, enough_px=240) == 2
    fewer = decode(frame, bits=12, skipped=2).astype(np.float64)
    means = large.reshape(250, 4, 325, 4).mean((1, 3))
    shifted = [np.abs(fewer[1:-1, 1:-1] - means[1 + d : 249 + d, 1 + d : 324 + d]) for d in (-1, 1)]
    near = np.abs(fewer - means)[1:-1, 1:-1]
    assert near.mean() < 10
    # In the middle between the two neighbours, and not nearer to one of them.
    assert shifted[0].mean() == pytest.approx(shifted[1].mean(), rel=0.1)
    assert near.mean() < 0.3 * shifted[0].mean()


@pytest.mark.parametrize(
    "why",
    [
        "no window",
        "padding",
        "border",
        "other bits",
        "tiles",
        "few levels",
        "oblong",
        "shows nothing",
    ],
)
def test_where_single_pixels_count_all_are_read(make_dicom, large, why):
    words, options = large, {}
    frame = None
    if why == "no window":
        options = {"WindowCenter": None, "WindowWidth": None}
    elif why == "shows nothing":
        options = {"WindowCenter": 9000, "WindowWidth": 10}
    elif why == "padding":
        words = large.copy()
        words[:, :101] = 4095
        options = {"PixelPaddingValue": 4095}
    elif why == "border":
        words = large.copy()
        words[:33] = 4095
    elif why == "other bits":
        frame = encode(large, bits=16)
    elif why == "tiles":
        words, options = large >> 4, {"WindowCenter": 128, "WindowWidth": 256, "bits": 8}
        stream = io.BytesIO()
        Image.fromarray(words.astype(np.uint8)).save(
            stream, "JPEG2000", no_jp2=True, irreversible=False, tile_size=(512, 512)
        )
        frame = stream.getvalue()
    elif why == "few levels":
        frame = encode(large, resolutions=1)
    elif why == "oblong":
        options = {"PixelSpacing": [0.3, 0.2]}
    path = write(make_dicom, words, frame, **options)
    whole, fewer = read_pixels(Content(path)), read_pixels(Content(path), enough_px=ENOUGH)
    assert fewer.whole_shape is None
    assert np.array_equal(whole.pixels, fewer.pixels)
    assert fewer.warnings == whole.warnings


@pytest.mark.parametrize("size", [(1793, 1025), (1201, 911), (897, 896), (450, 450)])
def test_images_of_any_size_come_with_enough_pixels(make_dicom, large, size):
    rows, columns = size
    words = np.ascontiguousarray(np.tile(large, (2, 1))[:rows, :columns])
    image = read_pixels(Content(write(make_dicom, words)), enough_px=ENOUGH)
    assert min(image.pixels.shape) >= ENOUGH
    if image.whole_shape is None:
        assert image.pixels.shape == size
    else:
        part = round(rows / image.pixels.shape[0])
        assert image.pixels.shape == (-(-rows // part), -(-columns // part))


def test_a_truncated_codestream_is_refused_as_ever(make_dicom, large, packaged):
    sound = encode(large)
    for share in (0.1, 0.5, 0.9, 0.99):
        cut = sound[: int(share * len(sound))] + b"\xff\xd9"
        image = examined(write(make_dicom, large, cut), packaged)
        assert image.admission.code is RejectCode.DECODE_FAILED, share
        assert image.pixels is None


def test_what_is_refused_is_refused_for_all_of_its_pixels(make_dicom, large, packaged):
    turned = np.ascontiguousarray(np.rot90(large, 2))
    by_level = examined(write(make_dicom, turned), packaged)
    plain = examined(make_dicom(turned, **WINDOW), packaged)
    assert by_level.admission.code is RejectCode.ROTATED
    assert by_level.admission == plain.admission


def test_a_picture_for_people_has_all_pixels_and_changes_no_judgement(make_dicom, large, packaged):
    path = write(make_dicom, large)
    settings = ExamineSettings(packaged.spec, packaged.intended_use, Permissions(), display_px=1100)
    (shown,) = examine(Input(Source(path)), settings)
    plain = examined(path, packaged)
    assert shown.display.pixels.shape == (846, 1100)
    assert shown.shape == plain.shape == large.shape
    assert np.array_equal(shown.pixels, plain.pixels)
