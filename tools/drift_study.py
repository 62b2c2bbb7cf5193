"""Drawn periods with and without a change: how often ``drift`` alarms, and how soon.

``python -m tools.drift_study`` writes the Markdown tables of ``docs/drift.md`` to stdout.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp

from cxrscreen.drift.compare import compare
from cxrscreen.drift.recall_watch import watch_recall
from cxrscreen.drift.reference import Identity, Period, Reference, reference_of

ALPHA: Final = 0.05
FLOOR: Final = 0.95
_IDENTITY: Final = Identity("model", "preprocessing", "engine")
_DRAWS: Final = 499
_MOVED: Final = 0.25
_LONG: Final = 2000
_CODES: Final = ("WRONG_VIEW", "ROTATED", "DECODE_FAILED")


@dataclass(frozen=True, slots=True)
class Site:
    """What images are drawn from.

    Attributes
    ----------
    prevalence
        Share of the ill.
    shift
        Added to every score, whose standard deviation in a class is 2.
    ill_shift
        Added to the scores of the ill: what blur does, which hides opacities.
    spread
        Factor of the standard deviation: sharpening makes scores more extreme.
    refused
        Share of images that are not screened.
    ap
        Share of the screened with view AP; the others are PA.
    """

    prevalence: float = 0.1
    shift: float = 0.0
    ill_shift: float = 0.0
    spread: float = 1.0
    refused: float = 0.04
    ap: float = 0.2

    def scores(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return as many scores."""
        ill = rng.random(size) < self.prevalence
        place = np.where(ill, 3.0 + self.ill_shift, -4.0) + self.shift
        return np.asarray(rng.normal(place, 2.0 * self.spread))

    def period(self, size: int, rng: np.random.Generator) -> Period:
        """Return a period of as many images."""
        refused = rng.multinomial(size, [1 - self.refused, *[self.refused / 3] * 3])
        screened = int(refused[0])
        return Period(
            name="period",
            scores=self.scores(screened, rng),
            counts={
                "reject_code": dict(zip(("", *_CODES), map(int, refused), strict=True)),
                "view": _drawn(("AP", "PA"), (self.ap, 1 - self.ap), screened, rng),
                "sex": _drawn(("F", "M", ""), (0.45, 0.45, 0.1), screened, rng),
                "age_group": _drawn(("1 to 2", "3 to 5", ""), (0.45, 0.5, 0.05), screened, rng),
                "modality": _drawn(("CR", "DX"), (0.3, 0.7), screened, rng),
                "manufacturer": _drawn(
                    ("A", "B", "C", "D"), (0.7, 0.25, 0.04, 0.01), screened, rng
                ),
            },
            identity=_IDENTITY,
            rows=size,
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """How often something happened in drawn periods.

    Attributes
    ----------
    alarms
        Share in which ``drift`` alarmed.
    unadjusted
        Share in which any p-value was below alpha, if their number were not accounted for.
    psi_alone
        Share in which any stability index was above 0.25.
    pooled
        Share in which a Kolmogorov-Smirnov test of the pooled scores was below alpha.
    """

    alarms: float
    unadjusted: float
    psi_alone: float
    pooled: float


def labelled_reference(rng: np.random.Generator, *, negatives: int, positives: int) -> Reference:
    """Return a reference as a bundle holds it: labelled, with a prevalence of its own."""
    labels = np.repeat(np.array([0, 1], dtype=np.int64), (negatives, positives))
    scores = np.where(labels == 1, 3.0, -4.0) + rng.normal(0.0, 2.0, labels.size)
    return Reference(
        scores=scores,
        counts={},
        labels=labels,
        name="bundle",
        recall_floor=None,
        identity=_IDENTITY,
    )


def earlier_report(rng: np.random.Generator, *, size: int) -> Reference:
    """Return a reference made of an earlier period of the same site."""
    return reference_of(Site().period(size, rng))


def report_of_a_year(rng: np.random.Generator) -> Reference:
    """Return a reference of 1,000 images."""
    return earlier_report(rng, size=1000)


def bundle_of_a_study(rng: np.random.Generator) -> Reference:
    """Return a labelled reference of 200 negatives and 550 positives."""
    return labelled_reference(rng, negatives=200, positives=550)


def batch_rates(
    streams: int,
    seed: int,
    reference: Callable[[np.random.Generator], Reference],
    period: Callable[[np.random.Generator], Period],
) -> Rates:
    """Return how often periods alarm; each has a reference of its own."""
    rng = np.random.default_rng(seed)
    totals = np.zeros(4)
    for stream in range(streams):
        ours, theirs = reference(rng), period(rng)
        found = compare(ours, theirs, alpha=ALPHA, seed=stream, draws=_DRAWS)
        pooled = ks_2samp(ours.scores, theirs.scores, method="asymp")
        totals += (
            bool(found.drifted),
            any(test.p is not None and test.p <= ALPHA for test in found.tests),
            any(test.psi is not None and test.psi > _MOVED for test in found.tests),
            pooled.pvalue <= ALPHA,
        )
    return Rates(*(totals / streams))


def delays(
    streams: int, seed: int, recalls: Sequence[tuple[int, float]]
) -> tuple[NDArray[np.float64], float]:
    """Watch streams whose recall changes.

    Parameters
    ----------
    streams, seed
        How many, and of what draws.
    recalls
        Number of positives and their recall, one stretch after another.

    Returns
    -------
    alarms, repeated
        Of each stream, the positive at which it alarmed, counted from the beginning of the last
        stretch and infinite if it did not; and the share in which an exact binomial test that is
        repeated after every positive would have been below alpha.
    """
    rng = np.random.default_rng(seed)
    rates = np.concatenate([np.full(count, 1 - recall) for count, recall in recalls])
    before = sum(count for count, _ in recalls[:-1])
    numbers = np.arange(1, rates.size + 1)
    alarms, repeated = np.full(streams, math.inf), 0
    for stream in range(streams):
        missed = rng.random(rates.size) < rates
        alarm = watch_recall(missed.tolist(), FLOOR, alpha=ALPHA).alarm_after
        if alarm is not None:
            alarms[stream] = alarm - before
        p = binom.sf(np.cumsum(missed) - 1, numbers, 1 - FLOOR)
        repeated += bool((p <= ALPHA).any())
    return alarms, repeated / streams


def _drawn(
    names: Sequence[str], shares: Sequence[float], size: int, rng: np.random.Generator
) -> dict[str, int]:
    return dict(Counter(map(str, rng.choice(names, size, p=shares))))


def _quiet_table(streams: int, seed: int) -> list[str]:
    lines = [
        "| reference | period | alarms | every p on its own | any PSI above 0.25 | pooled KS |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    site = Site()

    def any_prevalence(rng: np.random.Generator) -> Period:
        return replace(site, prevalence=rng.uniform(0.01, 0.6)).period(300, rng)

    cases: tuple[
        tuple[
            str,
            str,
            Callable[[np.random.Generator], Reference],
            Callable[[np.random.Generator], Period],
        ],
        ...,
    ] = (
        (
            "report, 1,000 images",
            "300 images",
            report_of_a_year,
            lambda rng: site.period(300, rng),
        ),
        (
            "report, 300 images",
            "60 images",
            lambda rng: earlier_report(rng, size=300),
            lambda rng: site.period(60, rng),
        ),
        (
            "labelled, 200 + 550",
            "300 images, 10% ill",
            bundle_of_a_study,
            lambda rng: site.period(300, rng),
        ),
        ("labelled, 200 + 550", "300 images, 1% to 60% ill", bundle_of_a_study, any_prevalence),
        (
            "labelled, 40 + 110",
            "1,000 images, 10% ill",
            lambda rng: labelled_reference(rng, negatives=40, positives=110),
            lambda rng: site.period(1000, rng),
        ),
    )
    for name, said, reference, period in cases:
        rates = batch_rates(streams, seed, reference, period)
        shown = " | ".join(
            f"{rate:.1%}"
            for rate in (rates.alarms, rates.unadjusted, rates.psi_alone, rates.pooled)
        )
        lines.append(f"| {name} | {said} | {shown} |")
    return lines


def _change_table(streams: int, seed: int) -> list[str]:
    sizes = (100, 300, 1000)
    lines = [
        f"| change | reference | {' | '.join(f'{size:,} images' for size in sizes)} |",
        "| --- | --- | --- | --- | --- |",
    ]
    report = ("report", report_of_a_year)
    labelled = ("labelled", bundle_of_a_study)
    changes = (
        ("all scores lower by half a standard deviation", Site(shift=-1.0), (report, labelled)),
        ("scores spread 1.4 times as wide", Site(spread=1.4), (report, labelled)),
        (
            "scores of the ill lower by a standard deviation",
            Site(ill_shift=-2.0),
            (report, labelled),
        ),
        ("not screened: 10% instead of 4%", Site(refused=0.1), (report,)),
        ("view AP: 35% instead of 20%", Site(ap=0.35), (report,)),
        ("30% ill instead of 10%", Site(prevalence=0.3), (report, labelled)),
    )
    for change, site, references in changes:
        for name, reference in references:
            shown = " | ".join(
                f"{batch_rates(streams, seed, reference, partial(site.period, size)).alarms:.0%}"
                for size in sizes
            )
            lines.append(f"| {change} | {name} | {shown} |")
    return lines


def _watch_table(streams: int, seed: int) -> list[str]:
    lines = [
        "| recall | alarms | repeated test | half alarm after | nine in ten after |",
        "| --- | --- | --- | --- | --- |",
    ]
    cases: tuple[tuple[str, tuple[tuple[int, float], ...]], ...] = (
        ("0.95 for 2,000 positives", ((_LONG, 0.95),)),
        ("0.97 for 2,000 positives", ((_LONG, 0.97),)),
        ("0.90 from the beginning", ((_LONG, 0.9),)),
        ("0.97, then 0.90 after 200 positives", ((200, 0.97), (_LONG, 0.9))),
        ("0.97, then 0.90 after 1,000 positives", ((1000, 0.97), (_LONG, 0.9))),
        ("0.97, then 0.80 after 200 positives", ((200, 0.97), (_LONG, 0.8))),
    )
    for name, recalls in cases:
        alarms, repeated = delays(streams, seed, recalls)
        quantiles = np.quantile(alarms, (0.5, 0.9), method="higher")
        shown = " | ".join("–" if math.isinf(value) else f"{value:,.0f}" for value in quantiles)
        lines.append(f"| {name} | {np.isfinite(alarms).mean():.1%} | {repeated:.1%} | {shown} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000, help="without a change; watched")
    parser.add_argument("--changed", type=int, default=200, help="streams of each change")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    tables = (
        _quiet_table(options.streams, options.seed),
        _change_table(options.changed, options.seed),
        _watch_table(options.streams, options.seed),
    )
    sys.stdout.write("\n\n".join("\n".join(lines) for lines in tables) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
