"""Simulate how often the intervals of ``cxrscreen.evaluation`` hold the truth.

``python -m tools.coverage_study --runs 2000`` prints the tables of docs/intervals.md as Markdown.
Scores are normal in both classes, so that every metric of the population is known. In the
clustered scenarios most patients have one image, some up to eight, whose scores correlate.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from cxrscreen.evaluation.assess import judge
from cxrscreen.evaluation.compare import Contender, compare
from cxrscreen.evaluation.delong import auc_interval
from cxrscreen.evaluation.estimates import TITLES
from cxrscreen.evaluation.exact import clopper_pearson
from cxrscreen.evaluation.intervals import Interval
from cxrscreen.evaluation.metrics import BINS, npv_at, ppv_at
from cxrscreen.evaluation.resampling import draws, ratios

Floats = NDArray[np.float64]

_PREVALENCE: Final = 0.3
_SITE_PREVALENCE: Final = 0.05
_SIZES: Final = (0.70, 0.12, 0.06, 0.04, 0.03, 0.02, 0.02, 0.01)
#: Of scores within a patient, and of the scores of the two models that are compared.
_WITHIN, _BETWEEN = 0.5, 0.9
#: Patients whose images are drawn with a label each, and not with one label for all.
_MIXED: Final = 0.2
_CHUNK: Final = 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """A population and a sample size.

    Attributes
    ----------
    name
        In the tables.
    patients
        In each sample.
    most
        Images of a patient.
    separation, other
        Distance of the two classes' mean scores in standard deviations, for the model and for
        the one that it is compared with.
    threshold
        Scores at or above it are flagged.
    slope
        Of the log odds that the model claims: 1 is calibrated, more is too sure.
    """

    name: str
    patients: int
    most: int
    separation: float
    other: float
    threshold: float
    slope: float


#: Recall 0.77 at AUC 0.86, and recall 0.95 at specificity 0.90 and AUC 0.98.
_MODERATE: Final = (1.5, 1.3, 0.75, 1.4)
_HIGH: Final = (2.926, 2.7, 1.2816, 1.0)
SCENARIOS: Final = (
    Scenario("independent, moderate", 400, 1, *_MODERATE),
    Scenario("independent, high", 400, 1, *_HIGH),
    Scenario("clustered, moderate", 250, 8, *_MODERATE),
    Scenario("clustered, high", 250, 8, *_HIGH),
    Scenario("clustered, high, few patients", 100, 8, *_HIGH),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Images of one simulated study, and the scores of two models."""

    truth: NDArray[np.bool_]
    scores: Floats
    others: Floats
    patients: NDArray[np.intp]


def draw(scenario: Scenario, rng: np.random.Generator) -> Sample:
    """Draw one study."""
    count = scenario.patients
    sizes = np.minimum(rng.choice(np.arange(1, 9), p=_SIZES, size=count), scenario.most)
    patients = np.repeat(np.arange(count), sizes)
    of_patient = (rng.random(count) < _PREVALENCE)[patients]
    mixed = (rng.random(count) < _MIXED)[patients]
    truth = np.where(mixed, rng.random(patients.size) < _PREVALENCE, of_patient)

    def noise() -> Floats:
        shared = rng.normal(size=count)[patients]
        own = rng.normal(size=patients.size)
        return math.sqrt(_WITHIN) * shared + math.sqrt(1 - _WITHIN) * own

    one = noise()
    two = _BETWEEN * one + math.sqrt(1 - _BETWEEN**2) * noise()
    return Sample(truth, one + scenario.separation * truth, two + scenario.other * truth, patients)


def probabilities(scores: Floats, separation: float, slope: float) -> Floats:
    """Return what the model claims: the true posterior where the slope is 1."""
    odds = separation * scores - separation**2 / 2
    claimed: Floats = expit(slope * odds + logit(_PREVALENCE))
    return claimed


