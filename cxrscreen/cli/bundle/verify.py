"""``cxrscreen bundle verify``: whether every byte of a bundle is what its maker put there."""

from __future__ import annotations

from typing import Annotated

import typer


def verify(
    bundle: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="A packaged name or a folder.",
            show_default="resnet50-pediatric",
        ),
    ] = None,
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No table: the exit code alone.")
    ] = False,
) -> None:
    """Read every byte of a bundle and check it against bundle.json.

    Each file by its SHA-256, weights against the network, every calibration
    against its model, preprocessing and engine. Exit code 0 if all is well, 2
    if anything is not. It finds damage, not forgery: it is no signature.
    """
    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import BundleError, printable
    from cxrscreen.model.bundle import DEFAULT_BUNDLE, DOCUMENT
    from cxrscreen.model.verify import verified

    found = verified(bundle if bundle is not None else DEFAULT_BUNDLE)
    if not quiet:
        from rich.table import Table
        from rich.text import Text

        table = Table("file", "state", box=None, pad_edge=False)
        table.add_row(DOCUMENT, "as made")
        for name, fault in sorted(found.files.items()):
            table.add_row(Text(printable(name)), "as made" if fault is None else fault.message)
        for name in found.strangers:
            table.add_row(Text(printable(name)), "not of the bundle, and not used")
        with until_reader_leaves():
            ResultConsole().print(table)
    if found.fault:
        raise BundleError(found.fault.message, hint=found.fault.hint)
    if not quiet:
        typer.echo(
            f"{printable(str(found.folder))}: whole, SHA-256 {found.sha256}; "
            f"calibrated for {', '.join(found.engines)}"
        )
