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
import sys
import tempfile
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its documented short name
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

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
_BITS_PER_BYTE = 8
_STDERR = threading.Lock()
_STDERR_DESCRIPTOR = 2
_COMPLAINTS: Final = (b"corrupt jpeg", b"premature end", b"invalid jpeg", b"unsupported marker")


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
    """Return the stored values of one monochrome frame.

    Parameters
    ----------
    source
        One encoded frame.
    runner
        pydicom's description of it.

    Returns
    -------
    bytes
        ``Rows * Columns`` little-endian unsigned integers of ``bits_allocated`` bits. The
        sign is left to the caller: the same bits mean the same for both.
    """
    wrapped = _wrap(source, runner)
    with _as_file(wrapped) as name:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(name)
        with _refuse_what_the_codec_complains_of():
            image = reader.Execute()
        # The copy is taken while the image lives: a view of a temporary dangles.
        values = sitk.GetArrayFromImage(image)
    if values.size != runner.rows * runner.columns:
        message = f"decoded {values.size} pixels instead of {runner.rows * runner.columns}"
        raise ValueError(message)
    unsigned = np.dtype(f"<u{runner.bits_allocated // _BITS_PER_BYTE}")
    return bytes(values.astype(unsigned).tobytes())


@contextlib.contextmanager
def _refuse_what_the_codec_complains_of() -> Iterator[None]:
    """Turn libjpeg's complaints into an error.

    It fills in damaged blocks, says so on the process's stderr, and reports success. A lung
    that was made up must not be judged: what is said there is read, and ends the decoding.
    One decoding at a time, because a process has one stderr.
    """
    with _STDERR, tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        saved = os.dup(_STDERR_DESCRIPTOR)
        os.dup2(said.fileno(), _STDERR_DESCRIPTOR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR_DESCRIPTOR)
            os.close(saved)
        said.seek(0)
        heard = said.read().lower()
        if any(complaint in heard for complaint in _COMPLAINTS):
            message = "the codec found the frame damaged"
            raise ValueError(message)


def _wrap(frame: bytes, runner: DecodeRunner) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = runner.transfer_syntax
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.UID("2.25.1")
    bare = Dataset()
    bare.file_meta = meta
    bare.SOPClassUID = meta.MediaStorageSOPClassUID
    bare.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    bare.SamplesPerPixel = 1
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.Rows, bare.Columns = runner.rows, runner.columns
    bare.BitsAllocated, bare.BitsStored = runner.bits_allocated, runner.bits_stored
    bare.HighBit = runner.bits_stored - 1
    bare.PixelRepresentation = 0
    bare.PixelData = encapsulate([frame])
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    stream = BytesIO()
    bare.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
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
