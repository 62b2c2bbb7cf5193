"""Writers of JPEG, PNG and DICOM files whose bytes depend on the image alone."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

JPEG_QUALITY = 92
PIXEL_SPACING_MM = 0.33
# The part of the stored range that the VOI window shows: the rest is the plate's reserve.
WINDOW_LOW, WINDOW_HIGH = 0.12, 0.88
BLOCK = 65535
BYTE = 8


@dataclass(frozen=True)
class DicomSpec:
    """How one radiograph is stored as DICOM.

    Attributes
    ----------
    modality : {"CR", "DX"}
        Modality, which also chooses the SOP class.
    bits : int
        Bits stored, 8, 12 or 16.
    inverted : bool
        Store MONOCHROME1 (air has large values) in place of MONOCHROME2.
    intercept : int
        Rescale intercept; not 0 stores signed values with ``modality = stored - intercept``.
    coding : {"raw", "rle", "jpeg"}
        Transfer syntax: explicit VR little endian, RLE Lossless or JPEG Baseline.
    view : str
        View position.
    part : str
        Body part examined.
    age, sex : str
        The phantom's age and sex.
    """

    modality: Literal["CR", "DX"]
    bits: int
    inverted: bool = False
    intercept: int = 0
    coding: Literal["raw", "rle", "jpeg"] = "raw"
    view: str = "PA"
    part: str = "CHEST"
    age: str = "003Y"
    sex: str = "F"


def quantise(image: NDArray[np.float64], bits: int) -> NDArray[np.uint16]:
    """Round grey values to whole numbers.

    Parameters
    ----------
    image : ndarray of float64
        Grey values 0..1.
    bits : int
        Bits per pixel, 1..16.

    Returns
    -------
    ndarray of uint16
        Values 0..``2**bits - 1``.
    """
    values = np.rint(np.clip(image, 0.0, 1.0) * (2**bits - 1))
    return np.asarray(values, dtype=np.uint16)


def _jpeg(image: NDArray[np.uint16]) -> bytes:
    """Return a baseline JPEG of 8-bit grey values."""
    buffer = BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(
        buffer, "JPEG", quality=JPEG_QUALITY, optimize=False, progressive=False
    )
    return buffer.getvalue()


def write_jpeg(path: Path, image: NDArray[np.float64]) -> None:
    """Write an 8-bit grey JPEG.

    Parameters
    ----------
    path : Path
        Target file.
    image : ndarray of float64
        Grey values 0..1, shape ``(H, W)``.
    """
    path.write_bytes(_jpeg(quantise(image, 8)))


def write_png(path: Path, image: NDArray[np.float64], *, bits: int) -> None:
    """Write a grey PNG.

    The pixels are stored, not deflated: the builds of zlib that Python and Pillow come with
    compress to different bytes, and noise hardly gets smaller anyway.

    Parameters
    ----------
    path : Path
        Target file.
    image : ndarray of float64
        Grey values 0..1, shape ``(H, W)``.
    bits : int
        Bits per pixel, 8 or 16.
    """
    values = quantise(image, bits).astype(">u2" if bits > BYTE else "u1")
    rows, columns = values.shape
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    stored = [b"\x78\x01"]
    for start in range(0, len(lines), BLOCK):
        block = lines[start : start + BLOCK]
        last = start + BLOCK >= len(lines)
        stored.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    stored.append(struct.pack(">I", zlib.adler32(lines)))
    header = struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(stored)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def _uid(*parts: str) -> UID:
    """Return an UID that follows from its parts alone."""
    return generate_uid(prefix="2.25.", entropy_srcs=["cxrscreen phantom", *parts])


def _header(spec: DicomSpec, number: int) -> FileDataset:
    """Return the data set without its image."""
    is_dx = spec.modality == "DX"
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = (
        DigitalXRayImageStorageForPresentation if is_dx else ComputedRadiographyImageStorage
    )
    meta.MediaStorageSOPInstanceUID = _uid("instance", str(number))
    meta.TransferSyntaxUID = {
        "raw": ExplicitVRLittleEndian,
        "rle": RLELossless,
        "jpeg": JPEGBaseline8Bit,
    }[spec.coding]
    # pydicom would write its own version here, which changes with every release.
    meta.ImplementationClassUID = _uid("implementation")
    meta.ImplementationVersionName = "CXRPHANTOM_1"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 100"
    data.ImageType = ["DERIVED" if spec.coding == "jpeg" else "ORIGINAL", "PRIMARY"]
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(data, keyword, "20240229")
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(data, keyword, f"10{number % 60:02d}00")
    data.AccessionNumber = ""
    data.Modality = spec.modality
    data.Manufacturer = "cxrscreen phantom"
    data.ReferringPhysicianName = ""
    data.StudyDescription = f"{spec.part} {spec.view}"
    data.PatientName = f"Phantom^{number:02d}"
    data.PatientID = f"PHANTOM-{number:02d}"
    data.PatientBirthDate = ""
    data.PatientSex = spec.sex
    data.PatientAge = spec.age
    data.BodyPartExamined = spec.part
    data.ViewPosition = spec.view
    data.StudyInstanceUID = _uid("study", str(number))
    data.SeriesInstanceUID = _uid("series", str(number))
    data.StudyID = f"{number}"
    data.SeriesNumber = 1
    data.InstanceNumber = 1
    data.PatientOrientation = ["A", "F"] if spec.view == "LL" else ["L", "F"]
    data.ImagerPixelSpacing = [PIXEL_SPACING_MM, PIXEL_SPACING_MM]
    data.BurnedInAnnotation = "NO"
    if is_dx:
        _complete_dx(data, spec)
    return data


def _complete_dx(data: FileDataset, spec: DicomSpec) -> None:
    """Add what a digital X-ray image must carry beyond a computed one."""
    data.ImageLaterality = "R" if spec.part == "HAND" else "U"
    data.AnatomicRegionSequence = Sequence(
        [
            _code("85562004", "SCT", "Hand")
            if spec.part == "HAND"
            else _code("51185008", "SCT", "Chest")
        ]
    )
    data.PresentationIntentType = "FOR PRESENTATION"
    data.DetectorType = "STORAGE"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = 1 if spec.inverted else -1
    data.PresentationLUTShape = "INVERSE" if spec.inverted else "IDENTITY"
    data.LossyImageCompression = "01" if spec.coding == "jpeg" else "00"
    if spec.coding == "jpeg":
        data.LossyImageCompressionMethod = "ISO_10918_1"
        data.LossyImageCompressionRatio = "6"
    data.AcquisitionContextSequence = Sequence([])
    data.RescaleSlope = 1
    data.RescaleIntercept = 0
    data.RescaleType = "US"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return one coded concept."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def write_dicom(
    path: Path, image: NDArray[np.float64] | None, spec: DicomSpec, *, number: int
) -> None:
    """Write a radiograph as a DICOM file.

    Parameters
    ----------
    path : Path
        Target file.
    image : ndarray of float64 or None
        Grey values 0..1 with air dark, shape ``(H, W)``; None writes a header without pixels.
    spec : DicomSpec
        How it is stored. Windowed, and turned over if MONOCHROME1, it shows `image` again.
    number : int
        Number of the phantom patient, from which every identifier follows.
    """
    data = _header(spec, number)
    if image is not None:
        _add_pixels(data, image, spec)
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())


def _add_pixels(data: FileDataset, image: NDArray[np.float64], spec: DicomSpec) -> None:
    """Store the image and the window that shows it."""
    top = 2**spec.bits - 1
    low, high = WINDOW_LOW, WINDOW_HIGH
    shown = 1.0 - image if spec.inverted else image
    values = quantise(low + (high - low) * shown, spec.bits)
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if spec.inverted else "MONOCHROME2"
    data.Rows, data.Columns = values.shape
    data.BitsAllocated = 8 if spec.bits == BYTE else 16
    data.BitsStored = spec.bits
    data.HighBit = spec.bits - 1
    data.PixelRepresentation = 1 if spec.intercept else 0
    data.RescaleSlope = 1
    data.RescaleIntercept = -spec.intercept
    data.RescaleType = "US"
    # The linear VOI function reaches from centre - 0.5 - (width - 1) / 2 to the same above.
    first, last = round(low * top), round(high * top)
    data.WindowWidth = last - first + 1
    data.WindowCenter = (first + last + 1) / 2.0
    if spec.coding == "jpeg":
        data.PixelData = encapsulate([_jpeg(values)])
        data["PixelData"].is_undefined_length = True
        return
    if spec.intercept:
        stored = (values.astype(np.int64) + spec.intercept).astype("<i2")
    else:
        stored = values.astype("u1" if spec.bits == BYTE else "<u2")
    if spec.coding == "rle":
        data.compress(RLELossless, stored, encoding_plugin="pydicom", generate_instance_uid=False)
        return
    body = stored.tobytes()
    data.PixelData = body + b"\0" * (len(body) % 2)
    data["PixelData"].VR = "OB" if spec.bits == BYTE else "OW"
