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
    b"Bogus Huffman table definition",
    b"Corrupt JPEG data",
    b"Inconsistent progression sequence",
    b"Invalid JPEG file structure",
    b"Premature end of JPEG file",
    b"Unsupported marker type",
)


class DamagedImageError(ValueError):
    """A codec complained of the image that it decoded."""


@contextlib.contextmanager
def refuse_damage() -> Iterator[None]:
    """Read what is said on stderr while the block decodes; complaints end it.

    What else is said there in the meantime is dropped: codecs try one reading after another
    and comment on each, also for sound images. Another thread's lines would be lost with it.

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
            heard = said.read().splitlines()
        if any(line.startswith(_COMPLAINTS) for line in heard):
            message = "the codec found the image damaged"
            raise DamagedImageError(message)
