"""``cxrscreen inspect``: what a file says, what is made of it, and why it is admitted or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from cxrscreen.admission.inspection import Inspection
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.records import Source

_SOME_NOT_SCREENED: Final = 3


def inspect(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Images to look at; of an archive, ARCHIVE!MEMBER as the report names it.",
            show_default=False,
        ),
    ] = None,
    *,
    bundle: Annotated[
        str | None,
        typer.Option(
            help="Model bundle whose intended use decides: a packaged name or a folder.",
            show_default="resnet50-pediatric",
        ),
    ] = None,
    frame: Annotated[
        int, typer.Option(min=1, help="Which image of a file that holds several.")
    ] = 1,
    png: Annotated[
        Path | None,
        typer.Option("--png", help="Write the steps side by side as a picture (one file only)."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON for scripts instead of a page.")
    ] = False,
    codecs: Annotated[
        bool, typer.Option("--codecs", help="Show which decoder reads what, and exit.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier picture.")] = False,
) -> None:
    """Show what a file says, each step of the pixel chain, and its admission.

    The pixels are read even where the header refuses the image. Names,
    identifiers and dates are never shown; neither is a probability. Exit
    code 0 if every file would be screened, 3 if one would not be.
    """
    sources = _checked(files or [], codecs=codecs, png=png)
    if codecs:
        _print_codecs()
        return

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.output import check_writable
    from cxrscreen.reports.steps_picture import is_steps_picture

    if png is not None:
        check_writable(png, force=force, replaceable=is_steps_picture)

    from cxrscreen.model.bundle import load_bundle
    from cxrscreen.reports import inspection

    model = load_bundle(bundle)
    found = [_looked_at(source, model, frame) for source in sources]
    with until_reader_leaves():
        if as_json:
            typer.echo(inspection.as_json(found, bundle=model.name))
        else:
            console = ResultConsole()
            for number, one in enumerate(found):
                if number:
                    console.print()
                inspection.print_inspection(console, one, bundle=model.name)
    if png is not None:
        _write_picture(png, found[0], force=force)
    if not all(one.admission.admitted for one in found):
        raise typer.Exit(_SOME_NOT_SCREENED)


def _checked(files: list[str], *, codecs: bool, png: Path | None) -> list[Source]:
    from cxrscreen.cli.sources import require_file
    from cxrscreen.errors import UsageError
    from cxrscreen.intake.search.discover import locate

    if codecs and files:
        message = "--codecs looks at no file"
        raise UsageError(message, hint="Give --codecs alone.")
    if not codecs and not files:
        message = "no file is given"
        raise UsageError(message, hint="Give files to look at, or --codecs.")
    if png is not None and len(files) != 1:
        message = f"--png takes one file, not {len(files)}"
        raise UsageError(message, hint="Run inspect once for each file.")
    sources = [locate(named) for named in files]
    for source in sources:
        require_file(source.path)
    return sources


def _looked_at(source: Source, model: ModelBundle, frame: int) -> Inspection:
    from cxrscreen.admission.inspection import inspect_image
    from cxrscreen.errors import UsageError

    found = inspect_image(source, model.intended_use, frame=frame - 1)
    if found.frames and frame > found.frames:
        message = f"{source}: holds {found.frames} image{'s' if found.frames > 1 else ''}"
        raise UsageError(message, hint="Give a smaller --frame.")
    return found


def _write_picture(png: Path, found: Inspection, *, force: bool) -> None:
    from cxrscreen.errors import printable
    from cxrscreen.output import new_file
    from cxrscreen.reports.steps_picture import draw_steps, is_steps_picture

    if found.image is None:
        # Exit code 3 follows: the file is not one that would be screened.
        message = f"{printable(str(png))}: not written, the pixels could not be read"
        typer.echo(f"cxrscreen: {message}", err=True)
        return
    with new_file(png, force=force, replaceable=is_steps_picture) as temporary:
        draw_steps(found.image, temporary)


def _print_codecs() -> None:
    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.intake.codecs.table import codec_table
    from cxrscreen.reports.inspection import print_codecs

    with until_reader_leaves():
        print_codecs(
            ResultConsole(),
            [(row.name, row.uid, row.decoder, ", ".join(row.others)) for row in codec_table()],
        )
