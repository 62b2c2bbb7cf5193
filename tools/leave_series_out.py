"""Write split files that hold back a series, or the earliest or latest patients of each.

    python tools/leave_series_out.py FOLDER --out SPLITS

The files go to ``cxrscreen train --data``: what is held back is the validation part. Labelled
images of "Chest X-Ray Images (Pneumonia)" tell their series and number by their names. With
``--statistics`` nothing is written but a Markdown table: how simple statistics of the images
drift with the patients' numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cxrscreen.config import DataConfig
from cxrscreen.data.content import joined_groups, sha256_of_all
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.data.holdout import without_end, without_series
from cxrscreen.data.load import load_labelled
from cxrscreen.data.series import NORMAL_SERIES, PNEUMONIA_SERIES, series_place
from cxrscreen.data.split import Split
from cxrscreen.data.split_file import is_our_split_file, write_split_file
from cxrscreen.errors import DatasetError, UsageError
from cxrscreen.output import check_writable
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.training.robustness import read_resized
from cxrscreen.training.shifts import FRAME_SHARE
from tools.running import exit_code

_GROUPS: Final = 6


def splits(
    images: Sequence[LabelledImage], groups: Sequence[str], *, seed: int
) -> dict[str, Callable[[], Split]]:
    """Return what makes each split, by the name of its file."""
    made: dict[str, Callable[[], Split]] = {
        f"without-{series}.csv": partial(without_series, images, groups, series, seed=seed)
        for series in (*NORMAL_SERIES, *PNEUMONIA_SERIES)
    }
    made["without-low-numbers.csv"] = partial(without_end, images, groups, "low")
    made["without-high-numbers.csv"] = partial(without_end, images, groups, "high")
    return made


def write_splits(data: Path, folder: Path, *, seed: int, force: bool) -> list[str]:
    """Write every split file, and return a line about each."""
    outs = {name: folder / name for name in splits((), (), seed=seed)}
    for out in outs.values():
        check_writable(out, force=force, replaceable=is_our_split_file)
    images = load_labelled(data, DataConfig())
    hashes = sha256_of_all([image.path for image in images])
    groups = joined_groups([image.patient_key for image in images], hashes)
    by_name = dict(zip((image.name for image in images), hashes, strict=True))
    lines = []
    for name, make in splits(images, groups, seed=seed).items():
        split = make()
        write_split_file(outs[name], split, by_name, force=force)
        counts = " and ".join(
            f"{len(part)} ({sum(image.label for image in part)} with pneumonia)"
            for part in (split.training, split.validation)
        )
        lines.append(f"{outs[name]}: {counts} images to train on and to validate")
    return lines


def statistics(images: Sequence[LabelledImage]) -> str:
    """Return a Markdown table of simple statistics, by series and sixth of its numbers.

    Raises
    ------
    DatasetError
        A name tells no series.
    """
    places = [series_place(image.name) for image in images]
    read = read_resized(images, PreprocessSpec())
    measured = np.array([_measured(pixels) for pixels in read.pixels])
    lines = [
        "| series | numbers | images | sharpness | percentile 5 | percentile 95 | mean | border |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for series in (*NORMAL_SERIES, *PNEUMONIA_SERIES):
        members = [(p.number, i) for i, p in enumerate(places) if p and p.series == series]
        if len(members) < _GROUPS:
            message = f"the series {series} has fewer than {_GROUPS} images"
            raise DatasetError(message, hint='Give "Chest X-Ray Images (Pneumonia)".')
        for group in np.array_split(np.array(sorted(members)), _GROUPS):
            means = measured[group[:, 1]].mean(axis=0)
            cells = [f"{means[0]:.4f}", *(f"{value:.3f}" for value in means[1:])]
            numbers = f"{group[0, 0]} to {group[-1, 0]}"
            lines.append(f"| {series} | {numbers} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _measured(pixels: torch.Tensor) -> NDArray[np.float64]:
    """Return standard deviation of the Laplacian, percentiles, mean and mean of the border."""
    image = pixels[0].numpy().astype(np.float64)
    inside = [slice(width, side - width) for side in image.shape for width in (_frame(side),)]
    border = np.ones(image.shape, dtype=bool)
    border[tuple(inside)] = False
    low, high = np.percentile(image, [5, 95])
    sharpness = ndimage.laplace(image).std()
    return np.array([sharpness, low, high, image.mean(), image[border].mean()])


def _frame(side: int) -> int:
    return round(FRAME_SHARE * side)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, metavar="FOLDER", help="labelled images")
    parser.add_argument("--out", type=Path, help="the folder for the split files")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of the other class")
    parser.add_argument("--force", action="store_true", help="replace earlier split files")
    parser.add_argument("--statistics", action="store_true", help="print a table, write nothing")
    return parser.parse_args()


def _main(arguments: argparse.Namespace) -> None:
    if arguments.statistics == (arguments.out is not None):
        message = "give one of --out and --statistics"
        raise UsageError(message)
    if arguments.statistics:
        sys.stdout.write(statistics(load_labelled(arguments.data, DataConfig())))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = write_splits(arguments.data, arguments.out, seed=arguments.seed, force=arguments.force)
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> int:
    """Write the files or the table; one line and an exit code if that is not possible."""
    arguments = _arguments()
    return exit_code("leave_series_out", lambda: _main(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
