"""Runs commands in one process in which nothing may reach for the network.

``python tests/no_network.py JSON``: a list of lists of arguments. Exit code 99 if anything
tried, whatever became of the attempt; else the largest of the commands.
"""

from __future__ import annotations

import atexit
import json
import os
import sys

FORBIDDEN = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
}
REACHED: list[str] = []


def _forbid(event: str, _arguments: object) -> None:
    if event in FORBIDDEN:
        REACHED.append(event)
        message = f"{event}: the network is forbidden"
        raise PermissionError(message)


def _report() -> None:
    if REACHED:
        print("reached for the network:", *REACHED, file=sys.stderr, flush=True)  # noqa: T201
        os._exit(99)


def main() -> None:
    from cxrscreen.cli.app import app  # noqa: PLC0415 - after the hook

    worst = 0
    for arguments in json.loads(sys.argv[1]):
        if arguments == ["reach out"]:
            _reach_out()
            continue
        try:
            app(arguments)
        except SystemExit as end:
            worst = max(worst, int(end.code or 0))
    sys.exit(worst)


def _reach_out() -> None:
    """Do what a sender of usage data does: try, and keep quiet about failing."""
    import contextlib  # noqa: PLC0415
    import socket  # noqa: PLC0415

    with contextlib.suppress(OSError):
        socket.create_connection(("192.0.2.1", 443), timeout=0.1)


if __name__ == "__main__":
    # First, so that it runs last: after threads that others leave behind.
    atexit.register(_report)
    sys.addaudithook(_forbid)
    main()
