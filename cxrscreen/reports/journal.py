"""The journal: what a screening run has done, safe against a crash.

An SQLite file beside the report. Rows come in the order of the inputs, so that it always holds
the first part of the report. The operating system keeps it locked while a run has it open, and
lets go when the process ends, however that happens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cxrscreen.errors import CxrScreenError, JournalError, UnusableJournalError
from cxrscreen.records import RunSummary
from cxrscreen.reports.journal_file import (
    CREATE,
    SCHEMA_VERSION,
    damaged,
    files_of,
    is_journal,
    journal_errors,
)
from cxrscreen.reports.table import PRIORITY_RANK, Cell
from cxrscreen.vocabulary import Decision, RejectCode

#: What a run was begun with, by the name under which a user knows it.
Terms = Mapping[str, str | int | float | bool | None]
#: Rows are made durable after so many of them, or after so long.
KEPT_ROWS: Final = 256
KEPT_SECONDS: Final = 2.0
_CHECKSUM_BYTES: Final = 8
_COLUMNS: Final = (
    "number, place, frame, decision, reject_code, probability, score, warnings, uid, pixels, "
    "cells, thumbnail, checksum"
)
_ADD: Final = f"INSERT INTO rows ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608
_ALL: Final = f"SELECT {_COLUMNS} FROM rows ORDER BY number"  # noqa: S608 - names of our own
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


@dataclass(frozen=True, slots=True, eq=False)
class JournalEntry:
    """A row of the report on its way into the journal.

    Attributes
    ----------
    place
        Of its input in the frozen list, from 0.
    frame
        Number of the frame, from 1; 0 for an object of a single frame.
    decision, reject_code
        What was decided, or why not.
    probability, score
        What the model said, with all digits; ``None`` if not screened.
    warnings
        How many the row has.
    cells
        The row of the report, finished but for its rank.
    identity
        By what a copy of the image is recognised: hashes of its UID and of its pixels.
    thumbnail
        A small picture for a page, as the bytes of its file.
    ends_batch
        Whether a run can go on behind it.
    """

    place: int
    frame: int
    decision: Decision
    reject_code: RejectCode | None
    probability: float | None
    score: float | None
    warnings: int
    cells: Mapping[str, Cell]
    identity: tuple[bytes, bytes] | None = None
    thumbnail: bytes | None = None
    ends_batch: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRow:
    """A row of the finished report.

    Attributes
    ----------
    number
        In the order of the report, from 0.
    cells
        By the names of the columns, with its rank on the worklist, where 1 is read first.
    warnings
        How many it has.
    thumbnail
        A small picture, as the bytes of its file, where there is one.
    """

    number: int
    cells: Mapping[str, Cell]
    warnings: int
    thumbnail: bytes | None = None


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
        self._seconds_before = float(self._one("SELECT seconds FROM run"))

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
        """Whether the run may replace earlier reports: it was told to, or has begun to."""
        with journal_errors(self.path):
            return bool(self._one("SELECT replaces OR writing FROM run"))

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
                "UPDATE run SET inputs = ?, replaces = ?, writing = 0, seconds = 0",
                (inputs, int(replaces)),
            )
        self._rows, self._seconds_before = 0, 0.0
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
            for number, row in enumerate(self._database.execute(_ALL)):
                follows = row[0] == number and row[1] in (place, place + bool(number))
                sound = sound and follows and row[-1] == _checksum(row[:-1])
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
                _ADD, [_values(self._rows + turn, row) for turn, row in enumerate(self._waiting)]
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

    def start_writing(self) -> None:
        """Note that all rows are there: from now on reports may have their names."""
        self.commit()
        with journal_errors(self.path), self._transaction():
            self._database.execute("UPDATE run SET writing = 1, seconds = ?", (self.seconds,))

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
        """Keep what is done and let go of the file; one without rows is removed."""
        if not self._is_open:
            return
        with contextlib.suppress(CxrScreenError):
            self.commit()
        with contextlib.suppress(CxrScreenError):
            if self._rows == 0:
                self.remove()
        self._database.close()
        self._is_open = False

    def remove(self) -> None:
        """Delete the journal: the reports are in their places."""
        with journal_errors(self.path):
            # Deletes what lies beside it, while nobody else can have begun another one.
            self._database.execute("PRAGMA journal_mode = DELETE")
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            # Where a file that is open cannot be deleted.
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


def _values(number: int, entry: JournalEntry) -> tuple[object, ...]:
    uid, pixels = entry.identity or (None, None)
    values = (
        number,
        entry.place,
        entry.frame,
        entry.decision.value,
        None if entry.reject_code is None else entry.reject_code.value,
        entry.probability,
        entry.score,
        entry.warnings,
        uid,
        pixels,
        json.dumps(dict(entry.cells), separators=(",", ":")),
        entry.thumbnail,
    )
    return (*values, _checksum(values))


def _checksum(values: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(values).encode(), digest_size=_CHECKSUM_BYTES).digest()
