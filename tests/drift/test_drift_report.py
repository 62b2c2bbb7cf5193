from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from cxrscreen.drift.compare import compare
from cxrscreen.drift.recall_watch import watch_recall
from cxrscreen.drift.reference import Identity, Period, Reference
from cxrscreen.reports.drift import DriftFindings, as_json, print_drift
from cxrscreen.reports.drift_input import Truth

IDENTITY = Identity("m", "p", "e", "b")


def findings(rng, *, shift: float = 0.0, size: int = 300, missed=()) -> DriftFindings:
    """A period with half as many ill as the labelled reference, and what was found."""
    labels = np.repeat(np.array([0, 1]), (100, 300))
    scores = np.where(labels == 1, 3.0, -4.0) + rng.normal(0, 2, labels.size)
    reference = Reference(
        scores, {"view": {"PA": 99, "AP": 1}}, labels, "cnn-[pediatric]", 0.95, IDENTITY
    )
    grid = np.linspace(0.01, 0.99, size // 2)
    parts = [np.quantile(scores[labels == label], grid) for label in (0, 1)]
    period = Period(
        "r\x1b[31m.csv",
        np.concatenate(parts) + shift,
        {"reject_code": {"": size, "WRONG_VIEW": 3, "DUPLICATE": 4}, "view": {"PA": size}},
        IDENTITY,
        rows=size + 7,
        duplicates=4,
        patients=size,
    )
    truth = Truth(tuple(missed), 40, 60, 2, 1, 0.9, 0.1, "0" * 64)
    watch = watch_recall(missed, 0.95) if missed else None
    return DriftFindings(
        reference, period, compare(reference, period), truth if missed else None, watch, {}, 0
    )


def printed(found: DriftFindings) -> str:
    stream = io.StringIO()
    print_drift(Console(file=stream, width=80), found)
    return stream.getvalue()


def test_a_labelled_reference_tells_the_prevalence(rng):
    text = printed(findings(rng))
    assert "Prevalence that explains the scores best: " in text
    assert "no drift found" in text
    assert "4 copies left out, one row for each of 300 patients" in text


def test_nothing_breaks_the_page(rng):
    text = printed(findings(rng))
    assert "cnn-[pediatric]" in text
    assert "\x1b" not in text
    # The names of reference and period stand on lines of their own, as long as they are.
    assert max(map(len, text.splitlines()[2:])) <= 80


def test_no_prevalence_is_told_of_scores_that_do_not_fit(rng):
    found = findings(rng, shift=2.5)
    assert found.alarmed
    assert "no prevalence can be told" in " ".join(printed(found).split())


def test_a_lopsided_truth_is_warned_of(rng):
    text = printed(findings(rng, missed=[False] * 30))
    assert "misses stay unseen" in " ".join(text.split())
    assert "positives watched" in text


def test_a_wealth_beyond_counting_is_shown_short(rng):
    text = printed(findings(rng, missed=[True] * 25))
    assert "9.2e+26" in text
    assert "after 2 positives" in text


def test_so_few_rows_that_nothing_can_be_said(rng):
    found = findings(rng, size=10)
    assert not found.alarmed
    assert printed(found).splitlines()[-1] == "too few rows to say anything"


@pytest.mark.parametrize("missed", [(), (True,) * 20])
def test_the_document_says_the_same(rng, missed):
    found = findings(rng, missed=missed)
    document = json.loads(as_json(found, version="1"))
    assert document["alarm"] is found.alarmed is bool(missed)
    assert document["mixture"]["prevalence"] == pytest.approx(0.5, abs=0.05)
    assert document["reference"]["positives"] == 300
    assert document["tests_counted"] == sum(
        test["adjusted_p"] is not None for test in document["tests"]
    )
    assert (document["recall"] is None) is not bool(missed)
    if missed:
        assert document["recall"]["alarm_after"] == found.watch.alarm_after
