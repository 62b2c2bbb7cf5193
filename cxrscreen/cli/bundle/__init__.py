"""``cxrscreen bundle``: look at model bundles, verify them, give them an int8 model.

The commands are added in ``cli/app.py``.
"""

from __future__ import annotations

import typer

bundle_app = typer.Typer(
    name="bundle",
    help="Show, verify and quantise model bundles.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
