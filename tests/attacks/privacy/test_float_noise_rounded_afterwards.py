# SPDX-License-Identifier: Apache-2.0
"""Float Gaussian noise that each site rounds before the sum: the epsilon of the unrounded sum is not its epsilon.

64 sites with noise of 0.1 steps each: the sum of their Gaussians would have deviation 0.8 and, at delta 1e-5, epsilon
5.68. But what is summed are rounded values, and a site whose input is a whole number rounds its noise away almost
always. The exact divergence of the rounded sum needs an epsilon above 10. The events of this room refuse such noise.
"""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.events import DiscreteGaussianSum
from fedmeta_privacy.gdp import delta_upper, epsilon_upper
from fedmeta_privacy.noise import DiscreteGaussian

SITES, SCALE, DELTA = 64, 0.1, 1e-5
STEPS = np.arange(-20, 21)


def rounded(centre):
    """Law of round(centre + N(0, SCALE^2))."""
    return norm.cdf((STEPS + 0.5 - centre) / SCALE) - norm.cdf((STEPS - 0.5 - centre) / SCALE)


def law_of_sum(first, others):
    law = rounded(first)
    for _ in range(SITES - 1):
        law = np.convolve(law, rounded(others))
    return law


def true_delta(first, second, others, epsilon):
    p, q = law_of_sum(first, others), law_of_sum(second, others)
    return max(np.maximum(a - math.exp(epsilon) * b, 0).sum() for a, b in ((p, q), (q, p)))


def claimed():
    return epsilon_upper(1 / (SCALE * math.sqrt(SITES)), DELTA)


def test_what_would_be_claimed():
    assert claimed() == pytest.approx(5.68, abs=0.01)


def test_what_is_true():
    for epsilon in (claimed(), 10.0):
        assert true_delta(0.0, 1.0, 0.0, epsilon) > DELTA
    assert true_delta(0.0, 1.0, 0.0, claimed()) > 50 * DELTA
    assert true_delta(0.0, 1.0, 0.0, 12.0) <= DELTA  # so it is a finite number, about twice the claim


def test_a_distinguisher_sees_it_in_draws():
    # Sites 2 .. 64 hold 0. The sum is 0 in a world without the patient, 1 in the other, hardly ever anything else.
    rng = np.random.default_rng(1)
    sums = [
        np.rint(centre + SCALE * rng.standard_normal(100_000))
        + np.rint(SCALE * rng.standard_normal((100_000, 63))).sum(1)
        for centre in (0.0, 1.0)
    ]
    missed, alarms = (sums[1] <= 0).mean(), (sums[0] >= 1).mean()
    assert missed < 1e-3 and alarms < 1e-3
    # Under the claim, 1 - missed <= e^eps alarms + delta for every test; with as few alarms as missed that is far off
    # what a Gaussian of the claimed deviation allows: both errors together are at least 2 Phi(-mu/2).
    mu = 1 / (SCALE * math.sqrt(SITES))
    assert missed + alarms < 0.01 * 2 * norm.cdf(-mu / 2)


def test_noise_that_small_is_refused_here():
    with pytest.raises(PlanError, match="SFM-301"):
        DiscreteGaussian(SCALE)
    with pytest.raises(PlanError, match="encoding step"):
        DiscreteGaussianSum(1.0, SITES * SCALE**2, SCALE, SITES, 1, 0.0)


def test_integer_noise_of_the_same_size_relative_to_the_vector_keeps_its_claim():
    # The same plan with a step 64 times as fine: sensitivity 64 steps, noise 6.4 steps a site.
    event = DiscreteGaussianSum(64.0, SITES * 6.4**2, 6.4, SITES, 1, 0.0)
    mass = np.exp(-(np.arange(-90, 91) ** 2) / (2 * 6.4**2))
    mass /= mass.sum()
    law = np.ones(1)
    for _ in range(SITES):
        law = np.convolve(law, mass)
    shifted, still = np.concatenate([np.zeros(64), law]), np.concatenate([law, np.zeros(64)])
    mu = math.sqrt(event.mu_squared)
    for epsilon in (1.0, 3.0, epsilon_upper(mu, DELTA)):
        assert np.maximum(shifted - math.exp(epsilon) * still, 0).sum() <= delta_upper(epsilon, mu)
    assert epsilon_upper(mu, DELTA) == pytest.approx(claimed(), rel=0.01)
