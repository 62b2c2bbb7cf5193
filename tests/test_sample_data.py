"""The sample files are reproducible and varied, and the phantom obeys its physics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from tools.make_sample_data import CASES, COLUMNS, ROWS, frontal, main, write_all
from tools.phantom import Anatomy, View, detector_grid, project, project_hand, sample_anatomy
from tools.phantom.chest import attenuation, heart, lung
from tools.phantom.solids import Ellipsoid, Stack, disjoint, length, minus
from tools.phantom.splats import Grid, deposit, thread
from tools.writers import DicomSpec, quantise, write_dicom, write_png

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
LIMIT_BYTES = 8_000_000
SMALL = (96, 120)


def _files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _dicoms() -> dict[str, pydicom.Dataset]:
    """Return the frontal DICOM samples by name."""
    return {path.name: pydicom.dcmread(path) for path in sorted(SAMPLES.glob("frontal/*.dcm"))}


def _picture(path: Path) -> tuple[str, np.ndarray]:
    """Return the mode and the pixels of a JPEG or PNG."""
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture).astype(np.int64)


def _shown(data: pydicom.Dataset) -> np.ndarray:
    """Return a data set as displayed, 0..1, written without the tool's own reader."""
    values = data.pixel_array.astype(np.float64) * float(data.RescaleSlope)
    values += float(data.RescaleIntercept)
    centre, width = float(data.WindowCenter), float(data.WindowWidth)
    shown = np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)
    return 1.0 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown


def test_regenerating_gives_the_same_bytes(tmp_path: Path) -> None:
    """The committed files are what the script writes, no more and no less."""
    write_all(tmp_path)
    made, stored = _files(tmp_path), _files(SAMPLES)
    assert sorted(made) == sorted(stored)
    assert [name for name in made if made[name] != stored[name]] == []


