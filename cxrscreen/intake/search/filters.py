"""Which of the inputs that were found are wanted: by name, by time, and how many."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cxrscreen.errors import UsageError
from cxrscreen.records import Input
from cxrscreen.vocabulary import RejectCode

_ANY_DEPTH: Final = "**"
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SINCE_HINT: Final = (
    "Give a date (2026-11-25), a time (2026-11-25T18:00) or a duration back from now "
    "(90m, 24h, 7d, 2w)."
)
GLOB: Final = "--glob"
SINCE: Final = "--since"
LIMIT: Final = "--limit"


@dataclass(frozen=True, slots=True)
class InputFilter:
    """What is wanted of the inputs that are found.

    Attributes
    ----------
    patterns
        Globs, one of which must match; none if every name is wanted. A pattern without ``/`` is
        compared with the name of the file, one with ``/`` with its path below the folder that
        was given: ``*`` and ``?`` match no ``/``, ``**`` does, ``[ab]`` is a choice. Capitals
        count. A member of an archive is wanted too if the archive is.
    since
        Seconds since 1970 (UTC) from which on a file must have been changed, ``None`` for any
        time. A member counts with the time of its archive, which is when it arrived.
    limit
        How many inputs, from the first one; ``None`` for all.
    """

    patterns: tuple[str, ...] = ()
    since: float | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not all(self.patterns):
            message = "a pattern is empty"
            raise ValueError(message)
        if self.limit is not None and self.limit < 1:
            message = f"limit is {self.limit}: at least one input"
            raise ValueError(message)

    def __bool__(self) -> bool:
        return bool(self.patterns) or self.since is not None or self.limit is not None


class Sieve:
    """Lets wanted inputs pass and counts the others.

    What could not be looked into, a folder or an archive, always passes these two: it may hold
    what is wanted.

    Parameters
    ----------
    wanted
        What passes.
    roots
        The files and folders that were given.

    Attributes
    ----------
    left_out
        Inputs that each option has left out so far, each counted once, by the first of them.
    """

    def __init__(self, wanted: InputFilter, roots: Iterable[Path]) -> None:
        self._wanted = wanted
        self._patterns = [matcher(pattern) for pattern in wanted.patterns]
        self._roots = [str(root) for root in roots]
        self._last_time: tuple[Path, float] | None = None
        self.left_out: Counter[str] = Counter()

    def passing(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Yield what is wanted."""
        count = 0
        for item in inputs:
            option = self._unwanted_by(item)
            if option and _is_closed(item):
                option = ""
            if not option and self._wanted.limit is not None and count >= self._wanted.limit:
                option = LIMIT
            if option:
                self.left_out[option] += 1
            else:
                count += 1
                yield item

    def _unwanted_by(self, item: Input) -> str:
        if self._patterns and not self._is_named(item):
            return GLOB
        since = self._wanted.since
        return SINCE if since is not None and self._changed(item.source.path) < since else ""

    def _is_named(self, item: Input) -> bool:
        path = self._below_root(str(item.source.path))
        names = [path]
        for member in item.source.members:
            # The archive itself, then what lies in it as if it were a folder.
            path = f"{path}/{member.name}"
            names.append(path)
        return any(pattern(name) for pattern in self._patterns for name in names)

    def _below_root(self, path: str) -> str:
        for root in self._roots:
            folder = root if root.endswith(os.sep) else root + os.sep
            if path.startswith(folder):
                return path[len(folder) :].replace(os.sep, "/")
            if root == os.curdir and not os.path.isabs(path):  # noqa: PTH117 - text, as above
                return path.replace(os.sep, "/")
        return os.path.basename(path)  # noqa: PTH119 - the same

    def _changed(self, path: Path) -> float:
        if self._last_time is None or self._last_time[0] is not path:
            try:
                changed = path.stat().st_mtime
            except OSError:
                # It has a row that says so.
                changed = float("inf")
            self._last_time = path, changed
        return self._last_time[1]


def parse_since(value: str, now: datetime) -> float:
    """Return the time that ``--since`` means, in seconds since 1970 (UTC).

    Parameters
    ----------
    value
        A date or time in ISO 8601, local if it names no zone; or a duration back
        from ``now``: a number and ``m`` (minutes), ``h``, ``d`` or ``w``.
    now
        Aware time.

    Raises
    ------
    UsageError
        It is neither, or lies in the future.
    """
    text = value.strip()
    try:
        if found := _DURATION.fullmatch(text.lower()):
            then = now - timedelta(**{_UNITS[found[2]]: float(found[1])})
        else:
            then = datetime.fromisoformat(text)
            # Local time, as it was then, unless it names a zone.
            then = then.astimezone()
        seconds = then.timestamp()
    except (ValueError, OverflowError, OSError):
        message = f"{SINCE} {value}: is no time"
        raise UsageError(message, hint=_SINCE_HINT) from None
    if then > now:
        message = f"{SINCE} {value}: lies in the future"
        raise UsageError(message, hint=_SINCE_HINT)
    return seconds


def described(left_out: Mapping[str, int]) -> str:
    """Return in words how many inputs the filters have left out; empty if none."""
    if not any(left_out.values()):
        return ""
    options = (option for option in (GLOB, SINCE, LIMIT) if left_out.get(option))
    parts = ", ".join(f"{left_out[option]:,} by {option}" for option in options)
    return f"left out: {parts}"


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a path matches a pattern: see :class:`InputFilter`."""
    if "/" not in pattern:
        return lambda path: fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
    # A folder means what lies in it.
    if pattern.endswith("/"):
        pattern += _ANY_DEPTH
    return functools.partial(
        _matches, [part for part in pattern.split("/") if part not in ("", ".")]
    )


def _matches(pattern: Sequence[str], path: str) -> bool:
    """Return whether a path matches a pattern, part by part."""
    # Places in the pattern that the parts so far lead to: paths nest deeper than calls may.
    places = _with_skipped(pattern, {0})
    for part in path.split("/"):
        following = set()
        for place in places:
            if place < len(pattern):
                if pattern[place] == _ANY_DEPTH:
                    following.add(place)
                elif fnmatch.fnmatchcase(part, pattern[place]):
                    following.add(place + 1)
        places = _with_skipped(pattern, following)
    return len(pattern) in places


def _with_skipped(pattern: Sequence[str], places: set[int]) -> set[int]:
    """Add the places behind each ``**``, which may stand for no folder at all."""
    reached = set(places)
    for place in range(len(pattern)):
        if place in reached and pattern[place] == _ANY_DEPTH:
            reached.add(place + 1)
    return reached


def _is_closed(item: Input) -> bool:
    refused = item.refusal is not None and item.refusal.code is RejectCode.ARCHIVE_REFUSED
    return refused or (not item.source.members and item.source.path.is_dir())
