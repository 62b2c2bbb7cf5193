"""Sound files of every kind that intake reads, as seeds for mutations. All are synthetic."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - its documented short name
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from tools.phantom import project, sample_anatomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE: Final = (168, 144)
#: Stands where names and identifiers stand; a report that repeats it has leaked them.
PATIENT: Final = "FUZZPATIENT"
_TOP_12: Final = 4095
_NATIVE: Final = {
    "explicit": uid.ExplicitVRLittleEndian,
    "implicit": uid.ImplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}


@dataclass(frozen=True)
class Seed:
    """A sound file.

    Attributes
    ----------
    family : {"dicom", "jpeg", "png", "tiff", "archive"}
        Which structural mutations fit it.
    name : str
        Encoding.
    data : bytes
        The file.
    pixels : slice
        Where its pixels lie, for damage that spares the header.
    """

    family: str
    name: str
    data: bytes
    pixels: slice


def all_seeds() -> list[Seed]:
    """Return one seed for each encoding that can be written without further packages."""
    rng = np.random.default_rng(11)
    anatomy = sample_anatomy(rng, pneumonia=False)
    chest = project(anatomy, view="frontal", shape=SHAPE, rng=rng)
    seeds = [*_dicom_seeds(chest), *_raster_seeds(chest)]
    return [*seeds, *_archive_seeds(seeds)]


def _dicom_seeds(chest: NDArray[np.float64]) -> list[Seed]:
    stored = np.rint(chest * _TOP_12).astype(np.uint16)
    seeds = [_dicom(name, stored, syntax) for name, syntax in _NATIVE.items()]
    seeds.append(_dicom("8 bit", (stored >> 4).astype(np.uint8), uid.ExplicitVRLittleEndian))
    seeds.append(_dicom("signed", stored.astype(np.int16) - 2048, uid.ExplicitVRLittleEndian))
    encoded: dict[str, tuple[bytes, uid.UID, NDArray[Any]]] = {
        "RLE": (_by_pydicom(stored), uid.RLELossless, stored),
        "JPEG baseline": (_jpeg(chest), uid.JPEGBaseline8Bit, (stored >> 4).astype(np.uint8)),
        "JPEG 2000": (_jpeg_2000(stored), uid.JPEG2000Lossless, stored),
        "JPEG lossless": (*_by_gdcm(stored), stored),
    }
    seeds += [
        _dicom(name, values, syntax, frame=frame)
        for name, (frame, syntax, values) in encoded.items()
    ]
    return seeds


def _dicom(name: str, stored: NDArray[Any], syntax: uid.UID, *, frame: bytes | None = None) -> Seed:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    data.file_meta.MediaStorageSOPInstanceUID = uid.UID("2.25.7")
    data.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID, data.StudyInstanceUID, data.SeriesInstanceUID = (
        "2.25.7",
        "2.25.8",
        "2.25.9",
    )
    data.Modality, data.PresentationIntentType = "DX", "FOR PRESENTATION"
    data.BodyPartExamined, data.ViewPosition, data.PatientAge = "CHEST", "PA", "003Y"
    data.PatientName, data.PatientID, data.PatientComments = PATIENT, PATIENT, PATIENT
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "51185008", "SCT", "Chest"
    data.AnatomicRegionSequence = Sequence([item])
    signed, allocated = stored.dtype.kind == "i", 8 * stored.dtype.itemsize
    bits = min(allocated, 12)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = stored.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, bits, bits - 1
    data.PixelRepresentation = int(signed)
    data.RescaleIntercept, data.RescaleSlope = (2048 if signed else 0), 1
    data.WindowCenter, data.WindowWidth = (1 << bits) // 2, 1 << bits
    if frame is None:
        big = syntax == uid.ExplicitVRBigEndian
        body = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).tobytes()
        data.PixelData = body
    else:
        body, data.PixelData = frame, encapsulate([frame])
        data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB" if frame or allocated == 8 else "OW"  # noqa: PLR2004
    stream = BytesIO()
    data.save_as(stream, enforce_file_format=True)
    encoded = stream.getvalue()
    at = encoded.find(body)
    pixels = slice(at, at + len(body)) if at >= 0 else slice(len(encoded) // 2, len(encoded))
    return Seed("dicom", f"DICOM {name}", encoded, pixels)


def _jpeg(chest: NDArray[np.float64], mode: str = "L", **options: Any) -> bytes:  # noqa: ANN401
    stream = BytesIO()
    image = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    image.convert("RGB").convert(mode).save(stream, "JPEG", quality=92, **options)
    return stream.getvalue()


def _jpeg_2000(stored: NDArray[np.uint16]) -> bytes:
    stream = BytesIO()
    Image.fromarray(stored).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


def _by_pydicom(stored: NDArray[np.uint16]) -> bytes:
    plain = pydicom.dcmread(BytesIO(_dicom("", stored, uid.ExplicitVRLittleEndian).data))
    plain.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return next(generate_frames(plain.PixelData, number_of_frames=1))


def _by_gdcm(stored: NDArray[np.uint16]) -> tuple[bytes, uid.UID]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.SetUseCompression(True)  # noqa: FBT003 - ITK's own signature
        writer.SetCompressor("JPEG")
        writer.Execute(sitk.GetImageFromArray(stored))
        written = pydicom.dcmread(path)
    frame = next(generate_frames(written.PixelData, number_of_frames=1))
    return frame, written.file_meta.TransferSyntaxUID


def _raster_seeds(chest: NDArray[np.float64]) -> list[Seed]:
    eight = Image.fromarray(np.rint(chest * 255).astype(np.uint8))
    sixteen = Image.fromarray(np.rint(chest * 65535).astype(np.uint16))
    files = {
        "JPEG grey": _jpeg(chest),
        "JPEG colour": _jpeg(chest, "RGB"),
        "JPEG restarts": _jpeg(chest, restart_marker_blocks=20),
        "JPEG progressive": _jpeg(chest, progressive=True),
        "JPEG CMYK": _jpeg(chest, "CMYK"),
        "PNG 8 bit": _saved(eight, "PNG"),
        "PNG 16 bit": _saved(sixteen, "PNG"),
        "PNG palette": _saved(eight.convert("P"), "PNG"),
        "PNG RGBA": _saved(eight.convert("RGBA"), "PNG"),
        "TIFF plain": _saved(sixteen, "TIFF"),
        "TIFF LZW": _saved(eight, "TIFF", compression="tiff_lzw"),
        "TIFF deflate": _saved(sixteen, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF PackBits": _saved(eight, "TIFF", compression="packbits"),
        "TIFF JPEG": _saved(eight, "TIFF", compression="jpeg"),
    }
    return [
        Seed(name.split()[0].lower(), name, data, slice(len(data) // 3, len(data) - 64))
        for name, data in files.items()
    ]


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:  # noqa: ANN401
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _archive_seeds(seeds: list[Seed]) -> list[Seed]:
    members = [(f"folder/{n}.bin", seed.data) for n, seed in enumerate(seeds[::6])]
    zipped, tarred = BytesIO(), BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))
    made = {
        "zip": zipped.getvalue(),
        "tar": tarred.getvalue(),
        "tar.gz": gzip.compress(tarred.getvalue(), mtime=0),
        "gz": gzip.compress(seeds[0].data, mtime=0),
    }
    return [Seed("archive", name, data, slice(0, len(data))) for name, data in made.items()]
