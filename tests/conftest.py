"""Fixtures: DICOM objects made to order, the packaged bundle, real data where it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from cxrscreen import load_bundle
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.model.bundle import ModelBundle
from tools.phantom import project, sample_anatomy

MakeDicom = Callable[..., Path]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real images; tests that need it are skipped elsewhere."""
    folder = os.environ.get("CXRSCREEN_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CXRSCREEN_REAL_DATA names no folder with real images")
    return Path(folder)


@pytest.fixture(scope="session")
def packaged() -> ModelBundle:
    return load_bundle()


@pytest.fixture(scope="session")
def chest() -> NDArray[np.float64]:
    """A phantom of a child's chest, float64 in 0..1, air dark."""
    rng = np.random.default_rng(7)
    anatomy = sample_anatomy(rng, pneumonia=False)
    return project(anatomy, view="frontal", shape=(200, 260), rng=rng)


@pytest.fixture
def make_dicom(tmp_path: Path) -> MakeDicom:
    """Return a factory of DICOM files.

    ``stored`` are the stored values, ``[H, W]`` of integers; every further keyword is an
    element (``None`` removes it). ``frame`` is an encoded frame for a compressed ``syntax``.
    """
    count = 0

    def make(
        stored: NDArray[Any] | None = None,
        *,
        bits: int = 12,
        signed: bool = False,
        photometric: str = "MONOCHROME2",
        syntax: uid.UID = uid.ExplicitVRLittleEndian,
        frame: bytes | None = None,
        name: str | None = None,
        **elements: Any,
    ) -> Path:
        nonlocal count
        count += 1
        dataset = chest_header(count)
        if stored is not None:
            add_pixels(dataset, stored, bits=bits, signed=signed, photometric=photometric)
        dataset.file_meta.TransferSyntaxUID = syntax
        if frame is not None:
            dataset.PixelData = encapsulate([frame])
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
        path = tmp_path / (name or f"image-{count}.dcm")
        # Files in the wild break the rules: so must the factory.
        with quiet_readers():
            for keyword, value in elements.items():
                if value is None:
                    if keyword in dataset:
                        del dataset[keyword]
                else:
                    setattr(dataset, keyword, value)
            dataset.save_as(path, enforce_file_format=True)
        return path

    return make


def chest_header(number: int) -> FileDataset:
    """Return the header of a frontal chest radiograph of a child of three, no pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.UID(f"2.25.{1000 + number}")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.PatientAge, dataset.PatientSex = "003Y", "F"
    dataset.PatientName, dataset.PatientID = "SECRET^NAME", "SECRET-ID"
    return dataset


def add_pixels(
    dataset: FileDataset, stored: NDArray[Any], *, bits: int, signed: bool, photometric: str
) -> None:
    """Add stored values as uncompressed pixel data."""
    allocated = 8 if bits <= 8 else 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    content = stored.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
