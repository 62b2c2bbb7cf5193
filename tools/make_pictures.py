"""Draw the pictures of README and docs from a real run on ``sample_data``.

    python tools/make_pictures.py [--out docs/images] [--only-page]

``sample-data.png`` shows every image of the sample data with what cxrscreen said of it,
``screen.svg`` the console of the same run, ``augmentation.png`` what training does to two of the
images, and ``shift.png`` what the shift benchmark does to two of them. ``html-report.png`` is
the page of the worklist in Chromium, which playwright drives; where there is none, that picture
is left as it is.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from rich.console import Console

from cxrscreen import __version__, load_bundle, preprocess, screen
from cxrscreen.config import load_training_config
from cxrscreen.data.dataset import LabelledImage
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import ScreenRow, Source
from cxrscreen.reports.console import FlaggedImage, print_run
from cxrscreen.reports.privacy import KEY_BYTES, Privacy
from cxrscreen.reports.table import RunFacts, report_cells
from cxrscreen.tally import Tally
from cxrscreen.training.distortions import blur
from cxrscreen.training.preview import draw_preview
from cxrscreen.training.reference import measure_reference
from cxrscreen.training.robustness import ResizedImages
from cxrscreen.training.shift_table import conditions_for
from cxrscreen.vocabulary import Decision, Phi

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {Decision.POSITIVE: "#c62828", Decision.NEGATIVE: "#2e7d32"}
REFUSED_COLOUR = "#6a1b9a"
_PICTURE_GREYS = 32
_PAGE_COLOURS = 256
_SHOWN_CONDITIONS = (
    "clean",
    "sharpness beyond the other class",
    "grey levels of the other class",
    "frame of the other class, 12%",
    "sharpness, levels and frame of the other class",
    "border only: all but the outer 8% hidden",
    "centre only: the outer 8% hidden",
    "resolution 8 px",
)
# Width and height of a tile: the shape of the frontal images.
TILE = (736, 592)


def main() -> None:
    """Screen the sample data and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only-page", action="store_true", help="only html-report.png")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    # The names in the pictures are those that a reader types.
    os.chdir(ROOT)
    draw_page(out / "html-report.png")
    if arguments.only_page:
        return
    bundle = load_bundle()
    started = time.perf_counter()
    rows = list(screen(["sample_data"], bundle))
    seconds = time.perf_counter() - started
    draw_sheet(rows, out / "sample-data.png")
    console = Console(record=True, width=96, file=io.StringIO())
    tally = Tally()
    for row in rows:
        tally.add(row)
    facts = RunFacts(
        bundle=bundle.name,
        bundle_sha256=bundle.sha256,
        calibration=bundle.calibration,
        point=bundle.default_point,
        version=__version__,
        # No pseudonym is in the picture.
        privacy=Privacy(Phi.PSEUDONYM, bytes(KEY_BYTES)),
    )
    flagged = [
        FlaggedImage.of(report_cells(row, facts), warnings=len(row.warnings))
        for row in rows
        if row.decision in {Decision.POSITIVE, Decision.INDETERMINATE}
    ]
    flagged.sort(key=lambda image: -image.probability)
    print_run(
        console,
        flagged,
        tally.summary(seconds=seconds),
        bundle=bundle.name,
        point=bundle.default_point,
    )
    svg = console.export_svg(title="cxrscreen screen sample_data --out report.csv")
    # The fonts would be fetched from elsewhere by whoever looks at the picture.
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    (out / "screen.svg").write_text(svg, encoding="utf-8")
    draw_augmentation(out / "augmentation.png")
    draw_shift(out / "shift.png")
    sys.stdout.write(f"{out}: sample-data.png, screen.svg, augmentation.png, shift.png\n")


