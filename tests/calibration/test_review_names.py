from __future__ import annotations

import numpy as np
import pytest

from cxrscreen.calibration.document import PointDocument
from cxrscreen.calibration.policies import Aim, choose
from cxrscreen.vocabulary import Policy

LONG = 0.12345678901234567


def test_thresholds_of_different_confidence_have_different_names():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    logits = np.round(rng.normal(size=400) + labels, 6)
    patients = [f"{number:016x}" for number in range(400)]
    chosen = {}
    for confidence in (0.5, 0.95, 0.99):
        aim = Aim(Policy.TARGET_RECALL, target_recall=0.9, confidence=confidence)
        choice = choose(aim, logits, labels, patients)
        chosen[choice.name] = choice.score
    assert list(chosen) == ["recall-0.9-confidence-0.5", "recall-0.9", "recall-0.9-confidence-0.99"]
    assert len(set(chosen.values())) == 3


def test_what_guarantees_nothing_is_not_named_by_a_confidence():
    assert Aim(Policy.YOUDEN, confidence=0.9).name == "youden"
    assert Aim(Policy.COST, cost_ratio=20, confidence=0.9).name == "cost-20"


@pytest.mark.parametrize("confidence", [0.95, LONG])
def test_the_longest_name_fits_into_a_file(confidence):
    aim = Aim(
        Policy.TWO_THRESHOLDS, target_recall=LONG, target_specificity=1e-05, confidence=confidence
    )
    assert PointDocument(name=aim.name, score=0.0, policy=aim.policy).name == aim.name
