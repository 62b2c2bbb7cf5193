"""Compare a period with a reference: every test, and their number accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.stats import ks_2samp

from cxrscreen.drift.categories import CategoryTest, compare_categories, holm
from cxrscreen.drift.mixture import MixtureFit, fit_mixture
from cxrscreen.drift.reference import (
    HEADER_COLUMNS,
    REJECT_CODE,
    Period,
    Reference,
    require_same_identity,
)
from cxrscreen.drift.stability import permuted_stability, word
from cxrscreen.vocabulary import RejectCode

#: Shuffles and tables that are drawn: a p-value is at least 1 / (DRAWS + 1).
DRAWS: Final = 1999
#: Fewer scores than this, of the period or of a class of the reference, say nothing.
LEAST_SCORES: Final = 20
_EXACT_KS: Final = 500
_SCREENED, _REFUSED = "screened", "not screened"


class Group(StrEnum):
    """What a test is about."""

    SCORES = "scores"
    REJECTS = "rejects"
    HEADERS = "headers"


class Verdict(StrEnum):
    """What a test found."""

    DRIFT = "drift"
    NONE = "no drift"
    TOO_FEW = "too few"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One test.

    Attributes
    ----------
    group, name
        What it is about: of rejects ``overall`` or a code, of headers a column.
    method
        The test.
    statistic
        Its value; ``None`` if it was not made.
    psi, psi_by_chance
        Stability index, and its mean without change where that is known. It is shown, and
        only its p-value can alarm.
    p, adjusted_p
        p-value, and adjusted for the number of tests; ``None`` if it does not count.
    reference, period
        What was compared, in a few words each.
    verdict
        What it found.
    note
        Why it was not made, or what stands out.
    """

    group: Group
    name: str
    method: str
    statistic: float | None
    psi: float | None
    psi_by_chance: float | None
    p: float | None
    adjusted_p: float | None
    reference: str
    period: str
    verdict: Verdict
    note: str = ""

    @property
    def word(self) -> str:
        """The usual word for the size of the stability index, empty without one."""
        return "" if self.psi is None else word(self.psi).value


@dataclass(frozen=True, slots=True)
class Comparison:
    """A period compared with a reference.

    Attributes
    ----------
    tests
        All tests, those that were not made among them.
    mixture
        Of a labelled reference, the mixture that fits best.
    alpha
        Probability of at least one false alarm among all tests, at most.
    """

    tests: tuple[DriftTest, ...]
    mixture: MixtureFit | None
    alpha: float

    @property
    def counted(self) -> int:
        """Number of tests that were accounted for."""
        return sum(test.adjusted_p is not None for test in self.tests)

    @property
    def drifted(self) -> tuple[DriftTest, ...]:
        """The tests that found drift."""
        return tuple(test for test in self.tests if test.verdict is Verdict.DRIFT)


def compare(
    reference: Reference, period: Period, *, alpha: float = 0.05, seed: int = 0, draws: int = DRAWS
) -> Comparison:
    """Compare scores, reject rates and header mix of a period with a reference.

    Rows are taken to be independent of one another, and the reference and the period to have
    no image in common. Tests that so many rows could never decide are shown and not counted:
    that depends only on how many rows there are (Tarone, *Biometrics* 46, 1990).

    Parameters
    ----------
    reference, period
        What to compare.
    alpha
        Probability of any false alarm, 0..1.
    seed, draws
        Of shuffles and tables.

    Returns
    -------
    Comparison
        Tests with p-values adjusted by Holm's method.

    Raises
    ------
    FingerprintMismatchError
        The period is of another model, preprocessing or engine.
    """
    require_same_identity(reference, period)
    rng = np.random.default_rng(seed)
    scores, mixture = _compare_scores(reference, period, draws=draws, rng=rng)
    tests = [
        *scores,
        *_compare_rejects(reference, period, alpha=alpha, draws=draws, rng=rng),
        *_compare_headers(reference, period, alpha=alpha, draws=draws, rng=rng),
    ]
    return Comparison(tests=_adjusted(tests, alpha), mixture=mixture, alpha=alpha)


def _adjusted(tests: list[DriftTest], alpha: float) -> tuple[DriftTest, ...]:
    made = [index for index, test in enumerate(tests) if test.verdict is Verdict.NONE]
    adjusted = holm(np.array([tests[index].p for index in made], dtype=np.float64))
    for index, value in zip(made, adjusted, strict=True):
        verdict = Verdict.DRIFT if value <= alpha else Verdict.NONE
        tests[index] = replace(tests[index], adjusted_p=float(value), verdict=verdict)
    return tuple(tests)


