from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from cxrscreen.drift.compare import Verdict, compare
from cxrscreen.drift.reference import (
    Identity,
    Period,
    Reference,
    reference_of,
)
from cxrscreen.errors import CalibrationError, FingerprintMismatchError
from cxrscreen.vocabulary import age_group

IDENTITY = Identity("m", "p", "e", "b")


def period(scores, identity=IDENTITY, **counts):
    scores = np.asarray(scores, dtype=np.float64)
    return Period("period", scores, counts, identity, scores.size)


def labelled(rng, negatives=150, positives=400):
    scores = np.concatenate((rng.normal(-4, 2, negatives), rng.normal(3, 2, positives)))
    labels = np.repeat(np.array([0, 1]), (negatives, positives))
    return Reference(scores, {}, labels, "bundle", None, IDENTITY)


def by_name(comparison):
    return {test.name: test for test in comparison.tests}


def test_scores_are_compared_by_scipys_kolmogorov_smirnov(rng):
    ours, theirs = rng.normal(size=300), rng.normal(0.2, 1, size=200)
    test = by_name(compare(reference_of(period(ours)), period(theirs)))["distribution"]
    oracle = ks_2samp(ours, theirs)
    assert test.statistic == pytest.approx(oracle.statistic)
    assert test.p == pytest.approx(oracle.pvalue)


def test_another_prevalence_is_no_drift_of_a_labelled_reference(rng):
    reference = labelled(rng)
    site = period(np.concatenate((rng.normal(-4, 2, 285), rng.normal(3, 2, 15))))
    found = compare(reference, site)
    assert not found.drifted
    assert found.mixture is not None
    assert found.mixture.prevalence == pytest.approx(0.05, abs=0.03)
    # Pooled, as of an earlier report, it would alarm.
    assert compare(reference_of(period(reference.scores)), site).drifted


def test_a_shift_is_a_drift_of_a_labelled_reference(rng):
    site = period(np.concatenate((rng.normal(-6, 2, 285), rng.normal(1, 2, 15))))
    assert by_name(compare(labelled(rng), site))["distribution"].verdict is Verdict.DRIFT


def test_rejects_overall_and_by_code_without_copies(rng):
    scores = rng.normal(size=200)
    ours = {"": 480, "WRONG_VIEW": 10, "ROTATED": 10, "DUPLICATE": 0}
    theirs = {"": 180, "WRONG_VIEW": 4, "ROTATED": 30, "DUPLICATE": 300}
    tests = by_name(
        compare(reference_of(period(scores, reject_code=ours)), period(scores, reject_code=theirs))
    )
    assert tests["overall"].verdict is tests["ROTATED"].verdict is Verdict.DRIFT
    assert tests["WRONG_VIEW"].verdict is Verdict.NONE
    assert "DUPLICATE" not in tests
    assert tests["overall"].period == "15.9% of 214"


def test_headers_say_what_moved_and_what_is_not_known(rng):
    scores = rng.normal(size=200)
    ours = reference_of(period(scores, view={"PA": 180, "AP": 20}, sex={"F": 200}))
    tests = by_name(compare(ours, period(scores, view={"PA": 100, "AP": 100}, sex={"F": 200})))
    assert tests["view"].verdict is Verdict.DRIFT
    assert {tests["view"].reference[:2], tests["view"].period[:2]} <= {"PA", "AP"}
    assert tests["sex"].verdict is tests["manufacturer"].verdict is Verdict.NOT_COMPARED


def test_too_few_rows_are_shown_and_do_not_count(rng):
    found = compare(
        reference_of(period(rng.normal(size=300), reject_code={"": 300, "ROTATED": 1})),
        period(rng.normal(9, 1, size=19), reject_code={"": 19}),
    )
    assert {test.verdict for test in found.tests[:3]} == {Verdict.TOO_FEW}
    assert (found.counted, found.drifted) == (0, ())


def test_a_stability_index_alone_never_alarms(rng):
    ours, theirs = rng.normal(size=40), rng.normal(size=20)
    test = by_name(compare(reference_of(period(ours)), period(theirs)))["stability index"]
    assert test.psi is not None
    assert test.psi > 0.25
    assert test.word == "moved"
    assert test.verdict is Verdict.NONE


def test_the_same_seed_gives_the_same(rng):
    ours, theirs = labelled(rng), period(rng.normal(size=100))
    assert compare(ours, theirs, seed=3) == compare(ours, theirs, seed=3)


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        (Identity("other", "p", "e", "b"), "another model than"),
        (Identity("m", "q", "f", "b"), "another preprocessing, engine than"),
        (Identity("", "p", "e", "c"), "another bundle than"),
        (Identity("", "", "", ""), "another bundle, preprocessing, engine than"),
    ],
)
def test_another_model_is_refused_by_name(rng, theirs, named):
    with pytest.raises(FingerprintMismatchError, match=named):
        compare(reference_of(period(rng.normal(size=50))), period([1.0], identity=theirs))


def test_a_bundle_that_was_calibrated_again_is_the_same_model(rng):
    again = Identity("m", "p", "e", "another hash")
    scores = rng.normal(size=50)
    assert not compare(reference_of(period(scores)), period(scores, identity=again)).drifted


@pytest.mark.parametrize(
    ("scores", "labels", "recall"),
    [
        ([], None, None),
        ([1.0, np.nan], None, None),
        ([1.0, 2.0], [1, 1], None),
        ([1.0, 2.0], [0, 1, 1], None),
        ([1.0, 2.0], [0, 2], None),
        ([1.0, 2.0], None, 1.0),
    ],
)
def test_a_reference_that_cannot_be_one(scores, labels, recall):
    with pytest.raises(CalibrationError):
        Reference(
            np.array(scores),
            {},
            None if labels is None else np.array(labels),
            "reference",
            recall,
            IDENTITY,
        )


def test_age_groups():
    ages = (None, 0.5, 1.0, 2.99, 3.0, 5.9, 6.0, 17.9, 40.0, 64.9, 65.0, 101.0)
    assert [age_group(age) for age in ages] == [
        "",
        "under 1",
        "1 to 2",
        "1 to 2",
        "3 to 5",
        "3 to 5",
        "6 to 11",
        "12 to 17",
        "40 to 64",
        "40 to 64",
        "65 and over",
        "65 and over",
    ]
