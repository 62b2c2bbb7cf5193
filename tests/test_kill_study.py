"""Runs that are killed at random moments: some here, by ``-m slow``, more by the tool."""

from __future__ import annotations

import pytest

from tools.kill_study import can_mount, run_study


@pytest.mark.slow
def test_killed_runs_come_to_the_report_of_one_that_nobody_disturbed(tmp_path):
    # What differs is an error of the study.
    table = run_study(tmp_path, kills=20, disks=5, seed=7)
    assert "| the process killed | 7 |" in table
    assert "| its whole group killed | 7 |" in table
    assert ("| disks that ran full | none" in table) == bool(can_mount(tmp_path))
