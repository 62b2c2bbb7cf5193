from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxrscreen import load_bundle
from cxrscreen.calibration.calibration import read_calibration
from cxrscreen.calibration.policies import Aim
from cxrscreen.data.split import Split
from cxrscreen.errors import BundleError, CalibrationError, DatasetError
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.drift import calibration_reference
from cxrscreen.study.programme import programme_of
from cxrscreen.vocabulary import Policy, Quantity


@pytest.fixture(scope="module")
def small(maker, tmp_path_factory):
    """A bundle whose calibration part is too small for any guarantee, written twice."""
    folder = tmp_path_factory.mktemp("small")
    split = maker.split
    few = [[i for i in split.calibration if i.label == label][:4] for label in (0, 1)]
    few_split = replace(split, calibration=(*few[0], *few[1]))
    return maker.write(folder / "a", few_split), maker.write(folder / "b", few_split), folder


def test_a_large_enough_part_gives_points_with_guarantees(released, maker):
    made, folder = released
    names = [point.name for point in made.calibration.points]
    assert names == ["recall-0.95", "recall-0.9"]
    (note,) = made.notes
    assert "149 are needed" in note
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for point in made.calibration.points:
        (guarantee,) = point.guarantees
        assert guarantee.quantity is Quantity.RECALL
        assert point.name == f"recall-{guarantee.target:g}"
        assert point.guarantee() in card
    data = made.calibration.document.data
    recorded = made.document.training.calibration
    assert (data.images, data.positives) == (recorded.images, recorded.positives)
    assert data.fingerprint == recorded.fingerprint
    assert data.images == len(maker.split.calibration)


def test_the_bundle_is_one_that_loads_and_is_bound_to_its_model(released, packaged):
    made, folder = released
    bundle = load_bundle(folder)
    assert bundle.calibration.document == made.calibration.document
    assert bundle.model_fingerprint == bundle.default_point.model != packaged.model_fingerprint
    assert bundle.document.files["calibration.json"]
    point = bundle.calibration.at_target_recall(0.9)
    assert point.score == bundle.calibration.point("recall-0.9").score


def test_the_threshold_is_the_highest_that_holds(released):
    calibration = released[0].calibration
    scores = calibration.scores
    for point in calibration.points:
        (guarantee,) = point.guarantees
        aim = Aim(Policy.TARGET_RECALL, target_recall=guarantee.target)
        assert scores.choose(aim).score == point.score
        flagged = scores.logits >= point.score
        assert flagged[scores.labels == 1].mean() >= guarantee.target


def test_too_small_a_part_falls_back_and_says_so(small):
    made, _, folder = small
    assert [point.name for point in made.calibration.points] == ["fixed-0.5"]
    assert made.calibration.default_point.guarantees == ()
    assert made.calibration.scores is None
    assert any("are needed" in note for note in made.notes)
    assert made.notes[-1] == "nothing is guaranteed at the operating point"
    card = (folder / "a" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "It was set, not calibrated" in card
    assert load_bundle(folder / "a").default_point.score == 0.0
    with pytest.raises(CalibrationError, match="keeps no calibration scores"):
        load_bundle(folder / "a").calibration.at_target_recall(0.9)


def test_the_same_training_gives_the_same_bytes(small):
    folders = [small[2] / name for name in "ab"]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_without_a_calibration_part_nothing_is_guaranteed(maker, tmp_path):
    split = Split(maker.split.training, maker.split.validation)
    made = maker.write(tmp_path / "plain", split)
    assert made.notes == ("no calibration part: nothing is guaranteed",)
    bundle = load_bundle(tmp_path / "plain")
    assert bundle.document.training.calibration is None
    with pytest.raises(BundleError, match="without a calibration part"):
        bundle_part(bundle, tmp_path, "calibration")
    for work in (
        lambda: calibration_reference(bundle.calibration),
        lambda: programme_of(bundle.calibration, prevalence=0.1, per=100),
        lambda: bundle.calibration.at_prevalence(0.1),
    ):
        with pytest.raises(CalibrationError):
            work()


def test_parts_are_found_again(released, maker, study_folder, tmp_path):
    bundle = load_bundle(released[1])
    for name, part in maker.split.parts().items():
        assert bundle_part(bundle, study_folder, name) == part
    with pytest.raises(DatasetError, match="no such folder"):
        bundle_part(bundle, tmp_path / "none", "training")


def test_a_reference_of_drift_takes_one_image_of_a_patient_and_class(released):
    calibration = released[0].calibration
    scores, reference = calibration.scores, calibration_reference(calibration, bundle_sha256="x")
    pairs = dict.fromkeys(zip(scores.patients.tolist(), scores.labels.tolist(), strict=True))
    assert reference.scores.size == len(pairs) < scores.logits.size
    assert reference.labels.tolist() == [label for _, label in pairs]
    assert set(reference.scores) <= set(scores.logits)
    assert reference.identity.model == calibration.document.model
    assert reference.counts == calibration.counts


def test_a_programme_has_a_row_for_each_threshold(site):
    from_file = read_calibration(site[1])
    rows = programme_of(from_file, prevalence=0.05, per=1000)
    thresholds = []
    for point in from_file.points:
        if point.lower_score is None:
            thresholds.append((point.name, point.score))
        else:
            thresholds.append((f"{point.name} (lower)", point.lower_score))
            thresholds.append((f"{point.name} (upper)", point.score))
    assert len(thresholds) > len(from_file.points)
    assert [(row.name, row.score) for row in rows] == thresholds
    for row in rows:
        assert row.flagged.value == pytest.approx(
            50 * row.recall.value + 950 * (1 - row.specificity.value)
        )
        assert np.isfinite(row.flagged.low)
