"""JPEG, PNG and TIFF radiographs: full range of the stored bits to 0..1, as displayed."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its documented short name
from numpy.typing import NDArray
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.codecs.simpleitk import in_memory_file, require_sound_jpeg
from cxrscreen.intake.codecs.watch import refuse_damage
from cxrscreen.intake.content import Content
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.intake.pixels.chain import MAX_PIXELS
from cxrscreen.intake.raster import jpeg_check, png_check, tiff
from cxrscreen.intake.raster.samples import Samples, radiograph
from cxrscreen.records import PixelImage
from cxrscreen.vocabulary import RejectCode

#: Larger files are not read into memory: the largest believable image has 100 million pixels.
MAX_BYTES: Final = 1 << 30
_JPEG_MAGIC: Final = b"\xff\xd8"
_PNG_MAGIC: Final = b"\x89PNG"
_BYTE_MAX, _WORD_MAX = 255, 65535
_WORD_BITS: Final = 16
_GREY, _COLOUR_TYPES = 0, (2, 6)
_ORIENTATION_TAG: Final = 0x0112
_PROCESSES: Final = {
    0: "baseline",
    1: "extended",
    2: "progressive",
    3: "lossless",
    9: "arithmetic",
    10: "arithmetic",
    11: "arithmetic",
    55: "JPEG-LS",
}
_READABLE_PROCESSES: Final = (0, 1, 2)
_BYTE_BITS: Final = 8
_INKS: Final = 4
_COMPONENTS: Final = (1, 3, _INKS)


def read_pixels(content: Content, *, keep_steps: bool = False) -> PixelImage:
    """Decode the first image of a JPEG, PNG or TIFF file.

    Parameters
    ----------
    content
        The file.
    keep_steps
        Keep the pixels after each step in the image's history.

    Returns
    -------
    PixelImage
        float32 ``[H, W]`` in 0..1, upright by its EXIF orientation. Colour becomes
        luminance, and how far the channels differ is kept for admission.

    Raises
    ------
    ImageRefusedError
        ``TOO_LARGE``, ``UNSUPPORTED_ENCODING``, ``BLANK`` or ``DECODE_FAILED``.
    """
    try:
        with quiet_readers():
            encoded = _bytes_of(content)
            if encoded.startswith(_JPEG_MAGIC):
                samples = _jpeg(encoded)
            elif encoded.startswith(_PNG_MAGIC):
                samples = _png(encoded)
            else:
                samples = tiff.read(encoded)
            return radiograph(samples, keep_steps=keep_steps)
    except ImageRefusedError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except Exception as error:
        reason = f"the image data is truncated or damaged ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error


def _bytes_of(content: Content) -> bytes:
    size = content.size()
    if size > MAX_BYTES:
        reason = f"the file of {size} bytes is larger than {MAX_BYTES}"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    with content.open() as stream:
        # A file may grow while it is read.
        return stream.read(MAX_BYTES)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> ImageRefusedError:
    reason = f"the image claims more than {MAX_PIXELS} pixels"
    return ImageRefusedError(RejectCode.TOO_LARGE, reason)


def _jpeg(encoded: bytes) -> Samples:
    jpeg = jpeg_check.parse(encoded)
    _check_size(jpeg.width, jpeg.height)
    process = _PROCESSES.get(jpeg.process, f"process {jpeg.process}")
    if jpeg.process not in _READABLE_PROCESSES or jpeg.precision != _BYTE_BITS:
        reason = (
            f"a {process} JPEG of {jpeg.precision} bits: only 8-bit Huffman-coded ones are read"
        )
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    count = len(jpeg.components)
    if count not in _COMPONENTS:
        reason = f"a JPEG of {count} components"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    if count == _INKS and jpeg.adobe_transform is None:
        reason = "a CMYK JPEG without Adobe's marker: the polarity of its inks is not known"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    jpeg_check.require_all_scans(jpeg, encoded)
    if not jpeg_check.walked_through(jpeg, encoded):
        require_sound_jpeg(encoded, shape=(jpeg.height, jpeg.width), components=count)
    with Image.open(BytesIO(encoded), formats=("JPEG",)) as image:
        orientation, warnings = _orientation(image)
        if image.size != (jpeg.width, jpeg.height):
            message = f"decoded {image.size} pixels"
            raise ValueError(message)
        values = np.asarray(image if count == 1 else image.convert("RGB"))
    if jpeg.several_pictures:
        warnings += ("the file may hold several pictures: the first is read",)
    return Samples(
        values=values,
        top=_BYTE_MAX,
        detail=f"{process} JPEG of {count} components",
        orientation=orientation,
        warnings=warnings,
    )


def _png(encoded: bytes) -> Samples:
    header = png_check.png_header(encoded)
    _check_size(header.width, header.height)
    png_check.require_whole_png(encoded, header)
    wide = header.depth == _WORD_BITS
    with Image.open(BytesIO(encoded), formats=("PNG",)) as image:
        orientation, warnings = _orientation(image)
        if wide and header.colour == _GREY:
            values = np.asarray(image)
            if len(header.transparency) == 2:  # noqa: PLR2004
                values = np.where(values == int.from_bytes(header.transparency, "big"), 0, values)
        elif wide and header.colour in _COLOUR_TYPES:
            values = _wide_colour(encoded)
        elif image.mode in ("1", "L") and not header.transparency:
            values = np.asarray(image.convert("L"))
        elif image.mode == "RGB" and not header.transparency:
            values = np.asarray(image)
        else:
            values = np.asarray(image.convert("RGBA"))
    if header.animated:
        warnings += ("an animated PNG: its first image is read",)
    return Samples(
        values=values,
        top=_WORD_MAX if values.dtype.itemsize > 1 else _BYTE_MAX,
        detail=f"PNG of {header.depth} bits, colour type {header.colour}",
        reduced=wide and values.dtype.itemsize == 1,
        orientation=orientation,
        warnings=warnings,
    )


def _wide_colour(encoded: bytes) -> NDArray[np.uint16]:
    """Return colour of 16 bits, of which Pillow would keep 8."""
    with in_memory_file(encoded) as name:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("PNGImageIO")
        reader.SetFileName(name)
        with refuse_damage():
            image = reader.Execute()
        # The copy is taken while the image lives: a view of a temporary dangles.
        return np.array(sitk.GetArrayFromImage(image), dtype=np.uint16)


def _orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    """Return the EXIF orientation, 1 where there is none that can be believed."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow raises whatever malformed EXIF provokes
        return 1, ("the EXIF data do not parse: taken as upright",)
    if orientation in range(1, 9):
        return int(orientation), ()
    return 1, ("the EXIF orientation means nothing: taken as upright",)
