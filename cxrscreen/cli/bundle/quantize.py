"""``cxrscreen bundle quantize``: a bundle in, one with an int8 model for OpenVINO out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options

if TYPE_CHECKING:
    from cxrscreen.study.quantise import Quantised

#: As :mod:`cxrscreen.study.quantise`; importing it for the help would cost torch.
_IMAGES: Final = 300
_AUC_LOSS: Final = 0.01
_CHANGED: Final = 0.02


def quantize(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A packaged name or a folder.")],
    *,
    data: Annotated[
        Path,
        typer.Option(help="The labelled images, or the split file, that the bundle was made from."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle folder to make.")],
    images: Annotated[
        int, typer.Option(min=1, help="Training images that set the ranges of int8 numbers.")
    ] = _IMAGES,
    max_auc_loss: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="LOSS",
            help="Refuse an int8 model whose AUC may be lower by more than this (95% limit).",
        ),
    ] = _AUC_LOSS,
    max_changed: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Refuse an int8 model that decides more than this share of images otherwise.",
        ),
    ] = _CHANGED,
    batch_size: options.BatchSize = 16,
    workers: options.Workers = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier bundle.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
) -> None:
    """Add an int8 model to a bundle, for --engine openvino-int8: quicker on a CPU.

    The new bundle holds everything of the old one, and the int8 model with
    thresholds of its own, fitted to the calibration part. One that is too
    unlike the float32 model is refused, and nothing is written (exit code 2).
    Needs the extra 'quantize'.
    """
    from cxrscreen.errors import UsageError
    from cxrscreen.model.engines.openvino_runtime import require_installed
    from cxrscreen.output import check_writable, is_bundle

    check_writable(out, force=force, replaceable=is_bundle)
    for package in ("openvino", "nncf"):
        require_installed(package)

    from cxrscreen.cli.progress import screening_progress
    from cxrscreen.model.bundle import load_bundle
    from cxrscreen.pipeline import ScreenOptions
    from cxrscreen.study.quantise import QuantizationLimits, quantise_bundle

    model = load_bundle(bundle)
    part = model.document.training.calibration
    if model.folder is not None and model.folder.resolve() == out.resolve():
        message = f"{out}: is the bundle that is to be quantised"
        raise UsageError(message, hint="Give another name for the new one.")
    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("quantising", total=2 * part.images if part else None)

        def advance() -> None:
            progress.update(task, description="comparing", advance=1)

        made = quantise_bundle(
            model,
            data,
            out,
            limits=QuantizationLimits(auc_loss=max_auc_loss, decisions_changed=max_changed),
            images=images,
            options=ScreenOptions(batch_size=batch_size, device="cpu", workers=workers),
            force=force,
            on_image=advance,
        )
    if not quiet:
        _print(made, out)


def _print(made: Quantised, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.reports.calibration import points_table

    check = made.quantization.check
    difference, low, high = check.auc_difference
    table = Table("int8 beside float32", f"{check.images} images", box=None, pad_edge=False)
    table.add_row("AUC, float32", f"{check.auc_float32:.4f}")
    table.add_row("AUC, int8", f"{check.auc_int8:.4f}")
    table.add_row("difference", f"{difference:+.4f} ({low:+.4f} to {high:+.4f})")
    table.add_row("largest change of a probability", f"{check.largest_probability_change:.4f}")
    table.add_row("mean change of a probability", f"{check.mean_probability_change:.5f}")
    table.add_row(f"decided otherwise at {check.point}", f"{check.decisions_changed}")
    table.add_row("size of the int8 model", f"{made.bytes_int8 / 1e6:.1f} MB")
    console = ResultConsole()
    with until_reader_leaves():
        console.print(table)
        console.print(points_table(made.calibration))
        for note in made.notes:
            console.print(Text(printable(note), style="dim"), soft_wrap=True)
        console.print(Text(f"bundle: {printable(str(out))}", style="dim"), soft_wrap=True)
