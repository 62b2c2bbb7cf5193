"""The file of a journal: its tables, how it is recognised, and what can go wrong with it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxrscreen.errors import CxrScreenError, JournalError, OutputError, UnusableJournalError

_MAGIC: Final = b"SQLite format 3\0"
#: "CXRS", by which the header of the file tells that it is one of ours.
_APPLICATION: Final = 0x43585253
_APPLICATION_OFFSET: Final = 68
_HEADER_BYTES: Final = 100
SCHEMA_VERSION: Final = 1
#: What SQLite may put beside it.
_COMPANIONS: Final = ("-wal", "-shm", "-journal")
#: In one transaction, so that a file holds all of it or nothing.
CREATE: Final = (
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    """CREATE TABLE run (
        inputs BLOB NOT NULL, replaces INTEGER NOT NULL, written TEXT NOT NULL,
        seconds REAL NOT NULL, resumed INTEGER NOT NULL)""",
    "INSERT INTO run VALUES (x'', 0, '[]', 0, 0)",
    "CREATE TABLE terms (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE rows (
        number INTEGER PRIMARY KEY, place INTEGER NOT NULL, frame INTEGER NOT NULL,
        decision TEXT NOT NULL, reject_code TEXT, probability REAL, score REAL,
        warnings INTEGER NOT NULL, uid BLOB, pixels BLOB, cells TEXT NOT NULL,
        thumbnail BLOB, checksum BLOB NOT NULL)""",
)
_FULL: Final = "Make room, then run the same command again with --resume: what is done is kept."
_AGAIN: Final = "When it can be written, run the same command again with --resume."


def journal_of(report: Path) -> Path:
    """Return where the journal of a report lies."""
    return report.with_name(f"{report.name}.journal")


def files_of(journal: Path) -> tuple[Path, ...]:
    """Return the files that a journal may consist of."""
    return (journal, *(journal.with_name(journal.name + end) for end in _COMPANIONS))


def is_journal(path: Path) -> bool:
    """Return whether a file is a journal, or one that was stopped while it was being made.

    Never called for one that this process holds: closing a file gives up its locks.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise _cannot_read(path, error.strerror or "not possible") from error
    mark = head[_APPLICATION_OFFSET : _APPLICATION_OFFSET + 4]
    # A power cut may leave a new one empty or full of zeros.
    return not head.strip(b"\0") or (
        head.startswith(_MAGIC) and mark == _APPLICATION.to_bytes(4, "big")
    )


def damaged(path: Path) -> UnusableJournalError:
    """Return the error of a journal that does not hold what was written to it."""
    message = f"{path}: the journal is damaged"
    return UnusableJournalError(message, hint="Start anew with --force in place of --resume.")


@contextlib.contextmanager
def journal_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite complains of into one clear error.

    Raises
    ------
    JournalError
        Somebody else holds the journal, or it is damaged.
    OutputError
        The disk is full, or the journal cannot be written.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        # A value that no run has written.
        raise damaged(path) from error


def _translated(path: Path, error: sqlite3.Error) -> CxrScreenError:
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        message = f"{path}: another run is writing this report"
        return JournalError(message, hint="Wait until it has ended, or give another --out.")
    if name == "SQLITE_FULL":
        return OutputError(f"{path}: the disk is full", hint=_FULL)
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return OutputError(f"{path}: cannot be written ({error})", hint=_AGAIN)
    return damaged(path)


def _cannot_read(path: Path, why: str) -> OutputError:
    return OutputError(f"{path}: cannot be read ({why})", hint="Check its permissions.")