@cache
def population(separation: float, threshold: float, slope: float) -> dict[str, float]:
    """Return every metric of the population, by numerical integration over the score."""
    grid, step = np.linspace(-9, 9 + separation, 400_001, retstep=True)
    positive = _PREVALENCE * norm.pdf(grid - separation) * step
    negative = (1 - _PREVALENCE) * norm.pdf(grid) * step
    claimed = probabilities(grid, separation, slope)
    recall = float(norm.cdf(separation - threshold))
    specificity = float(norm.cdf(threshold))
    precision = ppv_at(recall, specificity, _PREVALENCE)
    found, alarms = norm.sf(grid - separation), norm.sf(grid)
    precisions = _PREVALENCE * found / (_PREVALENCE * found + (1 - _PREVALENCE) * alarms)
    below = np.cumsum(positive + negative)
    members = np.minimum((below * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(members, weights=(positive + negative) * claimed - positive)
    return {
        "accuracy": _PREVALENCE * recall + (1 - _PREVALENCE) * specificity,
        "precision": precision,
        "recall": recall,
        "specificity": specificity,
        "f1": 2 * precision * recall / (precision + recall),
        "npv": npv_at(recall, specificity, _PREVALENCE),
        "roc_auc": float(norm.cdf(separation / math.sqrt(2))),
        "pr_auc": float(precisions @ positive / _PREVALENCE),
        "brier": float(positive @ (1 - claimed) ** 2 + negative @ claimed**2),
        "calibration_error": float(np.abs(gaps).sum()),
        "ppv_at_prevalence": ppv_at(recall, specificity, _SITE_PREVALENCE),
        "npv_at_prevalence": npv_at(recall, specificity, _SITE_PREVALENCE),
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """One interval of one run: where it lies, and how it was made."""

    row: str
    method: str
    too_low: bool
    too_high: bool
    width: float


def run(scenario: Scenario, seed: Sequence[int], replicates: int) -> list[Outcome]:
    """Draw one study and return where its intervals lie.

    Parameters
    ----------
    scenario
        The population.
    seed
        Of the study and its resamples.
    replicates
        Resamples of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    sample = draw(scenario, rng)
    models = [
        Contender(name, scores, probabilities(scores, apart, scenario.slope), scenario.threshold)
        for name, scores, apart in (
            ("model", sample.scores, scenario.separation),
            ("other", sample.others, scenario.other),
        )
    ]
    resampling = int(rng.integers(2**31))
    found = compare(
        models,
        sample.truth,
        sample.patients,
        replicates=replicates,
        seed=resampling,
        prevalence=_SITE_PREVALENCE,
    )
    truths, others = (
        population(apart, scenario.threshold, scenario.slope)
        for apart in (scenario.separation, scenario.other)
    )
    outcomes = [
        _outcome(estimate.title, estimate.method, estimate.interval, truths[estimate.name])
        for estimate in found.assessments[0].estimates
        if estimate.interval is not None
    ]
    outcomes += [
        _outcome(
            f"difference of {TITLES[one.metric]}",
            one.method,
            one.interval,
            others[one.metric] - truths[one.metric],
        )
        for one in found.versus[0].differences
        if one.interval is not None
    ]
    return outcomes + list(_contrast(models[0], sample, truths, replicates, resampling))


def _contrast(
    model: Contender, sample: Sample, truths: dict[str, float], replicates: int, seed: int
) -> Iterator[Outcome]:
    """Yield intervals that are not used: percentiles, and images taken as independent."""
    judged = judge(
        sample.truth,
        model.scores,
        model.probabilities,
        sample.patients,
        threshold_score=model.threshold_score,
    )
    drawn = np.concatenate(list(draws(judged.patients, replicates, seed, wide=judged.patients)))
    low, high = np.nanquantile(ratios(drawn @ judged.counts())["recall"], (0.025, 0.975))
    title = f"not used: {TITLES['recall']}"
    limits = Interval(float(low), float(high), 0.95)
    yield _outcome(title, "percentiles of the bootstrap", limits, truths["recall"])
    if judged.patients < judged.truth.size:
        found, positives = int((judged.flagged & judged.truth).sum()), int(judged.truth.sum())
        limits = clopper_pearson(found, positives)
        yield _outcome(title, "Clopper-Pearson, images", limits, truths["recall"])
        title = f"not used: {TITLES['roc_auc']}"
        limits = auc_interval(sample.truth, sample.scores)
        yield _outcome(title, "DeLong, images", limits, truths["roc_auc"])


def _outcome(row: str, method: str, interval: Interval, truth: float) -> Outcome:
    # A limit of 0 or 1 that rounding moved by 1e-16 still holds a truth of 0 or 1.
    too_low, too_high = interval.high < truth - 1e-12, interval.low > truth + 1e-12
    return Outcome(row, method, too_low, too_high, interval.high - interval.low)


@dataclass(frozen=True, slots=True)
class Coverage:
    """All runs of one row."""

    row: str
    methods: tuple[str, ...]
    runs: int
    too_low: float
    too_high: float
    width: float

    @property
    def covered(self) -> float:
        """Share of intervals that hold the truth."""
        return 1 - self.too_low - self.too_high


def study(
    scenario: Scenario, *, runs: int, seed: int, replicates: int, jobs: int = 1
) -> tuple[Coverage, ...]:
    """Return the coverage of every interval in one scenario.

    Parameters
    ----------
    scenario
        The population.
    runs
        Simulated studies.
    seed
        Of all of them; each has its own stream, whatever the number of jobs.
    replicates
        Resamples of each.
    jobs
        Processes.
    """
    chunks = [
        (scenario, seed, start, min(start + _CHUNK, runs), replicates)
        for start in range(0, runs, _CHUNK)
    ]
    if jobs == 1:
        parts = [_runs(*chunk) for chunk in chunks]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            parts = list(pool.map(_runs, *zip(*chunks, strict=True)))
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in (one for part in parts for one in part):
        key = outcome.row if "not used" not in outcome.row else f"{outcome.row}{outcome.method}"
        rows[key].append(outcome)
    return tuple(_coverage(outcomes) for outcomes in rows.values())


def _runs(scenario: Scenario, seed: int, start: int, stop: int, replicates: int) -> list[Outcome]:
    number = SCENARIOS.index(scenario)
    return [
        outcome
        for one in range(start, stop)
        for outcome in run(scenario, (seed, number, one), replicates)
    ]


def _coverage(outcomes: list[Outcome]) -> Coverage:
    methods = [outcome.method for outcome in outcomes]
    by_number = sorted(set(methods), key=methods.count, reverse=True)
    return Coverage(
        row=outcomes[0].row,
        methods=tuple(by_number),
        runs=len(outcomes),
        too_low=float(np.mean([outcome.too_low for outcome in outcomes])),
        too_high=float(np.mean([outcome.too_high for outcome in outcomes])),
        width=float(np.mean([outcome.width for outcome in outcomes])),
    )


def table(found: Sequence[Coverage]) -> str:
    """Return the coverage as a Markdown table."""
    lines = [
        "| interval | method | runs | covered | too low | too high | mean width |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.row} | {'; '.join(one.methods)} | {one.runs} | {one.covered:.1%} "
        f"| {one.too_low:.1%} | {one.too_high:.1%} | {one.width:.3f} |"
        for one in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=2000, help="simulated studies of a scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    for scenario in SCENARIOS:
        found = study(
            scenario,
            runs=arguments.runs,
            seed=arguments.seed,
            replicates=arguments.replicates,
            jobs=arguments.jobs,
        )
        sys.stdout.write(f"### {scenario.name.capitalize()}\n\n{table(found)}\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