def test_script_lists_what_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line goes to the folder it is given."""
    monkeypatch.setattr("tools.make_sample_data.write_all", lambda out: [_touch(out / "a.txt")])
    assert main(["--out", str(tmp_path)]) == 0
    assert "a.txt" in capsys.readouterr().out


def _touch(path: Path) -> Path:
    """Make an empty file."""
    path.touch()
    return path


def test_samples_stay_small() -> None:
    """The folder may be committed and shipped."""
    assert sum(len(body) for body in _files(SAMPLES).values()) <= LIMIT_BYTES


def test_samples_cover_the_formats() -> None:
    """JPEG, PNG of both depths, and DICOM in every stated variety are there."""
    assert {path.suffix for path in SAMPLES.glob("frontal/*")} == {".jpg", ".png", ".dcm"}
    assert {_picture(path)[0] for path in SAMPLES.glob("frontal/*.png")} == {"L", "I;16"}
    sets = list(_dicoms().values())
    assert {data.PhotometricInterpretation for data in sets} == {"MONOCHROME1", "MONOCHROME2"}
    assert {data.BitsStored for data in sets} == {8, 12, 16}
    assert {data.Modality for data in sets} == {"CR", "DX"}
    assert {data.PixelRepresentation for data in sets} == {0, 1}
    assert {RLELossless, JPEGBaseline8Bit} <= {data.file_meta.TransferSyntaxUID for data in sets}
    for data in sets:
        assert data.WindowWidth > 1
        assert data.BodyPartExamined == "CHEST"
        assert data.ViewPosition in {"PA", "AP"}
        assert str(data.PatientName).startswith("Phantom^")
        assert data.pixel_array.shape == (ROWS, COLUMNS)


@pytest.mark.parametrize("name", [case.name for case in CASES if case.dicom])
def test_window_shows_the_radiograph(name: str) -> None:
    """Windowed, and turned over if MONOCHROME1, a DICOM file shows the phantom, air dark."""
    case = next(case for case in CASES if case.name == name)
    assert case.dicom is not None
    tolerance = 0.08 if case.dicom.coding == "jpeg" else 0.005
    assert np.abs(_shown(_dicoms()[name]) - frontal(case)).max() < tolerance


def test_sixteen_bit_png_keeps_its_depth() -> None:
    """The 16-bit PNG reads back as the phantom to within one step."""
    case = next(case for case in CASES if case.bits == 16)
    stored = _picture(SAMPLES / "frontal" / case.name)[1]
    np.testing.assert_array_equal(stored, quantise(frontal(case), 16))


def test_identifiers_are_unique() -> None:
    """No two files claim to be the same instance."""
    sets = [pydicom.dcmread(path, force=True) for path in SAMPLES.rglob("*.dcm")]
    assert len({data.SOPInstanceUID for data in sets}) == len(sets)
    for data in sets:
        assert data.SOPInstanceUID.is_valid
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID


def test_refused_files_are_what_they_say() -> None:
    """Each file to be refused has its own reason."""
    refused = SAMPLES / "refused"
    lateral = pydicom.dcmread(refused / "lateral.dcm")
    assert lateral.ViewPosition == "LL"
    assert lateral.pixel_array.max() > 0
    assert pydicom.dcmread(refused / "hand.dcm").BodyPartExamined == "HAND"
    assert "PixelData" not in pydicom.dcmread(refused / "no-pixels.dcm")
    cut = pydicom.dcmread(refused / "truncated.dcm")
    assert 0 < len(cut.PixelData) < cut.Rows * cut.Columns * 2
    with pytest.raises(InvalidDicomError):
        pydicom.dcmread(refused / "notes.txt")


def test_odd_images_and_inverted_dx_are_written(tmp_path: Path) -> None:
    """Writers hold for shapes that the samples do not have."""
    image = np.linspace(0.0, 1.0, 15).reshape(3, 5)
    spec = DicomSpec(modality="DX", bits=8, inverted=True)
    write_dicom(tmp_path / "odd.dcm", image, spec, number=1)
    data = pydicom.dcmread(tmp_path / "odd.dcm")
    assert np.abs(_shown(data) - image).max() < 0.01
    write_png(tmp_path / "odd.png", image, bits=8)
    np.testing.assert_array_equal(_picture(tmp_path / "odd.png")[1], quantise(image, 8))


@pytest.mark.parametrize("pneumonia", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_frontal_radiograph(seed: int, *, pneumonia: bool) -> None:
    """Grey values are in 0..1, free air is dark, and a seed fixes the image."""
    images = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        child = replace(sample_anatomy(rng, pneumonia=pneumonia), span=320.0)
        images.append(project(child, view="frontal", shape=SMALL, rng=rng))
    np.testing.assert_array_equal(images[0], images[1])
    assert images[0].shape == SMALL
    assert images[0].min() >= 0.0
    assert images[0].max() <= 1.0
    assert images[0][-30:, :3].max() < 0.1
    assert images[0][-30:, -3:].max() < 0.1
    assert images[0].max() > 0.6


def test_views_differ() -> None:
    """The same child looks different from the side."""
    child = Anatomy()
    views = [
        project(child, view=view, shape=SMALL, rng=np.random.default_rng(0))
        for view in ("frontal", "lateral")
    ]
    assert np.abs(views[0] - views[1]).mean() > 0.05


def test_children_differ() -> None:
    """Another seed is another child."""
    one, other = (sample_anatomy(np.random.default_rng(k), pneumonia=False) for k in (0, 1))
    assert one != other
    assert one.opacities == ()


@pytest.mark.parametrize("view", ["frontal", "lateral"])
@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_consolidation_only_adds(seed: int, view: View) -> None:
    """Consolidated lung attenuates more where it is and nowhere less."""
    sick = sample_anatomy(np.random.default_rng(seed), pneumonia=True)
    well = replace(sick, opacities=(), haze=0.0)
    grid = detector_grid(sick, view=view, shape=SMALL)
    gain = attenuation(sick, view, grid) - attenuation(well, view, grid)
    assert gain.min() > -1e-9
    assert gain.max() > 0.2
    low, high = (
        np.array(side.interval(view, *grid.rays())) for side in (lung(sick, -1.0), lung(sick, 1.0))
    )
    outside = (low[0] >= low[1]) & (high[0] >= high[1])
    assert np.abs(gain[outside]).max() < 1e-9


def test_mass_is_the_same_from_both_sides() -> None:
    """A solid and a tube have one volume, whichever way the rays run."""
    child = Anatomy()
    grid = Grid((300, 300), 1.0)
    tube = thread(np.array([(0.0, 5.0, -30.0, 3.0), (20.0, 40.0, 30.0, 2.0)]), 0.5)
    for solid in (
        Ellipsoid((5.0, -8.0, 3.0), (40.0, 25.0, 60.0), 0.4),
        heart(child),
        lung(child, 1.0),
    ):
        volumes = [
            length([solid.interval(view, *grid.rays())]).sum() for view in ("frontal", "lateral")
        ]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
    volumes = [deposit(tube, view, grid).sum() for view in ("frontal", "lateral")]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-6)
    assert volumes[0] == pytest.approx(tube.volume.sum(), rel=1e-3)


def test_ellipsoid_has_its_volume() -> None:
    """The closed form agrees with the textbook."""
    grid = Grid((400, 400), 0.5)
    chord = length(
        [Ellipsoid((0.0, 0.0, 0.0), (30.0, 20.0, 40.0)).interval("frontal", *grid.rays())]
    )
    expected = 4.0 / 3.0 * np.pi * 30.0 * 20.0 * 40.0
    assert chord.sum() * grid.pixel**2 == pytest.approx(expected, rel=1e-3)
    assert chord.max() == pytest.approx(40.0, rel=1e-3)


def test_stack_contains_its_middle() -> None:
    """A point is inside if it lies in the stack's section at its height."""
    block = Stack((-1.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, 1.0))
    points = np.array([(0.0, 0.0, 0.0), (0.9, 0.9, 0.0), (0.0, 0.0, 2.0)])
    assert block.contains(points).tolist() == [True, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_interval_arithmetic(seed: int) -> None:
    """Union and difference have the lengths that sampling the line finds."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.uniform(0.0, 10.0, (4, 2)), axis=1)
    pieces = [(np.array([low]), np.array([high])) for low, high in ends]
    line = np.arange(0.0, 10.0, 1e-4) + 5e-5
    inside = ((ends[:, :1] < line) & (line < ends[:, 1:])).any(axis=0)
    assert length(disjoint(pieces))[0] == pytest.approx(inside.mean() * 10.0, abs=1e-3)
    whole = (np.array([2.0]), np.array([7.0]))
    rest = ~inside & (line > 2.0) & (line < 7.0)
    assert length(minus(whole, pieces))[0] == pytest.approx(rest.mean() * 10.0, abs=1e-3)


def test_hand() -> None:
    """The hand is bright bone on dark air and fills less than half of the image."""
    image = project_hand(shape=SMALL, rng=np.random.default_rng(0))
    assert image.min() >= 0.0
    assert image.max() <= 1.0
    assert np.median(image) < 0.1
    assert image.max() > 0.7


@pytest.mark.parametrize("shape", [(8, 64), (64, 15)])
def test_tiny_detectors_are_refused(shape: tuple[int, int]) -> None:
    """A detector of a few pixels has no radiograph."""
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 16"):
        project(Anatomy(), view="frontal", shape=shape, rng=rng)
    with pytest.raises(ValueError, match="at least 16"):
        project_hand(shape=shape, rng=rng)
