from __future__ import annotations

import math

import numpy as np
import pytest

from cxrscreen.vocabulary import Unit
from tools.guarantee_study import (
    IMAGE_RULES,
    LONG_TAIL,
    RULES,
    WORLDS,
    World,
    by_patient,
    empirical_quantile,
    least_share_held,
    study,
)


def test_the_true_recall_of_a_world_is_that_of_many_draws():
    world = World("long tail", 40000, LONG_TAIL)
    cluster = world.draw(np.random.default_rng(0), 0)
    found = cluster.scores >= 1.5
    for unit in Unit:
        weights = cluster.weights(unit)
        assert world.recall(1.5, unit) == pytest.approx(
            np.average(found, weights=weights), abs=0.01
        )
    assert world.recall(1.5, Unit.IMAGE) < world.recall(1.5, Unit.PATIENT) - 0.01
    assert world.recall(world.best_threshold(0.95, Unit.IMAGE), Unit.IMAGE) == pytest.approx(0.95)


def test_the_guarantee_holds_and_a_quantile_does_not():
    rules = {"ours": (by_patient, Unit.PATIENT), "quantile": (empirical_quantile, Unit.IMAGE)}
    runs = 120
    for ours, quantile in zip(
        *[iter(study(WORLDS, rules, runs=runs, seed=1, targets=(0.9,)))] * 2, strict=True
    ):
        assert ours.held >= least_share_held(runs)
        assert quantile.held < 0.7
        assert 0 < ours.excess < 0.04
        assert ours.refused == 0


def test_a_rule_that_cannot_show_the_target_is_counted_as_refusing():
    few = World("20 patients", 20, {1: 1})
    (outcome,) = study((few,), {"ours": (by_patient, Unit.PATIENT)}, runs=3, seed=0, targets=(0.9,))
    assert outcome.refused == 1
    assert math.isnan(outcome.held)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_valid_rule_holds_and_the_simple_ones_do_not(world):
    runs = 1000
    for outcome in study((world,), RULES, runs=runs, seed=7):
        simple = outcome.rule.startswith("quantile") or (
            "as if independent" in outcome.rule and len(world.sizes) > 1
        )
        assert (outcome.held < 0.9) if simple else (outcome.held >= least_share_held(runs))


@pytest.mark.slow
def test_the_guarantee_by_image_holds():
    runs, world = 200, World("1,000 patients", 1000, {1: 8, 2: 2, 5: 1})
    ours, naive = study((world,), IMAGE_RULES, runs=runs, seed=7, targets=(0.9,))
    assert ours.held >= least_share_held(runs)
    assert naive.held < 0.9
