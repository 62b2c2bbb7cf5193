"""``cxrscreen data``: what is done with labelled images before training.

The commands are added in ``cli/app.py``.
"""

from __future__ import annotations

import typer

data_app = typer.Typer(
    name="data",
    help="Look at labelled radiographs and split them, before training.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
