"""The key of pseudonyms: made once, kept where nobody else can read it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cxrscreen.errors import PseudonymKeyError
from cxrscreen.reports.privacy import KEY_BYTES

KEY_NAME: Final = "pseudonym.key"
#: Names a key file in the place of the one in the configuration folder.
KEY_VARIABLE: Final = "CXRSCREEN_PHI_KEY"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_HOME_HINT: Final = f"Name a folder in $CXRSCREEN_CONFIG, or a key file in ${KEY_VARIABLE}."


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's settings.

    ``$CXRSCREEN_CONFIG``; else ``cxrscreen`` in ``$XDG_CONFIG_HOME`` (XDG Base Directory
    Specification: ignored unless absolute); else ``~/.config/cxrscreen``.

    Raises
    ------
    PseudonymKeyError
        There is no home directory.
    """
    if own := environ.get("CXRSCREEN_CONFIG"):
        return Path(own)
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if base.is_absolute():
        return base / "cxrscreen"
    try:
        return Path.home() / ".config" / "cxrscreen"
    except RuntimeError:
        message = "there is no home directory to keep the key of pseudonyms in"
        raise PseudonymKeyError(message, hint=_HOME_HINT) from None


def load_key(named: Path | None = None, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return the key of pseudonyms, and make one where there is none yet.

    Parameters
    ----------
    named
        A key file that several users or machines share; it must be there. Without one,
        ``$CXRSCREEN_PHI_KEY`` names it; else it is ``pseudonym.key`` in the configuration
        folder, which is made when it is first needed: 32 random bytes, with mode 600 in a folder
        with mode 700. Runs that make it at the same time get the same one.

    Returns
    -------
    bytes
        32 of them.

    Raises
    ------
    PseudonymKeyError
        It cannot be read or made, has another length, or others may read it.
    """
    if named is None and (variable := environ.get(KEY_VARIABLE)):
        named = Path(variable)
    if named is not None:
        return _read(named)
    path = config_folder(environ) / KEY_NAME
    if not os.path.lexists(path):
        try:
            _make(path)
        except OSError as error:
            message = f"{path}: the key of pseudonyms cannot be made: {_why(error)}"
            raise PseudonymKeyError(message, hint=_HOME_HINT) from error
    return _read(path)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp's files are for their owner alone.
    descriptor, name = tempfile.mkstemp(prefix=f".{KEY_NAME}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        # A link and no rename: of two runs, the first one's key stands.
        with contextlib.suppress(FileExistsError):
            _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(temporary.read_bytes())


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        # Opening a pipe would wait for somebody to write to it.
        content = b"" if stat.S_ISFIFO(status.st_mode) else _head(path)
    except OSError as error:
        message = f"{path}: the key of pseudonyms cannot be read: {_why(error)}"
        hint = "Give the file of 32 bytes that the other runs use, or leave the option out."
        raise PseudonymKeyError(message, hint=hint) from error
    if os.name == "posix" and status.st_mode & _OTHERS:
        message = f"{path}: others may read the key of pseudonyms (mode {status.st_mode & 0o777:o})"
        raise PseudonymKeyError(message, hint=f"If nobody has: chmod 600 {path}")
    if len(content) != KEY_BYTES:
        message = f"{path}: is no key of pseudonyms: it does not hold {KEY_BYTES} bytes"
        raise PseudonymKeyError(message, hint="Give the file that the other runs use.")
    return content


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(KEY_BYTES + 1)


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
