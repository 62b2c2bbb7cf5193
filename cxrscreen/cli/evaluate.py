"""``cxrscreen evaluate``: labelled images in, metrics with intervals, figures and errors out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options
from cxrscreen.cli.reading import Reading, columns_of, design_of, print_page

if TYPE_CHECKING:
    from cxrscreen.calibration.calibration import Calibration
    from cxrscreen.evaluation.predictions import Predictions
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.records import OperatingPoint
    from cxrscreen.study.images import StudyImages

PAGE: Final = "evaluation.md"


def evaluate(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled images: a folder, a table or a split file.", readable=False),
    ] = None,
    bundle: options.Bundle = None,
    part: options.Part = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start from the predictions.csv of an earlier evaluation, without the model.",
            readable=False,
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Show subgroups by this column: sex, age_group, view, manufacturer, modality, "
            "site, kind, or any of a table; may be repeated.",
            show_default=False,
        ),
    ] = None,
    calibration: options.CalibrationFile = None,
    operating_point: options.PointName = None,
    target_recall: options.TargetRecall = None,
    confidence: options.Confidence = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Show PPV and NPV at this prevalence too.", show_default=False
        ),
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=0, max=200, help="Errors of each kind in the gallery; 0 for none.")
    ] = 12,
    level: options.Level = 0.95,
    replicates: options.Replicates = 2000,
    seed: options.Seed = 0,
    config: options.Config = None,
    layout: options.LayoutOption = None,
    patient_pattern: options.PatientPattern = None,
    allow_one_class: options.AllowOneClass = False,
    batch_size: options.BatchSize = 16,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    workers: options.Workers = None,
    time_limit: options.TimeLimit = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier evaluation.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Measure a model on labelled images: every metric with its interval.

    The folder holds tables, figures, the surest errors with activation maps,
    and predictions.csv, from which everything follows and can be computed
    again. What the model may not judge is counted beside the figures.
    """
    from cxrscreen.errors import UsageError
    from cxrscreen.output import check_writable, is_study

    chosen = (calibration, operating_point, target_recall, confidence)
    if predictions is not None and any(option is not None for option in chosen):
        message = "--predictions hold their operating points already"
        hint = "Leave out --calibration, --operating-point, --target-recall and --confidence."
        raise UsageError(message, hint=hint)
    if predictions is not None and engine is not options.EngineChoice.AUTO:
        message = "--predictions were made on an engine already"
        raise UsageError(message, hint="Leave out --engine.")
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
    design, columns = design_of(level, replicates, seed, prevalence), columns_of(by)

    from cxrscreen.study.measure import measure
    from cxrscreen.study.write import write_evaluation

    model: ModelBundle | None
    found: StudyImages | None
    if predictions is None and data is not None:
        choose = partial(
            options.choose_calibration,
            file=calibration,
            point=operating_point,
            target_recall=target_recall,
            confidence=confidence,
        )
        model = options.open_bundle(bundle, engine, device)
        found, made = _judged(reading, model, choose, data=data, part=part, columns=columns)
    elif predictions is not None:
        model, found, made = _read(reading, bundle, data, part, predictions)
    else:
        message = "nothing to evaluate"
        raise UsageError(message, hint="Give --data, or --predictions.")
    measured = measure(made, design, columns, one_class=allow_one_class)
    show_errors = None
    if gallery and model is not None and found is not None:
        from cxrscreen.study.gallery import error_gallery

        show_errors = partial(
            error_gallery,
            model,
            made,
            found.images,
            data=str(data),
            limit=gallery,
            device=device.value,
        )
    written = write_evaluation(
        out,
        measured,
        notes=found.notes if found is not None else (),
        gallery=show_errors,
        force=force,
    )
    if not quiet:
        print_page(written.page, out / PAGE)


_Study = tuple["ModelBundle | None", "StudyImages | None", "Predictions"]


def _judged(
    reading: Reading,
    model: ModelBundle,
    choose: Callable[[ModelBundle], tuple[Calibration, OperatingPoint]],
    *,
    data: Path,
    part: str | None,
    columns: tuple[str, ...],
) -> tuple[StudyImages, Predictions]:
    """Return the images and what the model says of them."""
    used, at = choose(model)
    found = reading.images(model, data, part, columns)
    return found, reading.predict(model, found, used, at)


def _read(
    reading: Reading, bundle: str | None, data: Path | None, part: str | None, path: Path
) -> _Study:
    """Return predictions of a file and, where there are data, the images that they are of."""
    from cxrscreen.errors import FingerprintMismatchError
    from cxrscreen.evaluation.predictions import read_predictions
    from cxrscreen.model.bundle import load_bundle
    from cxrscreen.study.evaluate import require_same_images
    from cxrscreen.vocabulary import Engine

    made = read_predictions(path)
    if data is None:
        return None, None, made
    model = load_bundle(bundle)
    if made.run.engine != model.engine and made.run.engine in set(Engine):
        model = model.on(made.run.engine)
    if model.model_fingerprint != made.run.model:
        message = f"{path}: predictions of {made.run.bundle}, another model than {model.name}"
        raise FingerprintMismatchError(message, hint="Give their model as --bundle.")
    found = reading.images(model, data, part or made.run.part or None)
    require_same_images(made, found.images, str(path))
    return model, found, made
