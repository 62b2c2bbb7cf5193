"""Measure in simulation whether the guarantee of a recall holds, and what it costs.

    python tools/guarantee_study.py [--runs 2000] [--seed 0] [--mapie]

Draws patients with pneumonia and their images from a world whose true recall is known at each
threshold, fits a threshold to a target recall with 95% confidence, and looks at the true
recall there; the same again for each run. Beside it stand the simple rules that people use,
which do not hold what they seem to promise, and other valid tests. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom, norm

from cxrscreen.calibration.betting import allowed_by_betting
from cxrscreen.calibration.guarantee import allowed_errors, recall_threshold
from cxrscreen.calibration.sample import Cluster
from cxrscreen.errors import CalibrationError
from cxrscreen.vocabulary import Unit

CONFIDENCE: Final = 0.95
TARGETS: Final = (0.90, 0.95, 0.98)
#: Images of a patient, and how many of 347 patients have so many: most have one, one has 30.
LONG_TAIL: Final = {1: 266, 2: 40, 3: 16, 4: 9, 5: 5, 6: 4, 8: 2, 10: 2, 15: 1, 20: 1, 30: 1}
#: A rule returns a threshold, or nothing where the images cannot show the target.
Rule = Callable[[Cluster, float], float | None]


@dataclass(frozen=True, slots=True)
class World:
    """Where patients come from.

    A normal image has a score from N(0, 1); one with pneumonia from N(3, 1), and lower by 0.3
    times the logarithm of how many images its patient has. Scores of one patient share a
    part of ``correlation`` of their variance.
    """

    name: str
    patients: int
    sizes: Mapping[int, int]
    correlation: float = 0.7

    def draw(self, rng: np.random.Generator, run: int) -> Cluster:
        """Return the images with pneumonia of newly drawn patients."""
        shares = np.array(list(self.sizes.values())) / sum(self.sizes.values())
        counts = rng.choice(list(self.sizes), size=self.patients, p=shares)
        owners = np.repeat(np.arange(self.patients), counts)
        own = rng.standard_normal(self.patients)[owners] * math.sqrt(self.correlation)
        rest = rng.standard_normal(owners.size) * math.sqrt(1 - self.correlation)
        scores = _mean_score(counts[owners]) + own + rest
        keys = tuple(f"{run:06}-{patient:06}" for patient in range(self.patients))
        return Cluster(scores, owners, keys)

    def recall(self, threshold: float, unit: Unit) -> float:
        """Return the true recall: of an image of a random patient, or of all images."""
        sizes, counts = np.array(list(self.sizes)), np.array(list(self.sizes.values()))
        weights = counts * (sizes if unit is Unit.IMAGE else 1)
        return float(weights @ norm.sf(threshold, _mean_score(sizes)) / weights.sum())

    def best_threshold(self, target: float, unit: Unit) -> float:
        """Return the threshold at which the true recall is the target."""
        return float(brentq(lambda at: self.recall(at, unit) - target, -20.0, 20.0))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule came to in a world, over all runs in which it gave a threshold.

    Attributes
    ----------
    held
        Share of them whose true recall is at least the target.
    excess
        Mean of true recall above the target.
    lost
        Mean of the specificity below that of the threshold with exactly the target recall.
    refused
        Share of runs without a threshold.
    """

    world: str
    rule: str
    target: float
    held: float
    excess: float
    lost: float
    refused: float


WORLDS: Final = (
    World("347 patients, one image each", 347, {1: 1}),
    World("347 patients, 1 to 30 images", 347, LONG_TAIL),
)
MANY_IMAGES: Final = (World("347 patients, 10 images each", 347, {10: 1}),)
MANY_PATIENTS: Final = (World("3,470 patients, 1 to 30 images", 3470, LONG_TAIL),)


def by_patient(cluster: Cluster, target: float) -> float | None:
    """Return the threshold of :func:`recall_threshold` with the patient as the unit."""
    return _ours(cluster, target, Unit.PATIENT)


def by_image(cluster: Cluster, target: float) -> float | None:
    """Return the threshold of :func:`recall_threshold` with the image as the unit."""
    return _ours(cluster, target, Unit.IMAGE)


def empirical_quantile(cluster: Cluster, target: float) -> float:
    """Return the highest threshold at which the recall of the sample is the target."""
    return float(np.quantile(cluster.scores, 1 - target, method="lower"))


