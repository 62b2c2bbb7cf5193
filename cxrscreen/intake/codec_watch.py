"""Hear what a codec says of a damaged image, and refuse it.

libjpeg fills in damaged blocks, says so on the process's stderr, and reports success. A lung
that was made up must not be judged.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Final

from cxrscreen.output import require_standard_streams

_STDERR: Final = 2
# One at a time, because a process has one stderr.
_LOCK: Final = threading.Lock()
_COMPLAINTS: Final = (
    b"Corrupt JPEG data",
    b"Premature end of JPEG file",
    b"Invalid JPEG file structure",
    b"Unsupported marker type",
)


class DamagedImageError(ValueError):
    """A codec complained of the image that it decoded."""


@contextlib.contextmanager
def refuse_damage() -> Iterator[None]:
    """Read what is said on stderr while the block decodes; complaints end it.

    Whatever else is said there in the meantime, by another thread, is passed on.

    Raises
    ------
    DamagedImageError
        libjpeg complained.
    """
    with _LOCK, contextlib.ExitStack() as opened:
        require_standard_streams()
        said = opened.enter_context(tempfile.TemporaryFile())
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(_STDERR)
        os.dup2(said.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            said.seek(0)
            lines = said.read().splitlines(keepends=True)
            complaints = [line for line in lines if line.startswith(_COMPLAINTS)]
            others = b"".join(line for line in lines if line not in complaints)
            if others:
                os.write(_STDERR, others)
        if complaints:
            message = "the codec found the image damaged"
            raise DamagedImageError(message)
