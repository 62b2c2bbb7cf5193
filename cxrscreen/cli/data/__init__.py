"""``cxrscreen data``: labelled images before anything is trained on them."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="data",
    help="Look through labelled radiographs before training on them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
