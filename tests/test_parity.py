"""One radiograph, written in every way, is judged alike."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from cxrscreen.calibration.probability import probability_of
from cxrscreen.intake import open_image
from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels.chain import read_pixels
from cxrscreen.model.predictor import Predictor, choose_device
from cxrscreen.preprocess import to_tensor
from cxrscreen.records import Source
from tools.phantom import project, sample_anatomy

imagecodecs = pytest.importorskip("imagecodecs")

LOSSLESS, LOSSY = 0.005, 0.02
SHAPE = (240, 300)
BITS = (8, 10, 12, 14, 16)
# Whole blocks of JPEG: lossy coding of half a block would ring beyond any limit.
PADDED_COLUMNS = 24


@pytest.fixture(scope="module")
def predictor(packaged) -> Predictor:
    return Predictor(packaged, choose_device("cpu"))


@pytest.fixture(scope="module")
def radiograph(predictor, packaged) -> NDArray[np.float64]:
    """Between a normal and a pneumonic phantom: in the middle, the least change shows."""
    normal, pneumonic = (
        project(sample_anatomy(rng, pneumonia=pneumonia), view="frontal", shape=SHAPE, rng=rng)
        for pneumonia, rng in ((False, np.random.default_rng(1)), (True, np.random.default_rng(11)))
    )
    mixed = [(1 - share) * normal + share * pneumonic for share in np.linspace(0, 1, 41)]
    found = probabilities(predictor, packaged, [image.astype(np.float32) for image in mixed])
    return mixed[int(np.abs(found - 0.5).argmin())]


def probabilities(predictor, packaged, images) -> NDArray[np.float64]:
    tensors = [to_tensor(image, packaged.spec) for image in images]
    logits = [
        logit
        for start in range(0, len(tensors), 32)
        for logit in predictor.logits(tensors[start : start + 32]).tolist()
    ]
    return np.array([probability_of(logit) for logit in logits])


def j2k(words: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(words).save(stream, "JPEG2000", no_jp2=True, **options)
    return stream.getvalue()


# What can be written of words of 8 or 16 bits; the bits are those stored.
LOSSLESS_ENCODERS = {
    uid.JPEGLossless: lambda words, bits: imagecodecs.jpeg8_encode(
        words, lossless=True, predictor=4, bitspersample=max(bits, 8)
    ),
    uid.JPEGLosslessSV1: lambda words, bits: imagecodecs.jpeg8_encode(
        words, lossless=True, predictor=1, bitspersample=max(bits, 8)
    ),
    uid.JPEGLSLossless: lambda words, _: imagecodecs.jpegls_encode(words),
    uid.JPEG2000Lossless: lambda words, _: j2k(words, irreversible=False),
    uid.HTJ2KLossless: lambda words, _: imagecodecs.htj2k_encode(words),
}
LOSSY_ENCODERS = {
    uid.JPEGBaseline8Bit: lambda words, _: imagecodecs.jpeg8_encode(words, level=95),
    uid.JPEGExtended12Bit: lambda words, _: imagecodecs.jpeg8_encode(
        words, level=95, bitspersample=12
    ),
    uid.JPEGLSNearLossless: lambda words, _: imagecodecs.jpegls_encode(words, level=1),
    uid.JPEG2000: lambda words, _: j2k(
        words, irreversible=True, quality_mode="rates", quality_layers=[6]
    ),
}
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
LIMITS = {
    uid.JPEGBaseline8Bit: {8},
    uid.JPEGExtended12Bit: {10, 12},
    uid.JPEG2000Lossless: {8, 16},
    uid.JPEG2000: {8, 16},
}


def voi(kind: str, bits: int, low: int) -> dict[str, Any]:
    """Elements that show the full range, as a window, as a table, or nothing."""
    if kind == "window":
        return {"WindowCenter": low + (1 << (bits - 1)), "WindowWidth": 1 << bits}
    if kind == "LUT":
        item = Dataset()
        count = 1 << bits
        # A count of 65536 is written as 0; a negative first value as the word that it is.
        item.LUTDescriptor = [count % 65536, low % 65536, bits if bits > 8 else 16]
        scale = 257 if bits == 8 else 1
        item.LUTData = (np.arange(count) * scale).astype("<u2").tobytes()
        item["LUTDescriptor"].VR = "US"
        return {"VOILUTSequence": [item]}
    return {}


def variants() -> Iterator[tuple[Any, ...]]:
    syntaxes = (*NATIVE, uid.RLELossless, *LOSSLESS_ENCODERS, *LOSSY_ENCODERS)
    for syntax, bits in product(syntaxes, BITS):
        if bits not in LIMITS.get(syntax, BITS):
            continue
        for photometric, signed, kind, padding in product(
            ("MONOCHROME1", "MONOCHROME2"), (False, True), ("window", "LUT", "none"), (False, True)
        ):
            # The codestreams that the encoders here write hold unsigned samples.
            if signed and syntax not in (*NATIVE, uid.RLELossless):
                continue
            yield syntax, bits, photometric, signed, kind, padding


def write(make_dicom, path, radiograph, variant) -> None:
    syntax, bits, photometric, signed, kind, padding = variant
    top = (1 << bits) - 1
    words = np.rint(radiograph * top).astype(np.int64)
    if photometric == "MONOCHROME1":
        words = top - words
    low = -(1 << (bits - 1)) if signed else 0
    elements = voi(kind, bits, low)
    if padding:
        # Padding that would be shown white.
        value = 0 if photometric == "MONOCHROME1" else top
        words = words.copy()
        words[:, :PADDED_COLUMNS] = value
        elements["PixelPaddingValue"] = value + low
        if syntax in LOSSY_ENCODERS:
            # PS3.3 C.7.5.1.1.2: the limit is what lossy compression needs.
            elements["PixelPaddingRangeLimit"] = value + (top // 25 if value == 0 else -top // 25)
    frame = None
    encoder = {**LOSSLESS_ENCODERS, **LOSSY_ENCODERS}.get(syntax)
    if encoder:
        frame = encoder(words.astype(np.uint8 if bits == 8 else np.uint16), bits)
    made = make_dicom(
        words + low,
        bits=bits,
        signed=signed,
        photometric=photometric,
        syntax=syntax if encoder or syntax in NATIVE[:2] else uid.ExplicitVRLittleEndian,
        frame=frame,
        name=path.name,
        **elements,
    )
    if syntax in NATIVE[2:] or syntax == uid.RLELossless:
        dataset = pydicom.dcmread(made)
        if syntax == uid.RLELossless:
            dataset.compress(syntax, generate_instance_uid=False)
        elif syntax == uid.ExplicitVRBigEndian:
            if bits > 8:
                dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
            for item in dataset.get("VOILUTSequence", []):
                item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
                item["LUTData"].VR = "OW"
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            made,
            dataset,
            implicit_vr=False,
            little_endian=syntax != uid.ExplicitVRBigEndian,
            force_encoding=True,
        )


def test_every_way_to_write_a_radiograph_in_dicom_gives_its_probability(
    make_dicom, tmp_path, radiograph, predictor, packaged
):
    air = radiograph.copy()
    air[:, :PADDED_COLUMNS] = 0
    plain, padded = probabilities(
        predictor, packaged, [radiograph.astype(np.float32), air.astype(np.float32)]
    )
    assert 0.2 < plain < 0.8
    listed, images = list(variants()), []
    for number, variant in enumerate(listed):
        path = tmp_path / f"{number}.dcm"
        write(make_dicom, path, radiograph, variant)
        images.append(to_tensor(read_pixels(Content(path)).pixels, packaged.spec))
        path.unlink()
    found = np.concatenate(
        [predictor.logits(images[start : start + 32]) for start in range(0, len(images), 32)]
    )
    far = []
    for variant, logit in zip(listed, found.tolist(), strict=True):
        expected = padded if variant[-1] else plain
        bound = LOSSY if variant[0] in LOSSY_ENCODERS else LOSSLESS
        if abs(probability_of(logit) - expected) > bound:
            far.append((variant[0].name, *variant[1:], probability_of(logit), expected))
    assert not far, f"{len(far)} of {len(listed)}: {far[:20]}"


@pytest.mark.parametrize(
    ("name", "bits", "bound"),
    [("a.jpg", 8, LOSSY), ("8.png", 8, LOSSLESS), ("16.png", 16, LOSSLESS)],
)
def test_raster_files_give_the_probability_of_dicom(
    make_dicom, tmp_path, radiograph, predictor, packaged, name, bits, bound
):
    path = tmp_path / name
    words = np.rint(radiograph * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    Image.fromarray(words).save(path, **({"quality": 95} if name == "a.jpg" else {}))
    dicom = make_dicom(np.rint(radiograph * 4095).astype(np.uint16), bits=12)
    images = [open_image(Source(each)).read_pixels().pixels for each in (path, dicom)]
    raster, other = probabilities(predictor, packaged, images)
    assert raster == pytest.approx(other, abs=bound)
