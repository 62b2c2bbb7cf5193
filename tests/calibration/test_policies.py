from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, roc_curve

from cxrscreen.calibration.guarantee import recall_threshold, specificity_threshold
from cxrscreen.calibration.policies import SAME_IMAGES, Aim, choose
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import Policy, Unit

images = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 1)), min_size=2, max_size=30).filter(
    lambda drawn: len({label for _, label in drawn}) == 2
)


def by_image(policy, **numbers):
    return Aim(policy, unit=Unit.IMAGE, **numbers)


def normal_scores(shift, *, patients=400, seed=2):
    """Return logits, labels and patients of two classes, one image each."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], patients)
    return rng.normal(shift * labels, 1), labels, np.arange(2 * patients)


@given(images)
@settings(deadline=None)
def test_youden_has_the_largest_sum_of_recall_and_specificity(drawn):
    logits, labels = np.array(drawn, dtype=float).T
    choice = choose(by_image(Policy.YOUDEN), logits, labels, np.arange(logits.size))
    flagged = logits >= choice.score
    alarms, recall, _ = roc_curve(labels, logits)
    reached = flagged[labels == 1].mean() - flagged[labels == 0].mean()
    assert reached == pytest.approx((recall - alarms).max())
    assert choice.name == "youden"
    assert choice.guarantees == ()
    assert SAME_IMAGES in choice.notes


@given(images, st.sampled_from([0.5, 1.0, 2.0]))
@settings(deadline=None, max_examples=20)
def test_f_beta_is_the_largest_that_scikit_learn_finds(drawn, beta):
    logits, labels = np.array(drawn, dtype=float).T
    aim = by_image(Policy.F_BETA, beta=beta)
    choice = choose(aim, logits, labels, np.arange(logits.size))

    def figure(threshold):
        return fbeta_score(labels, logits >= threshold, beta=beta, zero_division=0)

    assert figure(choice.score) == pytest.approx(max(figure(one) for one in logits))
    assert choice.name == f"f{beta:g}"


@given(images, st.sampled_from([0.5, 3.0, 20.0]), st.sampled_from([0.02, 0.5]))
@settings(deadline=None)
def test_cost_is_the_least_of_all_thresholds(drawn, ratio, prevalence):
    logits, labels = np.array(drawn, dtype=float).T
    aim = by_image(Policy.COST, cost_ratio=ratio, prevalence=prevalence)
    choice = choose(aim, logits, labels, np.arange(logits.size))

    def cost(threshold):
        missed = (logits[labels == 1] < threshold).mean()
        alarms = (logits[labels == 0] >= threshold).mean()
        return prevalence * ratio * missed + (1 - prevalence) * alarms

    assert cost(choice.score) == pytest.approx(min(cost(one) for one in (*logits, 99.0)))
    # Of equals the lowest.
    assert cost(choice.score - 1) > cost(choice.score) - 1e-9
    assert choice.name == f"cost-{ratio:g}"


def test_a_dearer_miss_lowers_the_threshold():
    sample = normal_scores(1.5)
    scores = [
        choose(Aim(Policy.COST, cost_ratio=ratio, prevalence=0.05), *sample).score
        for ratio in (1, 10, 100)
    ]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_by_patient_copies_of_an_image_count_nothing():
    logits, labels, patients = normal_scores(1.5, patients=60)
    often = np.repeat(np.arange(logits.size), np.where(logits > 1, 7, 1))
    for aim in (Aim(Policy.YOUDEN), Aim(Policy.F_BETA, beta=2), Aim(Policy.COST, cost_ratio=5)):
        copied = choose(aim, logits[often], labels[often], patients[often])
        assert copied == choose(aim, logits, labels, patients)


def test_the_threshold_between_separated_classes_lies_midway():
    choice = choose(Aim(Policy.YOUDEN), [-4.0, -2.0, 2.0, 4.0], [0, 0, 1, 1], list("abcd"))
    assert choice.score == 0.0


def test_flagging_all_or_none_is_said():
    sample = ([0.0, 1.0, 2.0], [1, 0, 0], ["a", "b", "c"])
    all_flagged = choose(by_image(Policy.COST, cost_ratio=1e6), *sample)
    assert all_flagged.score < 0
    assert "it flags every calibration image" in all_flagged.notes
    none_flagged = choose(by_image(Policy.COST, cost_ratio=1e-6), *sample)
    assert none_flagged.score > 2
    assert "it flags no calibration image" in none_flagged.notes


def test_a_target_comes_with_its_guarantee():
    sample = normal_scores(2)
    choice = choose(Aim(Policy.TARGET_RECALL, target_recall=0.95, confidence=0.9), *sample)
    found = recall_threshold(*sample, target=0.95, confidence=0.9)
    assert (choice.score, choice.guarantees) == (found.score, (found.guarantee,))
    assert choice.name == "recall-0.95-confidence-0.9"
    assert (choice.lower_score, choice.notes) == (None, ())
    choice = choose(Aim(Policy.TARGET_SPECIFICITY, target_specificity=0.9), *sample)
    found = specificity_threshold(*sample, target=0.9)
    assert (choice.score, choice.guarantees) == (found.score, (found.guarantee,))
    assert choice.name == "specificity-0.9"


TWO = Aim(Policy.TWO_THRESHOLDS, target_recall=0.98, target_specificity=0.95)


def test_between_two_thresholds_an_image_is_indeterminate():
    sample = normal_scores(1.5)
    choice = choose(TWO, *sample)
    assert choice.name == "recall-0.98+specificity-0.95"
    assert choice.lower_score == recall_threshold(*sample, target=0.98).score
    assert choice.score == specificity_threshold(*sample, target=0.95).score
    assert choice.lower_score < choice.score
    assert any("0.9 at least" in note for note in choice.notes)


def test_two_thresholds_that_cross_become_one_that_keeps_both_promises():
    logits, labels, patients = normal_scores(8)
    choice = choose(TWO, logits, labels, patients)
    lower = recall_threshold(logits, labels, patients, target=0.98)
    upper = specificity_threshold(logits, labels, patients, target=0.95)
    assert choice.lower_score is None
    assert upper.score < choice.score < lower.score
    recall, specificity = choice.guarantees
    assert recall.errors == (logits[labels == 1] < choice.score).sum()
    assert specificity.errors == (logits[labels == 0] >= choice.score).sum()
    assert recall.errors <= lower.guarantee.errors
    assert specificity.errors <= upper.guarantee.errors
    assert any("one threshold" in note for note in choice.notes)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"policy": Policy.FIXED}, "set, not calibrated"),
        ({"policy": Policy.TARGET_RECALL}, "needs a target recall"),
        ({"policy": Policy.TWO_THRESHOLDS, "target_recall": 0.9}, "needs a target specificity"),
        ({"policy": Policy.F_BETA}, "needs a beta"),
        ({"policy": Policy.F_BETA, "beta": 0.0}, "beta 0 is not a number above 0"),
        ({"policy": Policy.COST, "cost_ratio": float("nan")}, "cost ratio nan"),
        ({"policy": Policy.YOUDEN, "prevalence": 1.0}, "prevalence 1 is not between"),
        ({"policy": Policy.TARGET_RECALL, "target_recall": 95.0}, "target recall 95"),
    ],
)
def test_an_aim_that_lacks_a_number_is_refused(numbers, message):
    with pytest.raises(CalibrationError, match=message):
        Aim(**numbers)


@pytest.mark.parametrize("policy", [Policy.YOUDEN, Policy.TARGET_RECALL])
def test_a_policy_needs_both_classes(policy):
    aim = Aim(policy, target_recall=0.5)
    with pytest.raises(CalibrationError, match="no normal image"):
        choose(aim, [1.0, 2.0, 3.0, 4.0, 5.0], [1] * 5, list("abcde"))
