"""Fixtures: DICOM objects made to order, bundles, labelled phantoms, real data where it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from typer.testing import Result

import cxrscreen.model.bundle as bundles
from cxrscreen import load_bundle
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.model.bundle import ModelBundle
from tests.int8_data import isolated
from tests.study_data import MARKER, Pool, make_pool, study, write_table
from tools.phantom import project, sample_anatomy

if TYPE_CHECKING:
    from cxrscreen.study.release import Released
    from tests.release_data import Maker

MakeDicom = Callable[..., Path]

#: What a user gets who names no bundle. Tests of it name it.
RELEASED_DEFAULT = bundles.DEFAULT_BUNDLE
# All others take the small network, in this process: hundreds of them screen.
bundles.DEFAULT_BUNDLE = "cnn-pediatric"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background deaf to Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory) -> Iterator[None]:
    """Keep the tests, and the commands they start, out of the user's configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRSCREEN_CONFIG", str(tmp_path_factory.mktemp("config") / "cxrscreen"))
        patch.delenv("CXRSCREEN_PHI_KEY", raising=False)
        yield


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


@pytest.fixture(scope="session")
def pool() -> Pool:
    return make_pool()


@pytest.fixture(scope="session")
def study_folder(pool, tmp_path_factory) -> Path:
    """132 patients with pneumonia and 44 without; some with two images, some unlike theirs.

    Half of it is enough for a recall of 0.95, and no threshold separates the classes.
    """
    folder = tmp_path_factory.mktemp("study")
    for case in range(132):
        weight = 0.0 if case % 33 == 5 else 0.3 + 0.7 * (case % 10) / 10
        for image in range(2 if case % 16 == 0 else 1):
            pool.save(folder / "PNEUMONIA" / f"person{case}_virus_{image}.png", weight)
    for case in range(44):
        weight = 0.6 if case % 11 == 3 else 0.02 * (case % 10)
        for image in range(2 if case % 16 == 0 else 1):
            pool.save(folder / "NORMAL" / f"IM-{case:04}-{image:04}.png", weight)
    return folder


@pytest.fixture(scope="session")
def maker(packaged, study_folder) -> Maker:
    """What writes bundles of another network, made from the study's folder."""
    # Brings MONAI along, which takes longer than most tests.
    from tests.release_data import make_maker  # noqa: PLC0415

    return make_maker(packaged, study_folder)


@pytest.fixture(scope="session")
def site_table(study_folder, maker, tmp_path_factory) -> Path:
    """A table of the calibration part alone: images of a site, to the packaged model."""
    rows = [
        {"path": image.path, "label": image.label, "patient": f"{MARKER}-{image.patient_key}"}
        for image in maker.split.calibration
    ]
    return write_table(tmp_path_factory.mktemp("site") / "site.csv", rows)


@pytest.fixture(scope="session")
def site(site_table, tmp_path_factory) -> tuple[Result, Path]:
    """A site calibration of the packaged model with points of several policies."""
    out = tmp_path_factory.mktemp("calibrated") / "site.json"
    result = study(
        *("calibrate", "--data", site_table, "--out", out, "--name", "Sankt Anna"),
        *("--target-recall", 0.95, "--target-recall", 0.9, "--two-thresholds", "0.95,0.86"),
        *("--target-specificity", 0.7, "--youden", "--f-beta", 2, "--cost-ratio", 20),
    )
    return result, out


@pytest.fixture(scope="session")
def released(maker, tmp_path_factory) -> tuple[Released, Path]:
    """A second bundle, made from the study's folder."""
    folder = tmp_path_factory.mktemp("bundles") / "study"
    return maker.write(folder), folder


@pytest.fixture(scope="session")
def int8(released, study_folder, tmp_path_factory) -> Path:
    """The second bundle with an int8 model; made in a process without a network."""
    pytest.importorskip("nncf")
    folder = tmp_path_factory.mktemp("int8")
    made = isolated(
        [
            (
                *("bundle", "quantize", released[1], "--data", study_folder),
                *("--out", folder / "bundle", "--images", 24, "--workers", 0),
                # So few images cannot show that so little was lost.
                *("--max-auc-loss", 0.2, "--max-changed", 0.2),
            )
        ],
        folder / "home",
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (folder / "said.txt").write_text(made.stdout, encoding="utf-8")
    return folder / "bundle"


@pytest.fixture(scope="session")
def ward_table(pool, tmp_path_factory) -> Path:
    """15 patients of each class in a table with wards; every fifth has two images.

    Some labels are the wrong way round, so that a good model errs.
    """
    folder = tmp_path_factory.mktemp("wards")
    rows: list[dict[str, object]] = []
    for case in range(30):
        label = case % 2
        weight = float(label) if case > 5 else 1.0 - label
        for image in range(2 if case % 5 == 0 else 1):
            name = f"{case}-{image}.png"
            pool.save(folder / "images" / name, weight)
            rows.append(
                {
                    "path": f"images/{name}",
                    "label": label,
                    "patient": f"{MARKER}-{case}",
                    "age": "" if case == 7 else 1 + case % 5,
                    "sex": "FM"[case // 2 % 2],
                    "Ward": "A" if case < 24 else "=B",
                    "remark": MARKER,
                }
            )
    # Not an image, and so not screened.
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    broken = {"path": "images/broken.png", "label": 1, "patient": f"{MARKER}-b", "Ward": "A"}
    return write_table(folder / "wards.csv", [*rows, {**dict.fromkeys(rows[0], ""), **broken}])


@pytest.fixture(scope="session")
def evaluated(ward_table, tmp_path_factory) -> tuple[Result, Path]:
    """An evaluation of the packaged model on the wards."""
    out = tmp_path_factory.mktemp("evaluated") / "ev"
    result = study(
        *("evaluate", "--data", ward_table, "--out", out, "--by", "Ward", "--by", "sex"),
        *("--by", "age_group", "--replicates", 100, "--gallery", 2, "--prevalence", 0.1),
    )
    return result, out


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
