"""Begin a run, go on with one, or refuse: what a journal and earlier reports allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cxrscreen.errors import JournalError, OutputError, UnusableJournalError, UsageError
from cxrscreen.output import check_writable, clear_parts, is_report
from cxrscreen.reports.journal import Journal, Terms
from cxrscreen.reports.journal_file import files_of, is_journal, journal_of
from cxrscreen.run.frozen import FrozenInputs

_SAME: Final = "Resume with what it was begun with, or start anew with --force."
_NAMED: Final = 3
_SHOWN_DIGITS: Final = 12


def hold_journal(
    outs: Sequence[Path],
    *,
    resume: bool,
    force: bool,
    others: Mapping[Path, Callable[[Path], bool]] | None = None,
) -> Journal | None:
    """Check the outputs and take hold of the journal, before any work.

    Parameters
    ----------
    outs
        The reports; the journal lies beside the first.
    resume
        Whether to go on with an earlier run.
    force
        Whether to start anew, whatever is there.
    others
        What else is written, each with what recognises an earlier one.

    Returns
    -------
    Journal or None
        ``None`` if there is nothing to resume because the reports are complete.

    Raises
    ------
    UsageError
        Both ``resume`` and ``force``.
    OutputError
        A report stands there, or cannot be written.
    JournalError
        Another run has not ended, or holds the journal.
    """
    if resume and force:
        message = "--resume and --force contradict one another"
        raise UsageError(message, hint="--resume goes on with a run, --force begins it anew.")
    place = journal_of(outs[0])
    unfinished = place.exists()
    if resume and not unfinished and all(is_report(out) for out in outs):
        return None
    recognised = {**dict.fromkeys(outs, is_report), **(others or {})}
    if not unfinished:
        for out, replaceable in recognised.items():
            check_writable(out, force=force, replaceable=replaceable)
    if force and unfinished and not is_journal(place):
        message = f"{place}: is something else than a journal and is not replaced"
        raise OutputError(message, hint="Move it away, or give another --out.")
    journal = _opened(place, force=force)
    try:
        if not resume and not force:
            _require_empty(journal)
        for out, replaceable in recognised.items():
            may_replace = force or (resume and journal.may_replace(out))
            check_writable(out, force=may_replace, replaceable=replaceable)
        for out in recognised:
            clear_parts(out)
    except BaseException:
        journal.close()
        raise
    return journal


def begin_or_resume(
    journal: Journal, terms: Terms, frozen: FrozenInputs, *, resume: bool, force: bool
) -> bool:
    """Begin a run in a journal, or check that what it holds is the first part of this one.

    Parameters
    ----------
    journal
        As :func:`hold_journal` returns it.
    terms
        What the rows depend on, by names that a user knows.
    frozen
        The inputs.
    resume, force
        As in :func:`hold_journal`.

    Returns
    -------
    bool
        Whether there are rows to go on behind.

    Raises
    ------
    JournalError
        It was begun with something else, which is named, or is damaged.
    """
    if not resume or not journal.rows:
        # One that was killed before its first rows may have been told to replace.
        replaces = force or (resume and journal.replaces)
        journal.begin(terms, frozen.digests, replaces=replaces)
        return False
    before, inputs = journal.begun_with()
    differences = _differences(before, terms)
    if differences:
        named = "; ".join(differences[:_NAMED])
        message = f"{journal.path}: was begun {named}"
        raise JournalError(message, hint=_SAME)
    if difference := frozen.first_difference(inputs):
        message = f"{journal.path}: was begun with other inputs: {difference}"
        raise JournalError(message, hint="Put them back, or start anew with --force.")
    journal.check()
    journal.note_resumed()
    return True


def _opened(place: Path, *, force: bool) -> Journal:
    try:
        return Journal(place)
    except UnusableJournalError:
        if not force:
            raise
    for file in files_of(place):
        file.unlink(missing_ok=True)
    return Journal(place)


def _require_empty(journal: Journal) -> None:
    if journal.rows:
        message = f"{journal.path}: an unfinished run is there, with {journal.done} inputs done"
        raise JournalError(message, hint="Go on with --resume, or begin anew with --force.")


def _differences(before: Terms, now: Terms) -> list[str]:
    return [
        _difference(name, before.get(name), now.get(name))
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]


def _difference(name: str, before: object, now: object) -> str:
    if isinstance(before, bool) or isinstance(now, bool):
        return f"{'with' if before else 'without'} {name}"
    return f"with {name} {_shown(before)}, not {_shown(now)}"


def _shown(value: object) -> str:
    """Return a value for people: of a hash, its first digits."""
    if value is None:
        return "none"
    text = str(value)
    is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 - SHA-256
    return text[:_SHOWN_DIGITS] if is_hash else text
