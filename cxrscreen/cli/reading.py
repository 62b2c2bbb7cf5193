"""What commands that judge labelled images have in common, from options to predictions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cxrscreen.cli import options
from cxrscreen.cli.data.options import Layout, data_config

if TYPE_CHECKING:
    from cxrscreen.calibration.calibration import Calibration
    from cxrscreen.data.dataset import LabelledImage
    from cxrscreen.evaluation.estimates import Design
    from cxrscreen.evaluation.predictions import Predictions
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.pipeline import ScreenOptions
    from cxrscreen.records import OperatingPoint
    from cxrscreen.reports.evaluation_page import EvaluationPage
    from cxrscreen.study.images import StudyImages
    from cxrscreen.study.predict import LabelledRow

#: Columns that every image has, whatever the data are laid out like.
COMMON_COLUMNS: Final = (
    "age_years",
    "age_group",
    "sex",
    "view",
    "modality",
    "manufacturer",
    "site",
    "part",
    "kind",
)
#: Columns of a table that are no groups, and what to ask for in their place.
_NO_GROUPS: Final = {
    "age": "Take age_group, or age_years.",
    "label": "Figures compare the labels already.",
    "patient": "A group for each patient would tell who is who.",
    "path": "A group for each image says nothing.",
    "sha256": "A group for each image says nothing.",
}
#: Columns before it are names and counts, which may be long.
_FIRST_NUMBER: Final = 2
_WITH_INTERVAL: Final = re.compile(r"(\S+) \((\S+) to (\S+)\)")


@dataclass(frozen=True, slots=True)
class Reading:
    """How labelled images are read and judged, as options say it."""

    config: Path | None
    layout: Layout | None
    patient_pattern: str | None
    batch_size: int
    device: options.Device
    out_of_scope: bool
    secondary_capture: bool
    for_processing: bool
    workers: int | None
    time_limit: float
    quiet: bool
    out: Path

    def check(self) -> None:
        """Refuse what cannot be read with, before any work.

        Raises
        ------
        ConfigError, UsageError
            The configuration or an option is invalid.
        """
        data_config(self.config, self.layout, self.patient_pattern)

    def screen_options(
        self, calibration: Calibration | None = None, point: OperatingPoint | None = None
    ) -> ScreenOptions:
        """Return how to screen."""
        from cxrscreen.pipeline import ScreenOptions

        return ScreenOptions(
            batch_size=self.batch_size,
            device=self.device.value,
            permissions=options.permissions(
                out_of_scope=self.out_of_scope,
                secondary_capture=self.secondary_capture,
                for_processing=self.for_processing,
            ),
            workers=self.workers,
            seconds_per_image=self.time_limit,
            calibration=calibration,
            point=point,
        )

    def images(
        self,
        model: ModelBundle,
        data: Path,
        part: str | None,
        by: Sequence[str] = (),
        *,
        unseen: bool = False,
        named: bool = False,
    ) -> StudyImages:
        """Return the images of a study, after saying what is to be known of them.

        Parameters
        ----------
        model, data, part, by
            As for :func:`cxrscreen.study.images.study_images`.
        unseen
            Refuse images that the model was trained on.
        named
            Begin what is said with the name of the model: there are others.

        Raises
        ------
        DatasetError, BundleError
            As :func:`cxrscreen.study.images.study_images`.
        UsageError
            The output would lie among the images.
        CalibrationError
            ``unseen``, and the model was trained on some of them.
        """
        from cxrscreen.errors import CalibrationError, printable
        from cxrscreen.study.images import study_images

        found = study_images(
            model,
            data,
            part=part,
            config=data_config(self.config, self.layout, self.patient_pattern),
            columns=[column for column in by if column not in COMMON_COLUMNS],
        )
        _require_outside(self.out, data, found.images)
        if unseen and found.trained_on:
            message = f"{data}: the model was trained on {found.trained_on:,} of the images"
            hint = "Take --part calibration, or images that it has not seen."
            raise CalibrationError(message, hint=hint)
        if not self.quiet:
            for note in found.notes:
                typer.echo(printable(f"{model.name}: {note}" if named else note), err=True)
        return found

    def screen(
        self, model: ModelBundle, found: StudyImages, how: ScreenOptions
    ) -> tuple[LabelledRow, ...]:
        """Screen the images of a study under a progress bar."""
        from cxrscreen.cli.progress import screening_progress
        from cxrscreen.study.predict import screen_labelled

        with screening_progress(quiet=self.quiet) as progress:
            task = progress.add_task(model.name, total=len(found.images))
            return screen_labelled(
                model, found.images, how, on_image=lambda: progress.advance(task)
            )

    def predict(
        self,
        model: ModelBundle,
        found: StudyImages,
        calibration: Calibration,
        point: OperatingPoint,
    ) -> Predictions:
        """Return what a model says of the images of a study."""
        from cxrscreen.study.evaluate import predictions_of

        rows = self.screen(model, found, self.screen_options(calibration, point))
        return predictions_of(model, rows, calibration=calibration, point=point, part=found.part)


def _require_outside(out: Path, data: Path, images: Sequence[LabelledImage]) -> None:
    """Refuse an output among labelled images: the next study would take it for some of them.

    Raises
    ------
    UsageError
        ``out`` lies below ``data``, in a folder that images are read from.
    """
    from cxrscreen.errors import UsageError

    place, root = out.absolute().resolve(), data.resolve()
    if not data.is_dir() or not place.is_relative_to(root):
        return
    folder, *rest = place.relative_to(root).parts or ("",)
    if rest and any(image.name.startswith(f"{folder}/") for image in images):
        message = f"{out}: lies among the labelled images of {data}"
        raise UsageError(message, hint="Give a name outside of the data.")


def columns_of(by: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of ``--by`` as tables name them: each once, in lower case.

    Raises
    ------
    UsageError
        One of them forms no groups, or stands in every file of predictions.
    """
    from cxrscreen.errors import UsageError
    from cxrscreen.evaluation.predictions import OWN_COLUMNS

    columns = tuple(dict.fromkeys(column.strip().lower() for column in by or ()))
    for column in columns:
        hint = _NO_GROUPS.get(column)
        if hint is None and column in OWN_COLUMNS:
            hint = "Predictions have a column of that name: rename it in the table."
        if hint is not None:
            message = f"--by {column}: forms no groups"
            raise UsageError(message, hint=hint)
    return columns


