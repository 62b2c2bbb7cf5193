from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from cxrscreen.calibration.programme import programme
from cxrscreen.reports.calibration import programme_table


def test_a_terminal_of_80_columns_has_room_for_the_whole_programme():
    rng = np.random.default_rng(0)
    labels = np.repeat((0, 1), 300)
    logits = rng.normal(size=600) + 3 * labels
    thresholds = {"recall-0.95": 1.2, "recall-0.98+specificity-0.95 (upper)": 1.7, "f2": 4.5}
    rows = programme(
        logits, labels, np.arange(600).astype(str), thresholds=thresholds, prevalence=0.05
    )
    printed = {}
    for width in (80, 200):
        console = Console(width=width, file=io.StringIO())
        console.print(programme_table(rows))
        printed[width] = console.file.getvalue()  # type: ignore[attr-defined]
    for row in rows:
        read = row.number_needed_to_read
        assert read.high is not None
        for text in printed.values():
            assert f"{read.value:.2f}" in text
            assert f"{read.low:.2f}–{read.high:.{0 if read.high >= 10 else 2}f}" in text
            assert f"{row.npv.low:.3f}–{row.npv.high:.3f}" in text
