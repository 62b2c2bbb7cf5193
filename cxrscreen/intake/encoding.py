"""How a file stores its pixels: format, bits, channels, compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.header.facts import read_facts
from cxrscreen.intake.raster.png_check import png_header
from cxrscreen.intake.reader import OpenedImage
from cxrscreen.vocabulary import SourceKind

# ITU-T T.81 table K.1, by rows: libjpeg scales it by the quality.
_LUMINANCE: Final = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()
_QUALITIES: Final = np.arange(1, 101)
_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277
_ONE_CHANNEL: Final = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file stores its pixels.

    Attributes
    ----------
    format
        ``DICOM``, ``JPEG``, ``PNG`` or ``TIFF``.
    bits
        Of each sample, as declared; 0 where the file does not say.
    channels
        Samples of each pixel.
    compression
        Transfer syntax of a DICOM file, quality and subsampling of a JPEG, the name of the
        compression of a TIFF; empty for PNG, which has one only.
    """

    format: str
    bits: int
    channels: int
    compression: str = ""

    def __str__(self) -> str:
        said = [self.format, f"{self.bits} bits" if self.bits else "", self.compression]
        counted = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return ", ".join([*filter(None, said), counted])


def encoding_of(opened: OpenedImage) -> Encoding:
    """Return how an image is stored, as far as its file tells.

    Parameters
    ----------
    opened
        An image whose pixels could be read: damage is found there, not here.

    Raises
    ------
    ImageRefusedError
        As :func:`cxrscreen.intake.header.facts.read_facts`.
    """
    kind = opened.record.kind
    if kind is SourceKind.DICOM:
        facts = read_facts(opened.content)
        bits = facts.get("BitsStored", "0").split()[0]
        photometric = facts.get("PhotometricInterpretation", "")
        channels = 1 if photometric in _ONE_CHANNEL else 3
        return Encoding("DICOM", int(bits), channels, facts.get("TransferSyntaxUID", ""))
    if kind is SourceKind.PNG:
        with opened.content.open() as stream:
            header = png_header(stream.read())
        return Encoding("PNG", header.depth, _PNG_CHANNELS[header.colour])
    with quiet_readers(), opened.content.open() as stream, Image.open(stream) as image:
        if isinstance(image, JpegImageFile):
            return _jpeg(image)
        if isinstance(image, TiffImageFile):
            return _tiff(image)
        return Encoding(kind.value, 0, len(image.getbands()))


def jpeg_quality(table: list[int]) -> tuple[int, bool]:
    """Return the quality of libjpeg whose luminance table comes closest.

    Parameters
    ----------
    table
        The 64 steps of the luminance table, by rows.

    Returns
    -------
    tuple of int and bool
        1 to 100, and whether the table is exactly that of libjpeg. Other programs have
        tables of their own.
    """
    scale = np.where(_QUALITIES < 50, 5000 // _QUALITIES, 200 - 2 * _QUALITIES)  # noqa: PLR2004 - jcparam.c
    tables = np.clip((_LUMINANCE * scale[:, None] + 50) // 100, 1, 255)
    distance = np.abs(tables - np.asarray(table)).sum(axis=1)
    # The highest of equals: several qualities may round to one table.
    best = int(np.flatnonzero(distance == distance.min())[-1])
    return int(_QUALITIES[best]), bool(distance[best] == 0)


def _jpeg(image: JpegImageFile) -> Encoding:
    said = ["progressive"] if image.info.get("progressive") else []
    tables = image.quantization
    if tables and len(tables[min(tables)]) == _LUMINANCE.size:
        quality, exact = jpeg_quality(list(tables[min(tables)]))
        said.append(f"quality {quality}" if exact else f"quality near {quality}")
    layers = tuple((layer[1], layer[2]) for layer in image.layer)
    if len(layers) == 3:  # noqa: PLR2004 - luminance and two of colour
        said.append(_SUBSAMPLING.get(layers, "unusual subsampling"))
    return Encoding("JPEG", image.bits, image.layers, ", ".join(said))


_SUBSAMPLING: Final[dict[tuple[tuple[int, int], ...], str]] = {
    ((1, 1), (1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1), (1, 1)): "4:2:0",
    ((1, 2), (1, 1), (1, 1)): "4:4:0",
    ((4, 1), (1, 1), (1, 1)): "4:1:1",
}


def _tiff(image: TiffImageFile) -> Encoding:
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
    first = bits[0] if isinstance(bits, tuple) else bits
    channels = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1)
    return Encoding("TIFF", int(first), int(channels), str(image.info.get("compression", "")))
