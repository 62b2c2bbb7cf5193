"""``cxrscreen drift``: what has changed since the reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxrscreen.drift.recall_watch import RecallWatch
    from cxrscreen.drift.reference import Period, Reference
    from cxrscreen.reports.drift_input import Truth

_DRIFT_FOUND: Final = 3


def drift(
    *,
    reference: Annotated[
        str,
        typer.Option(
            help="What to compare with: an earlier report, a site calibration, or a bundle.",
            show_default=False,
        ),
    ],
    report: Annotated[
        list[Path],
        typer.Option(help="Report of the period; give it again for further ones.", readable=False),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            help="What became of images (CSV: label 0 or 1, and source or sop_instance_uid): "
            "watches the recall.",
            readable=False,
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            help="Recall to watch, between 0 and 1.",
            show_default="what the report or the reference guarantees",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The document to write (JSON).")
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(help="Probability of a false alarm: of all tests together, and of the watch."),
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of shuffles and draws.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier drift document.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No tables.")] = False,
) -> None:
    """Compare scores, reject rates and header mix of a period with a reference.

    With --truth, recall is watched too. Exit code 0 if nothing has drifted, 3
    if something has.
    """
    from cxrscreen import __version__
    from cxrscreen.cli.options import require_share
    from cxrscreen.drift.compare import compare
    from cxrscreen.errors import UsageError
    from cxrscreen.output import check_writable, new_file
    from cxrscreen.reports.drift import DriftFindings, as_json, is_drift_document, print_drift
    from cxrscreen.reports.drift_input import period_of, read_truth
    from cxrscreen.reports.read import read_report

    for name, value in (("--alpha", alpha), ("--recall", recall)):
        require_share(name, value)
    if recall is not None and truth is None:
        message = "--recall is watched only with --truth"
        raise UsageError(message, hint="Give the truth, or leave it out.")
    if out is not None:
        check_writable(out, force=force, replaceable=is_drift_document)
    reports = [read_report(path) for path in report]
    period = period_of(reports)
    ours, inputs = _reference(reference, period.identity.engine)
    inputs |= {str(one.path): one.sha256 for one in reports}
    became: Truth | None = None
    watch: RecallWatch | None = None
    comparison = compare(ours, period, alpha=alpha, seed=seed)
    if truth is not None:
        became = read_truth(truth, reports)
        inputs[str(truth)] = became.sha256
        watch = _watch(became.missed, ours, period, recall=recall, alpha=alpha)
    found = DriftFindings(
        reference=ours,
        period=period,
        comparison=comparison,
        truth=became,
        watch=watch,
        inputs=inputs,
        seed=seed,
    )
    if out is not None:
        with new_file(out, force=force, replaceable=is_drift_document) as temporary:
            temporary.write_text(as_json(found, version=__version__), encoding="utf-8")
    if not quiet:
        from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
        from cxrscreen.errors import printable

        with until_reader_leaves():
            print_drift(ResultConsole(), found)
            if out is not None:
                typer.echo(f"document: {printable(str(out))}")
    if found.alarmed:
        raise typer.Exit(_DRIFT_FOUND)


def _reference(name: str, engine: str) -> tuple[Reference, dict[str, str]]:
    """Return what to compare with, and the hash of each file that it was read from.

    Of a bundle, that is the calibration for ``engine``, if it has one.
    """
    from cxrscreen.errors import InputNotFoundError
    from cxrscreen.output import is_calibration, is_report

    path = Path(name)
    try:
        report, calibrated, folder = is_report(path), is_calibration(path), path.is_dir()
    except OSError as error:
        message = f"{name}: {error.strerror or 'cannot be read'}"
        hint = "Give an earlier report, a site calibration, or a bundle."
        raise InputNotFoundError(message, hint=hint) from error
    if report:
        from cxrscreen.drift.reference import reference_of
        from cxrscreen.reports.drift_input import period_of
        from cxrscreen.reports.read import read_report

        earlier = read_report(path)
        return reference_of(period_of([earlier])), {name: earlier.sha256}
    # What follows brings torch along, which reading a report need not pay for.
    from cxrscreen.study.drift import calibration_reference

    if calibrated:
        from cxrscreen.calibration.calibration import read_calibration

        calibration = read_calibration(path)
        return calibration_reference(calibration), {name: calibration.sha256}
    from cxrscreen.model.bundle import load_bundle, packaged_bundles

    if name not in packaged_bundles() and not folder:
        what = "is no report, no calibration and no bundle" if path.exists() else "no such file"
        message = f"{name}: {what}"
        hint = "Give an earlier report, a site calibration, or a bundle."
        raise InputNotFoundError(message, hint=hint)
    bundle = load_bundle(name if name in packaged_bundles() else path)
    held = {str(key): value for key, value in bundle.calibrations.items()}
    calibration = held.get(engine, bundle.calibration)
    reference = calibration_reference(calibration, bundle_sha256=bundle.sha256)
    return reference, {name: bundle.sha256}


def _watch(
    missed: Sequence[bool],
    reference: Reference,
    period: Period,
    *,
    recall: float | None,
    alpha: float,
) -> RecallWatch:
    from cxrscreen.drift.recall_watch import watch_recall
    from cxrscreen.errors import UsageError

    floor = recall or period.recall_floor or reference.recall_floor
    if floor is None:
        message = "neither the reference nor the report guarantees a recall that could be watched"
        raise UsageError(message, hint="Say with --recall which one to watch.")
    return watch_recall(missed, floor, alpha=alpha)
