"""The folder of an unfinished run: what it was started with, and where it stands."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from cxrscreen.config import TrainingConfig
from cxrscreen.data.dataset import fingerprint
from cxrscreen.data.split import Split
from cxrscreen.errors import CheckpointError, OutputError
from cxrscreen.training.processes import process_count

DESCRIPTION = "run.json"
CHECKPOINT = "checkpoint.pt"
CACHE = "cache"
_SCHEMA_VERSION = 1
_LOCK = "lock"
#: What a folder may hold that was stopped while it was being made or removed.
_EARLIEST = frozenset({_LOCK, DESCRIPTION + ".part"})
#: What earlier versions did not write down, and so cannot be compared.
_LATER = ("labels", "processes", "precision")
#: Settings that change how a run goes but not what it comes to.
_FREE = (("train", "loader_workers"), ("train", "cache"), ("train", "checkpoint_steps"))


class RunFolder:
    """Where an unfinished run keeps its checkpoint; removed when its bundle is written.

    Parameters
    ----------
    path
        The folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other processes out of it for the length of a block.

        The system lets go of it when the process ends, however that happens.

        Raises
        ------
        CheckpointError
            Another process is training in it.
        OutputError
            The folder holds something else, or cannot be written.
        """
        if not self._is_ours:
            message = f"{self.path}: is not the folder of a training run"
            raise OutputError(message, hint="Move it away, or give another --out.")
        with contextlib.ExitStack() as stack:
            try:
                self.path.mkdir(exist_ok=True)
                _lock(self.path, stack)
            except OSError as error:
                raise _cannot_write(self.path, error) from error
            yield

    @property
    def cache(self) -> Path:
        """Where resized images lie if they are kept on disk."""
        return self.path / CACHE

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / DESCRIPTION).exists()

    def begin(self, description: Mapping[str, Any]) -> None:
        """Start anew, whatever an earlier run has left.

        Raises
        ------
        OutputError
            The folder holds something else, or cannot be written.
        """
        self._empty()
        try:
            content = json.dumps(description, indent=2, sort_keys=True) + "\n"
            _replace(self.path / DESCRIPTION, content.encode())
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def require_same(self, description: Mapping[str, Any]) -> None:
        """Check that what was begun here is what shall go on.

        Raises
        ------
        CheckpointError
            It is another run; the message names the first difference.
        """
        place = self.path / DESCRIPTION
        try:
            begun = json.loads(place.read_bytes())
            wanted = json.loads(json.dumps(description))
            for key in _LATER:
                begun.setdefault(key, wanted[key])
        except (OSError, ValueError, AttributeError) as error:
            message = f"{place}: cannot be read"
            hint = "Start anew with --force in place of --resume."
            raise CheckpointError(message, hint=hint) from error
        difference = _first_difference(begun, wanted)
        if difference:
            message = f"{self.path}: was begun with another {difference}"
            hint = "Resume with the same configuration and data, or start anew with --force."
            raise CheckpointError(message, hint=hint)

    def load(self, device: torch.device, *, phases: int) -> dict[str, Any] | None:
        """Return the last checkpoint, ``None`` where the run was stopped before its first.

        Parameters
        ----------
        device
            Where its tensors shall be.
        phases
            How many the run has.

        Raises
        ------
        CheckpointError
            It is damaged.
        """
        place = self.path / CHECKPOINT
        if not self.can_resume:
            return None
        try:
            # Tensors and plain values: nothing else is unpickled.
            state: dict[str, Any] = torch.load(place, map_location=device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as e:
            raise self.damaged() from e
        if not isinstance(state, dict) or state.get("phase") not in range(1, phases + 1):
            raise self.damaged()
        return state

    def damaged(self) -> CheckpointError:
        """Return the error of a checkpoint that cannot be gone on from."""
        message = f"{self.path / CHECKPOINT}: is damaged"
        return CheckpointError(message, hint="Start anew with --force in place of --resume.")

    @property
    def can_resume(self) -> bool:
        """Whether there is a checkpoint."""
        return (self.path / CHECKPOINT).exists()

    def discard_if_empty(self) -> None:
        """Remove a run of ours that has come to no checkpoint: there is nothing to go on from."""
        if self.path.is_dir() and self._is_ours and not self.can_resume:
            shutil.rmtree(self.path, ignore_errors=True)

    def discard(self) -> None:
        """Remove the folder, if it is one of ours.

        Raises
        ------
        OutputError
            It holds something else, or cannot be removed.
        """
        if os.path.lexists(self.path):
            self._empty()
            try:
                shutil.rmtree(self.path)
            except OSError as error:
                raise _cannot_write(self.path, error) from error

    @property
    def _is_ours(self) -> bool:
        if not os.path.lexists(self.path):
            return True
        if not self.path.is_dir():
            return False
        return self.exists or {entry.name for entry in self.path.iterdir()} <= _EARLIEST

    def _empty(self) -> None:
        """Remove what is in the folder, last what tells that it is ours."""
        if not self._is_ours:
            message = f"{self.path}: is not the folder of a training run"
            raise OutputError(message, hint="Move it away, or give another --out.")
        try:
            for entry in self.path.iterdir():
                if entry.name in (_LOCK, DESCRIPTION):
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            (self.path / DESCRIPTION).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self.path, error) from error


class DurableSaver:
    """Write a checkpoint so that a crash at any moment leaves the old one or the new one.

    ignite's own saver renames too, but forgets to wait for the disk, and removes the old file
    before the new one is there.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(
        self,
        checkpoint: Mapping[str, Any],
        filename: str,  # noqa: ARG002 - ignite's signature; there is one file
    ) -> None:
        """Write what ignite's ``Checkpoint`` has collected."""
        partial = self._path.with_name(self._path.name + ".part")
        try:
            with partial.open("wb") as stream:
                torch.save(dict(checkpoint), stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._path)
        except (OSError, RuntimeError) as error:
            # torch's writer turns what the disk says into an error of its own.
            partial.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or "the disk refuses it"
            message = f"{self._path}: cannot be written: {reason}"
            hint = "Make room and continue with --resume: the last checkpoint is still there."
            raise OutputError(message, hint=hint) from error


