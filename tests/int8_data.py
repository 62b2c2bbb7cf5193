"""A bundle with an int8 model, made by the command line where the network is forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def isolated(
    commands: Sequence[Sequence[object]], home: Path, *, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run commands as ``tests/no_network.py`` does, with an empty home folder."""
    words = [[str(word) for word in command] for command in commands]
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    # What tells these libraries that nobody is to be counted must not be what makes a test pass.
    for name in ("CI", "NNCF_CI", "NNCF_DEV", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    return subprocess.run(
        [*before, sys.executable, str(ROOT / "tests" / "no_network.py"), json.dumps(words)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment,
        timeout=600,
    )
