"""Time reading a radiograph beside pydicom's own chain and MONAI's reader.

A made-up chest of 2500x2048 pixels of 12 bits is written in several encodings and read from
file to the network's tensor, each way in turn within one run. What is printed is the ratio of
medians: times of different runs, or of different machines, say nothing beside one another.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from cxrscreen.intake.codecs import table as codecs
from cxrscreen.intake.content import Content
from cxrscreen.intake.pixels.chain import read_pixels
from cxrscreen.preprocess import PreprocessSpec, to_tensor
from tools.phantom import project, sample_anatomy

SHAPE = (2500, 2048)
BITS = 12
SPEC = PreprocessSpec()


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="readings of each file, each way")
    parser.add_argument("--no-monai", action="store_true", help="leave MONAI's reader out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # MONAI comments on each file that has no position in the patient.
    warnings.simplefilter("ignore")
    readers: dict[str, Callable[[Path], object]] = {"cxrscreen": ours, "pydicom": theirs}
    if not options.no_monai:
        readers["MONAI LoadImage"] = with_monai()
    show("encoding", "decoder", "cxrscreen, ms", "beside pydicom", "beside MONAI LoadImage")
    show(*["---"] * 5)
    with tempfile.TemporaryDirectory() as folder:
        for path in write_all(Path(folder)):
            medians = measure(path, readers, options.rounds)
            syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
            decoder = next(row.decoder for row in codecs.codec_table() if row.uid == syntax)
            fastest = medians["cxrscreen"]
            ratios = [
                f"{medians[name] / fastest:.1f} ×" if name in medians else "cannot read"
                for name in ("pydicom", "MONAI LoadImage")
            ]
            show(path.stem, decoder, f"{fastest * 1000:.0f}", *ratios)


def show(*cells: str) -> None:
    """Print one line of the table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def measure(
    path: Path, readers: dict[str, Callable[[Path], object]], rounds: int
) -> dict[str, float]:
    """Return the median of each reader in seconds; those that cannot read it are left out."""
    able = {}
    for name, reader in readers.items():
        try:
            reader(path)
        except Exception as error:  # noqa: BLE001 - a reader without a decoder raises anything
            sys.stderr.write(f"{name} cannot read {path.stem}: {type(error).__name__}\n")
        else:
            able[name] = reader
    times: dict[str, list[float]] = {name: [] for name in able}
    for _ in range(rounds):
        for name, reader in able.items():
            started = time.perf_counter()
            reader(path)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def ours(path: Path) -> torch.Tensor:
    """Read a file to the network's tensor."""
    return to_tensor(read_pixels(Content(path)).pixels, SPEC)


def theirs(path: Path) -> torch.Tensor:
    """Read it with pydicom's functions, then transform it in the same way."""
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    scaled = values.astype(np.float32) / np.float32((1 << BITS) - 1)
    return to_tensor(np.clip(scaled, 0.0, 1.0), SPEC)


def with_monai() -> Callable[[Path], torch.Tensor]:
    """Return a function that reads a file with MONAI; it applies no window."""
    from monai.transforms import LoadImage  # noqa: PLC0415 - takes seconds, and can be left out

    load = LoadImage(image_only=True, ensure_channel_first=True)

    def read(path: Path) -> torch.Tensor:
        image = np.asarray(load(str(path)), dtype=np.float32)
        return to_tensor(image.reshape(image.shape[1:3]), SPEC)

    return read


def write_all(folder: Path) -> list[Path]:
    """Write the radiograph in each encoding that an encoder is installed for."""
    rng = np.random.default_rng(0)
    anatomy = sample_anatomy(rng, pneumonia=False)
    small = project(anatomy, view="frontal", shape=(625, 512), rng=rng)
    # The phantom's time grows with its pixels: enlarged, with the noise of a detector.
    large = np.asarray(Image.fromarray(small.astype(np.float32)).resize(SHAPE[::-1]))
    noisy = np.clip(large + rng.normal(0, 0.004, SHAPE), 0, 1)
    words = np.rint(noisy * ((1 << BITS) - 1)).astype(np.uint16)
    plain = folder / "uncompressed.dcm"
    header(words).save_as(plain, enforce_file_format=True)
    paths = [plain]
    packed = header(words)
    packed.compress(uid.RLELossless, generate_instance_uid=False)
    paths.append(folder / "RLE.dcm")
    packed.save_as(paths[-1], enforce_file_format=True)
    for name, syntax, frame in encoded(words):
        dataset = header(words)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        paths.append(folder / f"{name}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def encoded(words: NDArray[np.uint16]) -> list[tuple[str, uid.UID, bytes]]:
    """Return the radiograph in the codestreams that can be written here."""
    stream = BytesIO()
    Image.fromarray(words).save(stream, "JPEG2000", no_jp2=True, irreversible=False)
    frames = [("JPEG 2000 lossless", uid.JPEG2000Lossless, stream.getvalue())]
    try:
        import imagecodecs  # noqa: PLC0415 - an optional package
    except ImportError:
        return frames
    lossless = imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=BITS)
    frames.append(("JPEG lossless", uid.JPEGLosslessSV1, bytes(lossless)))
    frames.append(("JPEG-LS", uid.JPEGLSLossless, bytes(imagecodecs.jpegls_encode(words))))
    return frames


def header(words: NDArray[np.uint16]) -> FileDataset:
    """Return a DICOM object of stored values, uncompressed, with a rescale and a window."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.UID("2.25.1")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = words.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "0"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.PixelData = words.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


if __name__ == "__main__":
    main()
