"""The limits hold the truth as often as they say: a small simulation, and a larger one by -m slow.

The whole study is ``python -m tools.coverage_study``; docs/intervals.md has its numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tools.coverage_study import SCENARIOS, draw, population, run, study, table

#: What the study shows for each row; rows that are not used are there to fail.
LEAST = 0.94


def too_rare(found, runs):
    """Rows whose intervals hold the truth less often than chance explains at 94%."""
    fewest = binom.ppf(1e-4, runs, LEAST)
    return [one for one in found if "not used" not in one.row and one.covered * runs < fewest]


def test_the_population_is_that_of_a_large_sample():
    scenario = SCENARIOS[2]
    rng = np.random.default_rng(0)
    samples = [draw(scenario, rng) for _ in range(400)]
    truth = np.concatenate([one.truth for one in samples])
    scores = np.concatenate([one.scores for one in samples])
    expected = population(scenario.separation, scenario.threshold, scenario.slope)
    flagged = scores >= scenario.threshold
    assert np.mean(flagged[truth]) == pytest.approx(expected["recall"], abs=0.01)
    assert np.mean(~flagged[~truth]) == pytest.approx(expected["specificity"], abs=0.01)
    assert np.mean(truth[flagged]) == pytest.approx(expected["precision"], abs=0.01)
    assert np.mean(truth == flagged) == pytest.approx(expected["accuracy"], abs=0.01)


def test_a_run_does_not_depend_on_the_number_of_jobs_or_runs():
    scenario = SCENARIOS[4]
    assert run(scenario, (0, 4, 1), 100) == run(scenario, (0, 4, 1), 100)
    found = study(scenario, runs=3, seed=0, replicates=100)
    assert {one.runs for one in found} <= {1, 2, 3}
    assert table(found).count("\n") == len(found) + 1


@pytest.mark.parametrize("scenario", [SCENARIOS[1], SCENARIOS[4]], ids=lambda one: one.name)
def test_limits_hold_the_truth(scenario):
    found = study(scenario, runs=60, seed=1, replicates=100)
    assert too_rare(found, 60) == []


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_limits_hold_the_truth_as_often_as_they_say(scenario):
    found = study(scenario, runs=400, seed=2, replicates=400)
    assert too_rare(found, 400) == []
    rows = {(one.row, one.methods[0]): one for one in found}
    if scenario.name == "clustered, moderate":
        # Images taken as independent: the study must be able to see that they are not.
        naive = rows["not used: ROC-AUC", "DeLong, images"]
        assert naive.covered < LEAST
