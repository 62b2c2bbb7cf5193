"""The files of a bundle."""

from __future__ import annotations

import errno
import hashlib
import stat
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises
    ------
    OSError
        It cannot be read, or is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        # Reading a pipe could block for ever.
        raise OSError(errno.EINVAL, "is no regular file")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
