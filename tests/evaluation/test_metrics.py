from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cxrscreen.errors import MetricError
from cxrscreen.evaluation.metrics import confusion, roc_auc

CASES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda k: k / 20)), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


@settings(max_examples=80, deadline=None)
@given(CASES, st.integers(0, 20).map(lambda k: k / 20))
def test_metrics_equal_scikit_learns(rows, threshold):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    assert roc_auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores))
    counts = confusion(labels, scores, threshold=threshold)
    flagged = scores >= threshold
    assert counts.recall == pytest.approx(oracle.recall_score(labels, flagged))
    assert counts.specificity == pytest.approx(oracle.recall_score(1 - labels, ~flagged))
    assert counts.accuracy == pytest.approx(oracle.accuracy_score(labels, flagged))
    if flagged.any():
        assert counts.precision == pytest.approx(oracle.precision_score(labels, flagged))
    else:
        with pytest.raises(MetricError, match="precision"):
            _ = counts.precision


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([1, 1], [0.1, 0.2]),
        ([0, 2], [0.1, 0.2]),
        ([0, 1], [0.1, np.nan]),
        ([0, 1], [0.1]),
        ([], []),
    ],
)
def test_what_has_no_auc_is_a_named_error(labels, scores):
    with pytest.raises(MetricError):
        roc_auc(labels, scores)
