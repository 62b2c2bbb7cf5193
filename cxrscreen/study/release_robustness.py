"""From a bundle to one that tells in its card how it holds up under shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cxrscreen.data.dataset import LabelledImage, fingerprint
from cxrscreen.errors import BundleError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.robustness import (
    ROBUSTNESS,
    RobustnessDocument,
    ShiftFigures,
    robustness_section,
)
from cxrscreen.study.release_card import write_with_section
from cxrscreen.training.shift_table import ConditionFigures, Figures, overall
from cxrscreen.training.shifts import DIAGNOSTIC


def robustness_document(
    bundle: ModelBundle,
    part: str,
    images: Sequence[LabelledImage],
    rows: Sequence[ConditionFigures],
) -> RobustnessDocument:
    """Return what a bundle came to in the shift benchmark.

    Parameters
    ----------
    bundle
        What was judged, at operating points of its own.
    part
        Name of the part of its data.
    images
        Of that part, all that were judged.
    rows
        From :func:`~cxrscreen.training.shift_table.shift_table`, clean images first.
    """
    summary = overall(rows)
    return RobustnessDocument(
        schema_version=1,
        kind="cxrscreen robustness",
        model=bundle.model_fingerprint,
        preprocessing=bundle.spec.fingerprint(),
        part=part,
        images=len(images),
        positives=sum(image.label for image in images),
        fingerprint=fingerprint(images),
        rows=tuple(
            _row(row.name, row.family, row.figures) for row in rows if row.family != DIAGNOSTIC
        ),
        mean=_row("mean", "all", summary.mean),
        lowest=_row("lowest", "all", summary.worst),
        diagnostics=tuple(
            _row(row.name, row.family, row.figures) for row in rows if row.family == DIAGNOSTIC
        ),
    )


def write_with_robustness(
    bundle: ModelBundle, out: Path, document: RobustnessDocument, *, force: bool = False
) -> None:
    """Write a copy of a bundle with ``robustness.json`` and its section in the card.

    As :func:`~cxrscreen.study.release_card.write_with_section`, which see.

    Raises
    ------
    BundleError
        The document is of another model.
    """
    judged = (document.model, document.preprocessing)
    if judged != (bundle.model_fingerprint, bundle.spec.fingerprint()):
        message = f"{bundle.name}: the shift benchmark is of another model"
        raise BundleError(message, hint="Run the benchmark on this bundle.")
    section = robustness_section(document)
    write_with_section(bundle, out, section, {ROBUSTNESS: document.to_bytes()}, force=force)


def _row(name: str, family: str, figures: Figures) -> ShiftFigures:
    return ShiftFigures.model_validate({"name": name, "family": family, **asdict(figures)})
