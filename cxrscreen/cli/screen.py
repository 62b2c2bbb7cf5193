"""``cxrscreen screen``: folders and files in, a report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxrscreen.cli import options
from cxrscreen.cli.pictures import Pictures
from cxrscreen.cli.screening import Judging, ScreenRequest


def screen(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, archives and DICOM media; folders are searched deeply.",
        ),
    ],
    *,
    out: options.Reports = None,
    bundle: options.Bundle = None,
    calibration: options.CalibrationFile = None,
    operating_point: options.PointName = None,
    target_recall: options.TargetRecall = None,
    confidence: options.Confidence = None,
    prevalence: options.Prevalence = None,
    batch_size: options.BatchSize = 16,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    workers: options.Workers = None,
    time_limit: options.TimeLimit = 10.0,
    glob: options.Globs = None,
    since: options.Since = None,
    limit: options.Limit = None,
    phi: options.PhiLevel = options.PhiOption.PSEUDONYM,
    phi_key: options.PhiKey = None,
    html: Annotated[
        Path | None,
        typer.Option(help="The worklist as a page to look at in a browser.", show_default=False),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for activation maps: a picture and an array of each flagged image.",
            show_default=False,
        ),
    ] = None,
    all_maps: Annotated[
        bool, typer.Option("--all-maps", help="Maps of negative images too.")
    ] = False,
    dry_run: options.DryRun = False,
    fail_on_unscreened: options.FailOnUnscreened = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier report or an unfinished run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Screen radiographs and write a report with one row for every image found.

    What cannot be read or may not be judged is NOT_SCREENED with a reason,
    never NEGATIVE. A run that is stopped leaves OUT.journal beside the
    report, which --resume continues. Exit code 0 if every input was screened,
    3 if some were not, 4 if there was none.
    """
    judging = Judging(
        bundle=bundle,
        calibration=calibration,
        operating_point=operating_point,
        target_recall=target_recall,
        confidence=confidence,
        prevalence=prevalence,
        batch_size=batch_size,
        engine=engine,
        device=device,
        allow_out_of_scope=allow_out_of_scope,
        allow_secondary_capture=allow_secondary_capture,
        allow_for_processing=allow_for_processing,
        workers=workers,
        time_limit=time_limit,
    )
    request = ScreenRequest(
        paths=paths,
        outs=tuple(out or ()),
        judging=judging,
        globs=tuple(glob or ()),
        since=since,
        limit=limit,
        phi=phi,
        phi_key=phi_key,
        pictures=Pictures(html, maps, every=all_maps),
        fail_on_unscreened=fail_on_unscreened,
        resume=resume,
        force=force,
        quiet=quiet,
        params=context.params,
    )
    if dry_run:
        request.look_at_headers()
    else:
        request.screen()
