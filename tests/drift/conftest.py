from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

COLUMNS = (
    *("source", "status", "decision", "probability", "raw_score", "threshold", "operating_point"),
    *("duplicate_of", "reject_code", "reject_reason", "view", "age_years", "sex", "modality"),
    *("sop_instance_uid", "frame", "bundle_sha256", "preprocessing", "engine"),
    "cxrscreen_version",
)


def report_row(number: int, score: float | None, **cells: str) -> dict[str, str]:
    """One row as screen writes it; an image without a score is not screened."""
    row = dict.fromkeys(COLUMNS, "")
    row |= {
        "source": f"in/{number}.dcm",
        "status": "SCREENED",
        "view": "PA",
        "sop_instance_uid": f"1.2.{number}",
        "bundle_sha256": "b",
        "preprocessing": "p",
        "engine": "e",
    }
    if score is None:
        row |= {"status": "NOT_SCREENED", "decision": "NOT_SCREENED", "reject_code": "WRONG_VIEW"}
    else:
        row["raw_score"] = f"{score:.6f}"
        row["decision"] = "POSITIVE" if score >= 0 else "NEGATIVE"
        row |= {"threshold": "0.500000", "operating_point": "fixed-0.5"}
    return row | cells


@pytest.fixture
def make_report(tmp_path):
    """Write a report of scores, ``None`` for an image that was not screened, or of whole rows."""

    def make(rows, name: str = "report.csv", **cells: str) -> Path:
        written = [
            row if isinstance(row, dict) else report_row(number, row, **cells)
            for number, row in enumerate(rows)
        ]
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(written[0]) if written else COLUMNS)
            writer.writeheader()
            writer.writerows(written)
        return path

    return make


@pytest.fixture
def rng():
    return np.random.default_rng(20261)
