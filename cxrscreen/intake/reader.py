"""Open one input: header first, pixels only when they are asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.header import dicom
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.pixels import chain as pixel_chain
from cxrscreen.intake.pixels.pixel_format import frames_of
from cxrscreen.intake.raster import read as raster
from cxrscreen.intake.search.member import content_of
from cxrscreen.intake.sniff import sniff
from cxrscreen.records import ImageRecord, PixelImage, Source
from cxrscreen.vocabulary import RejectCode, SourceKind

# What people pack images into that is not looked into.
_OTHER_MAGIC = (
    (b"PK\x03\x04", "a zip file"),
    (b"\x1f\x8b", "a gzip file that holds no tar archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zX", "an xz file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
)


class ReadFrame(Protocol):
    """Decodes one image of an input, counted from 0, and runs it through the chain.

    With ``keep_steps`` the history keeps the image after each step. With ``enough_px`` it may
    come with fewer pixels than the file holds, so many on its shorter side at least.
    """

    def __call__(self, frame: int, *, keep_steps: bool = False, enough_px: int = 0) -> PixelImage:
        """Return the image, or raise :class:`ImageRefusedError`."""


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An input whose header has been read.

    Attributes
    ----------
    record
        What the header says.
    frames
        Number of images that it holds.
    content
        Its bytes.
    read_frame
        Decodes one of them.
    """

    record: ImageRecord
    frames: int
    content: Content
    read_frame: ReadFrame

    def read_pixels(self) -> PixelImage:
        """Decode the first image."""
        return self.read_frame(0)


def open_image(source: Source) -> OpenedImage:
    """Read the header of an input and return it with the way to its pixels.

    Raises
    ------
    ImageRefusedError
        The file cannot be read, is no image, or its header is damaged.
    """
    content = content_of(source)
    kind = sniff(content)
    if kind is SourceKind.DICOM:
        header = dicom.read_header(content)
        return OpenedImage(
            record=dicom.describe(header, source=source),
            frames=_frames_of(header),
            content=content,
            read_frame=functools.partial(pixel_chain.read_pixels, content),
        )
    if kind in (SourceKind.JPEG, SourceKind.PNG, SourceKind.TIFF):
        return OpenedImage(
            record=ImageRecord(source=source, kind=kind),
            frames=1,
            content=content,
            # JPEG could be read coarser too; see docs/performance.md for why it is not.
            read_frame=lambda _, *, keep_steps=False, enough_px=0: raster.read_pixels(  # noqa: ARG005
                content, keep_steps=keep_steps
            ),
        )
    raise ImageRefusedError(RejectCode.NOT_AN_IMAGE, _what_it_is(content.head(4)))


def _frames_of(header: Dataset) -> int:
    try:
        # pydicom converts a value when it is first used, and warns with it.
        with quiet_readers():
            return frames_of(header)
    except ImageRefusedError:
        # Beyond belief: one row, which says so when the pixels are asked for.
        return 1


def _what_it_is(head: bytes) -> str:
    for magic, name in _OTHER_MAGIC:
        if head.startswith(magic):
            return f"{name}: give what is in it"
    return "neither DICOM nor JPEG nor PNG nor TIFF"