def draw_page(path: Path) -> None:
    """Draw the upper part of the page that a run on the sample data writes."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        sys.stderr.write(f"{path}: left as it is, there is no Chromium\n")
        return
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a package for developers

    with tempfile.TemporaryDirectory() as name, sync_playwright() as running:
        folder = Path(name)
        outputs = {"--out": "report.csv", "--html": "report.html", "--maps": "maps"}
        options = [part for key, file in outputs.items() for part in (key, str(folder / file))]
        program = [sys.executable, "-m", "cxrscreen", "screen", "sample_data", *options, "--quiet"]
        # Exit code 3: the sample data hold what must be refused.
        subprocess.run(program, check=False)  # noqa: S603 - this very program
        browser = running.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=1)
        tab.goto((folder / "report.html").as_uri())
        tab.get_by_role("button", name="Show all maps").click()
        tab.wait_for_timeout(1000)
        shot = tab.screenshot()
        browser.close()
    with Image.open(io.BytesIO(shot)) as picture:
        picture.convert("RGB").quantize(_PAGE_COLOURS).save(path, optimize=True)


def draw_augmentation(path: Path) -> None:
    """Draw a preview of augmentation on a phantom of each class, small enough for a page."""
    folder = ROOT / "sample_data" / "frontal"
    images = [
        LabelledImage(folder / name, name, label, patient_key=name)
        for label, name in enumerate(("normal-02.png", "pneumonia-02.png"))
    ]
    config = load_training_config(ROOT / "configs" / "scratch_cnn.yaml")
    draw_preview(images, config, path, seed=config.train.seed)
    with Image.open(path) as picture:
        small = picture.convert("L").reduce(2)
    small.quantize(_PICTURE_GREYS).save(path, optimize=True)


def draw_shift(path: Path) -> None:
    """Draw conditions of the shift benchmark on a phantom of each class.

    Phantoms differ in their findings alone. So that there is something to exchange, those with
    pneumonia are first made a little soft and grey, as the images of the packaged models are.
    """
    files = sorted((ROOT / "sample_data" / "frontal").glob("*-*"))
    labels = np.array([int(file.name.startswith("pneumonia-")) for file in files])
    read = [open_image(Source(file)).read_pixels().pixels for file in files]
    pixels = torch.stack([preprocess.resize(image, PreprocessSpec()) for image in read])
    for index in np.flatnonzero(labels).tolist():
        pixels[index] = 0.15 + 0.75 * blur(pixels[index], 1.0)
    images = ResizedImages(pixels, labels)
    every = conditions_for(images, measure_reference(pixels, labels))
    shown = [one for name in _SHOWN_CONDITIONS for one in every if one.name == name]
    chosen = [int(np.flatnonzero(labels == label)[1]) for label in (0, 1)]
    half = len(shown) // 2
    figure = Figure(figsize=(2.5 * half, 11), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(4, half)
    for place, condition in enumerate(shown):
        band, column = divmod(place, half)
        for line, index in enumerate(chosen, start=2 * band):
            axes = grid[line][column]
            axes.set_axis_off()
            image = condition.distort(pixels[index].clone(), index)[0]
            axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
            if index == chosen[0]:
                axes.set_title(fill(condition.name, 26), fontsize=11)
    figure.savefig(path, dpi=72)
    with Image.open(path) as picture:
        grey = picture.convert("L")
    grey.quantize(_PICTURE_GREYS).save(path, optimize=True)


def draw_sheet(rows: list[ScreenRow], path: Path) -> None:
    """Draw every input as a tile with its name and decision, a line for each group.

    Parameters
    ----------
    rows
        The rows of a run; what comes before the first hyphen of a name is its group.
    path
        The PNG to write.
    """
    groups = [
        [row for row in rows if row.record.source.path.name.startswith("normal-")],
        [row for row in rows if row.record.source.path.name.startswith("pneumonia-")],
        [row for row in rows if row.record.source.path.parent.name == "refused"],
    ]
    columns = max(map(len, groups))
    figure = Figure(figsize=(2.6 * columns, 2.5 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(groups), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, group in zip(grid, groups, strict=True):
        for axes, row in zip(line, group, strict=False):
            _draw_tile(axes, row)
    figure.savefig(path, dpi=80)


def _draw_tile(axes: Axes, row: ScreenRow) -> None:
    source = row.record.source.path
    width, height = TILE
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_title(f"{source.parent.name}/{source.name}", fontsize=9)
    try:
        pixels = open_image(Source(source)).read_pixels().pixels
    except ImageRefusedError:
        axes.add_patch(Rectangle((0, 0), width, height, facecolor="#eceff1", zorder=0))
    else:
        rows, columns = pixels.shape
        scale = min(width / columns, height / rows)
        left, top = (width - columns * scale) / 2, (height - rows * scale) / 2
        extent = (left, width - left, height - top, top)
        axes.add_patch(Rectangle((0, 0), width, height, facecolor="black", zorder=0))
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=extent, zorder=1)
        axes.set(xlim=(0, width), ylim=(height, 0))
    if row.prediction is not None:
        verdict = f"{row.decision}  {row.prediction.probability:.3f}"
    else:
        verdict = f"NOT SCREENED\n{row.admission.code}"
    axes.text(
        *(width / 2, height * 0.95),
        verdict,
        ha="center",
        va="bottom",
        color="white",
        fontsize=9,
        fontweight="bold",
        bbox={
            "facecolor": COLOURS.get(row.decision, REFUSED_COLOUR),
            "edgecolor": "none",
            "boxstyle": "round,pad=0.3",
        },
    )


if __name__ == "__main__":
    main()
