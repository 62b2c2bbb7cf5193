"""Runs that are killed at random moments: some here, by ``-m slow``, more by the tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_killed_runs_come_to_the_report_of_one_that_nobody_disturbed():
    # In a process of its own, which it copies for each run.
    command = [sys.executable, "-m", "tools.kill_study", "--kills", "21", "--disks", "5"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    for what in ("the process", "its whole group", "a worker"):
        assert f"| {what} killed | 7 |" in result.stdout
