"""Draw the pictures of README and docs from a real run on ``sample_data``.

    python tools/make_pictures.py [--out docs/images]

``sample-data.png`` shows every image of the sample data with what cxrscreen said of it,
``screen.svg`` the console of the same run.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from cxrscreen import load_bundle, screen
from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.pipeline import Tally
from cxrscreen.records import ScreenRow
from cxrscreen.reports.console import is_flagged, print_run
from cxrscreen.vocabulary import Decision

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {Decision.POSITIVE: "#c62828", Decision.NEGATIVE: "#2e7d32"}
REFUSED_COLOUR = "#6a1b9a"
COLUMNS = 5


def main() -> None:
    """Screen the sample data and draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    # The names in the pictures are those that a reader types.
    os.chdir(ROOT)
    bundle = load_bundle()
    started = time.perf_counter()
    rows = list(screen(["sample_data"], bundle))
    seconds = time.perf_counter() - started
    draw_sheet(rows, out / "sample-data.png")
    console = Console(record=True, width=96, file=io.StringIO())
    tally = Tally()
    for row in rows:
        tally.add(row)
    print_run(
        console,
        [row for row in rows if is_flagged(row)],
        tally.summary(seconds=seconds),
        bundle=bundle.name,
        point=bundle.default_point,
    )
    svg = console.export_svg(title="cxrscreen screen sample_data --out report.csv")
    # The fonts would be fetched from elsewhere by whoever looks at the picture.
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    (out / "screen.svg").write_text(svg, encoding="utf-8")
    sys.stdout.write(f"{out}: sample-data.png, screen.svg\n")


def draw_sheet(rows: list[ScreenRow], path: Path) -> None:
    """Draw every input as a tile with its name and decision.

    Parameters
    ----------
    rows
        The rows of a run.
    path
        The PNG to write.
    """
    lines = -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.65 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for axes in figure.subplots(lines, COLUMNS, squeeze=False).flat:
        axes.set_axis_off()
    for axes, row in zip(figure.axes, rows, strict=False):
        source = row.record.source
        try:
            pixels = open_image(source).read_pixels().pixels
        except ImageRefusedError:
            pixels = np.zeros((592, 736), dtype=np.float32)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, aspect="equal")
        axes.set_title(f"{source.parent.name}/{source.name}", fontsize=9)
        if row.prediction is not None:
            verdict = f"{row.decision}  {row.prediction.probability:.2f}"
        else:
            verdict = f"NOT SCREENED\n{row.admission.code}"
        axes.text(
            *(0.5, 0.04),
            verdict,
            transform=axes.transAxes,
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
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