def design_of(level: float, replicates: int, seed: int, prevalence: float | None) -> Design:
    """Return how uncertainty is measured.

    Raises
    ------
    UsageError
        A share is not between 0 and 1.
    """
    options.require_share("--level", level)
    options.require_share("--prevalence", prevalence)
    from cxrscreen.evaluation.estimates import Design

    return Design(level=level, replicates=replicates, seed=seed, prevalence=prevalence)


def print_page(page: EvaluationPage, path: Path) -> None:
    """Print the tables of a page on the console."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.reports.evaluation_page import plain_tables

    console = ResultConsole()
    with until_reader_leaves():
        console.print(Text(printable(page.title), style="bold"))
        for title, value in page.facts:
            console.print(Text(f"{title}: {printable(value)}"), soft_wrap=True)
        for plain in plain_tables(page):
            table = Table(
                title=printable(plain.title),
                title_justify="left",
                title_style="bold",
                box=SIMPLE_HEAD,
            )
            # How each interval was made is on the page; a terminal is narrow.
            kept = [n for n, name in enumerate(plain.columns) if name != "method"]
            for index in kept:
                numeric = plain.numeric[index]
                table.add_column(
                    printable(plain.columns[index]),
                    justify="right" if numeric else "left",
                    overflow="fold",
                    no_wrap=numeric and index >= _FIRST_NUMBER,
                )
            for row in plain.rows:
                table.add_row(*(Text(_stacked(printable(row[index]))) for index in kept))
            console.print(table)
            if plain.note:
                console.print(Text(printable(plain.note), style="dim"), soft_wrap=True)
        console.print(Text(printable(str(path)), style="dim"), soft_wrap=True)


def _stacked(cell: str) -> str:
    """Put an interval below its value, where both are in one cell."""
    found = _WITH_INTERVAL.fullmatch(cell)
    return cell if found is None else f"{found[1]}\n{found[2]}–{found[3]}"
