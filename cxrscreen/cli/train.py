"""``cxrscreen train``: a labelled folder in, a model bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrscreen.cli.screen import Device

if TYPE_CHECKING:
    from rich.progress import Progress

    from cxrscreen.training.trainer import EpochResult


def train(
    *,
    config: Annotated[Path, typer.Option(help="Training configuration (YAML), see configs/.")],
    data: Annotated[Path, typer.Option(help="Folder with one folder of images per class.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle folder to make.")],
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier bundle.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a model on labelled radiographs and write it as a bundle.

    Images are split by patient; the weights of the epoch with the best
    validation AUC are kept. The bundle appears as a whole or not at all.
    """
    from cxrscreen.cli.progress import training_progress
    from cxrscreen.config import load_training_config
    from cxrscreen.output import check_writable, is_bundle
    from cxrscreen.data.layouts.folders import scan_labelled_folder

    check_writable(out, force=force, replaceable=is_bundle)
    settings = load_training_config(config)
    images = scan_labelled_folder(data, settings.data)

    from cxrscreen.model.predictor import choose_device
    from cxrscreen.training.release import write_bundle
    from cxrscreen.data.split import split_by_patient

    split = split_by_patient(
        images,
        validation_fraction=settings.data.validation_fraction,
        seed=settings.train.seed,
    )
    torch_device = choose_device(device.value)
    if not quiet:
        typer.echo(
            f"{len(split.training)} images to train on, {len(split.validation)} to validate; "
            f"{len({image.patient_key for image in images})} patients, none in both",
            err=True,
        )

    # The engines take seconds to import: after everything that can be wrong so far.
    _silence_engines()
    from cxrscreen.training.trainer import train as run_training

    with training_progress(quiet=quiet) as progress:
        observer = _ProgressObserver(progress, settings.train.epochs, quiet=quiet)
        try:
            trained = run_training(settings, split, device=torch_device, observer=observer)
        except KeyboardInterrupt:
            message = f"interrupted in epoch {observer.epoch}: no bundle was written"
            raise KeyboardInterrupt(message) from None
    document = write_bundle(out, settings, split, trained, force=force)
    typer.echo(
        f"{out}: validation AUC {document.metrics.auc:.4f}, recall {document.metrics.recall:.4f} "
        f"and specificity {document.metrics.specificity:.4f} at 0.5 "
        f"(epoch {trained.best_epoch} of {len(trained.history)})"
    )


class _ProgressObserver:
    """Shows training on a progress bar, or a line per epoch where there is no terminal."""

    def __init__(self, progress: Progress, epochs: int, *, quiet: bool) -> None:
        self.epoch = 1
        self._progress = progress
        self._epochs = epochs
        self._quiet = quiet
        self._task = progress.add_task("reading images", total=None, note="")

    def on_step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.epoch = epoch
        self._progress.update(
            self._task,
            description=f"epoch {epoch}/{self._epochs}",
            total=steps * self._epochs,
            completed=(epoch - 1) * steps + step,
            note=f"loss {loss:.3f}",
        )

    def on_epoch(self, result: EpochResult) -> None:
        if not self._quiet:
            self._progress.console.print(
                f"epoch {result.epoch}/{self._epochs}: "
                f"loss {result.training_loss:.4f}, validation loss {result.validation_loss:.4f}, "
                f"validation AUC {result.validation_auc:.4f}",
                highlight=False,
            )


def _silence_engines() -> None:
    """Keep MONAI's and ignite's own logs off stderr: the errors they repeat are ours to say."""
    import logging
    import warnings

    for name in ("ignite", "monai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(monai|ignite|torch)\b")
