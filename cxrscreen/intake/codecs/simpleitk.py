"""A SimpleITK decoder plugin for pydicom: every compressed syntax, no further package.

SimpleITK reads only files, and its own pixel chain inverts MONOCHROME1 and applies the
rescale. So each compressed frame is wrapped as a bare MONOCHROME2 object without rescale,
in memory where the system allows it, and only its stored values come back.

The plugin's interface is pydicom's: ``is_available``, ``DECODER_DEPENDENCIES`` and a
function from an encoded frame to decoded bytes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its documented short name
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from cxrscreen.intake.codecs import codestream
from cxrscreen.intake.codecs.watch import refuse_damage
from cxrscreen.intake.raster.jpeg_check import require_sound
from cxrscreen.intake.raster.lossless_check import require_whole_lossless

PLUGIN: Final = "simpleitk"
_SYNTAXES: Final = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.RLELossless,
)
DECODER_DEPENDENCIES: Final = dict.fromkeys(_SYNTAXES, ("numpy", "SimpleITK>=2.4"))
_LOSSY: Final = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
)
_RINGING = 1 / 8
_BITS_PER_BYTE = 8
_COLOURS = 3
_LOSSY_JPEG: Final = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
LOSSLESS_JPEG: Final = (uid.JPEGLossless, uid.JPEGLosslessSV1)


def is_available(syntax: str) -> bool:
    """Return whether the plugin decodes a transfer syntax."""
    return syntax in DECODER_DEPENDENCIES


def register() -> None:
    """Make the plugin known to pydicom's decoders, once."""
    # ITK prints its warnings to stderr, and they may quote the file.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # noqa: FBT003 - ITK's own signature
    for syntax in _SYNTAXES:
        decoder = get_decoder(syntax)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the stored values of one frame.

    Parameters
    ----------
    source
        One encoded frame.
    runner
        pydicom's description of it.

    Returns
    -------
    bytes
        ``Rows * Columns * SamplesPerPixel`` little-endian unsigned integers of
        ``bits_allocated`` bits, colours by pixels. The sign is left to the caller: the same
        bits mean the same for both.
    """
    if runner.transfer_syntax in _LOSSY_JPEG:
        # libjpeg mends what it can; this finds more than it complains of.
        require_sound(source.rstrip(b"\0"))
    colour = runner.samples_per_pixel == _COLOURS
    size = codestream.size_of(source)
    # GDCM masks what it decodes with the bits that it is told. A lossy codestream of 12 bits
    # goes beyond 10 stored ones at the edges of white areas: the mask would make them black.
    bits = max(runner.bits_stored, min(size.bits if size else 0, runner.bits_allocated))
    if runner.transfer_syntax in LOSSLESS_JPEG:
        # Damage leads out of the range; masked, it would be noise within.
        bits = runner.bits_allocated
    frame = _Frame(
        syntax=runner.transfer_syntax,
        shape=(runner.rows, runner.columns),
        bits=(runner.bits_allocated, bits),
        components=runner.samples_per_pixel,
        photometric=str(runner.photometric_interpretation) if colour else "MONOCHROME2",
    )
    values = _decoded(source, frame)
    if runner.transfer_syntax in LOSSLESS_JPEG:
        require_whole_lossless(source.rstrip(b"\0"), values)
    return checked_bytes(values, runner)


def checked_bytes(values: NDArray[np.integer], runner: DecodeRunner) -> bytes:
    """Return decoded values as pydicom wants them, or refuse what the header does not fit.

    Raises
    ------
    ValueError
        Another shape, another sign, or more bits than the header declares.
    """
    shape: tuple[int, ...] = (runner.rows, runner.columns)
    if runner.samples_per_pixel == _COLOURS:
        shape += (_COLOURS,)
    if values.shape != shape:
        message = f"decoded {values.shape} samples where the header says {shape}"
        raise ValueError(message)
    signed = runner.pixel_representation == 1
    if bool(runner.get_option("j2k_is_signed", signed)) != signed:
        message = "codestream and header disagree about the sign"
        raise ValueError(message)
    # Masking would wrap what does not fit, and the image would be noise with a probability.
    bits = runner.bits_stored
    low, high = int(values.min()), int(values.max())
    least = -(1 << (bits - 1)) if signed else 0
    most = (1 << bits) - 1
    if runner.transfer_syntax in _LOSSY:
        # Lossy coding rings at edges; what rings out of the range belongs to its end.
        ringing = int(_RINGING * (1 << bits))
        if least - ringing <= low and high <= most + ringing and (low < least or high > most):
            values = np.clip(values, least, most)
            low, high = int(values.min()), int(values.max())
    if high > most or low < least:
        message = f"decoded values {low}..{high} do not fit {bits} bits"
        raise ValueError(message)
    unsigned = np.dtype(f"<u{runner.bits_allocated // _BITS_PER_BYTE}")
    return bytes(values.astype(unsigned, copy=False).tobytes())


def require_sound_jpeg(content: bytes, *, shape: tuple[int, int], components: int) -> None:
    """Refuse a JPEG file that its codec would have to mend.

    Parameters
    ----------
    content
        The file. It is wrapped as it is and decoded for what the codec says of it.
    shape
        Rows and columns.
    components
        Colour components; with other than 1 or 3 there is no way to wrap it, and it is let
        through.

    Raises
    ------
    DamagedImageError, RuntimeError
        The codec complained, or gave up.
    """
    if components not in (1, _COLOURS):
        return
    photometric = "MONOCHROME2" if components == 1 else "YBR_FULL_422"
    frame = _Frame(uid.JPEGBaseline8Bit, shape, components=components, photometric=photometric)
    _decoded(content, frame)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What GDCM has to be told of a frame."""

    syntax: uid.UID
    shape: tuple[int, int]
    bits: tuple[int, int] = (8, 8)
    components: int = 1
    photometric: str = "MONOCHROME2"


def _decoded(content: bytes, frame: _Frame) -> NDArray[np.integer]:
    with in_memory_file(_wrap(content, frame)) as name:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(name)
        with refuse_damage():
            image = reader.Execute()
        # The copy is taken while the image lives: a view of a temporary dangles.
        values = sitk.GetArrayFromImage(image)
    # A DICOM image of ITK has a third dimension of one slice.
    decoded: NDArray[np.integer] = values[0] if values.shape[0] == 1 else values
    return decoded


def _wrap(content: bytes, frame: _Frame) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = frame.syntax
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.UID("2.25.1")
    bare = Dataset()
    bare.file_meta = meta
    bare.SOPClassUID = meta.MediaStorageSOPClassUID
    bare.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    bare.SamplesPerPixel = frame.components
    bare.PhotometricInterpretation = frame.photometric
    if frame.components != 1:
        bare.PlanarConfiguration = 0
    bare.Rows, bare.Columns = frame.shape
    bare.BitsAllocated, bare.BitsStored = frame.bits
    bare.HighBit = bare.BitsStored - 1
    bare.PixelRepresentation = 0
    bare.PixelData = encapsulate([content])
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    stream = BytesIO()
    bare.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@contextlib.contextmanager
def in_memory_file(content: bytes) -> Iterator[str]:
    """Give ``content`` a name that ITK can open: in memory on Linux, else a private file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("cxrscreen")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as stream:
                stream.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="cxrscreen-") as folder:
        name = os.path.join(folder, "frame.dcm")  # noqa: PTH118 - ITK takes text
        with open(name, "wb") as stream:  # noqa: PTH123
            stream.write(content)
        yield name
