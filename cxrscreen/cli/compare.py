"""``cxrscreen compare``: several models on the same labelled images, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options
from cxrscreen.cli.reading import Reading, design_of, print_page

if TYPE_CHECKING:
    from cxrscreen.evaluation.predictions import Predictions
    from cxrscreen.model.bundle import ModelBundle

PAGE: Final = "comparison.md"


def compare(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BUNDLE]...",
            help="Packaged names or folders, the first is the one that others are compared with.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled images: a folder, a table or a split file.", readable=False),
    ] = None,
    part: options.Part = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Predictions of an earlier evaluation in place of a bundle; repeat it for each.",
            readable=False,
            show_default=False,
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Show PPV and NPV at this prevalence too.", show_default=False
        ),
    ] = None,
    level: options.Level = 0.95,
    replicates: options.Replicates = 2000,
    seed: options.Seed = 0,
    config: options.Config = None,
    layout: options.LayoutOption = None,
    patient_pattern: options.PatientPattern = None,
    allow_one_class: options.AllowOneClass = False,
    batch_size: options.BatchSize = 16,
    engine: Annotated[
        list[options.EngineChoice] | None,
        typer.Option(
            help="Runtime and arithmetic of all networks, or of each bundle in turn.",
            show_default="auto",
        ),
    ] = None,
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    workers: options.Workers = None,
    time_limit: options.TimeLimit = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier comparison.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Compare models on the same labelled images, each against the first.

    One table of all metrics with intervals, and differences: DeLong for the
    AUC, McNemar for errors, resampled patients for the rest. Each model is
    taken at its own default operating point.
    """
    from cxrscreen.errors import UsageError
    from cxrscreen.output import check_writable, is_study

    files = predictions or []
    names = bundles or []
    if len(names) + len(files) < 2:  # noqa: PLR2004
        message = "one model cannot be compared"
        raise UsageError(message, hint="Give two bundles, or --predictions twice.")
    if names and files:
        message = "bundles and --predictions contradict one another"
        raise UsageError(message, hint="Give bundles with --data, or --predictions alone.")
    if names and data is None:
        message = "bundles need --data"
        raise UsageError(message, hint="Give the labelled images that they are compared on.")
    if files and (data is not None or part is not None):
        message = "--predictions know their images: --data and --part contradict them"
        raise UsageError(message, hint="Give --predictions alone.")
    engines = _engines(engine or [], len(names))
    check_writable(out, force=force, replaceable=is_study)
    reading = Reading(
        config=config,
        layout=layout,
        patient_pattern=patient_pattern,
        batch_size=batch_size,
        device=device,
        out_of_scope=allow_out_of_scope,
        secondary_capture=allow_secondary_capture,
        for_processing=allow_for_processing,
        workers=workers,
        time_limit=time_limit,
        quiet=quiet,
        out=out,
    )
    reading.check()
    design = design_of(level, replicates, seed, prevalence)

    from cxrscreen.evaluation.predictions import read_predictions
    from cxrscreen.study.measure import measure_side_by_side
    from cxrscreen.study.write import write_comparison

    notes: tuple[str, ...] = ()
    if data is None:
        made = [read_predictions(path) for path in files]
    else:
        models = [
            options.open_bundle(name, each, device)
            for name, each in zip(names, engines, strict=True)
        ]
        made, notes = _judged(reading, models, data, part)
    side_by_side = measure_side_by_side(made, design, one_class=allow_one_class)
    written = write_comparison(out, side_by_side, notes=notes, force=force)
    if not quiet:
        print_page(written.page, out / PAGE)


def _engines(asked: list[options.EngineChoice], bundles: int) -> list[options.EngineChoice]:
    """Return the engine of each bundle."""
    from cxrscreen.errors import UsageError

    if asked and not bundles:
        message = "--predictions were made on an engine already"
        raise UsageError(message, hint="Leave out --engine.")
    if len(asked) not in (0, 1, bundles):
        message = f"{len(asked)} engines for {bundles} bundles"
        raise UsageError(message, hint="Give --engine once, or once for each bundle.")
    if len(asked) == bundles:
        return asked
    return (asked or [options.EngineChoice.AUTO]) * bundles


def _judged(
    reading: Reading, models: list[ModelBundle], data: Path, part: str | None
) -> tuple[list[Predictions], tuple[str, ...]]:
    """Return what each model says of the same images, and what is to be known of them."""
    from cxrscreen.errors import UsageError

    found = [reading.images(model, data, part, named=True) for model in models]
    if any(one.images != found[0].images for one in found[1:]):
        message = f"--part {part}: the models were not made from the same parts of {data}"
        hint = "Give data that none of them was trained on, without --part."
        raise UsageError(message, hint=hint)
    made = [
        reading.predict(model, one, model.calibration, model.default_point)
        for model, one in zip(models, found, strict=True)
    ]
    notes = [
        f"{model.name}: {note}"
        for model, one in zip(models, found, strict=True)
        for note in one.notes
    ]
    return made, tuple(notes)
