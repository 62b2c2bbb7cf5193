from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from cxrscreen.calibration.fit import fit_calibrator, fit_method
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import CalibrationMethod

FITTED = [method for method in CalibrationMethod if method is not CalibrationMethod.NONE]


def draw(log_odds_of, *, images=1500, seed=3):
    """Return logits, labels and patients where the true log-odds are a function of the logit."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, images)
    labels = (rng.random(images) < expit(log_odds_of(logits))).astype(int)
    return logits, labels, [f"patient {number // 2}" for number in range(images)]


@pytest.mark.parametrize(
    ("log_odds_of", "method"),
    [
        (lambda logit: logit, CalibrationMethod.NONE),
        (lambda logit: 0.4 * logit, CalibrationMethod.TEMPERATURE),
        (lambda logit: 0.5 * logit - 1.5, CalibrationMethod.PLATT),
        (lambda logit: np.where(logit > 0, 6.0, -1.5), CalibrationMethod.ISOTONIC),
    ],
)
def test_the_simplest_method_that_is_as_good_is_chosen(log_odds_of, method):
    fitted = fit_calibrator(*draw(log_odds_of))
    assert fitted.calibrator.method is method
    assert str(method) in fitted.reason
    assert [one.method for one in fitted.losses] == list(CalibrationMethod)
    chosen = next(one for one in fitted.losses if one.method is method)
    assert 0 <= chosen.behind <= chosen.behind_error
    for simpler in fitted.losses[: fitted.losses.index(chosen)]:
        assert simpler.behind > simpler.behind_error


def test_the_true_probabilities_are_found():
    logits, labels, patients = draw(lambda logit: 0.5 * logit - 1.5, images=4000)
    fitted = fit_calibrator(logits, labels, patients)
    at = np.linspace(-3, 3, 7)
    assert fitted.calibrator.probabilities(at) == pytest.approx(expit(0.5 * at - 1.5), abs=0.04)
    assert fitted.prevalence == labels.mean()


def test_the_loss_without_calibration_is_that_of_the_logits():
    logits, labels, patients = draw(lambda logit: logit)
    loss = fit_calibrator(logits, labels, patients).losses[0]
    each = -np.log(expit(np.where(labels == 1, logits, -logits)))
    assert loss.loss == pytest.approx(each.mean())
    pairs = (each - each.mean()).reshape(-1, 2).sum(axis=1)
    assert loss.standard_error == pytest.approx(pairs.std(ddof=1) * math.sqrt(750) / 1500)


def test_copies_of_an_image_do_not_make_the_choice_surer():
    logits, labels, _ = draw(lambda logit: 0.8 * logit, images=200)
    once = fit_calibrator(logits, labels, np.arange(200))
    often = fit_calibrator(np.repeat(logits, 5), np.repeat(labels, 5), np.repeat(range(200), 5))
    for one, copied in zip(once.losses[:1], often.losses[:1], strict=True):
        assert copied.standard_error == pytest.approx(one.standard_error)


@pytest.mark.parametrize("method", [CalibrationMethod.PLATT, CalibrationMethod.TEMPERATURE])
def test_a_line_is_that_of_scikit_learn(method):
    logits, labels, _ = draw(lambda logit: 0.5 * logit - 1.5, images=400)
    positives = int(labels.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (400 - positives + 2)
    weights = np.where(labels == 1, high, low)
    intercept = method is CalibrationMethod.PLATT
    oracle = LogisticRegression(C=1e12, fit_intercept=intercept, tol=1e-10, max_iter=1000).fit(
        np.concatenate((logits, logits))[:, None],
        np.repeat([1, 0], 400),
        np.concatenate((weights, 1 - weights)),
    )
    start, step = fit_method(method, logits, labels).log_odds([0.0, 1.0])
    assert step - start == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
    assert start == pytest.approx(oracle.intercept_[0] if intercept else 0.0, abs=1e-4)


def test_isotonic_goes_through_the_centres_of_the_blocks():
    logits, labels, _ = draw(lambda logit: np.where(logit > 0, 2.0, -2.0), images=300)
    calibrator = fit_method(CalibrationMethod.ISOTONIC, logits, labels)
    positives = int(labels.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (300 - positives + 2)
    blocks = IsotonicRegression().fit_transform(logits, np.where(labels == 1, high, low))
    blocks = blocks.round(12)
    for value in np.unique(blocks):
        centre = logits[blocks == value].mean()
        assert calibrator.probability(centre) == pytest.approx(value)


@given(
    st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 1)), min_size=2, max_size=40),
    st.sampled_from(FITTED),
)
@settings(deadline=None, max_examples=60)
def test_every_method_rises_everywhere_whatever_the_data(images, method):
    logits, labels = np.array(images, dtype=float).T
    probabilities = fit_method(method, logits, labels).probabilities(np.linspace(-12, 12, 97))
    assert (np.diff(probabilities) > 0).all()
    assert 0 < probabilities[0] < probabilities[-1] < 1


@pytest.mark.parametrize("method", FITTED)
def test_separated_classes_have_a_finite_slope(method):
    logits, labels = np.repeat([-5.0, 5.0], 20), np.repeat([0, 1], 20)
    calibrator = fit_method(method, logits, labels)
    assert calibrator.probabilities([-5, 5]) == pytest.approx([1 / 22, 21 / 22], abs=1e-4)
    chosen = fit_calibrator(logits, labels, np.arange(40)).calibrator
    assert 0 < chosen.probability(-5) < chosen.probability(5) < 1


def test_three_positives_are_enough_to_choose_something_simple():
    rng = np.random.default_rng(5)
    logits = np.concatenate((rng.normal(-2, 1, 60), [1.0, 2.0, 3.0]))
    fitted = fit_calibrator(logits, np.repeat([0, 1], [60, 3]), np.arange(63))
    assert fitted.calibrator.method is not CalibrationMethod.ISOTONIC


def test_a_score_that_falls_is_made_all_but_flat():
    logits, labels, _ = draw(lambda logit: -logit)
    for method in FITTED:
        low, high = fit_method(method, logits, labels).probabilities([-2.0, 2.0])
        assert 0 < high - low < 0.01


def test_the_same_seed_gives_the_same_calibration():
    sample = draw(lambda logit: 0.7 * logit, images=300)
    assert fit_calibrator(*sample, seed=4) == fit_calibrator(*sample, seed=4)


@pytest.mark.parametrize(
    ("logits", "labels", "patients", "message"),
    [
        ([0.0, 1.0], [1, 1], ["a", "b"], "no normal image"),
        ([0.0, 1.0], [0, 0], ["a", "b"], "no pneumonia image"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], ["a", "b", "c", "c"], "1 patient with pneumonia"),
        ([1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1], "abcd", "are equal"),
        ([0.0, math.nan], [0, 1], ["a", "b"], "not finite"),
        ([0.0, 1.0], [0, 2], ["a", "b"], "0 or 1"),
        ([0.0, 1.0], [0, 1], ["a", ""], "1 of 2 images have no patient"),
        ([0.0, 1.0], [0, 1], ["a", math.nan], "no patient"),
        ([0.0, 1.0], [0, 1], ["a", None], "no patient"),
        ([0.0, 1.0], [0, 1], ["a", pd.NA], "no patient"),
        ([0.0, 1.0, 2.0], [0, 1], ["a", "b"], "one length"),
        ([], [], [], "no image"),
    ],
)
def test_a_sample_that_cannot_be_calibrated_with_is_refused(logits, labels, patients, message):
    with pytest.raises(CalibrationError, match=message):
        fit_calibrator(logits, labels, list(patients))
