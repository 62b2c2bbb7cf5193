"""The journal: what a screening run has done, safe against a crash.

An SQLite file beside the report. Rows come in the order of the inputs, so that it always holds
the first part of the report. The operating system keeps it locked while a run has it open, and
lets go when the process ends, however that happens.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from cxrscreen.errors import CxrScreenError, JournalError, UnusableJournalError
from cxrscreen.records import Prediction, RunSummary
from cxrscreen.reports.journal_file import (
    CREATE,
    SCHEMA_VERSION,
    damaged,
    files_of,
    is_journal,
    journal_errors,
)
from cxrscreen.reports.journal_rows import (
    ADD,
    ALL,
    FinishedRow,
    JournalEntry,
    JudgedImage,
    is_sound,
    values_of,
)
from cxrscreen.reports.table import PRIORITY_RANK, Cell
from cxrscreen.vocabulary import Decision, RejectCode

#: What a run was begun with, by the name under which a user knows it.
Terms = Mapping[str, str | int | float | bool | None]
#: Rows are made durable after so many of them, or after so long.
KEPT_ROWS: Final = 256
KEPT_SECONDS: Final = 2.0
#: The worklist: what may be ill first, then what nobody has judged, then what is negative. A
#: copy has its decision in another row. The table holds numbers alone: rows are not in memory.
_RANK: Final = (
    "DROP TABLE IF EXISTS temp.ranks",
    """
    CREATE TEMP TABLE ranks AS SELECT number, row_number() OVER (ORDER BY
        CASE WHEN reject_code = 'DUPLICATE' THEN 5 WHEN decision = 'POSITIVE' THEN 1
        WHEN decision = 'INDETERMINATE' THEN 2 WHEN decision = 'NOT_SCREENED' THEN 3 ELSE 4 END,
        score DESC, number) AS rank FROM rows
    """,
    "CREATE UNIQUE INDEX temp.by_number ON ranks (number)",
)
_FINISHED: Final = """
    SELECT number, cells, warnings, thumbnail, rank
    FROM rows CROSS JOIN temp.ranks USING (number) {}
