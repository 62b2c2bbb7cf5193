"""``cxrscreen screen``: folders and files in, a report out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options
from cxrscreen.errors import CxrScreenError

if TYPE_CHECKING:
    from cxrscreen.run import ScreeningRun

_SOME_NOT_SCREENED: Final = 3


def screen(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, archives and DICOM media; folders are searched deeply.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The report to write (CSV).")],
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
    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.intake.search.discover import discover
    from cxrscreen.intake.search.walk import as_paths
    from cxrscreen.output import parts_beside
    from cxrscreen.reports.journal_file import files_of
    from cxrscreen.reports.write import check_formats, write_reports
    from cxrscreen.run.frozen import FrozenInputs
    from cxrscreen.run.start import begin_or_resume, hold_journal

    check_formats([out])
    journal = hold_journal([out], resume=resume, force=force)
    if journal is None:
        _say_complete(out, quiet=quiet)
        return
    with journal:
        given = as_paths(paths)
        inputs = discover(given, exclude=[out, *files_of(journal.path), *parts_beside(out)])

        from cxrscreen import __version__
        from cxrscreen.pipeline import ScreenOptions
        from cxrscreen.reports.console import MAX_FLAGGED, FlaggedImage, print_run
        from cxrscreen.reports.table import RunFacts, report_cells
        from cxrscreen.run.screening import ScreeningRun
        from cxrscreen.run.terms import terms_of

        model = options.open_bundle(bundle, engine, device)
        used, point = options.choose_calibration(
            model,
            file=calibration,
            point=operating_point,
            target_recall=target_recall,
            confidence=confidence,
            prevalence=prevalence,
        )
        how = ScreenOptions(
            batch_size=batch_size,
            device=device.value,
            permissions=options.permissions(
                out_of_scope=allow_out_of_scope,
                secondary_capture=allow_secondary_capture,
                for_processing=allow_for_processing,
            ),
            workers=workers,
            seconds_per_image=time_limit,
            calibration=used,
            point=point,
        )
        facts = RunFacts(
            bundle=model.name,
            bundle_sha256=model.sha256,
            calibration=used,
            point=point,
            version=__version__,
        )
        frozen = FrozenInputs(inputs, given)
        begin_or_resume(journal, terms_of(facts, how), frozen, resume=resume, force=force)
        if resume and not quiet:
            _say_resumed(journal.done, len(inputs))
        run = ScreeningRun(journal, frozen, model, how, lambda row: report_cells(row, facts))
        with _told_how_to_go_on(run, force=force):
            _screen(run, quiet=quiet)
            summary = journal.summary()
            flagged = [
                FlaggedImage.of(row.cells, warnings=row.warnings)
                for row in journal.most_urgent(MAX_FLAGGED)
            ]
            run.finish(
                [lambda done: write_reports([out], done.cells(), force=done.may_replace(out))],
                outputs=[out],
            )
    if not quiet:
        with until_reader_leaves():
            print_run(ResultConsole(), flagged, summary, bundle=model.name, point=point)
            typer.echo(f"report: {printable(str(out))}")
    if summary.not_screened:
        raise typer.Exit(_SOME_NOT_SCREENED)


def _screen(run: ScreeningRun, *, quiet: bool) -> None:
    from cxrscreen.cli.progress import screening_progress

    inputs, rows = len(run.frozen.inputs), run.journal.rows
    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("screening", total=max(inputs, rows), completed=rows)

        def advance() -> None:
            nonlocal rows
            rows += 1
            # Frames make more rows than there are inputs.
            progress.update(task, advance=1, total=max(inputs, rows))

        run.screen(advance)


@contextlib.contextmanager
def _told_how_to_go_on(run: ScreeningRun, *, force: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(CxrScreenError):
            run.journal.commit()
        done, inputs = run.journal.done, len(run.frozen.inputs)
        message = f"interrupted: {done} of {inputs} inputs are done. "
        if done:
            option = "--resume in place of --force" if force else "--resume"
            message += f"To go on, run the same command with {option}."
        else:
            message += "Run the same command again."
        raise KeyboardInterrupt(message) from None


def _say_complete(out: Path, *, quiet: bool) -> None:
    from cxrscreen.cli.progress import until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.reports.read import has_unscreened

    if not quiet:
        with until_reader_leaves():
            typer.echo(f"{printable(str(out))}: is complete, there is nothing to resume")
    if has_unscreened(out):
        raise typer.Exit(_SOME_NOT_SCREENED)


def _say_resumed(done: int, inputs: int) -> None:
    text = f"going on behind {done} of {inputs} inputs" if done else "nothing to resume: starting"
    typer.echo(text, err=True)
