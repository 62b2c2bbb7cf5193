"""Write the radiographs that throughput is measured on.

Phantom chests of 2048x2500 pixels with the noise of a detector, each of another noise, so that
none is a copy: of every five files, two are uncompressed DICOM of 12 bits, one is JPEG lossless,
one JPEG 2000 lossless, and one a JPEG file of 8 bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from tools.benchmark_intake import BITS, SHAPE, header
from tools.phantom import project, sample_anatomy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

#: What every five files are, in this order.
ENCODINGS: Final = ("uncompressed", "JPEG lossless", "uncompressed", "JPEG 2000", "JPEG file")
_SEED: Final = 20240229
_NOISE: Final = 0.004
_PHANTOM_SHAPE: Final = (625, 512)
# Children whom the packaged check takes for what they are.
_CHILDREN: Final = (1, 2, 4, 5, 8, 9, 11, 12)
_JPEG_QUALITY: Final = 92


def write_corpus(folder: Path, count: int) -> list[Path]:
    """Write the corpus.

    Parameters
    ----------
    folder : Path
        Where to; made if need be.
    count : int
        How many files. With a multiple of 5, each encoding has its share.

    Returns
    -------
    list of Path
        The files, in the order in which a folder is searched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chests = [_chest(child) for child in _CHILDREN]
    paths = []
    for number in range(count):
        rng = np.random.default_rng((_SEED, number))
        chest = chests[number % len(chests)]
        noise = rng.standard_normal(SHAPE, dtype=np.float32) * np.float32(_NOISE)
        image = np.clip(chest + noise, 0.0, 1.0)
        encoding = ENCODINGS[number % len(ENCODINGS)]
        path = folder / f"{number:05}.{'jpg' if encoding == 'JPEG file' else 'dcm'}"
        if encoding == "JPEG file":
            eight = np.rint(image * 255).astype(np.uint8)
            Image.fromarray(eight).save(path, quality=_JPEG_QUALITY)
        else:
            _write_dicom(path, image, encoding, number)
        paths.append(path)
    return paths


def _chest(child: int) -> NDArray[np.float32]:
    rng = np.random.default_rng((_SEED, child))
    anatomy = sample_anatomy(rng, pneumonia=child % 2 == 1)
    small = project(anatomy, view="frontal", shape=_PHANTOM_SHAPE, rng=rng)
    # The phantom's time grows with its pixels: enlarged, it is as large as a detector's image.
    enlarged = Image.fromarray(small.astype(np.float32)).resize(
        SHAPE[::-1], Image.Resampling.BICUBIC
    )
    return np.asarray(enlarged)


def _write_dicom(path: Path, image: NDArray[np.float32], encoding: str, number: int) -> None:
    words = np.rint(image * ((1 << BITS) - 1)).astype(np.uint16)
    dataset = header(words)
    dataset.SOPInstanceUID = uid.UID(f"2.25.{_SEED}{number:05}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientAge = "003Y"
    if encoding in _ENCODERS:
        _ENCODERS[encoding](dataset, words)
    dataset.save_as(path, enforce_file_format=True)


def _jpeg_lossless(dataset: FileDataset, words: NDArray[np.uint16]) -> None:
    frame = imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=BITS)
    _encapsulate(dataset, bytes(frame), uid.JPEGLosslessSV1)


def _jpeg_2000(dataset: FileDataset, words: NDArray[np.uint16]) -> None:
    # Pillow would write 16 bits for the 12.
    frame = imagecodecs.jpeg2k_encode(words, codecformat="j2k", bitspersample=BITS, reversible=True)
    _encapsulate(dataset, bytes(frame), uid.JPEG2000Lossless)


def _encapsulate(dataset: FileDataset, frame: bytes, syntax: uid.UID) -> None:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


_ENCODERS: Final[dict[str, Callable[[FileDataset, NDArray[np.uint16]], None]]] = {
    "JPEG lossless": _jpeg_lossless,
    "JPEG 2000": _jpeg_2000,
}
