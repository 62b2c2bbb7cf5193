from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from cxrscreen.calibration.betting import allowed_by_betting
from cxrscreen.calibration.guarantee import (
    BETTING,
    EXACT,
    EXACT_DRAWN,
    HAIR,
    allowed_errors,
    recall_threshold,
    specificity_threshold,
    units_needed,
)
from cxrscreen.calibration.sample import checked_sample
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import Quantity, Unit

shares = st.floats(0.5, 0.99)


def singles(scores, *, label=1):
    """Return logits, labels and patients: one image each, and one of the other class."""
    number = len(scores)
    logits = np.concatenate((scores, [0.0]))
    return logits, [label] * number + [1 - label], [f"p{one}" for one in range(number + 1)]


def clustered(patients, *, seed=0, most=4):
    """Return logits, labels and patients with up to so many images each, all pneumonia."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), rng.integers(1, most + 1, patients))
    logits = rng.normal(size=patients)[owners] + rng.normal(0, 0.5, owners.size)
    return logits, np.ones(owners.size), [f"p{owner}" for owner in owners]


@given(st.integers(1, 400), shares, shares)
@settings(deadline=None)
def test_so_many_errors_are_allowed_as_the_bound_of_clopper_and_pearson_permits(
    units, target, confidence
):
    def bound(errors):
        test = binomtest(errors, units, alternative="less")
        return test.proportion_ci(confidence, method="exact").high

    allowed = allowed_errors(units, target, confidence)
    if allowed is not None:
        assert bound(allowed) <= 1 - target + 1e-9
    more = 0 if allowed is None else allowed + 1
    assert bound(more) > 1 - target - 1e-9


@pytest.mark.parametrize(
    ("target", "errors", "units"),
    [(0.95, 0, 59), (0.95, 1, 93), (0.95, 4, 181), (0.9, 0, 29), (0.98, 0, 149), (0.99, 0, 299)],
)
def test_the_known_sample_sizes(target, errors, units):
    assert units_needed(target, 0.95, errors) == units
    assert allowed_errors(units, target, 0.95) == errors
    assert allowed_errors(units - 1, target, 0.95) == (errors - 1 if errors else None)


def test_two_hundred_and_three_positives_allow_four_misses():
    assert allowed_errors(203, 0.95, 0.95) == 4


def test_a_bound_that_is_met_exactly_is_met():
    assert allowed_errors(1, 0.1, 0.9) == 0
    assert allowed_errors(2, 0.2, 0.96) == 0


@given(st.integers(60, 300), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_the_threshold_is_the_order_statistic_of_wilks(patients, seed):
    scores = np.random.default_rng(seed).normal(size=patients)
    choice = recall_threshold(*singles(scores), target=0.95)
    allowed = allowed_errors(patients, 0.95, 0.95)
    assert choice.guarantee.errors == allowed == (scores < choice.score).sum()
    assert choice.decisive == np.sort(scores)[allowed]
    assert choice.observed == pytest.approx(1 - allowed / patients)
    assert (choice.guarantee.units, choice.guarantee.method) == (patients, EXACT)
    assert (choice.patients, choice.images) == (patients, patients)


@given(
    st.lists(st.integers(-4, 4), min_size=29, max_size=80),
    st.sampled_from([1.0, 1e-3, 1e-5, 1e-300, 2.0**52]),
    st.sampled_from(Unit),
)
@settings(deadline=None)
def test_the_threshold_lies_a_hair_away_and_passes_no_other_score(scores, step, unit):
    sample = singles(np.array(scores) * step)
    logits, labels, _ = sample
    choice = recall_threshold(*sample, target=0.9, unit=unit)
    assert choice.decisive - 1.01 * HAIR <= choice.score <= choice.decisive
    assert not ((logits >= choice.score) & (logits < choice.decisive)).any()
    # Ties are flagged together, so that no more are missed than the bound permits.
    assert choice.guarantee.errors == (logits[np.array(labels) == 1] < choice.decisive).sum()
    mirrored = specificity_threshold(
        -logits, 1 - np.array(labels), sample[2], target=0.9, unit=unit
    )
    assert -mirrored.decisive == choice.decisive
    assert mirrored.score > mirrored.decisive
    assert mirrored.score <= max(
        mirrored.decisive + 1.01 * HAIR, math.nextafter(mirrored.decisive, math.inf)
    )
    assert not ((-logits < mirrored.score) & (-logits > mirrored.decisive)).any()
    assert mirrored.guarantee.errors == choice.guarantee.errors
    assert mirrored.guarantee.quantity is Quantity.SPECIFICITY


@pytest.mark.parametrize("find", [recall_threshold, specificity_threshold])
@pytest.mark.parametrize("unit", Unit)
def test_one_positive_too_few_is_an_error_that_says_how_many_are_needed(find, unit):
    label = int(find is recall_threshold)
    scores = np.linspace(1, 2, 59)
    assert find(*singles(scores, label=label), target=0.95, unit=unit).guarantee.errors == 0
    with pytest.raises(CalibrationError, match=r"there are 58 patients .* 59 are needed") as error:
        find(*singles(scores[1:], label=label), target=0.95, unit=unit)
    assert "at least 1 patient" in error.value.hint
    assert "0.9496 at most" in error.value.hint
    assert find(*singles(scores[1:], label=label), target=0.9496, unit=unit).score != 0


def test_images_of_one_patient_are_one_unit():
    logits, labels, patients = singles(np.linspace(1, 2, 58))
    copies = (np.repeat(logits, 3), np.repeat(labels, 3), np.repeat(patients, 3))
    with pytest.raises(CalibrationError, match="58 patients"):
        recall_threshold(*copies, target=0.95)


def test_each_image_of_a_patient_speaks_equally_often():
    patients = 3000
    owners = np.repeat(np.arange(patients), 3)
    ranks = np.tile([0.0, 1.0, 2.0], patients)
    keys = [f"patient {owner}" for owner in owners]
    drawn = checked_sample(ranks, np.ones(ranks.size), keys).of_class(positive=True)
    counts = np.bincount(drawn.one_per_patient().astype(int))
    assert counts.sum() == patients
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("unit", Unit)
def test_neither_the_order_nor_the_company_of_images_moves_the_threshold(unit):
    logits, labels, patients = (np.array(part) for part in clustered(500))
    choice = recall_threshold(logits, labels, patients, target=0.9, unit=unit)
    order = np.random.default_rng(1).permutation(logits.size)
    shuffled = (part[order] for part in (logits, labels, patients))
    assert recall_threshold(*shuffled, target=0.9, unit=unit) == choice
    # A normal image of the same patient is of the other class.
    more = recall_threshold(
        np.append(logits, -99.0),
        np.append(labels, 0),
        np.append(patients, "p0"),
        target=0.9,
        unit=unit,
    )
    assert more == choice
    assert choice.guarantee.unit is unit
    assert choice.guarantee.method == (BETTING if unit is Unit.IMAGE else EXACT_DRAWN)


def test_more_is_asked_for_a_higher_target_or_confidence():
    sample = clustered(900)
    for unit in Unit:
        scores = [
            recall_threshold(*sample, target=target, confidence=confidence, unit=unit).score
            for target, confidence in ((0.85, 0.9), (0.9, 0.9), (0.9, 0.95), (0.95, 0.99))
        ]
        assert scores == sorted(scores, reverse=True)


def test_too_few_images_by_image_point_to_the_patient():
    with pytest.raises(CalibrationError, match="up to 4 of one patient") as error:
        recall_threshold(*clustered(70), target=0.95, unit=Unit.IMAGE)
    assert error.value.hint.startswith("Take the patient as the unit, or")
    assert recall_threshold(*clustered(70), target=0.95).guarantee.units == 70
    with pytest.raises(CalibrationError, match="by image") as error:
        recall_threshold(*clustered(40), target=0.95, unit=Unit.IMAGE)
    assert "(59 needed)" in error.value.hint


def test_betting_seldom_wins_against_a_fair_game():
    rng = np.random.default_rng(8)
    patients, rate, runs = 120, 0.2, 200
    won = 0
    for _ in range(runs):
        sizes = rng.integers(1, 4, patients)
        owners = np.repeat(np.arange(patients), sizes)
        # All images of a patient err together, at exactly the rate.
        erring = (rng.random(patients) < rate)[owners]
        order = np.argsort(~erring, kind="stable")
        allowed = allowed_by_betting(
            owners[order],
            np.ones(owners.size),
            np.arange(patients),
            rate=rate,
            confidence=0.9,
        )
        won += allowed is not None and allowed >= erring.sum()
    assert won / runs <= 0.1 + 3 * math.sqrt(0.09 / runs)


def test_betting_is_not_much_stricter_than_the_exact_bound_on_independent_images():
    number = 1000
    allowed = allowed_by_betting(
        np.random.default_rng(0).permutation(number),
        np.ones(number),
        np.arange(number),
        rate=0.05,
        confidence=0.95,
    )
    exact = allowed_errors(number, 0.95, 0.95)
    assert 0.7 * exact < allowed <= exact


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, math.nan])
def test_targets_and_confidences_that_are_no_shares_are_refused(value):
    sample = singles(np.linspace(1, 2, 80))
    with pytest.raises(CalibrationError, match="target"):
        recall_threshold(*sample, target=value)
    with pytest.raises(CalibrationError, match="confidence"):
        specificity_threshold(*sample, target=0.9, confidence=value)
    with pytest.raises(CalibrationError, match="target"):
        allowed_errors(10, value, 0.95)
    with pytest.raises(CalibrationError, match="confidence"):
        units_needed(0.9, value)


def test_a_class_that_is_missing_is_named():
    with pytest.raises(CalibrationError, match="no pneumonia image: all 2 are normal"):
        recall_threshold([1.0, 2.0], [0, 0], ["a", "b"], target=0.9)
