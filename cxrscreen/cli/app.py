"""The command line: options shared by commands, and where errors become exit codes.

Only typer is imported here. Commands import what they need when they run, so that
``--help`` costs no torch.
"""

from __future__ import annotations

import functools
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, ParamSpec

import typer

from cxrscreen.cli import calibrate as calibrate_module
from cxrscreen.cli import compare as compare_module
from cxrscreen.cli import drift as drift_module
from cxrscreen.cli import evaluate as evaluate_module
from cxrscreen.cli import explain as explain_module
from cxrscreen.cli import inspect as inspect_module
from cxrscreen.cli import screen as screen_module
from cxrscreen.cli import train as train_module
from cxrscreen.cli.bundle import bundle_app
from cxrscreen.cli.bundle import list as bundle_list_module
from cxrscreen.cli.bundle import quantize as bundle_quantize_module
from cxrscreen.cli.bundle import show as bundle_show_module
from cxrscreen.cli.bundle import verify as bundle_verify_module
from cxrscreen.cli.data import audit as data_audit_module
from cxrscreen.cli.data import data_app
from cxrscreen.cli.data import preview as data_preview_module
from cxrscreen.cli.data import split as data_split_module
from cxrscreen.errors import CxrScreenError
from cxrscreen.output import require_standard_streams

INTERNAL_ERROR: Final = 1
INTERRUPTED: Final = 130
Parameters = ParamSpec("Parameters")

app = typer.Typer(
    name="cxrscreen",
    help="Screen chest radiographs for pneumonia: DICOM, JPEG, PNG and TIFF, in batches.",
    epilog=(
        "Exit codes: 0 every input screened, 1 internal error, 2 usage, 3 finished with "
        "NOT_SCREENED rows, 4 nothing to screen, 130 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    # Plain help: rich and its Markdown parser would be a quarter of the time that it takes.
    rich_markup_mode=None,
    # A traceback with local variables would show what a header says about a person.
    pretty_exceptions_enable=False,
)


def _version(*, value: bool) -> None:
    if value:
        from cxrscreen import __version__

        typer.echo(f"cxrscreen {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Screen chest radiographs for pneumonia: DICOM, JPEG, PNG and TIFF, in batches."""
    del version


def translated(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Turn what a command raises into one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CxrScreenError as error:
            typer.echo(f"cxrscreen: {error.one_line()}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as interrupt:
            detail = str(interrupt) or "interrupted: nothing was written"
            typer.echo(f"cxrscreen: {detail}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing may pass as a traceback
            # Place and type only: a message may repeat a value of a header.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            typer.echo(f"cxrscreen: internal error ({place}): please report it", err=True)
            raise typer.Exit(INTERNAL_ERROR) from None

    return run


# In the order of the help: screen, then make a model, then find out what it is worth.
app.command(name="screen")(translated(screen_module.screen))
app.command(name="inspect")(translated(inspect_module.inspect))
app.command(name="explain")(translated(explain_module.explain))
app.command(name="train")(translated(train_module.train))
app.command(name="evaluate")(translated(evaluate_module.evaluate))
app.command(name="compare")(translated(compare_module.compare))
app.command(name="calibrate")(translated(calibrate_module.calibrate))
app.command(name="drift")(translated(drift_module.drift))
app.add_typer(data_app)
data_app.command(name="audit")(translated(data_audit_module.audit))
data_app.command(name="split")(translated(data_split_module.split))
data_app.command(name="preview")(translated(data_preview_module.preview))
app.add_typer(bundle_app)
bundle_app.command(name="list")(translated(bundle_list_module.list_bundles))
bundle_app.command(name="show")(translated(bundle_show_module.show))
bundle_app.command(name="verify")(translated(bundle_verify_module.verify))
bundle_app.command(name="quantize")(translated(bundle_quantize_module.quantize))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    require_standard_streams()
    # What stops a service stops a run as Ctrl-C does: nothing half-written stays behind.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), _interrupt)
    app()
