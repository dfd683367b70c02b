# SPDX-License-Identifier: Apache-2.0
"""The Gaussian bound of `DiscreteGaussianSum` against exact hockey-stick divergences in one to three dimensions.

The divergence of D_s on Z^d shifted by v depends on <v, X> alone, whose law is summed here exactly; the curve is
scipy's Gaussian. Nothing of the room under test is used but the event's shift and the two things it is built from.
"""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedmeta_privacy.events import SMOOTHING_VARIANCE, DiscreteGaussianSum
from fedmeta_privacy.gdp import delta_upper, epsilon_upper
from fedmeta_privacy.noise import DiscreteGaussian, _thresholds

CASES = [
    (4, (1,)),
    (4, (3,)),
    (8, (1,)),
    (8, (5,)),
    (8, (3, 4)),
    (16, (1, 1, 1)),
    (16, (16,)),
    (16, (5, 2)),
    (32, (7, 3, 1)),
    (64, (40,)),
    (64, (20, 30, 15)),
]
EPSILONS = np.linspace(0, 8, 41)


def pmf(scale):
    reach = int(14 * scale) + 2
    k = np.arange(-reach, reach + 1)
    mass = np.exp(-(k**2) / (2 * scale**2))
    return mass / mass.sum()


def hockey_stick(scale, shift, epsilons):
    """delta(eps) between X and X + shift, X discrete Gaussian on the lattice, by summation over <shift, X>."""
    base = pmf(scale)
    reach = len(base) // 2
    law, offset = np.ones(1), 0
    for c in map(abs, shift):
        stretched = np.zeros(2 * reach * c + 1)
        stretched[:: max(c, 1)] = base
        law, offset = np.convolve(law, stretched), offset + reach * c
    inner = np.arange(len(law)) - offset
    loss = (2 * inner + sum(c * c for c in shift)) / (2 * scale**2)  # log P(x)/Q(x) where P is shifted
    return np.array([(law * np.maximum(0, -np.expm1(eps - loss))).sum() for eps in epsilons])


def gaussian_curve(mu, epsilons):
    return np.array([norm.cdf(mu / 2 - eps / mu) - math.exp(eps + norm.logcdf(-mu / 2 - eps / mu)) for eps in epsilons])


def ratios(scale, shift):
    """Largest exact delta over the bound's, and over that of the plain formula."""
    exact = hockey_stick(scale, shift, EPSILONS)
    seen = exact > 1e-12
    length = math.sqrt(sum(c * c for c in shift))
    corrected = gaussian_curve(length / math.sqrt(scale**2 - SMOOTHING_VARIANCE), EPSILONS)
    plain = gaussian_curve(length / scale, EPSILONS)
    return float((exact[seen] / corrected[seen]).max()), float((exact[seen] / plain[seen]).max())


@pytest.mark.parametrize(("scale", "shift"), CASES)
def test_the_corrected_variance_bounds_the_exact_divergence(scale, shift):
    corrected, _ = ratios(scale, shift)
    assert corrected <= 0.999


@pytest.mark.parametrize(("scale", "shift"), CASES)
def test_the_shipped_event_bounds_it_too(scale, shift):
    length = math.sqrt(sum(c * c for c in shift))
    event = DiscreteGaussianSum(length, float(scale**2), float(scale), 1, len(shift), 0.0)
    exact = hockey_stick(scale, shift, EPSILONS)
    bound = [
        delta_upper(eps, math.sqrt(event.mu_squared)) + event.total_variation * (1 + math.exp(eps)) for eps in EPSILONS
    ]
    assert (exact <= np.array(bound) + 1e-15).all()


def test_the_plain_variance_does_not():
    worst = {scale: max(ratios(s, v)[1] for s, v in CASES if s == scale) for scale in (4, 8, 16, 64)}
    assert worst[4] == pytest.approx(1.059, abs=5e-3)
    assert all(value > 1 for value in worst.values())  # under-reports at every scale, less and less
    assert worst[4] > worst[8] > worst[16] > worst[64]


@pytest.mark.parametrize(("scales", "shift"), [((4.0, 5.0), 3), ((3.2, 3.2, 3.2), 2), ((3.2, 8.0, 16.0, 6.5), 9)])
def test_sums_of_unequal_scales(scales, shift):
    law = np.ones(1)
    for scale in scales:
        law = np.convolve(law, pmf(scale))
    moved = np.concatenate([np.zeros(shift), law])
    still = np.concatenate([law, np.zeros(shift)])
    mu = shift / math.sqrt(sum(s * s for s in scales) - SMOOTHING_VARIANCE)
    for eps in EPSILONS:
        exact = np.maximum(0, moved - math.exp(eps) * still).sum()
        assert exact <= gaussian_curve(mu, [eps])[0] * (1 + 1e-12) + 1e-14


@pytest.mark.parametrize("scale", [3.2, 4.0, 17.5])
def test_the_tables_distance_from_the_law_is_within_the_stated_variation(scale):
    import mpmath

    sampler = DiscreteGaussian(scale)
    high, low = _thresholds(scale)
    with mpmath.workprec(400):
        weights = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * mpmath.mpf(scale) ** 2)) for k in range(40 * int(scale))]
        total = 2 * sum(weights) - weights[0]
        law = [w / total * (1 if k == 0 else 2) for k, w in enumerate(weights)]
        cumulative = [mpmath.mpf((int(h) << 64) + int(lo)) / 2**128 for h, lo in zip(high, low, strict=True)]
        drawn = [b - a for a, b in zip([mpmath.mpf(0), *cumulative], [*cumulative, mpmath.mpf(1)], strict=True)]
        drawn += [mpmath.mpf(0)] * (len(law) - len(drawn))
        variation = sum(abs(a - b) for a, b in zip(law, drawn, strict=True)) / 2
        assert 0 < variation <= sampler.total_variation
        assert sampler.total_variation < 2.0**-115


@pytest.mark.parametrize("rounds", [1, 100_000])
def test_the_samplers_variation_is_paid_for_in_delta_over_the_whole_run(rounds):
    # delta' = delta(eps) + (1 + e^eps) TV, TV over all parties, coordinates and rounds.
    noise = DiscreteGaussian(64.0)
    event = DiscreteGaussianSum(20.0, 5 * 64.0**2, 64.0, 5, 10**6, noise.total_variation)
    variation = rounds * event.total_variation
    assert event.total_variation == 5 * 10**6 * (2.0**-130 + noise.total_variation)
    mu = math.sqrt(event.mu_squared)  # of the whole run, say: only the variation grows here
    epsilon = epsilon_upper(mu, 1e-5, total_variation=variation)
    assert gaussian_curve(mu, [epsilon])[0] + (1 + math.exp(epsilon)) * variation <= 1e-5
    assert epsilon >= epsilon_upper(mu, 1e-5)
    # Where the variation eats delta the bound says so instead of ignoring it.
    assert epsilon_upper(mu, 1e-5, total_variation=1e-5) == math.inf
    near = epsilon_upper(mu, 1e-5, total_variation=2e-6)
    assert gaussian_curve(mu, [near])[0] + (1 + math.exp(near)) * 2e-6 <= 1e-5
    assert near > epsilon_upper(mu, 1e-5)
