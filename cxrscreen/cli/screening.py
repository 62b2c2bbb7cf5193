"""What ``screen`` does with its options: from outputs and inputs to a finished run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from cxrscreen.cli import options
from cxrscreen.cli.pictures import Pictures, with_maps
from cxrscreen.errors import CxrScreenError, UsageError

if TYPE_CHECKING:
    from cxrscreen.intake.search.discover import InputList
    from cxrscreen.intake.search.filters import InputFilter
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.pipeline import ScreenOptions
    from cxrscreen.records import RunSummary
    from cxrscreen.reports.journal import Journal, Terms
    from cxrscreen.reports.privacy import Privacy
    from cxrscreen.reports.table import RunFacts
    from cxrscreen.run import ScreeningRun
    from cxrscreen.run.unscreened import StopAtUnscreened

_SOME_NOT_SCREENED: Final = 3


@dataclass(frozen=True, slots=True)
class Judging:
    """Which model judges images, and how, as options say it."""

    bundle: str | None
    calibration: str | None
    operating_point: str | None
    target_recall: float | None
    confidence: float | None
    prevalence: float | None
    batch_size: int
    engine: options.EngineChoice
    device: options.Device
    allow_out_of_scope: bool
    allow_secondary_capture: bool
    allow_for_processing: bool
    workers: int | None
    time_limit: float

    def load(self, privacy: Privacy) -> tuple[ModelBundle, ScreenOptions, RunFacts]:
        """Return the model, how to screen, and what is the same in all rows."""
        from cxrscreen import __version__
        from cxrscreen.pipeline import ScreenOptions
        from cxrscreen.reports.table import RunFacts

        model = options.open_bundle(self.bundle, self.engine, self.device)
        used, point = options.choose_calibration(
            model,
            file=self.calibration,
            point=self.operating_point,
            target_recall=self.target_recall,
            confidence=self.confidence,
            prevalence=self.prevalence,
        )
        how = ScreenOptions(
            batch_size=self.batch_size,
            device=self.device.value,
            permissions=options.permissions(
                out_of_scope=self.allow_out_of_scope,
                secondary_capture=self.allow_secondary_capture,
                for_processing=self.allow_for_processing,
            ),
            workers=self.workers,
            seconds_per_image=self.time_limit,
            calibration=used,
            point=point,
        )
        facts = RunFacts(
            bundle=model.name,
            bundle_sha256=model.sha256,
            calibration=used,
            point=point,
            version=__version__,
            privacy=privacy,
        )
        return model, how, facts


@dataclass(frozen=True, slots=True)
class ScreenRequest:
    """A screening as options ask for it; ``params`` are all of them, for the manifest."""

    paths: Sequence[str]
    outs: tuple[Path, ...]
    judging: Judging
    globs: tuple[str, ...]
    since: str | None
    limit: int | None
    phi: options.PhiOption
    phi_key: Path | None
    pictures: Pictures
    fail_on_unscreened: bool
    resume: bool
    force: bool
    quiet: bool
    params: Mapping[str, Any]

    def look_at_headers(self) -> None:
        """Say what would be screened, and write nothing."""
        from cxrscreen.cli.dry_run import dry_run
        from cxrscreen.output import check_writable, is_report
        from cxrscreen.reports.write import check_formats, check_rows
        from cxrscreen.run.terms import SINCE_TIME, times_of

        if self.resume:
            message = "--dry-run and --resume contradict one another"
            raise UsageError(message, hint="A dry run begins nothing that could go on.")
        check_formats(self.outs)
        self.pictures.check(self.outs)
        for out in self.outs:
            check_writable(out, force=self.force, replaceable=is_report)
        for page, replaceable in self.pictures.replaceable().items():
            check_writable(page, force=self.force, replaceable=replaceable)
        self.pictures.check_folder(replaceable=self.force)
        privacy = self._privacy()
        times = times_of(self.since, {}, _now())
        inputs = self._discover(self._wanted(times[SINCE_TIME]), self.outs)
        check_rows(self.outs, len(inputs))
        model, how, _ = self.judging.load(privacy)
        dry_run(inputs, model, how, privacy, quiet=self.quiet)

    def screen(self) -> None:
        """Screen into a journal, and write the reports and the manifest out of it."""
        from cxrscreen.output import is_manifest, parts_beside
        from cxrscreen.reports.journal_file import files_of
        from cxrscreen.reports.manifest import manifest_of
        from cxrscreen.reports.write import check_formats, check_rows
        from cxrscreen.run import FrozenInputs, ScreeningRun, begin_or_resume, hold_journal
        from cxrscreen.run.terms import SINCE_TIME, terms_of, times_of

        if not self.outs:
            message = "no report is named"
            raise UsageError(message, hint="Give --out report.csv, or --dry-run.")
        check_formats(self.outs)
        manifest = manifest_of(self.outs[0])
        self.pictures.check([*self.outs, manifest])
        privacy = self._privacy()
        journal = hold_journal(
            self.outs,
            resume=self.resume,
            force=self.force,
            others={manifest: is_manifest, **self.pictures.replaceable()},
        )
        if journal is None:
            _say_complete(self.outs[0], manifest, quiet=self.quiet)
            return
        with journal:
            goes_on = self.resume and journal.rows > 0
            self.pictures.check_folder(replaceable=self.force or goes_on)
            before: Terms = journal.begun_with()[0] if goes_on else {}
            times = times_of(self.since, before, _now())
            wanted = self._wanted(times[SINCE_TIME])
            outputs = [*self.outs, manifest, *self.pictures.replaceable()]
            parts = [part for out in outputs for part in parts_beside(out)]
            parts += self.pictures.own_files()
            inputs = self._discover(wanted, [*outputs, *files_of(journal.path), *parts])
            check_rows(self.outs, len(inputs))

            from cxrscreen.reports.table import report_cells

            model, how, facts = self.judging.load(privacy)
            frozen = FrozenInputs(inputs, map(Path, self.paths), privacy.source)
            terms = {**terms_of(facts, how, wanted, times), **self.pictures.terms()}
            begin_or_resume(journal, terms, frozen, resume=self.resume, force=self.force)
            if self.resume and not self.quiet:
                _say_resumed(journal.done, len(inputs))
            run = ScreeningRun(
                journal,
                frozen,
                model,
                how,
                lambda row: report_cells(row, facts),
                thumbnail=self.pictures.thumbnail(model),
                observers=self._observers(journal, privacy),
            )
            with _told_how_to_go_on(run, force=self.force):
                _screen(run, quiet=self.quiet)
                summary = self._finish(run, facts, inputs, terms)
        if summary.not_screened:
            raise typer.Exit(_SOME_NOT_SCREENED)

    def _privacy(self) -> Privacy:
        from cxrscreen.reports.privacy import Privacy
        from cxrscreen.reports.pseudonym_key import load_key
        from cxrscreen.vocabulary import Phi

        return Privacy(Phi(self.phi.value), load_key(self.phi_key))

    def _wanted(self, since: object) -> InputFilter:
        from cxrscreen.intake.search.filters import InputFilter

        if not all(self.globs):
            message = "--glob: the pattern is empty"
            raise UsageError(message, hint="Is a variable unset?")
        changed = float(since) if isinstance(since, int | float) else None
        return InputFilter(self.globs, changed, self.limit)

    def _discover(self, wanted: InputFilter, exclude: Sequence[Path]) -> InputList:
        from cxrscreen.intake.search.discover import discover
        from cxrscreen.intake.search.filters import described
        from cxrscreen.intake.search.walk import as_paths

        inputs = discover(as_paths(self.paths), exclude=exclude, wanted=wanted)
        if inputs.left_out and not self.quiet:
            typer.echo(f"{len(inputs):,} inputs; {described(inputs.left_out)}", err=True)
        return inputs

    def _observers(self, journal: Journal, privacy: Privacy) -> Sequence[StopAtUnscreened]:
        from cxrscreen.run.unscreened import StopAtUnscreened, require_all_screened

        if not self.fail_on_unscreened:
            return ()
        require_all_screened(journal.summary())
        return (StopAtUnscreened(privacy),)

    def _finish(
        self, run: ScreeningRun, facts: RunFacts, inputs: InputList, terms: Terms
    ) -> RunSummary:
        """Write what the run leaves, and say what it came to."""
        from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
        from cxrscreen.errors import printable
        from cxrscreen.reports.console import MAX_FLAGGED, FlaggedImage, print_run
        from cxrscreen.reports.manifest import manifest_of, write_manifest
        from cxrscreen.reports.table import columns_of
        from cxrscreen.reports.write import write_reports
        from cxrscreen.run.record import RunRecord, recorded_options
        from cxrscreen.run.terms import STARTED

        path = manifest_of(self.outs[0])
        maps = self.pictures.make_maps(run, facts, quiet=self.quiet)
        page = self.pictures.page(run, facts, self.outs, maps)
        record = RunRecord(
            facts=facts,
            inputs=inputs,
            digests=run.frozen.digests,
            options=recorded_options(self.params, facts.privacy),
            started=datetime.fromisoformat(str(terms[STARTED])),
        )
        summary = run.journal.summary()
        flagged = [
            FlaggedImage.of(row.cells, warnings=row.warnings)
            for row in run.journal.most_urgent(MAX_FLAGGED)
        ]

        def write(journal: Journal) -> None:
            columns = columns_of(facts.privacy.phi)
            hashes = write_reports(
                self.outs, with_maps(journal, maps), columns, may_replace=journal.may_replace
            )
            manifest = record.manifest(summary, hashes, ended=_now(), resumed=journal.resumed)
            write_manifest(path, manifest, force=journal.may_replace(path))
            if page is not None:
                page.write(journal, force=journal.may_replace(page.out))

        run.finish([write], outputs=[*self.outs, path, *self.pictures.replaceable()])
        if not self.quiet:
            with until_reader_leaves():
                print_run(ResultConsole(), flagged, summary, bundle=facts.bundle, point=facts.point)
                for out in self.outs:
                    typer.echo(f"report: {printable(str(out))}")
                self.pictures.say_written()
        return summary


def _now() -> datetime:
    return datetime.now(UTC)


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


def _say_complete(out: Path, manifest: Path, *, quiet: bool) -> None:
    from cxrscreen.cli.progress import until_reader_leaves
    from cxrscreen.errors import printable
    from cxrscreen.output import is_manifest
    from cxrscreen.reports.manifest import read_manifest
    from cxrscreen.reports.read import has_unscreened

    if not quiet:
        with until_reader_leaves():
            typer.echo(f"{printable(str(out))}: is complete, there is nothing to resume")
    if is_manifest(manifest):
        unscreened = bool(read_manifest(manifest).counts.by_reject_code)
    else:
        unscreened = has_unscreened(out)
    if unscreened:
        raise typer.Exit(_SOME_NOT_SCREENED)


def _say_resumed(done: int, inputs: int) -> None:
    text = f"going on behind {done} of {inputs} inputs" if done else "nothing to resume: starting"
    typer.echo(text, err=True)
