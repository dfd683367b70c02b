# SPDX-License-Identifier: Apache-2.0
"""Skellam: table against the definition, draws against scipy's law, sums closed."""

import math
from fractions import Fraction

import numpy as np
import pytest
from noise_words import Queue, words
from scipy import stats

from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.skellam import Skellam, _poisson_table, _poisson_weights


@pytest.mark.parametrize("scale", [1.0, 1.7, 4.0, 64.0])
def test_the_tables_distance_from_poisson_is_within_the_stated_variation(scale):
    import mpmath

    smallest, table = _poisson_table(scale)
    with mpmath.workprec(400):
        rate = mpmath.mpf(scale) ** 2 / 2
        values = range(smallest + table.high.size + 1)
        law, weight = [], mpmath.exp(-rate)
        for k in values:
            law.append(weight)
            weight = weight * rate / (k + 1)
        beyond = 1 - sum(law)
        cumulative = [
            mpmath.mpf((int(h) << 64) + int(lo)) / 2**128 for h, lo in zip(table.high, table.low, strict=True)
        ]
        drawn = [b - a for a, b in zip([mpmath.mpf(0), *cumulative], [*cumulative, mpmath.mpf(1)], strict=True)]
        drawn = [mpmath.mpf(0)] * smallest + drawn
        variation = (sum(abs(a - b) for a, b in zip(law, drawn, strict=True)) + beyond) / 2
        assert 2 * variation <= Skellam(scale).total_variation < 2.0**-112


@pytest.mark.parametrize("rate", [Fraction(1, 2), Fraction(1), Fraction(100), Fraction(2**20)])
def test_the_tails_that_are_cut_are_as_light_as_stated(rate):
    smallest, weights = _poisson_weights(rate)
    total, largest = sum(weights), smallest + len(weights) - 1
    up = rate / (largest + 1)
    assert weights[-1] * up / (1 - up) / total < Fraction(1, 2**137)
    if smallest > 0:
        down = smallest / rate
        assert weights[0] * down / (1 - down) / total < Fraction(1, 2**137)


@pytest.mark.parametrize("scale", [1.0, 4.0, 64.0, 1024.0])
def test_law_of_many_draws(scale):
    drawn = Skellam(scale).sample(200_000, words(int(scale)))
    law = stats.skellam(scale**2 / 2, scale**2 / 2)
    edges = np.unique(np.round(stats.norm.ppf(np.linspace(0, 1, 41)[1:-1]) * scale).astype(int))
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    below = np.concatenate([[0.0], law.cdf(edges), [1.0]])
    assert stats.chisquare(observed, np.diff(below) * drawn.size).pvalue > 1e-6
    assert drawn.var() == pytest.approx(Skellam(scale).variance, rel=0.02)


def test_sums_are_skellam_again():
    total = sum(Skellam(s).sample(100_000, words(i)) for i, s in enumerate((2.0, 3.0, 6.0)))
    law = stats.skellam(49 / 2, 49 / 2)
    edges = np.arange(-14, 15, 2)
    observed = np.bincount(np.searchsorted(edges, total), minlength=len(edges) + 1)
    expected = np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]])) * total.size
    assert stats.chisquare(observed, expected).pvalue > 1e-6


def test_words_one_per_draw_and_half():
    queue = Queue(words(1)(2 * 40_000))
    Skellam(4.0).sample(40_000, queue)
    assert queue.taken == 80_000


def test_reach():
    noise = Skellam(4.0)
    assert noise.sample(1, Queue([2**64 - 1, 2**64 - 1, 0]))[0] <= noise.reach


@pytest.mark.parametrize("scale", [0.5, 0.0, -1.0, math.nan, math.inf, 2.0**15])
def test_refused_scales(scale):
    with pytest.raises(PlanError, match="SFM-301"):
        Skellam(scale)