"""


class Journal:
    """A journal that is held: no other process can open it.

    Parameters
    ----------
    path
        The file; made if it is not there.
    clock
        Seconds, by which rows become durable and a run is timed.

    Raises
    ------
    JournalError
        Another process holds it, it is damaged, of another version, or no journal.
    OutputError
        It cannot be written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._begun_at = self._committed_at = clock()
        self._waiting: list[JournalEntry] = []
        self._uncommitted = 0
        self._is_open = True
        if path.exists() and not is_journal(path):
            message = f"{path}: is no journal of cxrscreen"
            raise JournalError(message, hint="Move it away: the journal has to have this name.")
        with journal_errors(path):
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with journal_errors(path):
                self._open()
        except BaseException:
            self._database.close()
            raise

    def _open(self) -> None:
        execute = self._database.execute
        # Before anything is read: the lock is taken then, and no shared memory is needed.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA temp_store = MEMORY")
        execute("BEGIN EXCLUSIVE")
        version = self._one("PRAGMA user_version")
        self._is_new = version == 0
        if version == 0:
            for statement in CREATE:
                execute(statement)
        execute("COMMIT")
        if version not in (0, SCHEMA_VERSION):
            message = f"{self.path}: is a journal of another version of cxrscreen"
            hint = "Resume with the version that began it, or start anew with --force."
            raise UnusableJournalError(message, hint=hint)
        execute("PRAGMA journal_mode = WAL")
        # What is committed survives a power cut.
        execute("PRAGMA synchronous = FULL")
        self._rows = int(self._one("SELECT count(*) FROM rows"))
        query = "SELECT seconds, replaces, written FROM run"
        seconds, replaces, written = self._database.execute(query).fetchone()
        self._seconds_before = float(seconds)
        self._replaces = bool(replaces)
        self._written_before: frozenset[str] = frozenset(json.loads(written))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """Rows of whole batches that it holds."""
        return self._rows

    @property
    def done(self) -> int:
        """Number of inputs, from the first one, whose rows it holds."""
        with journal_errors(self.path):
            return int(self._one("SELECT coalesce(max(place), -1) FROM rows")) + 1

    @property
    def seconds(self) -> float:
        """Time that the run took so far, in all of its parts."""
        return self._seconds_before + self._clock() - self._begun_at

    @property
    def replaces(self) -> bool:
        """Whether the run was told to replace earlier outputs."""
        return self._replaces

    def may_replace(self, output: Path) -> bool:
        """Return whether what stands under the name of an output may be replaced.

        So it is if the run was told to, and if it was itself that has put it there before it
        was stopped.
        """
        return self._replaces or str(output.absolute()) in self._written_before

    @property
    def resumed(self) -> int:
        """How often the run went on."""
        with journal_errors(self.path):
            return int(self._one("SELECT resumed FROM run"))

    def note_resumed(self) -> None:
        """Count that the run goes on."""
        with journal_errors(self.path), self._transaction():
            self._database.execute("UPDATE run SET resumed = resumed + 1")

    def begin(self, terms: Terms, inputs: bytes, *, replaces: bool) -> None:
        """Start anew, whatever it holds.

        Parameters
        ----------
        terms
            What the rows depend on.
        inputs
            Digests of the inputs, one after the other.
        replaces
            Whether earlier reports may be replaced.
        """
        with journal_errors(self.path), self._transaction():
            self._database.execute("DELETE FROM rows")
            self._database.execute("DELETE FROM terms")
            self._database.executemany(
                "INSERT INTO terms VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in terms.items()],
            )
            self._database.execute(
                "UPDATE run SET inputs = ?, replaces = ?, written = '[]', seconds = 0, resumed = 0",
                (inputs, int(replaces)),
            )
        self._rows, self._seconds_before, self._is_new = 0, 0.0, True
        self._replaces, self._written_before = replaces, frozenset()
        self._begun_at = self._committed_at = self._clock()

    def begun_with(self) -> tuple[Terms, bytes]:
        """Return the terms and the digests of the inputs that it was begun with."""
        query = "SELECT name, value FROM terms ORDER BY rowid"
        with journal_errors(self.path):
            terms = {name: json.loads(value) for name, value in self._database.execute(query)}
            return terms, bytes(self._one("SELECT inputs FROM run"))

    def check(self) -> None:
        """Check every row, before a run goes on behind them.

        Raises
        ------
        JournalError
            It is damaged.
        """
        with journal_errors(self.path):
            sound = self._one("PRAGMA quick_check") == "ok"
            place = 0
            for number, row in enumerate(self._database.execute(ALL)):
                follows = row[0] == number and row[1] in (place, place + bool(number))
                sound = sound and follows and is_sound(row)
                place = row[1]
        if not sound:
            raise damaged(self.path)

    def add(self, entry: JournalEntry) -> None:
        """Take a row. When its batch is whole, it will be durable soon.

        Raises
        ------
        OutputError
            The disk is full or cannot be written.
        """
        self._waiting.append(entry)
        if not entry.ends_batch:
            return
        with journal_errors(self.path):
            if not self._database.in_transaction:
                self._database.execute("BEGIN")
            self._database.executemany(
                ADD, [values_of(self._rows + turn, row) for turn, row in enumerate(self._waiting)]
            )
        self._rows += len(self._waiting)
        self._uncommitted += len(self._waiting)
        self._waiting.clear()
        late = self._clock() - self._committed_at >= KEPT_SECONDS
        if late or self._uncommitted >= KEPT_ROWS:
            self.commit()

    def commit(self) -> None:
        """Make every row durable whose batch is whole.

        Raises
        ------
        OutputError
            The disk is full or cannot be written.
        """
        with journal_errors(self.path):
            if self._database.in_transaction:
                self._database.execute("UPDATE run SET seconds = ?", (self.seconds,))
                self._database.execute("COMMIT")
        self._uncommitted, self._committed_at = 0, self._clock()

    def start_writing(self, outputs: Iterable[Path]) -> None:
        """Note that all rows are there: from now on outputs may have their names.

        Raises
        ------
        OutputError
            The disk is full or cannot be written.
        """
        self.commit()
        names = json.dumps([str(output.absolute()) for output in outputs])
        with journal_errors(self.path), self._transaction():
            self._database.execute("UPDATE run SET written = ?, seconds = ?", (names, self.seconds))

    def identities(self) -> Iterator[tuple[tuple[bytes, bytes], int, int]]:
        """Yield by what copies are recognised, with place and frame of the image."""
        query = "SELECT uid, pixels, place, frame FROM rows WHERE pixels NOTNULL ORDER BY number"
        with journal_errors(self.path):
            for uid, pixels, place, frame in self._database.execute(query):
                yield (uid, pixels), place, frame

    def finished_rows(self) -> Iterator[FinishedRow]:
        """Yield the rows of the report in the order of the inputs, each with its rank."""
        return self._finished("ORDER BY number")

    def cells(self) -> Iterator[Mapping[str, Cell]]:
        """Yield what the report says, row after row."""
        return (row.cells for row in self.finished_rows())

    def most_urgent(self, count: int) -> list[FinishedRow]:
        """Return up to ``count`` flagged rows, the most urgent first."""
        flagged = "WHERE decision IN ('POSITIVE', 'INDETERMINATE')"
        return list(self._finished(f"{flagged} ORDER BY rank LIMIT {count:d}"))

    def worklist(self, count: int) -> Iterator[FinishedRow]:
        """Yield up to ``count`` rows, the most urgent first."""
        return self._finished(f"ORDER BY rank LIMIT {count:d}")

    def judged(self, *, flagged_only: bool) -> Iterator[JudgedImage]:
        """Yield the images that have a decision, in the order of the inputs.

        Parameters
        ----------
        flagged_only
            Leave out those that are negative.
        """
        query = """
            SELECT number, place, frame, decision, probability, score, pixels FROM rows
            WHERE decision != 'NOT_SCREENED' AND (decision != 'NEGATIVE' OR ?) ORDER BY number
        """
        with journal_errors(self.path):
            found = self._database.execute(query, (int(not flagged_only),))
            for number, place, frame, decision, probability, score, pixels in found:
                prediction = Prediction(logit=score, probability=probability)
                yield JudgedImage(number, place, frame, Decision(decision), prediction, pixels)

    def _finished(self, which: str) -> Iterator[FinishedRow]:
        with journal_errors(self.path):
            for statement in _RANK:
                self._database.execute(statement)
            found = self._database.execute(_FINISHED.format(which))
            for number, cells, warnings, thumbnail, rank in found:
                row = {**json.loads(cells), PRIORITY_RANK: rank}
                yield FinishedRow(number, row, warnings, thumbnail)

    def summary(self) -> RunSummary:
        """Return the counts of all rows."""
        query = "SELECT decision, reject_code, count(*) FROM rows GROUP BY decision, reject_code"
        decisions: Counter[Decision] = Counter()
        codes: Counter[RejectCode] = Counter()
        with journal_errors(self.path):
            for decision, code, count in self._database.execute(query):
                decisions[Decision(decision)] += count
                if code is not None:
                    codes[RejectCode(code)] += count
            return RunSummary(
                inputs=decisions.total(),
                by_decision=dict(decisions),
                by_reject_code=dict(codes),
                seconds=self.seconds,
            )

    def close(self) -> None:
        """Keep what is done and let go of the file; a new one without rows is removed."""
        if not self._is_open:
            return
        with contextlib.suppress(CxrScreenError):
            self.commit()
        with contextlib.suppress(CxrScreenError):
            if self._is_new and self._rows == 0:
                self.remove()
        self._database.close()
        self._is_open = False

    def remove(self) -> None:
        """Delete the journal: the reports are in their places."""
        try:
            # Deletes what lies beside it, while nobody else can have begun another one.
            self._database.execute("PRAGMA journal_mode = DELETE")
            self.path.unlink()
        except (OSError, sqlite3.Error):
            # A full disk, or one where a file that is open cannot be deleted.
            self._database.close()
            for file in files_of(self.path):
                file.unlink(missing_ok=True)
        self._database.close()
        self._is_open = False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _one(self, query: str) -> Any:  # noqa: ANN401 - whatever the query gives
        return self._database.execute(query).fetchone()[0]
