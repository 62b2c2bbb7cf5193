"""A radiograph with its activation map as a PNG: legend, scale bar, and what was decided."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from cxrscreen.errors import printable
from cxrscreen.records import DisplayImage, OperatingPoint, Prediction
from cxrscreen.reports.numbers import probability_text
from cxrscreen.reports.overlay import colour_scale, overlay
from cxrscreen.vocabulary import Decision

#: The text chunk by which a picture of ours is recognised.
SOFTWARE: Final = "cxrscreen explain"
#: What stands in place of a map where there is none.
NO_MAP: Final = "No map: nothing in this image raises its score."
#: What a map says, and what it does not.
READING: Final = (
    "which places raise the score. Colours compare places within this image, and say nothing "
    "between images. The map is coarse and no outline of a finding."
)
_MARK: Final = b"tEXtSoftware\0" + SOFTWARE.encode()
_HEAD_BYTES: Final = 1024
_PAGE: Final = (16, 20, 24)
_TEXT: Final = (232, 236, 240)
_SOFT: Final = (176, 186, 195)
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
#: Smaller radiographs are enlarged to it, so that there is room for words.
_LEAST_SIDE_PX: Final = 640
_FONT_SHARE: Final = 1 / 58
_SMALLEST_FONT_PX: Final = 13
#: The scale bar is at most so wide, of the picture.
_BAR_SHARE: Final = 0.25
#: Rows and columns whose spacings differ by more have no common scale bar.
_SQUARE_TOLERANCE: Final = 0.02
#: No detector has smaller or larger pixels.
_BELIEVED_MM: Final = (0.005, 5.0)
_SHORTENED: Final = 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a picture says of its image, beside the image.

    Attributes
    ----------
    decision, prediction
        Of the image.
    point
        The operating point of the decision.
    bundle, bundle_sha256
        The model.
    method
        How the map was made.
    version
        Of the program.
    """

    decision: Decision
    prediction: Prediction
    point: OperatingPoint
    bundle: str
    bundle_sha256: str
    method: str
    version: str


