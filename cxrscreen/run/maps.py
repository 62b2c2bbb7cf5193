"""The maps of a run: images that were judged are read once more, for people to look at.

Decisions are those of the journal; nothing is judged again. Hostile bytes are met in worker
processes here as they are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cxrscreen.examine import Examined, ExamineSettings, examine
from cxrscreen.explain import METHOD
from cxrscreen.maps import MapMaker, write_array
from cxrscreen.maps.folder import MapFolder
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.predictor import choose_device
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.records import Input
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.journal_rows import JudgedImage
from cxrscreen.reports.map_picture import Verdict, draw_map
from cxrscreen.reports.table import RunFacts
from cxrscreen.workers import ExaminerPool, WorkerLimits
from cxrscreen.workers.pool import default_workers

#: Longer side of the radiograph in a picture.
LONGEST_PX: Final = 1024


@dataclass(slots=True)
class RunMaps:
    """Makes the maps of a run, those that are not there yet.

    Attributes
    ----------
    folder
        Where they go.
    inputs
        The frozen list.
    bundle, options, facts
        Of the run.
    every
        Whether negative images have maps too.
    missing
        Rows, by their number from 0, whose image was not to be had any more.
    """

    folder: MapFolder
    inputs: Sequence[Input]
    bundle: ModelBundle
    options: ScreenOptions
    facts: RunFacts
    every: bool = False
    missing: list[int] = field(default_factory=list)

    def make(
        self,
        journal: Journal,
        on_start: Callable[[int], object] = lambda _: None,
        on_map: Callable[[], object] = lambda: None,
    ) -> None:
        """Write every map that is not there.

        Parameters
        ----------
        journal
            Of the run, all rows done.
        on_start
            Told how many there are to make.
        on_map
            Called after each.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        self.folder.begin(self._identity(journal))
        wanted: dict[tuple[int, int], JudgedImage] = {
            (image.place, image.frame): image
            for image in journal.judged(flagged_only=not self.every)
            if not self._is_there(image)
        }
        on_start(len(wanted))
        if not wanted:
            return
        maker = MapMaker(self.bundle, choose_device(self.options.device))
        for place, examined in self._examined(sorted({place for place, _ in wanted})):
            image = wanted.pop((place, examined.record.source.frame), None)
            if image is None:
                continue
            if examined.display is None or examined.digest() != image.pixels:
                self.missing.append(image.number)
            else:
                self._write(image, examined, maker)
            on_map()
        self.missing.extend(image.number for image in wanted.values())

    def names(self, journal: Journal) -> Mapping[int, str]:
        """Return the name of each picture by the number of its row, from 0."""
        return {
            image.number: self.folder.picture(image.number, image.pixels).name
            for image in journal.judged(flagged_only=not self.every)
            if self._is_there(image)
        }

    def _is_there(self, image: JudgedImage) -> bool:
        return (
            self.folder.picture(image.number, image.pixels).is_file()
            and self.folder.array(image.number, image.pixels).is_file()
        )

    def _identity(self, journal: Journal) -> str:
        terms, inputs = journal.begun_with()
        content = json.dumps({**terms, "every": self.every}, sort_keys=True).encode()
        # Keyed, as everything is that follows from paths.
        key = self.facts.privacy.key
        return hashlib.sha256(key + b"\0" + content + b"\0" + inputs).hexdigest()

    def _examined(self, places: Sequence[int]) -> Iterator[tuple[int, Examined]]:
        settings = ExamineSettings(
            self.bundle.spec, self.bundle.intended_use, self.options.permissions, LONGEST_PX
        )
        inputs = [self.inputs[place] for place in places]
        workers = default_workers() if self.options.workers is None else self.options.workers
        if not workers:
            for place, item in zip(places, inputs, strict=True):
                for examined in examine(item, settings):
                    yield place, examined
            return
        limits = WorkerLimits(seconds=self.options.seconds_per_image)
        pool = ExaminerPool(settings, workers=min(workers, len(inputs)), limits=limits)
        with contextlib.closing(pool):
            for turn, examined in pool.examine_all(inputs):
                yield places[turn], examined

    def _write(self, image: JudgedImage, examined: Examined, maker: MapMaker) -> None:
        pixels, display = examined.pixels, examined.display
        if pixels is None or display is None:
            return
        placed = maker(pixels, display.shape)
        verdict = Verdict(
            decision=image.decision,
            prediction=image.prediction,
            point=self.facts.point,
            bundle=self.facts.bundle,
            bundle_sha256=self.facts.bundle_sha256,
            method=METHOD,
            version=self.facts.version,
        )
        # The picture comes last: where it is, its array is too.
        self.folder.write(
            self.folder.array(image.number, image.pixels),
            lambda path: write_array(
                path, placed, display, suffix=".npz", size_px=self.bundle.spec.size_px
            ),
        )
        self.folder.write(
            self.folder.picture(image.number, image.pixels),
            lambda path: draw_map(
                display, None if placed is None else placed.radiograph, verdict, path
            ),
        )
