from __future__ import annotations

import pytest

from cxrscreen.records import Guarantee
from cxrscreen.reports.read import guaranteed_recall
from cxrscreen.vocabulary import Quantity, Unit


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.95, "95%"), (0.975, "97.5%"), (0.995, "99.5%"), (0.9999, "99.99%"), (0.8, "80%")],
)
def test_a_guarantee_never_promises_more_confidence_than_it_has(confidence, said):
    guarantee = Guarantee(Quantity.RECALL, 0.95, confidence, Unit.PATIENT, 400, 3, "exact")
    assert f"with {said} confidence" in guarantee.sentence()


@pytest.mark.parametrize("target", [0.95, 0.9999999, 0.123456789])
def test_a_guarantee_says_the_very_target_that_is_watched_later(target):
    guarantee = Guarantee(Quantity.RECALL, target, 0.95, Unit.PATIENT, 400, 3, "exact")
    assert guaranteed_recall(guarantee.sentence()) == target