def _compare_scores(
    reference: Reference, period: Period, *, draws: int, rng: np.random.Generator
) -> tuple[list[DriftTest], MixtureFit | None]:
    labels, ours, theirs = reference.labels, reference.scores, period.scores
    mixture: MixtureFit | None = None
    if labels is None:
        said, least = f"{ours.size:,} scores", ours.size
    else:
        said, least = f"{ours.size:,} labelled", int(np.bincount(labels).min())

    def test(
        name: str, method: str, statistic: float | None, p: float | None, **more: float
    ) -> DriftTest:
        return DriftTest(
            group=Group.SCORES,
            name=name,
            method=method,
            statistic=statistic,
            psi=more.get("psi"),
            psi_by_chance=more.get("psi_by_chance"),
            p=p,
            adjusted_p=None,
            reference=said,
            period=f"{theirs.size:,} scores",
            verdict=Verdict.TOO_FEW if p is None else Verdict.NONE,
            note=f"fewer than {LEAST_SCORES}" if p is None else "",
        )

    names = ("distribution", "stability index")
    if min(least, theirs.size) < LEAST_SCORES:
        return [test(name, "none", None, None) for name in names], None
    if labels is not None:
        mixture = fit_mixture(ours, labels, theirs, draws=draws, rng=rng)
        how = "to the closest mixture of the classes, bootstrap"
        return [
            test(names[0], f"Kolmogorov-Smirnov {how}", mixture.ks, mixture.ks_p),
            test(
                names[1],
                f"population stability index {how}",
                mixture.psi,
                mixture.psi_p,
                psi=mixture.psi,
                psi_by_chance=mixture.psi_by_chance,
            ),
        ], mixture
    few = max(ours.size, theirs.size) <= _EXACT_KS
    distance = ks_2samp(ours, theirs, method="exact" if few else "asymp")
    psi, by_chance, psi_p = permuted_stability(ours, theirs, draws=draws, rng=rng)
    return [
        test(
            names[0],
            "Kolmogorov-Smirnov, two samples",
            float(distance.statistic),
            min(1.0, float(distance.pvalue)),
        ),
        test(
            names[1],
            "population stability index, permutation",
            psi,
            psi_p,
            psi=psi,
            psi_by_chance=by_chance,
        ),
    ], None


def _compare_rejects(
    reference: Reference, period: Period, *, alpha: float, draws: int, rng: np.random.Generator
) -> Iterator[DriftTest]:
    ours, theirs = reference.counts.get(REJECT_CODE), period.counts.get(REJECT_CODE)
    if ours is None or theirs is None:
        yield _missing(Group.REJECTS, "overall", ours is None)
        return
    # A copy is refused because its image was judged: it tells of the export, not of images.
    ours = {code: count for code, count in ours.items() if code != RejectCode.DUPLICATE.value}
    theirs = {code: count for code, count in theirs.items() if code != RejectCode.DUPLICATE.value}
    codes = sorted(
        {code for code in (*ours, *theirs) if code and ours.get(code, 0) + theirs.get(code, 0)}
    )
    sets = {"overall": frozenset(codes), **{code: frozenset({code}) for code in codes}}
    if len(codes) == 1:
        # One code alone is the overall rate: not to be counted twice.
        sets = {codes[0]: frozenset(codes)}
    for name, among in sets.items():
        pair = [_split(counts, among) for counts in (ours, theirs)]
        result = compare_categories(*pair, draws=draws, rng=rng)
        shares = [_share(counts, _REFUSED) for counts in pair]
        yield _category_test(Group.REJECTS, name, result, (shares[0], shares[1]), alpha)


def _split(counts: Mapping[str, int], among: frozenset[str]) -> dict[str, int]:
    refused = sum(count for code, count in counts.items() if code in among)
    return {_REFUSED: refused, _SCREENED: sum(counts.values()) - refused}


def _compare_headers(
    reference: Reference, period: Period, *, alpha: float, draws: int, rng: np.random.Generator
) -> Iterator[DriftTest]:
    for column in HEADER_COLUMNS:
        ours, theirs = reference.counts.get(column), period.counts.get(column)
        if ours is None or theirs is None:
            yield _missing(Group.HEADERS, column, ours is None)
            continue
        result = compare_categories(ours, theirs, draws=draws, rng=rng)
        if result is None:
            said = ("", "")
        else:
            name = result.moved or "not stated"
            first, second = (_share(counts, result.moved) for counts in (ours, theirs))
            said = (f"{name}: {first}", f"{name}: {second}")
        yield _category_test(Group.HEADERS, column, result, said, alpha)


def _share(counts: Mapping[str, int], name: str) -> str:
    total = sum(counts.values())
    return f"{counts.get(name, 0) / max(1, total):.1%} of {total:,}"


def _category_test(
    group: Group,
    name: str,
    result: CategoryTest | None,
    said: tuple[str, str],
    alpha: float,
) -> DriftTest:
    if result is None:
        verdict, note = Verdict.NOT_COMPARED, "the same in every image"
    elif result.least_p > alpha:
        verdict, note = Verdict.TOO_FEW, "no share that so few could show would be a finding"
    else:
        verdict, note = Verdict.NONE, ""
    counts = verdict is Verdict.NONE
    return DriftTest(
        group=group,
        name=name,
        method="Fisher" if group is Group.REJECTS else "chi-square, exact or by drawn tables",
        statistic=result.statistic if result is not None else None,
        psi=result.psi if result is not None else None,
        psi_by_chance=None,
        p=result.p if result is not None and counts else None,
        adjusted_p=None,
        reference=said[0],
        period=said[1],
        verdict=verdict,
        note=note,
    )


def _missing(group: Group, name: str, in_reference: bool) -> DriftTest:  # noqa: FBT001
    where = "reference" if in_reference else "period"
    return DriftTest(
        group=group,
        name=name,
        method="none",
        statistic=None,
        psi=None,
        psi_by_chance=None,
        p=None,
        adjusted_p=None,
        reference="",
        period="",
        verdict=Verdict.NOT_COMPARED,
        note=f"not known of the {where}",
    )
