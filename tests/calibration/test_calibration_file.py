from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cxrscreen.calibration.calibration import (
    Calibration,
    Scores,
    parse_calibration,
    read_calibration,
)
from cxrscreen.calibration.document import CalibrationDocument, rounded
from cxrscreen.calibration.point_figures import figures_at
from cxrscreen.calibration.policies import Aim
from cxrscreen.calibration.programme import clustered_proportion
from cxrscreen.errors import CalibrationError, FingerprintMismatchError
from cxrscreen.vocabulary import Policy, Unit

POSITIVES, NEGATIVES = 80, 20
BOUND = {"model": "1" * 64, "preprocessing": "2" * 64, "engine": "e"}


def content(**changes: object) -> dict[str, object]:
    logits = [*np.linspace(-1, 5, POSITIVES).round(6), *np.linspace(-5, 1, NEGATIVES).round(6)]
    count = POSITIVES + NEGATIVES
    return {
        "schema_version": 1,
        "kind": "cxrscreen calibration",
        "name": "site",
        "bundle": "b",
        **BOUND,
        "version": "1",
        "calibrator": {"method": "platt", "knots": [(0.0, 0.5), (1.0, 2.0)]},
        "calibration_prevalence": POSITIVES / count,
        "operating_points": [
            {"name": "one", "score": 0.25, "policy": "youden"},
            {"name": "two", "score": 1.5, "lower_score": -0.5, "policy": "two-thresholds"},
        ],
        "data": {
            "images": count,
            "positives": POSITIVES,
            "patients": count,
            "not_screened": 0,
            "fingerprint": "3" * 64,
        },
        "scores": {
            "patients": [f"{number:016x}" for number in range(count)],
            "labels": [1] * POSITIVES + [0] * NEGATIVES,
            "logits": logits,
        },
        "counts": {"reject_code": {"": count}},
        **changes,
    }


def calibration(**changes: object) -> Calibration:
    return Calibration(CalibrationDocument.model_validate(content(**changes)))


RAW = calibration().document.to_bytes()


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "site.json"
    path.write_bytes(RAW)
    read = read_calibration(path)
    assert read.document == calibration().document
    assert json.loads(RAW)["sha256"] == read.sha256
    assert [point.name for point in read.points] == ["one", "two"]
    assert read.default_point is read.points[0]
    assert read.points[1].lower_threshold < read.points[1].threshold


@given(place=st.integers(0, len(RAW) - 1), bit=st.integers(0, 7))
def test_one_changed_bit_is_refused(place, bit):
    changed = bytearray(RAW)
    changed[place] ^= 1 << bit
    with pytest.raises(CalibrationError):
        parse_calibration(bytes(changed), "here")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind": "cxrscreen calibration"}',
        b'{"kind": "cxrscreen evaluation", "sha256": "0"}',
        RAW[:-1],
        RAW + b"\n",
        json.dumps(json.loads(RAW)).encode(),
    ],
)
def test_what_is_no_calibration_is_said_to_be_none(raw):
    with pytest.raises(CalibrationError, match="here: ") as found:
        parse_calibration(raw, "here")
    assert found.value.hint


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, Path("x" * 300)):
        with pytest.raises(CalibrationError) as found:
            read_calibration(path)
        assert "cxrscreen calibrate" in found.value.hint


def test_another_content_that_vouches_for_itself_is_another_calibration():
    moved = content()
    moved["operating_points"][0]["score"] = 3.0
    other = Calibration(CalibrationDocument.model_validate(moved))
    assert other.sha256 != calibration().sha256


ONE = {"name": "one", "score": 0.25, "policy": "youden"}
SCORES = content()["scores"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"operating_points": []}, "at least 1"),
        ({"operating_points": [ONE, ONE]}, "share a name"),
        ({"operating_points": [{**ONE, "lower_score": 1.0}]}, "above score"),
        ({"operating_points": [{**ONE, "score": float("nan")}]}, "finite"),
        ({"operating_points": [{**ONE, "name": "<b>"}]}, "pattern"),
        ({"data": None}, "go together"),
        ({"scores": None}, "go together"),
        ({"scores": {**SCORES, "labels": [1]}}, "one length"),
        ({"scores": {**SCORES, "labels": [2] * 100}}, "0 or 1"),
        ({"scores": {**SCORES, "patients": ["Smith"] * 100}}, "pattern"),
        ({"scores": {"patients": [], "labels": [], "logits": []}}, "not empty"),
        ({"calibration_prevalence": None, "site_prevalence": 0.1}, "needs"),
        ({"site_prevalence": 1.0}, "less than 1"),
        ({"calibrator": {"method": "platt", "knots": [(0.0, 1.0), (1.0, 0.0)]}}, "increasing"),
        ({"surprise": 1}, "not permitted"),
        ({"schema_version": 2}, "1"),
    ],
)
def test_an_impossible_calibration_is_not_made(changes, said):
    with pytest.raises(ValidationError, match=said):
        calibration(**changes)


