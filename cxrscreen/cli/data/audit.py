"""``cxrscreen data audit``: what labelled data hold that a network could learn instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from cxrscreen.data.audit.findings import AuditReport, Kind
    from cxrscreen.data.dataset import LabelledImage

_FOUND: Final = 3
_PAGE, _DOCUMENT = "audit.html", "audit.json"
_STARTS_WORKERS: Final = 200


def audit(
    *,
    data: Annotated[Path, typer.Option(help="The labelled images, as for train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    split: Annotated[
        Path | None,
        typer.Option(help="Split file that says which image is in which part. It may be wrong."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Training configuration whose data: section says how to read them."),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            help="Kinds of findings that make the exit code 3, joined by commas: leakage, "
            "duplicates, labels, shortcuts, unreadable; or none.",
        ),
    ] = "leakage,labels",
    samples: Annotated[
        int, typer.Option(min=0, max=100, help="Images of each class in the sample grid.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and intervals.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that read images; 0 reads them in this one.",
            show_default="one for each core",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier audit.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Show what labelled data hold that a network could learn instead of the disease.

    Class counts, leakage of patients between parts, duplicates, unreadable
    images, and how well file size, sharpness, borders and the like separate
    the classes alone. Exit code 3 if something of --fail-on is found.
    """
    from cxrscreen.cli.progress import screening_progress
    from cxrscreen.config import DataConfig, load_training_config
    from cxrscreen.output import check_writable, new_folder

    kinds = _kinds(fail_on)
    check_writable(out, force=force, replaceable=_is_audit)
    settings = load_training_config(config).data if config else DataConfig()

    from cxrscreen.data.audit.parts import with_parts
    from cxrscreen.data.load import load_labelled

    images = load_labelled(data, settings)
    notes: tuple[str, ...] = ()
    if split is not None:
        images, notes = with_parts(images, split)

    import cxrscreen
    from cxrscreen.data.audit import study
    from cxrscreen.data.audit.findings import as_json
    from cxrscreen.data.audit.shortcuts import NOTICEABLE, STRONG
    from cxrscreen.reports.audit_page import render_page

    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("reading images", total=len(images))
        found = study.audit(
            images,
            data=str(data),
            classes=(settings.negative_folder, settings.positive_folder),
            seed=seed,
            samples=samples,
            workers=_workers(workers, images),
            notes=notes,
            on_done=lambda count: progress.advance(task, count),
        )
    page = render_page(found, version=cxrscreen.__version__, limits=(STRONG, NOTICEABLE))
    with new_folder(out, force=force, replaceable=_is_audit) as folder:
        (folder / _PAGE).write_text(page, encoding="utf-8")
        (folder / _DOCUMENT).write_text(as_json(found.report), encoding="utf-8")
    _print_summary(found.report, kinds, out)
    if found.report.found(kinds):
        raise typer.Exit(_FOUND)


def _kinds(fail_on: str) -> frozenset[Kind]:
    from cxrscreen.data.audit.findings import Kind
    from cxrscreen.errors import UsageError

    words = [word.strip() for word in fail_on.split(",")]
    if words == ["none"]:
        return frozenset()
    try:
        return frozenset(Kind(word) for word in words)
    except ValueError:
        known = ", ".join(Kind)
        unknown = ", ".join(word for word in words if word not in tuple(Kind)) or "nothing"
        message = f"--fail-on {fail_on}: {unknown} is no kind of finding"
        raise UsageError(message, hint=f"Kinds are {known}; or none.") from None


def _is_audit(path: Path) -> bool:
    return (path / _PAGE).is_file() and (path / _DOCUMENT).is_file()


def _workers(asked: int | None, images: tuple[LabelledImage, ...]) -> int:
    import os

    if asked is not None:
        return asked
    # A process needs a second to start: not worth it for a few images.
    if len(images) < _STARTS_WORKERS:
        return 0
    # As workers.pool counts them, which would bring torch along.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _print_summary(report: AuditReport, kinds: frozenset[Kind], out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.errors import printable

    console = ResultConsole()
    counts = Table(title="Images by part", title_justify="left", title_style="bold")
    counts.add_column("part")
    for name in report.classes:
        counts.add_column(printable(name), justify="right")
    for part in report.parts:
        row = [f"{count.images:,}" for count in report.counts if count.part == part]
        counts.add_row(Text(printable(part)), *row)
    cues = Table(title="Strongest cues", title_justify="left", title_style="bold")
    for name in ("cue", "AUC alone", "95% interval", "verdict"):
        cues.add_column(name, justify="left" if name in ("cue", "verdict") else "right")
    for cue in report.shortcuts[:5]:
        limits = f"{cue.low:.3f} to {cue.high:.3f}" if cue.low is not None else ""
        cues.add_row(cue.title, f"{cue.auc:.3f}", limits, cue.verdict.value)
    with until_reader_leaves():
        console.print(counts)
        if report.shortcuts:
            console.print(cues)
        for finding in report.findings:
            style = "bold red" if finding.kind in kinds else "yellow"
            console.print(Text.assemble((finding.kind.value, style), f": {finding.text}"))
        if not report.findings:
            console.print(Text("nothing found", style="green"))
        console.print(Text(printable(str(out / _PAGE)), style="dim"), soft_wrap=True)
