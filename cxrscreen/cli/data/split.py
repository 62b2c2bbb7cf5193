"""``cxrscreen data split``: labelled images in, a file with their parts out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli.data.options import Layout

if TYPE_CHECKING:
    from cxrscreen.data.split import Split

_FRACTION: Final = 0.15


def split(
    *,
    data: Annotated[
        Path, typer.Option(help="Folder of labelled images in a known layout, or a table.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The split file to write (CSV).")],
    config: Annotated[
        Path | None, typer.Option(help="Training configuration whose data: section counts.")
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(help="How the data are laid out.", show_default="by what is there"),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression on file names; its groups are the patient."),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the images for validation.", show_default="the configuration's, or 0.15"
        ),
    ] = None,
    calibration: Annotated[
        float | None,
        typer.Option(
            help="Share for calibration; 0 for none.", show_default="the configuration's, or 0.15"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Of the shuffle.",
            show_default="train.seed of the configuration, or 0",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier split file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
) -> None:
    """Split labelled radiographs into training, validation and calibration.

    No patient and no image is in two parts, and the classes stand in about
    the same proportion in each. Every command with --data takes the file;
    it is refused if an image has changed since.
    """
    from cxrscreen.cli.data.options import changed, data_config
    from cxrscreen.cli.progress import screening_progress, until_reader_leaves
    from cxrscreen.config import load_training_config
    from cxrscreen.errors import UsageError, printable
    from cxrscreen.output import check_writable

    settings = data_config(config, layout, patient_pattern)
    default = _FRACTION if config is None else None
    settings = changed(
        settings,
        validation_fraction=default if validation is None else validation,
        calibration_fraction=default if calibration is None else calibration,
    )
    if seed is None:
        seed = 0 if config is None else load_training_config(config).train.seed

    # scikit-learn takes a second to import: after everything that can be wrong so far.
    from cxrscreen.data.content import sha256_of_all
    from cxrscreen.data.load import read_labelled
    from cxrscreen.data.partition import partition
    from cxrscreen.data.split_file import is_our_split_file, is_split_file, write_split_file

    check_writable(out, force=force, replaceable=is_our_split_file)
    if is_split_file(data):
        message = f"{data}: is a split file already"
        raise UsageError(message, hint="Give --data what it was made from.")
    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("reading", total=None)

        def on_step(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        found = read_labelled(data, settings, on_step=on_step)
        hashes = sha256_of_all([image.path for image in found.images], on_step=on_step)
    made, notes = partition(found, hashes, settings, seed=seed)
    names = (image.name for image in found.images)
    write_split_file(out, made, dict(zip(names, hashes, strict=True)), force=force)
    if not quiet:
        for note in notes:
            typer.echo(printable(note), err=True)
    with until_reader_leaves():
        typer.echo(_summary(made))


def _summary(made: Split) -> str:
    """Return images, positives and patients of each part as lines of equal columns."""
    total = sum(len(images) for images in made.parts().values())
    rows = [("part", "images", "pneumonia", "patients", "share")]
    rows += [
        (
            part,
            f"{len(images):,}",
            f"{sum(image.label for image in images):,}",
            f"{len({image.patient_key for image in images}):,}",
            f"{len(images) / total:.1%}",
        )
        for part, images in made.parts().items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
