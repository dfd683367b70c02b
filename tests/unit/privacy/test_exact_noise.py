# SPDX-License-Identifier: Apache-2.0
"""The exact sampler: its coins have rational laws, its draws the law of the definition and of the table."""

import math
from fractions import Fraction

import numpy as np
import pytest
from noise_words import Queue, words
from scipy import stats

from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.exact_noise import (
    ExactDiscreteGaussian,
    _below,
    _exponential_coin,
    _laplace,
    _small_exponential_coin,
    _stream,
)
from fedmeta_privacy.noise import DiscreteGaussian


def binned(drawn, law, least=25):
    """Observed and expected counts over runs of values that each expect at least `least`."""
    values = sorted(law)
    observed, expected, seen, wanted = [], [], 0, 0.0
    counts = dict(zip(*map(np.ndarray.tolist, np.unique(drawn, return_counts=True)), strict=True))
    for value in values:
        seen += counts.get(value, 0)
        wanted += law[value] * len(drawn)
        if wanted >= least:
            observed.append(seen)
            expected.append(wanted)
            seen, wanted = 0, 0.0
    observed[-1] += seen
    expected[-1] += wanted
    return np.array(observed), np.array(expected)


def agrees(drawn, law):
    observed, expected = binned(drawn, law)
    assert observed.sum() == len(drawn)
    return stats.chisquare(observed, expected * len(drawn) / expected.sum()).pvalue > 1e-6


def gaussian_law(variance):
    reach = math.ceil(10 * math.sqrt(variance)) + 3
    weights = {k: math.exp(-k * k / (2 * float(variance))) for k in range(-reach, reach + 1)}
    total = sum(weights.values())
    return {k: w / total for k, w in weights.items()}


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(1), Fraction(16), Fraction(3.2) ** 2, Fraction(64) ** 2])
def test_law_of_many_draws(variance):
    drawn = ExactDiscreteGaussian(variance).sample(8000, words(int(variance * 7)))
    assert agrees(drawn, gaussian_law(variance))


def test_a_wrong_variance_is_noticed():
    drawn = ExactDiscreteGaussian(Fraction(17)).sample(8000, words(3))
    assert not agrees(drawn, gaussian_law(16 * 0.85))


@pytest.mark.parametrize("scale", [4.0, 64.0])
def test_agreement_with_the_table(scale):
    exact = ExactDiscreteGaussian(Fraction(scale) ** 2).sample(8000, words(1))
    table = DiscreteGaussian(scale).sample(100_000, words(2))
    edges = np.unique(np.quantile(table, np.linspace(0, 1, 30)[1:-1]).astype(int))
    counts = [np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1) for drawn in (exact, table)]
    assert stats.chi2_contingency(np.array(counts)).pvalue > 1e-6


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1, 7), Fraction(1), Fraction(9, 4)])
def test_exponential_coin(x):
    stream = _stream(words(5))
    n = 20_000
    heads = sum(_exponential_coin(x, stream) for _ in range(n))
    p = math.exp(-x)
    assert abs(heads - n * p) <= 5.5 * math.sqrt(n * p * (1 - p))


def test_small_coin_by_hand():
    # x = 1/2. Drawn below k * 2: 1 is not < 1, so k = 1, odd: heads. Or 0 < 1, then below 4: 3 stops at k = 2: tails.
    assert _small_exponential_coin(1, 2, iter([1]))
    assert not _small_exponential_coin(1, 2, iter([0, 3]))
    assert _small_exponential_coin(1, 2, iter([0, 0, 5]))


def test_uniform_below_rejects_what_would_bias():
    top = 2**64 - 1
    assert _below(3, iter([top, 7])) == 1  # 2^64 - 1 = 3 * 6148914691236517205: the last, incomplete, run starts there
    assert _below(2**64 - 1, iter([top, 5])) == 5
    assert _below(2**70, iter([1, 2])) == (2**64 + 2) % 2**70
    assert _below(1, iter([9])) == 0


def test_laplace_does_not_count_zero_twice():
    stream = _stream(words(11))
    drawn = np.array([_laplace(3, stream) for _ in range(9000)])
    law = {k: math.exp(-abs(k) / 3) for k in range(-60, 61)}
    total = sum(law.values())
    assert agrees(drawn, {k: w / total for k, w in law.items()})


@pytest.mark.parametrize("variance", [0, -1, Fraction(0), 2**40 + 1, 4.0, True, math.nan])
def test_refused_variances(variance):
    with pytest.raises(PlanError, match="SFM-301"):
        ExactDiscreteGaussian(variance)


def test_words_are_taken_in_whole_fetches_and_nothing_for_nothing():
    queue = Queue(words(1)(4096))
    ExactDiscreteGaussian(Fraction(9)).sample(3, queue)
    assert queue.taken % 256 == 0 and queue.taken > 0
    untouched = Queue([])
    assert ExactDiscreteGaussian(Fraction(9)).sample(0, untouched).shape == (0,)
    assert repr(ExactDiscreteGaussian(9)) == "ExactDiscreteGaussian(variance=Fraction(9, 1))"
