from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cxrscreen.records import ChainStep, PixelImage
from cxrscreen.reports.steps_picture import draw_steps, is_steps_picture


@pytest.fixture
def image(chest) -> PixelImage:
    pixels = chest.astype(np.float32)
    steps = tuple(
        ChainStep(f"step {number}", "$10_5 of a detail " * 9, -1e6, 65535.5, pixels)
        for number in range(5)
    )
    return PixelImage(pixels=pixels, history=steps)


def test_every_step_has_its_panel(image, tmp_path):
    sizes = []
    for count in (0, 1, 3, 5):
        draw_steps(replace(image, history=image.history[:count]), tmp_path / "steps.png")
        with Image.open(tmp_path / "steps.png") as picture:
            sizes.append(picture.size)
    widths, heights = zip(*sizes, strict=True)
    assert widths == (320, 640, 1280, 1280)
    assert heights[0] == heights[1] == heights[2]
    assert heights[3] == pytest.approx(2 * heights[2], abs=1)


def test_steps_without_pixels_have_no_panel(image, tmp_path):
    bare = tuple(ChainStep(step.name, step.detail, 0, 1) for step in image.history)
    draw_steps(replace(image, history=bare), tmp_path / "steps.png")
    with Image.open(tmp_path / "steps.png") as picture:
        assert picture.width == 320


def test_a_picture_of_ours_is_recognised(image, tmp_path):
    draw_steps(image, tmp_path / "ours.png")
    Image.new("L", (300, 300)).save(tmp_path / "other.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "ours.png")
    assert is_steps_picture(tmp_path / "ours.png")
    for name in ("other.png", "link.png", "missing.png"):
        assert not is_steps_picture(tmp_path / name)
