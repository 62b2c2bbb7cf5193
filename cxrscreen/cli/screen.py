"""``cxrscreen screen``: folders and files in, a report out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cxrscreen.cli import options

if TYPE_CHECKING:
    from cxrscreen.records import ScreenRow

_SOME_NOT_SCREENED: Final = 3
_KEPT_FLAGGED: Final = 1000


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
    device: options.DeviceOption = options.Device.AUTO,
    allow_out_of_scope: options.AllowOutOfScope = False,
    allow_secondary_capture: options.AllowSecondaryCapture = False,
    allow_for_processing: options.AllowForProcessing = False,
    workers: options.Workers = None,
    time_limit: options.TimeLimit = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")] = False,
) -> None:
    """Screen radiographs and write a report with one row for every image found.

    What cannot be read or may not be judged is NOT_SCREENED with a reason,
    never NEGATIVE. Exit code 0 if every input was screened, 3 if some were
    not, 4 if there was none.
    """
    from cxrscreen import __version__
    from cxrscreen.cli.progress import ResultConsole, screening_progress, until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.intake.search.discover import discover
    from cxrscreen.intake.search.walk import as_paths
    from cxrscreen.output import check_writable, is_report
    from cxrscreen.reports.write import check_formats, write_reports

    check_formats([out])
    check_writable(out, force=force, replaceable=is_report)
    inputs = discover(as_paths(paths), exclude=[out])

    from cxrscreen.model.bundle import load_bundle
    from cxrscreen.pipeline import ScreenOptions, Tally, screen_inputs
    from cxrscreen.reports.console import is_flagged, most_urgent, print_run
    from cxrscreen.reports.table import RunFacts, report_cells

    model = load_bundle(bundle)
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
    tally = Tally()
    flagged: list[ScreenRow] = []
    started = time.perf_counter()

    def watched(rows: Iterator[ScreenRow]) -> Iterator[ScreenRow]:
        for row in rows:
            tally.add(row)
            if is_flagged(row):
                flagged.append(row)
                if len(flagged) > _KEPT_FLAGGED:
                    flagged[:] = most_urgent(flagged)
            # Frames make more rows than there are inputs.
            progress.update(task, advance=1, total=max(len(inputs), tally.inputs))
            yield row

    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("screening", total=len(inputs))
        try:
            rows = watched(screen_inputs(inputs, model, how))
            write_reports([out], (report_cells(row, facts) for row in rows), force=force)
        except KeyboardInterrupt:
            message = (
                f"interrupted after {tally.inputs} rows of {len(inputs)} inputs: no report was "
                "written. Run the same command again."
            )
            raise KeyboardInterrupt(message) from None
    summary = tally.summary(seconds=time.perf_counter() - started)
    if not quiet:
        with until_reader_leaves():
            print_run(ResultConsole(), flagged, summary, bundle=model.name, point=point)
            typer.echo(f"report: {printable(str(out))}")
    if summary.not_screened:
        raise typer.Exit(_SOME_NOT_SCREENED)
