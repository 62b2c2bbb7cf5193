"""``cxrscreen screen --dry-run``: what would be screened and refused, by headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.pipeline import ScreenOptions
    from cxrscreen.records import Input, ScreenRow
    from cxrscreen.reports.privacy import Privacy

_SOME_NOT_SCREENED: Final = 3
#: Refused images that are named; all of them are counted.
_MAX_SHOWN: Final = 50


def dry_run(
    inputs: Sequence[Input],
    model: ModelBundle,
    how: ScreenOptions,
    privacy: Privacy,
    *,
    quiet: bool,
) -> None:
    """Say what a run would come to, and end with its exit code as far as headers tell."""
    from cxrscreen.cli.progress import ResultConsole, screening_progress, until_reader_leaves
    from cxrscreen.pipeline import foresee_images
    from cxrscreen.records import ScreenRow
    from cxrscreen.vocabulary import Decision, RejectCode

    codes: Counter[RejectCode] = Counter()
    refused: list[ScreenRow] = []
    images = 0
    with screening_progress(quiet=quiet) as progress:
        task = progress.add_task("headers", total=len(inputs))
        for image in foresee_images(inputs, model, how):
            images += 1
            progress.update(task, advance=1, total=max(len(inputs), images))
            if image.admission.code is not None:
                codes[image.admission.code] += 1
                if len(refused) < _MAX_SHOWN:
                    row = ScreenRow(
                        image.record, image.admission, None, Decision.NOT_SCREENED, image.seconds
                    )
                    refused.append(privacy.shown(row))
    if not quiet:
        from cxrscreen.reports.foreseen import print_foreseen

        with until_reader_leaves():
            print_foreseen(ResultConsole(), refused, codes, images=images)
            typer.echo("dry run: no pixel was read, no model was run, no report was written")
    if codes:
        raise typer.Exit(_SOME_NOT_SCREENED)
