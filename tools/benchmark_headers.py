"""How many files a second are refused from their headers: sniff, header, admission.

Makes its own corpus: CT- and MR-like objects with hundreds of elements, private ones and
sequences among them, and half a megabyte of pixels that must not be read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from cxrscreen.admission import admit_header
from cxrscreen.intake import open_image
from cxrscreen.records import IntendedUse, Source
from cxrscreen.vocabulary import RejectCode

_CLASSES: Final = (
    (uid.CTImageStorage, "CT", uid.ExplicitVRLittleEndian),
    (uid.CTImageStorage, "CT", uid.ImplicitVRLittleEndian),
    (uid.MRImageStorage, "MR", uid.ExplicitVRLittleEndian),
    (uid.EnhancedMRImageStorage, "MR", uid.ExplicitVRLittleEndian),
)
_PRIVATE_ELEMENTS: Final = 60
_PRIVATE_GROUPS: Final = (0x0009, 0x0019, 0x0021, 0x0029, 0x0043)
_SIDE_PX: Final = 512
_FRAMES_OF_ENHANCED: Final = 40
_CHILDREN: Final = IntendedUse(population="children", age_range_years=(1, 5))


def write_corpus(folder: Path, files: int) -> list[Path]:
    """Write ``files`` objects of the classes in turn and return their paths."""
    paths = []
    for number in range(files):
        path = folder / f"{number:05d}.dcm"
        _object(number).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def seconds_to_refuse(paths: list[Path]) -> float:
    """Return the processor time that refusing every file takes.

    Raises
    ------
    RuntimeError
        A file was not refused as ``WRONG_MODALITY``.
    """
    started = time.process_time()
    for path in paths:
        admission = admit_header(open_image(Source(path)).record, _CHILDREN)
        if admission.code is not RejectCode.WRONG_MODALITY:
            message = f"{path.name}: {admission.code}"
            raise RuntimeError(message)
    return time.process_time() - started


def _object(number: int) -> FileDataset:
    sop_class, modality, syntax = _CLASSES[number % len(_CLASSES)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, syntax
    meta.MediaStorageSOPInstanceUID = uid.UID(f"2.25.{number + 1}")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.1", "2.25.2"
    made.Modality, made.StudyDate, made.PatientAge = modality, "20200101", "003Y"
    made.ImageType, made.BodyPartExamined = ["ORIGINAL", "PRIMARY", "AXIAL"], "CHEST"
    made.StudyDescription, made.SeriesDescription = "CT CHEST", "LUNG 1.0"
    made.ReferencedImageSequence = [_reference(index) for index in range(20)]
    for group in _PRIVATE_GROUPS:
        block = made.private_block(group, "BENCHMARK", create=True)
        for element in range(_PRIVATE_ELEMENTS):
            block.add_new(element, "LO", f"value {element} of a private element")
        block.add_new(0xF0, "OB", bytes(8192))
        block.add_new(0xF1, "SQ", [_reference(index) for index in range(5)])
    if sop_class == uid.EnhancedMRImageStorage:
        made.PerFrameFunctionalGroupsSequence = [
            _functional_group(index) for index in range(_FRAMES_OF_ENHANCED)
        ]
    made.Rows = made.Columns = _SIDE_PX
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = bytes(2 * _SIDE_PX * _SIDE_PX)
    made["PixelData"].VR = "OW"
    return made


def _reference(index: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = uid.CTImageStorage
    item.ReferencedSOPInstanceUID = f"2.25.9{index}"
    return item


def _functional_group(index: int) -> Dataset:
    position, group = Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, index]
    group.PlanePositionSequence = [position]
    return group


def main() -> int:
    """Print the rate of each class and of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=400)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        paths = write_corpus(Path(folder), files)
        # Once without a clock: imports, the system's file cache, pydicom's dictionaries.
        seconds_to_refuse(paths)
        lines = []
        for index, (sop_class, _, syntax) in enumerate(_CLASSES):
            part = paths[index :: len(_CLASSES)]
            rate = len(part) / seconds_to_refuse(part)
            lines.append(f"{rate:6.0f} files/s  {sop_class.name}, {syntax.name}")
        lines.append(f"{len(paths) / seconds_to_refuse(paths):6.0f} files/s  all, on one core")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
