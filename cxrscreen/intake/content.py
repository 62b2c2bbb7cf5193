"""The bytes of one input: a file on disk, or a member of an archive held in memory."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from cxrscreen.errors import ImageRefusedError
from cxrscreen.vocabulary import RejectCode


@dataclass(frozen=True, slots=True)
class Content:
    """What readers take, so that a file and a member of an archive are read alike.

    Attributes
    ----------
    path
        The file; of a member, the archive that it lies in.
    data
        The bytes of a member, ``None`` for a file.
    """

    path: Path
    data: bytes | None = None

    def open(self) -> BinaryIO:
        """Return a seekable stream at the first byte.

        Raises
        ------
        ImageRefusedError
            ``UNREADABLE_FILE`` where it cannot be opened, ``NOT_AN_IMAGE`` for a pipe, a
            socket or a device, which are never opened: reading them could block for ever.
        """
        if self.data is not None:
            return BytesIO(self.data)
        try:
            mode = self.path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise ImageRefusedError(
                    RejectCode.UNREADABLE_FILE, "the folder cannot be listed (permission denied?)"
                )
            if not stat.S_ISREG(mode):
                raise ImageRefusedError(RejectCode.NOT_AN_IMAGE, "not a regular file")
            return self.path.open("rb")
        except OSError as error:
            raise _unreadable(error) from error

    def head(self, count: int) -> bytes:
        """Return up to ``count`` first bytes.

        Raises
        ------
        ImageRefusedError
            As :meth:`open`.
        """
        if self.data is not None:
            return self.data[:count]
        try:
            with self.open() as stream:
                return stream.read(count)
        except OSError as error:
            raise _unreadable(error) from error

    def size(self) -> int:
        """Return the number of bytes.

        Raises
        ------
        ImageRefusedError
            As :meth:`open`.
        """
        if self.data is not None:
            return len(self.data)
        with self.open() as stream:
            return os.fstat(stream.fileno()).st_size


def _unreadable(error: OSError) -> ImageRefusedError:
    reason = f"cannot be opened: {error.strerror or type(error).__name__}"
    return ImageRefusedError(RejectCode.UNREADABLE_FILE, reason)
