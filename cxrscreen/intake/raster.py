"""JPEG and PNG radiographs: full range of the stored bits to 0..1, as displayed."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.content import Content
from cxrscreen.intake.decoders import require_sound_jpeg
from cxrscreen.intake.dicom import quiet_readers
from cxrscreen.intake.pixel_chain import MAX_PIXELS
from cxrscreen.intake.png_check import require_whole_png
from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.vocabulary import RejectCode

_SIXTEEN_BIT_MODES: Final = ("I;16", "I;16B", "I;16L", "I")
_BYTE_MAX = 255
_WORD_MAX = 65535
# Rec. 601 luminance, what Pillow's own conversion to grey uses.
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_pixels(content: Content) -> PixelImage:
    """Decode a JPEG or PNG image.

    Returns
    -------
    PixelImage
        float32 ``[H, W]`` in 0..1, upright by its EXIF orientation. Colour becomes
        luminance, and how far the channels differ is kept for admission.

    Raises
    ------
    ImageRefusedError
        ``TOO_LARGE`` or ``DECODE_FAILED``.
    """
    try:
        with quiet_readers():
            with content.open() as stream:
                encoded = stream.read()
            with Image.open(BytesIO(encoded), formats=("JPEG", "PNG")) as image:
                _check_size(*image.size)
                mode = image.mode
                if image.format == "PNG":
                    require_whole_png(encoded)
                else:
                    shape = (image.height, image.width)
                    require_sound_jpeg(encoded, shape=shape, components=len(image.getbands()))
                upright = ImageOps.exif_transpose(image)
                values, colourfulness, top = _grey(upright)
    except ImageRefusedError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except Exception as error:
        reason = f"the image data is truncated or damaged ({type(error).__name__})"
        raise ImageRefusedError(RejectCode.DECODE_FAILED, reason) from error
    pixels = np.clip(values, 0.0, 1.0)
    return PixelImage(
        pixels=pixels,
        colourfulness=colourfulness,
        history=(
            ChainStep("full range", f"{mode} / {top}", float(pixels.min()), float(pixels.max())),
        ),
    )


def _check_size(width: int, height: int) -> None:
    # Pillow knows the size from the header: nothing has been decoded yet.
    if width * height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> ImageRefusedError:
    reason = f"the image claims more than {MAX_PIXELS} pixels"
    return ImageRefusedError(RejectCode.TOO_LARGE, reason)


def _grey(image: Image.Image) -> tuple[NDArray[np.float32], float, int]:
    """Return grey values in 0..1, the channels' mean difference, and the full range."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return _scaled(image, _WORD_MAX), 0.0, _WORD_MAX
    if image.mode in ("L", "1"):
        return _scaled(image.convert("L"), _BYTE_MAX), 0.0, _BYTE_MAX
    # Transparency is laid on black, the colour of air.
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    channels = _scaled(image.convert("RGB"), _BYTE_MAX)
    spread = channels.max(axis=2) - channels.min(axis=2)
    return channels @ _LUMINANCE, float(spread.mean()), _BYTE_MAX


def _scaled(image: Image.Image, top: int) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32) / np.float32(top)
