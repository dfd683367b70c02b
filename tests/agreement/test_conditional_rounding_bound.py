# SPDX-License-Identifier: Apache-2.0
"""Conditional rounding under integer noise against exact divergences: one client zeroed out, two coordinates.

World one: Q(x) + noise, Q(x) random on up to four lattice points (and zero, when no try fits); world two: noise. Both
laws are summed exactly; the claim is the Gaussian curve at the rounding's `l2_sensitivity`.
"""

import itertools
import math

import numpy as np
import pytest
from noise_words import words
from scipy.stats import norm

from fedmeta_privacy.claims import Adjacency, Unit
from fedmeta_privacy.rounding import TRIES, ConditionalRounding

SCALE = 6.0


def rounding(clip_norm, beta):
    return ConditionalRounding(1.0, 2, clip_norm, Unit.CLIENT, Adjacency.ZERO_OUT, beta=beta)


def outcomes(made, x):
    """Law of Q(x) from its definition: points and probabilities."""
    floor = np.floor(x)
    law, fits = {}, 0.0
    for up in itertools.product((0, 1), repeat=2):
        point = floor + up
        chance = float(np.prod(np.where(up, x - floor, 1 - (x - floor))))
        if float(point @ point) <= made.l2_sensitivity**2:
            law[tuple(point.astype(int))] = chance
            fits += chance
    missed = (1 - fits) ** TRIES
    law = {point: chance / fits * (1 - missed) for point, chance in law.items()} if fits else {}
    law[0, 0] = law.get((0, 0), 0.0) + missed
    return law


def delta(law, epsilon):
    """Exact divergence in the worse direction between the mixture and the noise alone."""
    reach = int(13 * SCALE)
    k = np.arange(-reach, reach + 1)
    mass = np.exp(-(k**2) / (2 * SCALE**2))
    mass /= mass.sum()
    pad = 12
    still = np.pad(np.outer(mass, mass), pad)
    moved = sum(p * np.roll(still, point, axis=(0, 1)) for point, p in law.items())
    return max(np.maximum(a - math.exp(epsilon) * b, 0).sum() for a, b in ((moved, still), (still, moved)))


def curve(sensitivity, epsilon):
    mu = sensitivity / math.sqrt(SCALE**2 - 9)
    return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))


CASES = [(4.0, 0.9, (2.5, 2.5)), (4.0, 0.99, (3.9, 0.5)), (1.0, 0.99, (0.5, 0.5)), (5.0, 2.0**-20, (3.5, 3.5))]


@pytest.mark.parametrize(("clip_norm", "beta", "x"), CASES)
def test_the_claim_bounds_the_exact_divergence(clip_norm, beta, x):
    made, x = rounding(clip_norm, beta), np.array(x)
    assert np.linalg.norm(x) <= clip_norm
    law = outcomes(made, x)
    assert sum(law.values()) == pytest.approx(1)
    for epsilon in np.linspace(0, 4, 21):
        assert delta(law, epsilon) <= curve(made.l2_sensitivity, epsilon) + 1e-15


@pytest.mark.parametrize(("clip_norm", "beta", "x"), CASES)
def test_draws_have_the_law_that_was_enumerated(clip_norm, beta, x):
    made, x, stream, n = rounding(clip_norm, beta), np.array(x), words(3), 3000
    drawn = [tuple(made.round(x, stream).tolist()) for _ in range(n)]
    law = outcomes(made, x)
    assert set(drawn) <= set(law)
    for point, chance in law.items():
        assert abs(drawn.count(point) - n * chance) <= 5.5 * math.sqrt(n * chance * (1 - chance)) + 1


def test_the_divergence_is_computed_right():
    # A point mass at (3, 0) is a shift by 3: the bound at 3 holds, and one cut by a fifth does not.
    exact = [delta({(3, 0): 1.0}, epsilon) for epsilon in (0.5, 1.0, 2.0)]
    assert all(e <= curve(3.0, epsilon) for e, epsilon in zip(exact, (0.5, 1.0, 2.0), strict=True))
    assert all(e > curve(2.4, epsilon) for e, epsilon in zip(exact, (0.5, 1.0, 2.0), strict=True))
