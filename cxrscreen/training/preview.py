"""A picture of what the random transforms of a configuration do to images."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cxrscreen.config import AugmentConfig, TrainingConfig
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import DatasetError
from cxrscreen.model.document import preprocess_spec
from cxrscreen.output import PREVIEW_SOFTWARE
from cxrscreen.training.appearance import appearances
from cxrscreen.training.augment import RandomChaind, RandomDistortiond, random_steps
from cxrscreen.training.distortions import Warp
from cxrscreen.training.transforms import LoadRadiographd, ResizeRadiographd

_DRAWS: Final = 8
_PANEL_INCHES: Final = 1.75
# A little more than the 224 pixels of an image in each panel.
_DPI: Final = 140
# So many letters of the caption fit below a panel.
_CAPTION_CHARACTERS: Final = 25
_FEWEST_COLUMNS: Final = 5
# In panels: heights of a heading, of a line of a column's title, of a row.
_HEADING: Final = 0.22
_TITLE_LINE: Final = 0.08
_ROW: Final = 0.97
_LARGEST_SEED: Final = 2**32

#: Sections of the figure, and the steps whose extremes stand in each.
_SECTIONS: Final = (
    (
        "Geometry and border: each by itself, at its strongest",
        ("geometry", "border_erase", "lungs_erased"),
        False,
    ),
    (
        "Grey levels: each by itself, at its strongest",
        ("gamma", "contrast", "brightness", "grey_level_exchange"),
        False,
    ),
    (
        "Sharpness and compression: each by itself, at its strongest (middle of the image)",
        ("blur", "resolution", "noise", "jpeg", "sharpness_exchange"),
        True,
    ),
)
_SWITCHES: Final = {
    "rotation_degrees": "rotation",
    "zoom_fraction": "zoom",
    "shift_fraction": "shift",
    "horizontal_flip": "flip",
    "border_crop_fraction": "border crop",
    "gamma_range": "gamma",
    "contrast_range": "contrast",
    "brightness": "brightness",
    "grey_level_exchange": "grey levels of another image",
    "sharpness_exchange": "sharpness of another image",
    "blur_sigma_px": "blur",
    "resolution_px": "resolution",
    "jpeg_quality": "JPEG",
    "noise_std": "noise",
    "border_erase_fraction": "border erase",
    "lungs_erased": "lungs erased",
}
_GEOMETRY_SWITCHES: Final = 5


@dataclass(frozen=True, slots=True)
class _Column:
    """One way to show each of the images."""

    title: str
    images: tuple[torch.Tensor, ...]

    def middle(self) -> _Column:
        """Return the middle half of each side: blur does not show in the whole."""
        quarter = self.images[0].shape[-1] // 4
        inside = (..., slice(quarter, -quarter), slice(quarter, -quarter))
        return _Column(self.title, tuple(image[inside] for image in self.images))


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    columns: tuple[_Column, ...]


def choose_images(
    images: Sequence[LabelledImage], count: int, *, seed: int
) -> tuple[LabelledImage, ...]:
    """Draw images of both classes in turn, normal first.

    Parameters
    ----------
    images
        To draw from.
    count
        How many; with fewer images than that, all of them.
    seed
        Of the draw.

    Raises
    ------
    DatasetError
        There is no image.
    """
    if not images:
        message = "there is no image to show"
        raise DatasetError(message, hint="Give --data with images of both classes.")
    random = np.random.default_rng(seed)
    negatives, positives = (
        [images[index] for index in random.permutation(len(images)) if images[index].label == label]
        for label in (0, 1)
    )
    wanted = min(count, len(images))
    # Half of each, or more of one where the other has too few.
    of_positives = min(len(positives), max(wanted // 2, wanted - len(negatives)))
    chosen = negatives[: wanted - of_positives] + positives[:of_positives]
    return tuple(chosen)


def draw_preview(
    images: Sequence[LabelledImage], config: TrainingConfig, path: Path, *, seed: int
) -> None:
    """Draw images as the network sees them, under each transform and under the whole chain.

    Neither the picture nor its metadata says whose images they are or where they lie.

    Parameters
    ----------
    images
        One row each.
    config
        Its ``preprocess`` and ``augment``.
    path
        The PNG to write.
    seed
        Of the random draws.

    Raises
    ------
    DatasetError
        An image cannot be read.
    """
    spec = preprocess_spec(config.preprocess)
    load, resize = LoadRadiographd("image"), ResizeRadiographd("image", spec)
    tensors = tuple(resize(load({"image": str(image.path)}))["image"] for image in images)
    # The images that are shown lend one another their grey levels and sharpness.
    donors = appearances(tensors)
    steps = tuple(random_steps(config.augment, size_px=spec.size_px, donors=donors))
    original = _Column(f"as the network sees it\n{spec.size_px} × {spec.size_px} px", tensors)
    sections = []
    for title, names, enlarged in _SECTIONS:
        columns = [original, *_extremes([step for step in steps if step.name in names], tensors)]
        if enlarged:
            columns = [column.middle() for column in columns]
        sections.append(_Section(title, tuple(columns)))
    if steps:
        draws = _draws(RandomChaind(steps), tensors, seed=seed)
        sections.append(_Section("Random draws of all, as in training", (original, *draws)))
    # A section with nothing but the original shows nothing.
    sections = [section for section in sections if len(section.columns) > 1]
    if not sections:
        sections = [_Section("No random transform is switched on", (original,))]
    labels = ["pneumonia" if image.label else "normal" for image in images]
    _draw_figure(sections, labels, _caption(config, spec.size_px, seed), path)


def switched_off(config: AugmentConfig, *, size_px: int) -> tuple[str, ...]:
    """Return the names of the transforms that do nothing, in words."""
    neutral = AugmentConfig()
    by_chance = list(_SWITCHES)[_GEOMETRY_SWITCHES:]
    return tuple(
        name
        for key, name in _SWITCHES.items()
        if getattr(config, key) == getattr(neutral, key)
        or (key in by_chance and key != "lungs_erased" and config.probability == 0)
        or (key == "resolution_px" and config.resolution_px >= size_px)
    )


def in_words(name: str, strength: tuple[Any, ...]) -> str:
    """Return what a step did, with its strength."""
    if name == "geometry":
        return "\n".join(_warp_in_words(strength[0]))
    if name in ("grey_level_exchange", "sharpness_exchange"):
        what = "grey levels" if name == "grey_level_exchange" else "sharpness"
        return f"{what} of another\nimage, {strength[1]:.0%}"
    if name == "lungs_erased":
        return "lungs erased"
    value = strength[0]
    if name == "border_erase":
        return f"border erased {value:.1%}\nwith {'air' if strength[1] == 'air' else 'the mean'}"
    return {
        "gamma": f"gamma {value:.2f}",
        "contrast": f"contrast × {value:.2f}",
        "brightness": f"brightness {value:+.2f}",
        "blur": f"blur, sigma {value:.2f} px",
        "resolution": f"resolution {value} px",
        "noise": f"noise, std {value:.3f}",
        "jpeg": f"JPEG, quality {value}",
    }[name]


def _warp_in_words(change: Warp) -> Iterator[str]:
    if change.rotation_degrees:
        yield f"rotation {change.rotation_degrees:+.1f}°"
    if change.zoom != (1.0, 1.0):
        yield _along_both("zoom ×", [f"{factor:.2f}" for factor in change.zoom])
    if any(change.shift):
        yield _along_both("shift", [f"{share:+.1%}" for share in change.shift])
    if change.flip:
        yield "flip"
    if any(change.crop):
        shares = [f"{share:.0%}" for share in change.crop]
        if len(set(shares)) == 1:
            yield f"border crop {shares[0]} each"
        else:
            yield f"crop {' '.join(shares)}"


def _along_both(what: str, values: list[str]) -> str:
    x, y = values
    return f"{what} {x}" if x == y else f"{what} {x}, {y}"


def _extremes(
    steps: Sequence[RandomDistortiond], tensors: Sequence[torch.Tensor]
) -> Iterator[_Column]:
    for step in steps:
        for strength in step.draw.extremes:
            yield _Column(
                in_words(step.name, strength),
                tuple(step.distort(tensor, *strength) for tensor in tensors),
            )


def _draws(chain: RandomChaind, tensors: Sequence[torch.Tensor], *, seed: int) -> Iterator[_Column]:
    for number in range(_DRAWS):
        drawn = []
        for tensor in tensors:
            # One draw for all images, so that the title holds for each.
            chain.set_random_state(seed=(seed + number) % _LARGEST_SEED)
            drawn.append(chain({"image": tensor})["image"])
        words = [
            in_words(step.name, step.strength) for step in chain.steps if step.strength is not None
        ]
        yield _Column("\n".join(words) or "left as it is", tuple(drawn))


def _caption(config: TrainingConfig, size_px: int, seed: int) -> str:
    off = switched_off(config.augment, size_px=size_px)
    by_chance = list(_SWITCHES.values())[_GEOMETRY_SWITCHES:]
    parts = [f"Configuration {config.name}, seed {seed}."]
    if set(by_chance) - set(off):
        parts.append(
            "Grey levels, sharpness, compression and border: each with probability "
            f"{config.augment.probability:g}."
        )
    if config.augment.horizontal_flip > 0:
        parts.append(f"Flip: with probability {config.augment.horizontal_flip:g}.")
    if config.augment.zoom_fraction or config.augment.shift_fraction:
        parts.append("Zoom and shift: along x, y.")
    if config.augment.border_crop_fraction > 0:
        parts.append("Crop: left, right, top, bottom.")
    if off:
        parts.append(f"Switched off: {', '.join(off)}.")
    return " ".join(parts)


def _draw_figure(
    sections: Sequence[_Section], labels: Sequence[str], caption: str, path: Path
) -> None:
    width = max(_FEWEST_COLUMNS, *(len(section.columns) for section in sections))
    heights = [
        _HEADING
        + _TITLE_LINE * max(column.title.count("\n") + 1 for column in section.columns)
        + _ROW * len(labels)
        for section in sections
    ]
    caption = textwrap.fill(caption, width * _CAPTION_CHARACTERS)
    caption_height = _TITLE_LINE * (caption.count("\n") + 2)
    figure = Figure(
        figsize=(width * _PANEL_INCHES, (sum(heights) + caption_height) * _PANEL_INCHES),
        dpi=_DPI,
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0),
    )
    FigureCanvasAgg(figure)
    ratios = [*heights, caption_height]
    *parts, foot = np.asarray(figure.subfigures(len(ratios), 1, height_ratios=ratios), dtype=object)
    for part, section in zip(parts, sections, strict=True):
        part.suptitle(section.title, fontsize=11, fontweight="bold", x=0.005, ha="left")
        grid = part.subplots(len(labels), width, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, column in enumerate(section.columns):
            grid[0, number].set_title(column.title, fontsize=8, parse_math=False)
            for axes, image in zip(grid[:, number], column.images, strict=True):
                axes.imshow(image[0].numpy(), cmap="gray", vmin=0.0, vmax=1.0)
        for axes, label in zip(grid[:, 0], labels, strict=True):
            _label_row(axes, label)
    foot.text(0.005, 0.5, caption, fontsize=9, va="center", parse_math=False)
    figure.savefig(path, format="png", metadata={"Software": PREVIEW_SOFTWARE})


def _label_row(axes: Axes, label: str) -> None:
    axes.text(
        -0.04,
        0.5,
        label,
        transform=axes.transAxes,
        rotation=90,
        ha="right",
        va="center",
        fontsize=9,
    )
