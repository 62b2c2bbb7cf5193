"""The frozen list of inputs: what each was at the start, and whether its place is still there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from cxrscreen.records import Input, ScreenRow, Source
from cxrscreen.vocabulary import RejectCode

#: Bytes of the digest of one input: a list of a million takes 8 MB.
DIGEST_BYTES: Final = 8
#: What reading a file may end in whose share has gone away.
_MAY_BE_LOST: Final = frozenset(
    {
        RejectCode.UNREADABLE_FILE,
        RejectCode.NOT_AN_IMAGE,
        RejectCode.MALFORMED_DICOM,
        RejectCode.DECODE_FAILED,
        RejectCode.ARCHIVE_REFUSED,
        RejectCode.DECODER_CRASHED,
        RejectCode.TIMED_OUT,
        RejectCode.INTERNAL_ERROR,
    }
)


class FrozenInputs:
    """Inputs as they were when a run began.

    Parameters
    ----------
    inputs
        As :func:`cxrscreen.intake.search.discover` freezes them.
    paths
        The files and folders that the user gave.
    shown
        Where an input is, as messages may tell it.

    Attributes
    ----------
    inputs
        The same.
    digests
        Of each input in turn, ``DIGEST_BYTES`` bytes of a hash of its path, size and time of
        change.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        paths: Iterable[Path],
        shown: Callable[[Source], Source] = lambda source: source,
    ) -> None:
        self.inputs = inputs
        self._shown = shown
        self._places: dict[Path, int] = {}
        for path in paths:
            folder = path if path.is_dir() else path.parent
            self._places.setdefault(folder, _device(folder))
        self.digests = self._digested(inputs)

    def _digested(self, inputs: Sequence[Input]) -> bytes:
        digests = bytearray()
        devices = set(self._places.values())
        last_path, last_stamp = Path(), ""
        last_folder = Path()
        for item in inputs:
            path = item.source.path
            if path != last_path:
                last_path, last_stamp = path, _stamp(path)
                if path.parent != last_folder:
                    last_folder = path.parent
                    if (device := _device(last_folder)) not in devices:
                        # Another file system is mounted somewhere below what was given.
                        devices.add(device)
                        self._places.setdefault(_mount_point(last_folder, device), device)
            digests += _digest(item, last_stamp)
        return bytes(digests)

    def lost(self, place: int, row: ScreenRow) -> Path | None:
        """Return what has gone away of the places that the inputs were found in, as it is shown.

        One file that cannot be read is a row. When its folder's file system is not there any
        more, or what the user named, or the archive that it is a member of, no further input can
        be read either.

        Parameters
        ----------
        place, row
            Of an input that may tell of it.
        """
        item = self.inputs[place]
        if row.admission.code not in _MAY_BE_LOST or item.refusal is not None:
            return None
        gone = [folder for folder, device in self._places.items() if _device(folder) != device]
        if item.source.members and not item.source.path.exists():
            gone.append(item.source.path)
        return self._shown(Source(gone[0])).path if gone else None

    def first_difference(self, earlier: bytes) -> str:
        """Return what differs from the inputs of an earlier run, in words; empty if nothing.

        Parameters
        ----------
        earlier
            The ``digests`` of that run.
        """
        if earlier == self.digests:
            return ""
        then, now = len(earlier) // DIGEST_BYTES, len(self.inputs)
        count = "" if then == now else f"{then} then, {now} now; "
        for place in range(min(then, now)):
            part = slice(place * DIGEST_BYTES, (place + 1) * DIGEST_BYTES)
            if earlier[part] != self.digests[part]:
                where = self._shown(self.inputs[place].source).location
                return f"{count}the first that is new or has changed since is {where}"
        if now > then:
            return (
                f"{count}the first that is new is {self._shown(self.inputs[then].source).location}"
            )
        return f"{count}the last ones are gone"


def _digest(item: Input, stamp: str) -> bytes:
    source = item.source
    members = ",".join(f"{m.name}\0{m.position}\0{m.size}" for m in source.members)
    refusal = "" if item.refusal is None or item.refusal.code is None else item.refusal.code.value
    text = f"{source.location}\0\0{members}\0\0{stamp}\0\0{refusal}"
    return hashlib.blake2b(os.fsencode(text), digest_size=DIGEST_BYTES).digest()


def _stamp(path: Path) -> str:
    """Return size and time of change of a file; of a folder nothing, which changes by itself."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}" if stat.S_ISREG(status.st_mode) else ""


def _device(folder: Path) -> int:
    """Return the file system that a folder lies in; -1 if it cannot be looked into."""
    try:
        device = folder.stat().st_dev
        # One that is closed to us is there, as the search has found it.
        with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
            next(entries, None)
    except OSError:
        return -1
    return device


def _mount_point(folder: Path, device: int) -> Path:
    """Return the topmost folder on the way to ``folder`` that lies in the same file system."""
    while folder.parent != folder and _device(folder.parent) == device:
        folder = folder.parent
    return folder
