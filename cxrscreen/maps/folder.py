"""The folder of a run's maps: new or its own, and what its files are called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscreen.errors import OutputError
from cxrscreen.output import new_file

#: The file by which a folder of ours is recognised.
DOCUMENT: Final = "maps.json"
_KIND: Final = "cxrscreen maps"
_DIGITS: Final = 12
#: Nothing in a name says who or where: a number, and a hash of what the network saw.
_NAME: Final = re.compile(r"\d{6,}-[0-9a-f]{12}\.(?:png|npz)")
_PART: Final = re.compile(r"\.cxrscreen-.*\.part")
_PATIENCE: Final = "Give a folder that does not exist."


@dataclass(frozen=True, slots=True)
class MapFolder:
    """A folder for pictures and arrays of one run.

    Attributes
    ----------
    path
        Where it lies.
    """

    path: Path

    def check(self, *, replaceable: bool) -> None:
        """Refuse a folder that is somebody else's, before any work.

        Parameters
        ----------
        replaceable
            Whether maps of an earlier run may be deleted or gone on with.

        Raises
        ------
        OutputError
            It exists and holds something else than maps, or may not be replaced, or the folder
            around it is not there.
        """
        if not self.path.is_dir() or self.path.is_symlink():
            if self.path.exists() or self.path.is_symlink():
                message = f"{self.path}: is no folder of maps and is not replaced"
                raise OutputError(message, hint=_PATIENCE)
            if not self.path.absolute().parent.is_dir():
                message = f"{self.path}: the folder {self.path.parent} does not exist"
                raise OutputError(message, hint="Create it first.")
            return
        foreign = self._foreign()
        if foreign is not None:
            message = f"{self.path}: holds something else than maps ({foreign}) and is not used"
            raise OutputError(message, hint=_PATIENCE)
        if not replaceable and any(self.path.iterdir()):
            message = f"{self.path}: holds the maps of an earlier run"
            raise OutputError(message, hint="Give another name, or --force to replace them.")

    def begin(self, run: str) -> None:
        """Make the folder, or go on with it if its maps are of this very run.

        Parameters
        ----------
        run
            By what a run is recognised.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        document = self.path / DOCUMENT
        try:
            self.path.mkdir(exist_ok=True)
            same = _run_of(document) == run
            for file in list(self.path.iterdir()):
                # What a killed run left half-written is of no use to any.
                if _PART.fullmatch(file.name) or (not same and _NAME.fullmatch(file.name)):
                    file.unlink()
        except OSError as error:
            message = f"{self.path}: cannot be written: {error.strerror}"
            raise OutputError(message, hint="Check permissions and free space.") from error
        if not same:
            content = {"kind": _KIND, "schema_version": 1, "run": run}
            with new_file(document, force=True, replaceable=_is_document) as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def picture(self, number: int, pixels: bytes) -> Path:
        """Return where the picture of a row lies, by its number from 0 and its pixels' hash."""
        return self.path / f"{number + 1:06d}-{pixels.hex()[:_DIGITS]}.png"

    def array(self, number: int, pixels: bytes) -> Path:
        """Return where its array lies."""
        return self.picture(number, pixels).with_suffix(".npz")

    def write(self, path: Path, fill: Callable[[Path], None]) -> None:
        """Write a file beside its name and rename it into place.

        Raises
        ------
        OutputError
            The disk refuses it.
        """
        with new_file(path, force=True, replaceable=Path.is_file) as temporary:
            fill(temporary)

    def _foreign(self) -> str | None:
        """Return the name of something that no run of ours has put here."""
        names = sorted(file.name for file in self.path.iterdir())
        if names and DOCUMENT not in names and not all(map(_PART.fullmatch, names)):
            return names[0]
        for name in names:
            ours = name == DOCUMENT or _NAME.fullmatch(name) or _PART.fullmatch(name)
            if not ours or not (self.path / name).is_file():
                return name
        if DOCUMENT in names and not _is_document(self.path / DOCUMENT):
            return DOCUMENT
        return None


def _run_of(document: Path) -> str | None:
    return _content(document).get("run")


def _is_document(document: Path) -> bool:
    return _content(document).get("kind") == _KIND


def _content(document: Path) -> dict[str, str]:
    try:
        content = json.loads(document.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
