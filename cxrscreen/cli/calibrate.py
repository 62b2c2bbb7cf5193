"""``cxrscreen calibrate``: labelled images of a site in, probabilities and thresholds out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options
from cxrscreen.cli.reading import Reading

if TYPE_CHECKING:
    from rich.console import Console

    from cxrscreen.calibration.policies import Aim
    from cxrscreen.calibration.programme import ProgrammeRow
    from cxrscreen.study.calibrate import FittedCalibration

_DEFAULT_RECALL: Final = 0.95
_DEFAULT_CONFIDENCE: Final = 0.95
_DEFAULT_PER: Final = 1000
#: What a calibration file allows.
_LONGEST_NAME: Final = 200


def calibrate(
    *,
    data: Annotated[
        Path,
        typer.Option(help="Labelled images: a folder, a table or a split file.", readable=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The calibration to write (JSON).")],
    bundle: options.Bundle = None,
    part: options.Part = None,
    target_recall: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            help="Guarantee this recall; may be repeated.",
            show_default="0.95 where nothing is asked for",
        ),
    ] = None,
    target_specificity: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            help="Guarantee this specificity; may be repeated.",
            show_default=False,
        ),
    ] = None,
    two_thresholds: Annotated[
        str | None,
        typer.Option(
            metavar="RECALL,SPECIFICITY",
            help="Guarantee both, with INDETERMINATE between two thresholds.",
            show_default=False,
        ),
    ] = None,
    youden: Annotated[
        bool, typer.Option("--youden", help="The largest sum of recall and specificity.")
    ] = False,
    f_beta: Annotated[
        float | None,
        typer.Option(metavar="BETA", help="The largest F score of this beta.", show_default=False),
    ] = None,
    cost_ratio: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="The least cost, where a miss costs so many false alarms.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the guarantees.")
    ] = _DEFAULT_CONFIDENCE,
    unit: Annotated[
        options.UnitOption, typer.Option(help="What recall and specificity are counted in.")
    ] = options.UnitOption.PATIENT,
    prevalence: options.Prevalence = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the site, for reports.", show_default="the name of the file"),
    ] = None,
    programme: Annotated[
        bool,
        typer.Option(
            "--programme",
            help="Show what each operating point comes to in a screening programme.",
        ),
    ] = False,
    per: Annotated[
        int | None,
        typer.Option(min=1, help="Images of the programme's figures.", show_default="1000"),
    ] = None,
    config: options.Config = None,
    layout: options.LayoutOption = None,
    patient_pattern: options.PatientPattern = None,
    batch_size: options.BatchSize = 16,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    workers: options.Workers = None,
    time_limit: options.TimeLimit = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier calibration.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Fit probabilities and thresholds to labelled images, and say what they guarantee.

    The file is for 'screen --calibration'; it is bound to the model, its
    preprocessing and its engine. Where the images are too few for what is
    asked, it says how many are needed and writes nothing (exit code 2).
    """
    from cxrscreen.errors import UsageError
    from cxrscreen.output import check_writable, is_programme, is_site_calibration, new_file

    for option, value in (("--confidence", confidence), ("--prevalence", prevalence)):
        options.require_share(option, value)
    if name is not None and not 0 < len(name) <= _LONGEST_NAME:
        message = f"--name: has {len(name)} characters"
        raise UsageError(message, hint=f"Give a name of 1 to {_LONGEST_NAME} characters.")
    if per is not None and not programme:
        message = "--per needs --programme"
        raise UsageError(message, hint="It says of how many images the programme's figures are.")
    if programme and prevalence is None:
        message = "--programme needs --prevalence"
        raise UsageError(message, hint="Give the share of pneumonia in it, as in 0.05.")
    check_writable(out, force=force, replaceable=is_site_calibration)
    table, figure = _beside(out, ".csv"), _beside(out, ".png")
    if programme:
        for path in (table, figure):
            check_writable(path, force=force, replaceable=is_programme)
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
    site = _site_name(name or out.stem)
    aims = _aims(
        target_recall,
        target_specificity,
        two_thresholds,
        youden=youden,
        f_beta=f_beta,
        cost_ratio=cost_ratio,
        prevalence=prevalence,
        confidence=confidence,
        unit=unit.value,
    )

    from cxrscreen.study.calibrate import fit_calibration, uncalibrated_bundle
    from cxrscreen.study.programme import programme_of, write_programme

    model = options.open_bundle(bundle, engine, device)
    found = reading.images(model, data, part, unseen=True)
    # The bundle may hold no calibration for this engine.
    rows = reading.screen(uncalibrated_bundle(model), found, reading.screen_options())
    fitted = fit_calibration(model, rows, aims, name=site, site_prevalence=prevalence)
    shown: tuple[ProgrammeRow, ...] = ()
    with new_file(out, force=force, replaceable=is_site_calibration) as temporary:
        temporary.write_bytes(fitted.calibration.document.to_bytes())
        if programme and prevalence is not None:
            shown = programme_of(fitted.calibration, prevalence=prevalence, per=per or _DEFAULT_PER)
            write_programme(fitted.calibration, shown, table=table, figure=figure, force=force)
    if not quiet:
        _print(fitted, shown, out)


