from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cxrscreen.records import DisplayImage, OperatingPoint, Prediction
from cxrscreen.reports.map_picture import Verdict, draw_map, is_map_picture, thumbnail
from cxrscreen.reports.overlay import overlay
from cxrscreen.vocabulary import Decision

POINT = OperatingPoint("recall-0.95", 0.0, 0.5, "model", "preprocessing", "engine")
VERDICT = Verdict(
    Decision.POSITIVE, Prediction(3.0, 0.95), POINT, "cnn", "ab" * 32, "Grad-CAM++", "9.9"
)


def display(shape=(700, 900), **changes):
    rng = np.random.default_rng(3)
    pixels = rng.integers(60, 120, shape).astype(np.uint8)
    return DisplayImage(pixels, changes.pop("whole", shape), **changes)


def spot(shape, place, size=20):
    found = np.zeros(shape, dtype=np.float32)
    found[place[0] - size : place[0] + size, place[1] - size : place[1] + size] = 1.0
    return found


def drawn(tmp_path, picture, activation, verdict=VERDICT):
    path = tmp_path / "map.png"
    draw_map(picture, activation, verdict, path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int), dict(image.info)


def test_the_colours_lie_where_the_map_is_high(tmp_path):
    picture = display(pixel_mm=None)
    page, _ = drawn(tmp_path, picture, spot((700, 900), (300, 500)))
    radiograph = page[:700, :900]
    coloured = np.ptp(radiograph, axis=2) > 30
    rows, columns = np.nonzero(coloured)
    assert (rows.min(), rows.max()) == pytest.approx((280, 319), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((480, 519), abs=1)
    # Elsewhere the radiograph is left as it is.
    grey = picture.pixels.astype(int)
    outside = ~coloured
    assert (abs(radiograph[..., 0] - grey)[outside] <= 1).all()


def test_a_reduced_picture_has_the_map_in_its_place(tmp_path):
    picture = display(shape=(700, 900), whole=(2100, 2700))
    page, _ = drawn(tmp_path, picture, spot((2100, 2700), (900, 1500), 60))
    rows, columns = np.nonzero(np.ptp(page[:700, :900], axis=2) > 30)
    assert rows.mean() == pytest.approx(300, abs=1.5)
    assert columns.mean() == pytest.approx(500, abs=1.5)


@pytest.mark.parametrize("pixel_mm", [(0.2, 0.2), (1.0, 1.0), (0.05, 0.05)])
def test_the_scale_bar_is_as_long_as_it_says(tmp_path, pixel_mm):
    """Of 900 columns a quarter at most: 4 cm and 22 cm and 1 cm, in rounded lengths."""
    lengths = {0.2: 20, 1.0: 200, 0.05: 10}
    picture = display(pixel_mm=pixel_mm, plane="at the detector (ImagerPixelSpacing)")
    bare, _ = drawn(tmp_path, display(), spot((700, 900), (300, 500)))
    page, _ = drawn(tmp_path, picture, spot((700, 900), (300, 500)))
    corner = page[600:700, :450]
    white = (corner == 255).all(axis=2)
    assert not (bare[600:700, :450] == 255).all(axis=2).any()
    longest = max(int(line.sum()) for line in white)
    assert longest * pixel_mm[1] == pytest.approx(lengths[pixel_mm[0]], rel=0.01)


@pytest.mark.parametrize("pixel_mm", [None, (0.2, 0.1), (1e-9, 1e-9), (1e300, 1e300)])
def test_without_a_usable_spacing_there_is_no_bar(tmp_path, pixel_mm):
    page, _ = drawn(tmp_path, display(pixel_mm=pixel_mm), None)
    assert not (page[600:700, :450] == 255).all(axis=2).any()


def test_where_nothing_speaks_for_the_disease_there_is_no_colour_and_no_legend(tmp_path):
    page, _ = drawn(tmp_path, display(), None)
    assert page.shape[1] == 900
    assert np.ptp(page, axis=2).max() < 20
    with_map, _ = drawn(tmp_path, display(), spot((700, 900), (300, 500)))
    assert with_map.shape[1] > 900


def test_small_radiographs_are_enlarged_so_that_words_fit(tmp_path):
    page, _ = drawn(tmp_path, display((200, 260)), np.zeros((200, 260), np.float32))
    assert page.shape[1] > 640


def test_the_picture_is_recognised_and_holds_no_other_metadata(tmp_path):
    _, info = drawn(tmp_path, display(), None)
    assert info == {"Software": "cxrscreen explain"}
    assert is_map_picture(tmp_path / "map.png")
    Image.new("L", (300, 300)).save(tmp_path / "other.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "map.png")
    for name in ("other.png", "link.png", "missing.png"):
        assert not is_map_picture(tmp_path / name)


def test_the_same_picture_is_the_same_file(tmp_path):
    found = spot((700, 900), (300, 500))
    draw_map(display(), found, VERDICT, tmp_path / "one.png")
    draw_map(display(), found, VERDICT, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_map_of_another_grid_is_refused(tmp_path):
    with pytest.raises(ValueError, match="of a radiograph"):
        draw_map(display(), np.zeros((224, 224), np.float32), VERDICT, tmp_path / "map.png")


def test_thumbnails_have_the_wanted_side_and_save_as_jpeg():
    small = thumbnail(display(), spot((700, 900), (300, 500)), longest_px=120)
    assert small.size == (120, 93)
    stream = io.BytesIO()
    small.save(stream, "JPEG")
    assert len(stream.getvalue()) < 20_000


def test_an_empty_map_leaves_the_radiograph_alone():
    grey = np.linspace(0, 1, 256, dtype=np.float32)[None]
    painted = overlay(grey, np.zeros_like(grey))
    np.testing.assert_array_equal(painted[0], np.repeat(np.arange(256)[:, None], 3, axis=1))
