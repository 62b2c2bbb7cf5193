"""Open one input: header first, pixels only when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import dicom, pixel_chain, raster
from cxrscreen.intake.sniff import sniff
from cxrscreen.records import ImageRecord, PixelImage
from cxrscreen.vocabulary import RejectCode, SourceKind


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An input whose header has been read.

    Attributes
    ----------
    record
        What the header says.
    read_pixels
        Decodes the pixels when called. Raises :class:`ImageRefusedError`.
    """

    record: ImageRecord
    read_pixels: Callable[[], PixelImage]


def open_image(path: Path) -> OpenedImage:
    """Read the header of ``path`` and return it with the way to its pixels.

    Raises
    ------
    ImageRefusedError
        The file cannot be read, is no image, or its header is damaged.
    """
    kind = sniff(path)
    if kind is SourceKind.DICOM:
        header = dicom.read_header(path)
        return OpenedImage(
            record=dicom.describe(header, source=path),
            read_pixels=lambda: pixel_chain.read_pixels(path),
        )
    if kind in (SourceKind.JPEG, SourceKind.PNG):
        return OpenedImage(
            record=ImageRecord(source=path, kind=kind),
            read_pixels=lambda: raster.read_pixels(path),
        )
    raise ImageRefusedError(RejectCode.NOT_AN_IMAGE, "neither DICOM nor JPEG nor PNG")
