"""What a header says about its pixels, checked before any memory is spent on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pydicom
from pydicom.dataset import Dataset

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake.header.dicom import number, text
from cxrscreen.vocabulary import RejectCode

#: A radiograph of 43 x 43 cm at 50 micrometres has 74 million pixels; more is not believed.
MAX_PIXELS: Final = 100_000_000
#: A cine run of ten minutes at 15 images a second has fewer.
MAX_FRAMES: Final = 10_000
MONOCHROME: Final = ("MONOCHROME1", "MONOCHROME2")
PALETTE: Final = "PALETTE COLOR"
_COLOUR: Final = (
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_PARTIAL_422",
    "YBR_ICT",
    "YBR_RCT",
)
_COLOUR_SAMPLES: Final = 3
_BYTE_BITS: Final = 8
_WORD_BITS: Final = 16


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module in short: PS3.3 C.7.6.3.

    Attributes
    ----------
    rows, columns, frames
        Size; at least 1 each.
    samples
        ``SamplesPerPixel``: 1 or 3.
    photometric
        ``PhotometricInterpretation``, upper case.
    allocated, stored, high_bit
        Bits of a sample: 8 or 16 allocated, 1 to that many stored, the topmost of them.
    signed
        Two's complement.
    planar
        Colours follow one another by planes, not by pixels.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: bool

    @property
    def is_colour(self) -> bool:
        """Whether a pixel has three samples."""
        return self.samples == _COLOUR_SAMPLES

    @property
    def frame_bytes(self) -> int:
        """Length of an uncompressed frame: PS3.5 section 8.1.1."""
        # PS3.3 C.7.6.3.1.2: two luminances share a pair of colour differences.
        halved = self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")
        samples = 2 if halved else self.samples
        return self.rows * self.columns * samples * self.allocated // _BYTE_BITS


def frames_of(header: Dataset) -> int:
    """Return how many frames an object holds, by its ``NumberOfFrames`` (PS3.3 C.7.6.6).

    Absent, empty, not a number, zero or negative means one: the element belongs to
    multi-frame objects alone.

    Raises
    ------
    ImageRefusedError
        ``TOO_LARGE`` above :data:`MAX_FRAMES`.
    """
    frames = max(int(number(header, "NumberOfFrames") or 1), 1)
    if frames > MAX_FRAMES:
        reason = f"NumberOfFrames is {frames}, more than {MAX_FRAMES}"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    return frames


def read(header: Dataset) -> PixelFormat:
    """Return the format, or refuse what the chain does not cover.

    Raises
    ------
    ImageRefusedError
        ``MALFORMED_DICOM``, ``UNSUPPORTED_ENCODING`` or ``TOO_LARGE``.
    """
    rows, columns, allocated, stored = (
        int(number(header, keyword) or 0)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    if rows < 1 or columns < 1 or allocated < 1 or stored < 1:
        reason = "Rows, Columns, BitsAllocated or BitsStored is missing or no size"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    photometric = text(header, "PhotometricInterpretation").upper()
    samples = int(number(header, "SamplesPerPixel") or 1)
    expected = _COLOUR_SAMPLES if photometric in _COLOUR else 1
    if photometric not in (*MONOCHROME, *_COLOUR, PALETTE):
        known = photometric in pydicom.pixels.common.PhotometricInterpretation.__members__.values()
        reason = f"PhotometricInterpretation is {_named(photometric, known=known)}"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    if samples != expected:
        reason = f"{samples} samples per pixel for {photometric}"
        raise ImageRefusedError(RejectCode.MALFORMED_DICOM, reason)
    if rows * columns > MAX_PIXELS:
        reason = f"{columns}x{rows} pixels are more than {MAX_PIXELS}"
        raise ImageRefusedError(RejectCode.TOO_LARGE, reason)
    if allocated not in (_BYTE_BITS, _WORD_BITS) or stored > allocated:
        reason = f"{stored} bits stored in {allocated} allocated"
        raise ImageRefusedError(RejectCode.UNSUPPORTED_ENCODING, reason)
    high_bit = number(header, "HighBit")
    return PixelFormat(
        rows=rows,
        columns=columns,
        frames=frames_of(header),
        samples=samples,
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high_bit=_high_bit(high_bit, stored, allocated),
        signed=number(header, "PixelRepresentation") == 1,
        planar=number(header, "PlanarConfiguration") == 1,
    )


def _named(photometric: str, *, known: bool) -> str:
    # Anything may stand in an element that is not one of the standard's terms.
    return photometric if known else "not a defined term" if photometric else "absent"


def _high_bit(claimed: float | None, stored: int, allocated: int) -> int:
    """Return ``HighBit`` where it can be one: PS3.5 section 8.1.1."""
    if claimed is None or not stored - 1 <= claimed < allocated:
        return stored - 1
    return int(claimed)
