"""``cxrscreen bundle show``: what a bundle is for and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cxrscreen.model.bundle import ModelBundle


def show(
    bundle: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="A packaged name or a folder.",
            show_default="resnet50-pediatric",
        ),
    ] = None,
) -> None:
    """Show a bundle's model card, its engines with their operating points, and its files.

    The bundle is verified first. Where the output is no terminal, the card is
    printed as the Markdown that it is.
    """
    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import BundleError
    from cxrscreen.model.bundle import CARD, load_bundle

    model = load_bundle(bundle)
    if model.folder is None or CARD not in model.document.files:
        message = f"{model.name}: holds no {CARD}"
        raise BundleError(message, hint="Take the bundle again from where it was made.")
    card = (model.folder / CARD).read_text(encoding="utf-8", errors="replace")
    console = ResultConsole()
    with until_reader_leaves():
        if console.is_terminal:
            from rich.markdown import Markdown

            console.print(Markdown(card))
            console.print()
        else:
            typer.echo(card)
        _print_engines(console, model)
        _print_files(console, model)


def _print_engines(console: Console, model: ModelBundle) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "engine",
        "operating point",
        "positive from",
        "logit",
        "guaranteed",
        box=None,
        pad_edge=False,
        title="Engines and operating points",
        title_justify="left",
    )
    for engine, calibration in model.calibrations.items():
        for number, point in enumerate(calibration.points):
            lower = "" if point.lower_score is None else f"{point.lower_score:.4f} to "
            table.add_row(
                "" if number else str(engine),
                f"{point.name} (default)" if number == 0 else point.name,
                f"{point.threshold:.4g}",
                f"{lower}{point.score:.4f}",
                Text(point.guarantee()),
            )
    console.print(table)
    console.print()


def _print_files(console: Console, model: ModelBundle) -> None:
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    from cxrscreen.model.bundle import DOCUMENT

    table = Table(
        "file", "size", "SHA-256", box=None, pad_edge=False, title="Files", title_justify="left"
    )
    folder = model.folder
    if folder is None:
        return
    total = 0
    for name, sha256 in sorted(model.document.files.items()):
        size = (folder / name).stat().st_size
        total += size
        table.add_row(Text(name), decimal(size), sha256[:16])
    document = (folder / DOCUMENT).stat().st_size
    table.add_row(DOCUMENT, decimal(document), "")
    table.add_row("all", decimal(total + document), "")
    console.print(table)
    console.print()
    console.print(Text(f"bundle SHA-256: {model.sha256}"), soft_wrap=True)
    console.print(Text(f"preprocessing: {model.spec.fingerprint()}"), soft_wrap=True)
    for engine, calibration in model.calibrations.items():
        console.print(Text(f"model on {engine}: {calibration.document.model}"), soft_wrap=True)
