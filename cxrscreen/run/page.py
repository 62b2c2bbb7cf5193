"""From the journal of a run to the page of its worklist."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrscreen.explain import METHOD
from cxrscreen.maps.thumbnails import overlay_of, thumbnail_of
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.output import new_file
from cxrscreen.pipeline import ScreenedImage
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.reports.html import (
    MAX_ROWS,
    WorklistPage,
    WorklistRow,
    is_worklist_page,
    write_page,
)
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.journal_rows import FinishedRow
from cxrscreen.reports.table import RunFacts
from cxrscreen.run.maps import RunMaps


@dataclass(frozen=True, slots=True)
class RunPage:
    """Writes the page of a run.

    Attributes
    ----------
    out
        The page.
    bundle, facts
        Of the run.
    reports
        The reports that hold all rows.
    maps
        The maps of the run, if there are any.
    most
        Rows on the page, at most.
    """

    out: Path
    bundle: ModelBundle
    facts: RunFacts
    reports: Sequence[Path]
    maps: RunMaps | None = None
    most: int = MAX_ROWS

    def write(self, journal: Journal, *, force: bool) -> None:
        """Write the page.

        Raises
        ------
        OutputError
            It exists or cannot be written.
        """
        use, summary = self.bundle.document.intended_use, journal.summary()
        document = self.facts.calibration.document
        facts = {
            "Bundle": f"{self.facts.bundle}, SHA-256 {self.facts.bundle_sha256}",
            "Model": self.facts.point.model,
            "Preprocessing": self.facts.point.preprocessing,
            "Engine": self.facts.point.engine,
            "Calibration": self.facts.calibration.sha256,
            "Prevalence": ""
            if document.site_prevalence is None
            else f"adjusted to {document.site_prevalence:g}",
            "cxrscreen": self.facts.version,
        }
        page = WorklistPage(
            bundle=self.facts.bundle,
            version=self.facts.version,
            point=self.facts.point,
            summary=summary,
            shown=min(summary.inputs, self.most),
            intended_use=use.population,
            limitations=tuple(use.limitations),
            facts=tuple((title, value) for title, value in facts.items() if value),
            reports=tuple(path.name for path in self.reports),
            method="" if self.maps is None else METHOD,
        )
        names = {} if self.maps is None else self.maps.names(journal)
        with new_file(self.out, force=force, replaceable=is_worklist_page) as temporary:
            write_page(temporary, page, self._rows(journal, names))

    def _rows(self, journal: Journal, names: Mapping[int, str]) -> Iterator[WorklistRow]:
        for row in journal.worklist(self.most):
            name = names.get(row.number, "")
            yield WorklistRow(
                cells=row.cells,
                thumbnail=row.thumbnail or b"",
                overlay=self._overlay(row, name),
                map_file=self._address(name) if name else "",
            )

    def _overlay(self, row: FinishedRow, name: str) -> bytes:
        if not name or not row.thumbnail or self.maps is None:
            return b""
        array = (self.maps.folder.path / name).with_suffix(".npz")
        with np.load(array, allow_pickle=False) as held:
            activation = held["network_activation"]
        # Where nothing raises the score there is no map to switch to.
        return overlay_of(row.thumbnail, activation, self.bundle.spec) if activation.any() else b""

    def _address(self, name: str) -> str:
        """Return where a picture lies, seen from the page."""
        if self.maps is None:
            return ""
        there = self.maps.folder.path.absolute() / name
        try:
            relative = os.path.relpath(there, self.out.absolute().parent)
        except ValueError:
            # Another drive: there is no way from here to there.
            return ""
        return Path(relative).as_posix()


def thumbnail(image: ScreenedImage, spec: PreprocessSpec) -> bytes | None:
    """Return a small picture of an image that was judged."""
    if image.pixels is None or image.shape is None:
        return None
    return thumbnail_of(image.pixels, image.shape, spec)