def draw_map(
    display: DisplayImage, activation: NDArray[np.float32] | None, verdict: Verdict, path: Path
) -> None:
    """Draw a radiograph with its map; write a PNG.

    Neither the picture nor its metadata says whose image it is or where it lies. What is
    burned into the pixels is in the picture.

    Parameters
    ----------
    display
        The radiograph.
    activation
        float32 in 0..1 on the radiograph's own grid, ``display.shape``; ``None`` where nothing
        speaks for the disease.
    verdict
        What to write beside it.
    path
        Where to write.

    Raises
    ------
    ValueError
        The map is of another grid.
    """
    if activation is not None and activation.shape != display.shape:
        message = f"a map {activation.shape} of a radiograph {display.shape}"
        raise ValueError(message)
    radiograph = _painted(display, activation)
    size = max(_SMALLEST_FONT_PX, round(max(radiograph.size) * _FONT_SHARE))
    legend_width = 0 if activation is None else 7 * size
    width = radiograph.width + legend_width
    lines = [
        (line, bold)
        for text, bold in _caption(display, activation, verdict)
        for line in _wrapped(text, _font(size, bold=bold), width - 2 * size)
    ]
    pitch = round(1.45 * size)
    page = Image.new("RGB", (width, radiograph.height + len(lines) * pitch + 2 * size), _PAGE)
    page.paste(radiograph, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, (line, bold) in enumerate(lines):
        place = (size, radiograph.height + size + number * pitch)
        draw.text(place, line, _TEXT if bold else _SOFT, _font(size, bold=bold))
    if activation is not None:
        _draw_legend(page, draw, (radiograph.width, radiograph.height), size)
    _draw_bar(draw, display, radiograph, size)
    metadata = PngImagePlugin.PngInfo()
    metadata.add_text("Software", SOFTWARE)
    page.save(path, "PNG", pnginfo=metadata)


def is_map_picture(path: Path) -> bool:
    """Return whether a file is a picture that :func:`draw_map` wrote."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return _MARK in stream.read(_HEAD_BYTES)


def thumbnail(
    display: DisplayImage, activation: NDArray[np.float32] | None, *, longest_px: int
) -> Image.Image:
    """Return a radiograph under its map, without words, its longer side ``longest_px``."""
    return _painted(display, activation, longest_px=longest_px)


def _painted(
    display: DisplayImage,
    activation: NDArray[np.float32] | None,
    *,
    longest_px: int | None = None,
) -> Image.Image:
    picture = Image.fromarray(display.pixels)
    wanted = longest_px or max(*picture.size, _LEAST_SIDE_PX)
    share = wanted / max(picture.size)
    size = (max(round(picture.width * share), 1), max(round(picture.height * share), 1))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    if activation is None:
        return picture.convert("RGB")
    carried = Image.fromarray(activation).resize(size, Image.Resampling.BILINEAR)
    strength = np.asarray(carried, dtype=np.float32).clip(0.0, 1.0)
    grey = np.asarray(picture, dtype=np.float32) / np.float32(255)
    return Image.fromarray(overlay(grey, strength))


def _caption(
    display: DisplayImage, activation: NDArray[np.float32] | None, verdict: Verdict
) -> list[tuple[str, bool]]:
    point = verdict.point
    limits = f"positive from {point.threshold:.4g}"
    if point.lower_threshold is not None:
        limits += f", indeterminate from {point.lower_threshold:.4g}"
    probability = probability_text(verdict.prediction.probability)
    found: list[tuple[str, bool]] = [
        (f"{verdict.decision}, probability {probability}", True),
        (f"Operating point {printable(point.name)}: {limits}.", False),
    ]
    if activation is None:
        found.append((NO_MAP, True))
    else:
        found.append((f"{verdict.method}: {READING}", False))
    if _bar_mm(display) is None:
        found.append(("No scale bar: the file does not tell the size of its pixels.", False))
    else:
        found.append((f"Scale bar: {display.plane}.", False))
    if display.geometry:
        changes = "; ".join(map(printable, display.geometry))
        found.append((f"Not the stored grid of pixels: {changes}.", False))
    model = f"{printable(verdict.bundle)} {verdict.bundle_sha256[:_SHORTENED]}"
    found.append((f"{model}, cxrscreen {verdict.version}.", False))
    found.append(("Not a diagnosis.", True))
    return found


def _draw_legend(
    page: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: int
) -> None:
    left, bottom = corner
    top, foot = 4 * size, bottom - 2 * size
    height = min(foot - top, 24 * size)
    colours = np.repeat(colour_scale(height)[::-1, None], size, axis=1)
    bar = Image.fromarray(np.ascontiguousarray(colours))
    page.paste(bar, (left + size, top))
    font = _font(size, bold=False)
    draw.text((left + size, size), "evidence,", _TEXT, font)
    draw.text((left + size, 2 * size + size // 5), "relative", _TEXT, font)
    for value in (1.0, 0.5, 0.0):
        across, down = left + 2 * size, top + round((1 - value) * (height - 1))
        draw.line([(across, down), (across + size // 3, down)], _TEXT, 1)
        draw.text((across + size // 2, down), f"{value:g}", _TEXT, font, anchor="lm")


def _draw_bar(
    draw: ImageDraw.ImageDraw, display: DisplayImage, radiograph: Image.Image, size: int
) -> None:
    spacing = _bar_mm(display)
    if spacing is None:
        return
    shown_mm = spacing * display.shape[1] / radiograph.width
    length_mm = _round_length(_BAR_SHARE * radiograph.width * shown_mm)
    length = round(length_mm / shown_mm)
    left, bottom = size, radiograph.height - size
    thick = max(size // 4, 3)
    # White within black: to be seen on bone and on air.
    draw.rectangle((left - 1, bottom - thick - 1, left + length, bottom), _BLACK)
    draw.rectangle((left, bottom - thick, left + length - 1, bottom - 1), _WHITE)
    draw.text(
        (left, bottom - thick - size // 3),
        _length(length_mm),
        _WHITE,
        _font(size, bold=True),
        anchor="lb",
        stroke_width=2,
        stroke_fill=_BLACK,
    )


def _bar_mm(display: DisplayImage) -> float | None:
    """Return the spacing that the bar rests on, unless rows have another or none is like it."""
    if display.pixel_mm is None:
        return None
    row, column = display.pixel_mm
    usable = _BELIEVED_MM[0] <= column <= _BELIEVED_MM[1]
    return column if usable and math.isclose(row, column, rel_tol=_SQUARE_TOLERANCE) else None


def _round_length(longest_mm: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not longer."""
    decade: float = 10.0 ** math.floor(math.log10(longest_mm))
    return max(step * decade for step in (1, 2, 5) if step * decade <= longest_mm * (1 + 1e-9))


def _length(length_mm: float) -> str:
    return f"{length_mm / 10:g} cm" if length_mm >= 10 else f"{length_mm:g} mm"  # noqa: PLR2004


@functools.cache
def _font(size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
