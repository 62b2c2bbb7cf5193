"""A picture of the steps of the pixel chain, side by side."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxrscreen.records import PixelImage

#: The text chunk by which a picture of ours is recognised.
_SOFTWARE: Final = "cxrscreen inspect"
_MARK: Final = b"tEXtSoftware\0" + _SOFTWARE.encode()
_HEAD_BYTES: Final = 1024
_COLUMNS: Final = 4
_PANEL_INCHES: Final = 3.2
_TITLE_INCHES: Final = 0.9
_TITLE_CHARACTERS: Final = 34
_LARGEST_SIDE_PX: Final = 800


def draw_steps(image: PixelImage, path: Path) -> None:
    """Draw every step that kept its pixels and the image itself; write a PNG.

    Neither the picture nor its metadata says whose image it is or where it lies. What is
    burned into the pixels is in the picture.

    Parameters
    ----------
    image
        The image with its history.
    path
        Where to write.
    """
    panels = [
        (f"{number}. {step.name}", step.detail, (step.low, step.high), step.pixels)
        for number, step in enumerate(image.history, start=1)
        if step.pixels is not None
    ]
    extremes = (float(image.pixels.min()), float(image.pixels.max()))
    panels.append(("image", "air dark, 0 to 1", extremes, image.pixels))
    columns = min(len(panels), _COLUMNS)
    rows = math.ceil(len(panels) / columns)
    height, width = image.pixels.shape
    panel_height = min(max(_PANEL_INCHES * height / width, 1.0), 2 * _PANEL_INCHES)
    figure = Figure(
        figsize=(columns * _PANEL_INCHES, rows * (panel_height + _TITLE_INCHES)),
        dpi=100,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, *panel)
    figure.savefig(path, format="png", metadata={"Software": _SOFTWARE})


def is_steps_picture(path: Path) -> bool:
    """Return whether a file is a picture that :func:`draw_steps` wrote."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return _MARK in stream.read(_HEAD_BYTES)


def _draw(
    axis: Axes, name: str, detail: str, values: tuple[float, float], pixels: NDArray[np.float32]
) -> None:
    step = math.ceil(max(pixels.shape) / _LARGEST_SIDE_PX)
    axis.imshow(pixels[::step, ::step], cmap="gray", vmin=0.0, vmax=1.0)
    lines = [f"{name}: {values[0]:.5g} to {values[1]:.5g}", *detail.splitlines()[:1]]
    wrapped = [part for line in lines for part in textwrap.wrap(line, _TITLE_CHARACTERS)[:2]]
    axis.set_title("\n".join(wrapped), fontsize=9, loc="left", parse_math=False)
