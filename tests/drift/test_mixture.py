from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cxrscreen.drift.mixture import fit_mixture, most_likely_prevalence


def drawn(rng, negatives: int, positives: int, shift: float = 0.0):
    scores = np.concatenate((rng.normal(-4, 2, negatives), rng.normal(3, 2, positives)))
    return scores + shift, np.repeat([0, 1], (negatives, positives))


@pytest.mark.parametrize("prevalence", [0.02, 0.26, 0.9])
def test_the_prevalence_is_found_and_the_mixture_fits(rng, prevalence):
    fits = []
    for _ in range(40):
        reference, labels = drawn(rng, 200, 550)
        ill = round(500 * prevalence)
        period, _ = drawn(rng, 500 - ill, ill)
        fits.append(fit_mixture(reference, labels, period, draws=99, rng=rng))
    estimates = [fit.prevalence for fit in fits]
    assert np.mean(estimates) == pytest.approx(prevalence, abs=0.01)
    assert all(fit.low <= fit.prevalence <= fit.high for fit in fits)
    assert sum(fit.low <= prevalence <= fit.high for fit in fits) >= 32
    # At the 5% level: more than 7 of 40 once in 600 times.
    assert sum(fit.ks_p <= 0.05 for fit in fits) <= 7
    assert sum(fit.psi_p <= 0.05 for fit in fits) <= 7


def test_scores_that_no_mixture_gives_do_not_fit(rng):
    reference, labels = drawn(rng, 400, 1100)
    period, _ = drawn(rng, 270, 30, shift=-1.5)
    fit = fit_mixture(reference, labels, period, draws=299, rng=rng)
    assert max(fit.ks_p, fit.psi_p) < 0.01


def test_the_prevalence_is_that_of_largest_likelihood(rng):
    zero, one, found = (rng.integers(5, 60, size=(7, 10)).astype(float) for _ in range(3))
    for q0, q1, counts, prevalence in zip(
        zero, one, found, most_likely_prevalence(zero, one, found), strict=True
    ):
        shares = [(q + 0.02) / (q + 0.02).sum() for q in (q0, q1)]
        best = minimize_scalar(
            lambda share, s=shares, c=counts: -(c @ np.log(share * s[1] + (1 - share) * s[0])),
            bounds=(0, 1),
            method="bounded",
        )
        assert prevalence == pytest.approx(best.x, abs=1e-4)


def test_one_class_alone_is_a_prevalence_of_none_or_all(rng):
    reference, labels = drawn(rng, 300, 300)
    healthy = fit_mixture(reference, labels, rng.normal(-6, 1, 300), draws=19, rng=rng)
    assert healthy.prevalence < 0.01
    assert healthy.low >= 0
    ill = fit_mixture(reference, labels, rng.normal(5, 1, 300), draws=19, rng=rng)
    assert ill.prevalence > 0.99
    assert ill.high <= 1