def describe_run(
    config: TrainingConfig, split: Split, *, precision: str, pretrained_sha256: str | None
) -> dict[str, Any]:
    """Return what makes a run the same run: configuration, data, weights, version of torch.

    Parameters
    ----------
    config, split, precision, pretrained_sha256
        What the run is made from and computes in.
    """
    content = config.model_dump(mode="json")
    for section, key in _FREE:
        del content[section][key]
    # Of what is made of the run when it is over.
    del content["weights_precision"]
    labels = {name: [image.label for image in part] for name, part in split.parts().items()}
    return {
        "schema_version": _SCHEMA_VERSION,
        "configuration": content,
        "data": {name: fingerprint(part) for name, part in split.parts().items()},
        # A table may be corrected while the images that it names stay as they are.
        "labels": hashlib.sha256(json.dumps(labels).encode()).hexdigest(),
        "processes": process_count(),
        "precision": precision,
        "pretrained": pretrained_sha256,
        "torch": torch.__version__,
    }


def _first_difference(begun: Any, wanted: Any, place: str = "") -> str:  # noqa: ANN401 - JSON
    if isinstance(begun, dict) and isinstance(wanted, dict):
        for key in sorted(begun.keys() | wanted.keys()):
            inner = f"{place}.{key}" if place else str(key)
            found = _first_difference(begun.get(key), wanted.get(key), inner)
            if found:
                return found
        return ""
    return "" if begun == wanted else place.removeprefix("configuration.")


def _lock(place: Path, stack: contextlib.ExitStack) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    stream = stack.enter_context((place / _LOCK).open("ab"))
    try:
        # Not flock, which the loader's processes would inherit: they outlive a kill for seconds.
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        message = f"{place}: another process is training in it"
        raise CheckpointError(message, hint="Let it end, or give another --out.") from error
    except OSError:
        # A file system without locks, as some shares.
        return


def _cannot_write(path: Path, error: OSError) -> OutputError:
    message = f"{path}: cannot be written: {error.strerror or type(error).__name__}"
    hint = "Check permissions and free space, or give another --out."
    return OutputError(message, hint=hint)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
