from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxrscreen import intake
from cxrscreen.display import for_display
from cxrscreen.examine import ExamineSettings, examine
from cxrscreen.records import Input, Permissions, Source

PLANES = [
    ({"ImagerPixelSpacing": [0.2, 0.2]}, "at the detector (ImagerPixelSpacing)"),
    ({"PixelSpacing": [0.2, 0.2]}, "does not say whether at the detector"),
    ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, "at the detector (PixelSp"),
    ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.22, 0.22]}, "in the patient"),
]


@pytest.fixture
def stored(chest) -> np.ndarray:
    return np.asarray(chest * 4095, dtype=np.uint16)


def shown(path, longest_px=100):
    opened = intake.open_image(Source(path))
    return for_display(opened.read_pixels(), opened.record, longest_px=longest_px)


@pytest.mark.parametrize(("elements", "plane"), PLANES)
def test_the_spacing_says_where_it_was_measured(make_dicom, stored, elements, plane):
    picture = shown(make_dicom(stored, **elements))
    assert picture.pixel_mm == (0.2, 0.2)
    assert plane in picture.plane
    assert picture.geometry == ()


@pytest.mark.parametrize("spacing", [None, [0.0, 0.2], [0.2], ["nan", "inf"]])
def test_without_a_usable_spacing_there_is_none(make_dicom, stored, spacing):
    picture = shown(make_dicom(stored, ImagerPixelSpacing=spacing))
    assert picture.pixel_mm is None
    assert picture.plane == ""


def test_the_picture_is_reduced_and_keeps_the_shape_of_the_radiograph(make_dicom, stored):
    path = make_dicom(stored, WindowCenter=2048, WindowWidth=4096)
    small, whole = shown(path), shown(path, 4000)
    assert small.pixels.shape == (77, 100)
    assert whole.pixels.shape == small.shape == whole.shape == (200, 260)
    reference = Image.fromarray(whole.pixels).resize((100, 77), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small.pixels, np.asarray(reference))


def test_the_spacing_is_that_of_the_grid_after_the_chain(make_dicom, stored):
    """Pixels twice as high as wide become two: the spacing of rows is halved."""
    picture = shown(make_dicom(stored[::2], ImagerPixelSpacing=[0.4, 0.2]))
    assert picture.shape == (200, 260)
    assert picture.pixel_mm == pytest.approx((0.2, 0.2))
    assert len(picture.geometry) == 1
    assert "square pixels" in picture.geometry[0]
    assert "260x100 to 260x200" in picture.geometry[0]


def test_a_picture_that_was_turned_says_so(tmp_path, stored):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray((stored >> 4).astype(np.uint8)).save(path, exif=exif)
    picture = shown(path, 4000)
    assert picture.shape == (260, 200)
    assert any("orientation" in sentence for sentence in picture.geometry)


def test_only_admitted_images_have_a_picture_and_only_where_it_is_asked_for(
    make_dicom, stored, packaged
):
    admitted, refused = make_dicom(stored), make_dicom(stored, PatientAge="040Y")
    for display_px in (0, 64):
        settings = ExamineSettings(
            packaged.spec, packaged.intended_use, Permissions(), display_px=display_px
        )
        (one,) = examine(Input(Source(admitted)), settings)
        (other,) = examine(Input(Source(refused)), settings)
        assert one.shape == (200, 260)
        assert (one.display is not None) == bool(display_px)
        assert other.display is None
        assert other.shape is None


def test_a_picture_of_nothing_is_refused(make_dicom, stored):
    with pytest.raises(ValueError, match="at least 1"):
        shown(make_dicom(stored), 0)