def binomial_of_all_images(cluster: Cluster, target: float) -> float | None:
    """Return what the exact bound gives where images are taken to be independent."""
    allowed = allowed_errors(cluster.scores.size, target, CONFIDENCE)
    return None if allowed is None else float(np.sort(cluster.scores)[allowed])


def betting_on_all_images(cluster: Cluster, target: float) -> float | None:
    """Return the threshold of a betting test of the mean over patients, with all images."""
    order = np.argsort(cluster.scores, kind="stable")
    allowed = allowed_by_betting(
        cluster.owners[order],
        cluster.weights(Unit.PATIENT)[order],
        cluster.hashed_order(),
        rate=1 - target,
        confidence=CONFIDENCE,
    )
    return None if allowed is None else float(cluster.scores[order[allowed]])


def hoeffding_bentkus(cluster: Cluster, target: float) -> float | None:
    """Return the same with the test of Hoeffding and Bentkus (Learn Then Test, section 3.2)."""
    thresholds, missed = _missed_shares(cluster, target)
    number, rate = missed.shape[1], 1 - target
    mean = missed.mean(axis=1)
    low = np.minimum(mean, rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(low > 0, low * np.log(low / rate), 0.0)
    hoeffding = np.exp(-number * (first + (1 - low) * np.log((1 - low) / (1 - rate))))
    bentkus = math.e * binom.cdf(np.ceil(number * mean - 1e-9), number, rate)
    return _until_it_fails(thresholds, np.minimum(hoeffding, bentkus) <= 1 - CONFIDENCE)


def study(
    worlds: Sequence[World],
    rules: Mapping[str, tuple[Rule, Unit]],
    *,
    runs: int,
    seed: int,
    targets: Sequence[float] = TARGETS,
) -> Iterator[Outcome]:
    """Yield the outcome of each rule in each world for each target.

    Parameters
    ----------
    worlds
        Where patients come from.
    rules
        By name, with the unit of the recall that the rule speaks of.
    runs
        Number of calibrations; all rules see the same ones.
    seed
        Of the draws.
    targets
        Recalls.
    """
    for place, world in enumerate(worlds):
        found: dict[tuple[str, float], list[float | None]]
        found = {(rule, target): [] for rule in rules for target in targets}
        rng = np.random.default_rng([seed, place])
        for run in range(runs):
            cluster = world.draw(rng, run)
            for (name, target), thresholds in found.items():
                thresholds.append(rules[name][0](cluster, target))
        for (name, target), thresholds in found.items():
            yield _outcome(world, name, rules[name][1], target, thresholds)


def least_share_held(runs: int, probability: float = 0.001) -> float:
    """Return what the share of runs that hold falls short of with only this probability.

    Of a rule that holds in exactly 95% of all calibrations.
    """
    return float(binom.ppf(probability, runs, CONFIDENCE)) / runs


RULES: Final[dict[str, tuple[Rule, Unit]]] = {
    "**exact, one image per patient**": (by_patient, Unit.PATIENT),
    "betting, all images": (betting_on_all_images, Unit.PATIENT),
    "Hoeffding-Bentkus, all images": (hoeffding_bentkus, Unit.PATIENT),
    "quantile of the sample": (empirical_quantile, Unit.IMAGE),
    "exact, images as if independent": (binomial_of_all_images, Unit.IMAGE),
}
IMAGE_RULES: Final[dict[str, tuple[Rule, Unit]]] = {
    "**betting by image**": (by_image, Unit.IMAGE),
    "exact, images as if independent": (binomial_of_all_images, Unit.IMAGE),
}


def main() -> int:
    """Run the study and print it; 1 where a guarantee does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=2000, help="calibrations of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mapie", action="store_true", help="compare with MAPIE, if installed")
    arguments = parser.parse_args()
    runs, seed = arguments.runs, arguments.seed
    if arguments.mapie:
        _print(study(WORLDS[:1], {**_mapie_rules(), **_exact_rule()}, runs=runs, seed=seed))
        return 0
    outcomes = _print(
        outcome
        for worlds, rules in ((WORLDS + MANY_IMAGES, RULES), (MANY_PATIENTS, IMAGE_RULES))
        for outcome in study(worlds, rules, runs=runs, seed=seed)
    )
    least = least_share_held(runs)
    sys.stdout.write(
        f"\n{runs} calibrations of each kind, seed {seed}, {CONFIDENCE:.0%} confidence. A rule "
        f"that holds in exactly {CONFIDENCE:.0%} of all calibrations falls below {least:.1%} "
        "of these with a probability of 0.001.\n"
    )
    return int(any(one.held < least for one in outcomes if one.rule.startswith("**")))


def _print(outcomes: Iterator[Outcome]) -> list[Outcome]:
    sys.stdout.write(
        "| calibration with | threshold by | target | recall ≥ target | excess recall "
        "| specificity lost | refused |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    printed = []
    for one in outcomes:
        printed.append(one)
        figures = (
            "| - | - | - |"
            if math.isnan(one.held)
            else f"| {one.held:.1%} | {one.excess:+.4f} | {one.lost:.3f} |"
        )
        sys.stdout.write(
            f"| {one.world} | {one.rule} | {one.target:.2f} {figures} {one.refused:.1%} |\n"
        )
        sys.stdout.flush()
    return printed


def _outcome(
    world: World, rule: str, unit: Unit, target: float, thresholds: Sequence[float | None]
) -> Outcome:
    given = np.array([value for value in thresholds if value is not None])
    if not given.size:
        return Outcome(world.name, rule, target, math.nan, math.nan, math.nan, 1.0)
    recalls = np.array([world.recall(value, unit) for value in given])
    best = norm.cdf(world.best_threshold(target, unit))
    return Outcome(
        world=world.name,
        rule=rule,
        target=target,
        held=float((recalls >= target).mean()),
        excess=float((recalls - target).mean()),
        lost=float((best - norm.cdf(given)).mean()),
        refused=1 - given.size / len(thresholds),
    )


def _ours(cluster: Cluster, target: float, unit: Unit) -> float | None:
    patients = [cluster.keys[owner] for owner in cluster.owners]
    labels = np.ones(cluster.scores.size)
    try:
        choice = recall_threshold(
            cluster.scores, labels, patients, target=target, confidence=CONFIDENCE, unit=unit
        )
    except CalibrationError:
        return None
    return choice.score


def _missed_shares(
    cluster: Cluster, target: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return thresholds from the lowest up, and at each the share missed of each patient."""
    order = np.argsort(cluster.scores, kind="stable")
    most = math.ceil(2 * (1 - target) * order.size) + 2
    weights = cluster.weights(Unit.PATIENT)
    missed = np.zeros((min(most, order.size), len(cluster.keys)))
    for place, image in enumerate(order[: len(missed) - 1], start=1):
        missed[place] = missed[place - 1]
        missed[place, cluster.owners[image]] += weights[image]
    return cluster.scores[order[: len(missed)]], missed


def _until_it_fails(thresholds: NDArray[np.float64], shown: NDArray[np.bool_]) -> float | None:
    failing = np.flatnonzero(~shown)
    last = (int(failing[0]) if failing.size else shown.size) - 1
    return None if last < 0 else float(thresholds[last])


def _mean_score(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(3.0 - 0.3 * np.log(sizes), dtype=np.float64)


def _exact_rule() -> dict[str, tuple[Rule, Unit]]:
    return {"**exact binomial**": (by_patient, Unit.PATIENT)}


def _mapie_rules() -> dict[str, tuple[Rule, Unit]]:
    """Return MAPIE's controller, as it comes and as close to the exact bound as it gets."""
    controller = importlib.import_module("mapie.risk_control").BinaryClassificationController

    def rule(method: str, *, own_grid: bool) -> Rule:
        def threshold(cluster: Cluster, target: float) -> float | None:
            probabilities = 1 / (1 + np.exp(-cluster.scores))
            grid = np.sort(probabilities) if own_grid else np.linspace(0, 0.99, 100)
            fitted = controller(
                predict_function=lambda column: np.column_stack((1 - column, column)),
                risk="recall",
                target_level=target,
                confidence_level=CONFIDENCE,
                list_predict_params=grid,
                fwer_method=method,
                # With the recall held, as few alarms as can be: the highest threshold.
                best_predict_param_choice="predicted_positive_fraction",
            ).calibrate(probabilities, np.ones(probabilities.size, dtype=int))
            valid = np.asarray(fitted.valid_predict_params)
            if not valid.size or valid.max() <= 0:
                return None
            return math.log(valid.max() / (1 - valid.max()))

        return threshold

    return {
        "MAPIE as it comes": (rule("bonferroni_holm", own_grid=False), Unit.PATIENT),
        "MAPIE, fixed sequence, grid of 100": (
            rule("fixed_sequence", own_grid=False),
            Unit.PATIENT,
        ),
        "MAPIE, fixed sequence over the scores": (
            rule("fixed_sequence", own_grid=True),
            Unit.PATIENT,
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
