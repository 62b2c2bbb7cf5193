"""Write files and folders beside their final name and rename them into place.

Whatever happens in between - an error, Ctrl-C, a full disk - the final name holds either
what was there before or the whole new content.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cxrscreen.errors import OutputError

#: The file by which a folder is recognised as a model bundle.
BUNDLE_MARKER = "bundle.json"
_FORCE_HINT = "Give another name, or --force to replace it."


def check_writable(path: Path, *, force: bool, marker: str | None = None) -> None:
    """Refuse an output that exists or whose folder cannot be written, before any work.

    Parameters
    ----------
    path
        The final name.
    force
        Whether what stands there may be replaced.
    marker
        For an output that is a folder: the file by which an earlier one is recognised. A
        folder without it is somebody's data and is never replaced.

    Raises
    ------
    OutputError
        ``path`` exists and may not be replaced, or its folder is missing or not writable.
    """
    if os.path.lexists(path) and not force:
        message = f"{path}: exists already"
        raise OutputError(message, hint=_FORCE_HINT)
    if path.is_dir() and (marker is None or not (path / marker).is_file()):
        message = f"{path}: is a folder of something else and is not replaced"
        raise OutputError(message, hint="Give a name that does not exist.")
    folder = path.parent
    if not folder.is_dir():
        message = f"{path}: the folder {folder} does not exist"
        raise OutputError(message, hint="Create it first.")
    try:
        # Permission bits do not tell of read-only mounts and full disks: try it.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it when the block succeeds.

    Raises
    ------
    OutputError
        As :func:`check_writable`, or the disk refuses the content.
    """
    check_writable(path, force=force)
    temporary = Path(tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)[1])
    try:
        yield temporary
        # mkstemp makes private files; the output gets what the user's umask grants.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path, *, marker: str, force: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` to fill with files; rename it on success.

    Raises
    ------
    OutputError
        As :func:`check_writable`, or the disk refuses the content.
    """
    check_writable(path, force=force, marker=marker)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        # What made a file may have made it private; the folder is as open as the umask says.
        mask = _umask()
        temporary.chmod(0o777 & ~mask)
        for file in temporary.iterdir():
            file.chmod(0o666 & ~mask)
        if os.path.lexists(path):
            replaced = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            path.rename(replaced / path.name)
            temporary.rename(path)
            shutil.rmtree(replaced)
        else:
            temporary.rename(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> OutputError:
    message = f"{path}: cannot be written: {error.strerror or type(error).__name__}"
    return OutputError(message, hint="Check permissions and free space, or give another name.")
