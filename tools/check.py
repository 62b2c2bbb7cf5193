"""Run every check of the project: format, lint, types, imports, docs, tests.

    python tools/check.py            all of them
    python tools/check.py lint types only these

Each runs even if one before it failed, so that one call shows all there is to mend.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
# Console scripts of the same environment, whether or not it is activated.
LINT_IMPORTS = str(Path(PYTHON).parent / "lint-imports")
CHECKS = {
    "format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "lint": [PYTHON, "-m", "ruff", "check", "."],
    "types": [PYTHON, "-m", "mypy"],
    "imports": [LINT_IMPORTS],
    "docs": [PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet"],
    "tests": [PYTHON, "-m", "pytest", "-n", "2", "-m", "not slow"],
}
# A busy machine may end one of the two test processes, or let a deadline pass. What failed is run
# once more, alone: a test that fails by itself fails again.
AGAIN = {"tests": [PYTHON, "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none"]}


def main(names: list[str]) -> int:
    """Run the named checks, all if none is named; return 1 if any failed."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        sys.stderr.write(f"no check named {unknown[0]}; there are: {', '.join(CHECKS)}\n")
        return 2
    # Two test processes with two threads each would wait for one another.
    # and MkDocs Material announces the end of MkDocs 1 at every build.
    environment = {"OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1", **os.environ}
    failed = []
    for name in names or CHECKS:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        started = time.monotonic()
        result = subprocess.run(CHECKS[name], cwd=ROOT, env=environment, check=False)  # noqa: S603
        if result.returncode and name in AGAIN:
            sys.stdout.write(f"== {name}: what failed, alone\n")
            sys.stdout.flush()
            result = subprocess.run(AGAIN[name], cwd=ROOT, env=environment, check=False)  # noqa: S603
        sys.stdout.write(
            f"== {name}: exit {result.returncode}, {time.monotonic() - started:.0f} s\n"
        )
        if result.returncode:
            failed.append(name)
    sys.stdout.write(f"failed: {', '.join(failed)}\n" if failed else "all checks passed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
