"""``cxrscreen train``: labelled images in, a model bundle out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrscreen.cli.options import Device

if TYPE_CHECKING:
    from rich.progress import Progress

    from cxrscreen.data.split import Split
    from cxrscreen.training.checkpoint import RunFolder
    from cxrscreen.training.history import EpochResult


def train(
    *,
    config: Annotated[Path, typer.Option(help="Training configuration (YAML), see configs/.")],
    data: Annotated[
        Path,
        typer.Option(help="Labelled images: a split file, a folder, or a table; see docs/data.md."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle folder to make.")],
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one setting, as in train.seed=7; may be repeated.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(help="Write events for TensorBoard into this folder.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier bundle or an unfinished run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a model on labelled radiographs and write it as a bundle.

    Images are split by patient; of the last phase, the weights of the epoch
    with the best validation AUC are kept. The bundle appears as a whole or not at all.
    An interrupted run leaves OUT.training beside it, which --resume continues.
    """
    from cxrscreen.config import load_training_config
    from cxrscreen.data.load import read_split
    from cxrscreen.errors import printable
    from cxrscreen.output import check_writable, is_bundle

    check_writable(out, force=force, replaceable=is_bundle)
    folder = out.with_name(out.name + ".training")
    _check_unfinished(folder, resume=resume, force=force, replaces=os.path.lexists(out))
    settings = load_training_config(config, override or ())
    loaded = read_split(data, settings.data, seed=settings.train.seed)
    split = loaded.split

    from cxrscreen.cli.progress import screening_progress, training_progress
    from cxrscreen.model.predictor import choose_device
    from cxrscreen.training.processes import process_rank

    torch_device = choose_device(device.value)
    first = process_rank() == 0
    quiet = quiet or not first
    if not quiet:
        for line in (*loaded.notes, _parts(split)):
            typer.echo(printable(line), err=True)

    # The engines take seconds to import: after everything that can be wrong so far.
    _silence_engines()
    from cxrscreen.study.release import write_bundle
    from cxrscreen.training.checkpoint import RunFolder
    from cxrscreen.training.trainer import RunFiles
    from cxrscreen.training.trainer import train as run_training

    with training_progress(quiet=quiet) as progress:
        observer = _ProgressObserver(progress, settings.train.epochs, quiet=quiet)
        with _interruption(observer, RunFolder(folder)):
            trained = run_training(
                settings,
                split,
                device=torch_device,
                observer=observer if first else None,
                files=RunFiles(folder, resume=resume, events=events),
            )
    if not first:
        return
    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("calibrating", total=len(split.calibration))
        released = write_bundle(
            out,
            settings,
            split,
            trained,
            force=force,
            device=device.value,
            on_image=lambda: progress.advance(task),
        )
    RunFolder(folder).discard()
    for note in released.notes:
        typer.echo(printable(note), err=True)
    metrics, point = released.document.metrics, released.calibration.default_point
    typer.echo(
        f"{out}: validation AUC {metrics.auc:.4f}, recall {metrics.recall:.4f} "
        f"and specificity {metrics.specificity:.4f} at 0.5 "
        f"(epoch {trained.best_epoch} of {len(trained.history)}); operating point {point.name}: "
        f"positive from {point.threshold:.4g}, guaranteed: {point.guarantee()}"
    )


def _check_unfinished(folder: Path, *, resume: bool, force: bool, replaces: bool) -> None:
    """Let nobody lose a run that is a day old by a forgotten option."""
    from cxrscreen.errors import UsageError

    # A run that shall replace a bundle may be interrupted too: then both have a meaning.
    if resume and force and not replaces:
        message = "--resume and --force contradict one another"
        raise UsageError(message, hint="--resume goes on with a run, --force begins it anew.")
    if folder.exists() and not resume and not force:
        message = f"{folder}: an unfinished run is there"
        raise UsageError(message, hint="Go on with --resume, or begin anew with --force.")


def _parts(split: Split) -> str:
    patients = len({i.patient_key for part in split.parts().values() for i in part})
    kept = f", {len(split.calibration)} kept for calibration" if split.calibration else ""
    return (
        f"{len(split.training)} images to train on, {len(split.validation)} to validate{kept}; "
        f"{patients} patients, none in two parts"
    )


@contextlib.contextmanager
def _interruption(observer: _ProgressObserver, folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        message = f"interrupted in epoch {observer.epoch}: no bundle was written"
        if folder.can_resume:
            message += ". Repeat the command with --resume to go on"
        raise KeyboardInterrupt(message) from None


class _ProgressObserver:
    """Shows training on a progress bar, or a line per epoch where there is no terminal."""

    def __init__(self, progress: Progress, epochs: int, *, quiet: bool) -> None:
        self.epoch = 1
        self._progress = progress
        self._epochs = epochs
        self._quiet = quiet
        self._task = progress.add_task("reading images", total=None, note="")

    def on_note(self, text: str) -> None:
        self._print(text)

    def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.epoch = epoch
        self._progress.update(
            self._task,
            description=f"epoch {epoch}/{self._epochs}",
            total=steps * self._epochs,
            completed=(epoch - 1) * steps + step,
            note=f"loss {loss:.3f}",
        )

    def on_epoch(self, result: EpochResult, images_per_s: float) -> None:
        self._print(
            f"epoch {result.epoch}/{self._epochs}: "
            f"loss {result.training_loss:.4f}, validation loss {result.validation_loss:.4f}, "
            f"validation AUC {result.validation_auc:.4f}, {images_per_s:.1f} images/s"
        )

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _silence_engines() -> None:
    """Keep MONAI's and ignite's own logs off stderr: the errors they repeat are ours to say."""
    import logging
    import warnings

    for name in ("ignite", "monai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(monai|ignite|torch)\b")
