"""Rows of a run that never was, for the page of the worklist: many of them, and hostile ones."""

from __future__ import annotations

import functools

import numpy as np

from cxrscreen.maps.thumbnails import overlay_of, thumbnail_of
from cxrscreen.preprocess import PreprocessSpec
from cxrscreen.records import Guarantee, OperatingPoint, RunSummary
from cxrscreen.reports.html import WorklistPage, WorklistRow
from cxrscreen.reports.table import COLUMNS
from cxrscreen.vocabulary import Decision, Quantity, RejectCode, Unit

HOSTILE = (
    "</script><script>document.title='taken'</script>\"'><img src=x onerror=alert(1)>\u202egpj.exe"
)
SPEC = PreprocessSpec()
POINT = OperatingPoint(
    *("recall-0.95", 0.2, 0.55, "model", "preprocessing", "engine"),
    guarantees=(Guarantee(Quantity.RECALL, 0.95, 0.95, Unit.PATIENT, 369, 10, "exact binomial"),),
)
CODES = (RejectCode.OUTSIDE_AGE_RANGE, RejectCode.DECODE_FAILED, RejectCode.WRONG_VIEW)


@functools.cache
def pictures(kind: int) -> tuple[bytes, bytes]:
    """Return a thumbnail as large as real ones, and the same under a map."""
    rng = np.random.default_rng(kind)
    down, across = np.mgrid[0:224, 0:224] / 224
    grey = 0.5 + 0.3 * np.sin(9 * down + kind) * np.cos(7 * across) + 0.08 * rng.random((224, 224))
    spot = np.exp(-30 * ((down - rng.random()) ** 2 + (across - rng.random()) ** 2))
    small = thumbnail_of(grey.clip(0, 1).astype(np.float32), (2048, 2500), SPEC)
    return small, overlay_of(small, spot.astype(np.float32), SPEC)


def cells(rank: int, decision: Decision, probability: float | None, **changes):
    judged = decision is not Decision.NOT_SCREENED
    row = dict.fromkeys(column.name for column in COLUMNS)
    row |= {
        "source": f"/pacs/export/2026-11-25/folder-{rank % 37}/image-{rank}.dcm",
        "status": "SCREENED" if judged else "NOT_SCREENED",
        "decision": decision.value,
        "probability": probability,
        "priority_rank": rank,
        "threshold": POINT.threshold if judged else None,
        "reject_code": None if judged else CODES[rank % len(CODES)].value,
        "reject_reason": None if judged else "age 64.4 years is outside the intended 1 to 5 years",
        "age_years": None if rank % 9 == 0 else rank % 6 + 0.5,
        "sex": "FM"[rank % 2],
        "view": "PA",
        "study_instance_uid": f"1.2.826.0.1.3680043.8.498.{rank:032d}",
    }
    if rank % 4 == 0:
        row["warnings"] = "the age is not known; BurnedInAnnotation is YES"
    return row | changes


def rows_of(count: int) -> list[WorklistRow]:
    """Return rows as a night has them: an eighth flagged with a map, a tenth refused."""
    made = []
    for rank in range(1, count + 1):
        small, under_map = pictures(rank % 61)
        if rank <= count // 8:
            row = cells(rank, Decision.POSITIVE, 1 - 0.4 * rank / count)
            made.append(WorklistRow(row, small, under_map, f"maps/{rank:06d}-0123456789ab.png"))
        elif rank <= count // 8 + count // 10:
            made.append(WorklistRow(cells(rank, Decision.NOT_SCREENED, None)))
        else:
            row = cells(rank, Decision.NEGATIVE, 0.5 - 0.5 * rank / count)
            made.append(WorklistRow(row, small))
    return made


def page_of(rows: list[WorklistRow], **changes) -> WorklistPage:
    decisions = [Decision(str(row.cells["decision"])) for row in rows]
    codes = [RejectCode(str(row.cells["reject_code"])) for row in rows if row.cells["reject_code"]]
    facts = {
        "bundle": "cnn-pediatric",
        "version": "9.9",
        "point": POINT,
        "summary": RunSummary(
            len(rows),
            {decision: decisions.count(decision) for decision in set(decisions)},
            {code: codes.count(code) for code in set(codes)},
            seconds=3725.0,
        ),
        "shown": len(rows),
        "intended_use": "Frontal chest radiographs of children aged 1 to 5.",
        "limitations": ("It has seen no adult.",),
        "facts": (("Bundle, SHA-256", "ab" * 32), ("Engine", "torch-float32-1")),
        "reports": ("report.csv",),
        "method": "Grad-CAM++",
    }
    return WorklistPage(**(facts | changes))
