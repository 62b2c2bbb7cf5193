"""How a tool ends: as the commands do, in one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cxrscreen.errors import CxrScreenError


def exit_code(name: str, work: Callable[[], None]) -> int:
    """Do the work of a tool; return 0, or after one line on stderr what the error says."""
    try:
        work()
    except CxrScreenError as error:
        sys.stderr.write(f"{name}: {error.one_line()}\n")
        return error.exit_code
    return 0