def test_a_target_recall_is_fitted_to_the_scores_that_it_keeps():
    kept = calibration()
    for unit in Unit:
        point = kept.at_target_recall(0.9, confidence=0.9, unit=unit)
        aim = Aim(Policy.TARGET_RECALL, target_recall=0.9, confidence=0.9, unit=unit)
        choice = kept.scores.choose(aim)
        assert (point.name, point.score) == (aim.name, choice.score)
        assert point.guarantees == choice.guarantees
        assert point.threshold == kept.calibrator.probability(choice.score)
        assert (point.model, point.preprocessing, point.engine) == tuple(BOUND.values())
    assert kept.at_target_recall(0.95).score < kept.at_target_recall(0.8).score


def test_too_few_for_a_target_says_how_many_are_needed():
    with pytest.raises(CalibrationError, match="299 are needed"):
        calibration().at_target_recall(0.99)


def test_without_scores_there_is_nothing_to_fit_to():
    with pytest.raises(CalibrationError, match="keeps no calibration scores") as found:
        calibration(data=None, scores=None).at_target_recall(0.9)
    assert "--calibration" in found.value.hint


def test_another_prevalence_moves_probabilities_and_no_decision():
    kept = calibration()
    rare = kept.at_prevalence(0.05)
    for ours, theirs in zip(kept.points, rare.points, strict=True):
        assert (ours.score, ours.lower_score) == (theirs.score, theirs.lower_score)
        assert theirs.threshold < ours.threshold
        # The odds of the two prevalences are all that differs (Bayes).
        factor = (0.05 / 0.95) / (0.8 / 0.2)
        odds = ours.threshold / (1 - ours.threshold) * factor
        assert theirs.threshold == pytest.approx(odds / (1 + odds))
    assert rare.at_target_recall(0.9).score == kept.at_target_recall(0.9).score
    # It is still the same file that vouches.
    assert rare.sha256 == kept.sha256
    assert rare.at_prevalence(0.8).points == kept.at_prevalence(0.8).points
    with pytest.raises(CalibrationError, match="prevalence is not known"):
        calibration(calibration_prevalence=None).at_prevalence(0.1)


def test_it_is_refused_with_anything_else():
    calibration().require(**BOUND)
    for name in BOUND:
        with pytest.raises(FingerprintMismatchError, match=name):
            calibration().require(**{**BOUND, name: "other"})


def test_a_point_that_it_does_not_have():
    assert calibration().point("two").score == 1.5
    with pytest.raises(CalibrationError, match="no operating point three") as found:
        calibration().point("three")
    assert found.value.hint == "It has: one, two."


def test_scores_must_be_what_they_are_called():
    def scores(logits, labels, patients):
        return Scores(np.array(logits), np.array(labels), np.array(patients))

    assert scores([1.0], [1], ["a"]).labels.size == 1
    for bad in (([np.nan], [1], ["a"]), ([1.0], [2], ["a"]), ([1.0, 2.0], [1], ["a"])):
        with pytest.raises(ValueError, match=r"finite|length"):
            scores(*bad)
    with pytest.raises(ValueError, match="not finite"):
        rounded(float("inf"))


def test_figures_of_a_point_are_shares_of_images():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=60), rng.integers(0, 2, 60)
    patients = rng.integers(0, 30, 60).astype(str)
    figures = figures_at((0.25, 0.25), logits, labels, patients, level=0.9)
    flagged = logits >= 0.25
    assert figures.recall[0] == pytest.approx(flagged[labels == 1].mean())
    assert figures.specificity[0] == pytest.approx(1 - flagged[labels == 0].mean())
    assert figures.flag_rate == clustered_proportion(flagged, patients, level=0.9)
    assert figures.level == 0.9
    for share, low, high in (figures.recall, figures.specificity, figures.flag_rate):
        assert 0 <= low <= share <= high <= 1
    with pytest.raises(CalibrationError, match="no normal image"):
        figures_at((0.0, 0.0), logits, np.ones(60), patients)
