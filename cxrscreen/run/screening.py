"""Screen inputs into a journal, row by row, and finish with its reports."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrscreen.duplicates import Identity
from cxrscreen.errors import InputLostError, OutputError
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.pipeline import ScreenedImage, ScreenOptions, screen_images
from cxrscreen.records import ScreenRow
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.journal_rows import JournalEntry
from cxrscreen.reports.table import Cell
from cxrscreen.run.frozen import FrozenInputs

#: Told of each image before its row is journalled, with the number of the row, from 0. After a
#: crash it may be told of the same row again, and must come to the same.
Observer = Callable[[int, ScreenedImage], object]
#: Told when every row is journalled; the journal is deleted when all have returned. After a
#: crash it is told again, and must replace what it has written before.
Finisher = Callable[[Journal], object]


@dataclass(frozen=True, slots=True)
class ScreeningRun:
    """A run whose rows outlive it.

    Attributes
    ----------
    journal
        Begun or resumed by :func:`cxrscreen.run.begin_or_resume`.
    frozen
        The inputs.
    bundle, options
        As in :func:`cxrscreen.screen`.
    cells
        The row of the report for an image.
    thumbnail
        A small picture of an image, as the bytes of a file, if a page shall show one.
    observers
        Told of each image.
    """

    journal: Journal
    frozen: FrozenInputs
    bundle: ModelBundle
    options: ScreenOptions
    cells: Callable[[ScreenRow], Mapping[str, Cell]]
    thumbnail: Callable[[ScreenedImage], bytes | None] | None = None
    observers: Sequence[Observer] = field(default=())

    def screen(self, on_row: Callable[[], object] = lambda: None) -> None:
        """Screen the inputs that have no row yet.

        Parameters
        ----------
        on_row
            Called after each row.

        Raises
        ------
        InputLostError
            The place of the inputs is not there any more.
        OutputError
            The journal cannot be written.
        CxrScreenError
            As :func:`cxrscreen.pipeline.screen_images`.
        """
        start, number = self.journal.done, self.journal.rows
        if start == len(self.frozen.inputs):
            return
        images = screen_images(
            self.frozen.inputs,
            self.bundle,
            self.options,
            earlier=self._earlier(),
            start=start,
        )
        # Closed whatever happens: workers end before the journal does.
        with contextlib.closing(images):
            for turn, image in enumerate(images, start=number):
                if (place := self.frozen.lost(image.place, image.row)) is not None:
                    raise self._lost(place)
                for observer in self.observers:
                    observer(turn, image)
                self.journal.add(self._entry(image))
                on_row()
        self.journal.commit()

    def finish(self, finishers: Iterable[Finisher], outputs: Iterable[Path]) -> None:
        """Write what is made of all rows, then delete the journal.

        Parameters
        ----------
        finishers
            What writes it.
        outputs
            All that they write: what stands there after a crash may be replaced.

        Raises
        ------
        OutputError
            Something cannot be written. The journal stays.
        """
        self.journal.start_writing(outputs)
        try:
            for finisher in finishers:
                finisher(self.journal)
        except OutputError as error:
            hint = f"{error.hint} Every row is kept: --resume goes on."
            raise OutputError(error.message, hint=hint.lstrip()) from error
        self.journal.remove()

    def _lost(self, place: Path) -> InputLostError:
        done, all_inputs = self.journal.done, len(self.frozen.inputs)
        message = f"{place}: is not there any more; {done} of {all_inputs} inputs are done"
        hint = "Is a share disconnected? When it is back, run the same command with --resume."
        return InputLostError(message, hint=hint)

    def _earlier(self) -> Iterator[tuple[Identity, str]]:
        for identity, place, frame in self.journal.identities():
            source = dataclasses.replace(self.frozen.inputs[place].source, frame=frame)
            yield identity, str(source)

    def _entry(self, image: ScreenedImage) -> JournalEntry:
        row, prediction = image.row, image.row.prediction
        return JournalEntry(
            place=image.place,
            frame=row.record.source.frame,
            decision=row.decision,
            reject_code=row.admission.code,
            probability=None if prediction is None else prediction.probability,
            score=None if prediction is None else prediction.logit,
            warnings=len(row.warnings),
            cells=self.cells(row),
            identity=image.identity,
            thumbnail=None if self.thumbnail is None else self.thumbnail(image),
            ends_batch=image.ends_batch,
        )