def _site_name(name: str) -> str:
    """Return a name that a calibration can have, before anything is screened."""
    from cxrscreen.errors import UsageError

    if len(name) > _LONGEST_NAME or not name.isprintable():
        message = f"name of the site: more than {_LONGEST_NAME} characters, or not plain text"
        raise UsageError(message, hint="Name it in a few words with --name.")
    return name


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.stem}-programme{suffix}")


def _aims(
    target_recall: list[float] | None,
    target_specificity: list[float] | None,
    two_thresholds: str | None,
    *,
    youden: bool,
    f_beta: float | None,
    cost_ratio: float | None,
    prevalence: float | None,
    confidence: float,
    unit: str,
) -> tuple[Aim, ...]:
    """Return what operating points are asked for, in the order of the options."""
    from functools import partial

    from cxrscreen.calibration.policies import Aim
    from cxrscreen.errors import UsageError
    from cxrscreen.vocabulary import Policy, Unit

    recalls, specificities = target_recall or [], target_specificity or []
    _check_numbers(recalls, specificities, {"--f-beta": f_beta, "--cost-ratio": cost_ratio})
    make = partial(Aim, confidence=confidence, unit=Unit(unit), prevalence=prevalence)
    aims = [make(Policy.TARGET_RECALL, target_recall=share) for share in recalls]
    aims += [make(Policy.TARGET_SPECIFICITY, target_specificity=share) for share in specificities]
    if two_thresholds is not None:
        recall, specificity = _pair(two_thresholds)
        aims.append(
            make(Policy.TWO_THRESHOLDS, target_recall=recall, target_specificity=specificity)
        )
    if youden:
        aims.append(make(Policy.YOUDEN))
    if f_beta is not None:
        aims.append(make(Policy.F_BETA, beta=f_beta))
    if cost_ratio is not None:
        aims.append(make(Policy.COST, cost_ratio=cost_ratio))
    if not aims:
        aims.append(make(Policy.TARGET_RECALL, target_recall=_DEFAULT_RECALL))
    names = [aim.name for aim in aims]
    if len(set(names)) < len(names):
        message = "an operating point is asked for twice"
        raise UsageError(message, hint="Give each target once.")
    return tuple(aims)


def _check_numbers(
    recalls: list[float], specificities: list[float], positive: dict[str, float | None]
) -> None:
    from cxrscreen.errors import UsageError

    for option, shares in (
        ("--target-recall", recalls),
        ("--target-specificity", specificities),
    ):
        for share in shares:
            options.require_share(option, share)
    for option, number in positive.items():
        if number is not None and not 0 < number < float("inf"):
            message = f"{option} {number:g}: is not a number above 0"
            raise UsageError(message, hint="See 'cxrscreen calibrate --help'.")


def _pair(text: str) -> tuple[float, float]:
    from cxrscreen.errors import UsageError

    try:
        recall, specificity = (float(word) for word in text.split(","))
    except ValueError:
        message = f"--two-thresholds {text}: is no pair of shares"
        raise UsageError(message, hint="Give recall and specificity, as in 0.98,0.95.") from None
    for share in (recall, specificity):
        options.require_share("--two-thresholds", share)
    return recall, specificity


def _print(fitted: FittedCalibration, shown: tuple[ProgrammeRow, ...], out: Path) -> None:
    from rich.text import Text

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.reports.calibration import calibration_lines, points_table, programme_table

    console: Console = ResultConsole()
    with until_reader_leaves():
        for line in calibration_lines(fitted.calibration, fitted.fitted):
            console.print(Text(printable(line)), soft_wrap=True)
        console.print(points_table(fitted.calibration))
        for point, choice in zip(fitted.calibration.points, fitted.choices, strict=True):
            console.print(
                Text.assemble((point.name, "bold"), f" guarantees: {point.guarantee()}"),
                soft_wrap=True,
            )
            for note in choice.notes:
                console.print(Text(f"  {note}", style="dim"), soft_wrap=True)
        if shown:
            console.print(programme_table(shown))
        console.print(Text(f"calibration: {printable(str(out))}", style="dim"), soft_wrap=True)
