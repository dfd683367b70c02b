"""Cohorts follow the laws that are accounted for: exact counts, uniform members, and the schedule if there is one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedmeta_crypto import Keystream
from secure_fedmeta.errors import CohortRefused
from secure_fedmeta.federation.dropouts import PHASES, dropout_pattern
from secure_fedmeta.population.binomial import heads, spread
from secure_fedmeta.population.cohorts import Available, Dropouts, Everyone, FixedSize, Poisson, sample


def words(seed):
    return Keystream(seed.to_bytes(16, "little")).words


@settings(max_examples=40, deadline=None)
@given(coins=st.integers(1, 3000), probability=st.floats(1e-6, 1.0))
def test_the_count_has_the_binomial_law(coins, probability):
    law, expected = spread(coins, probability), stats.binom.pmf(np.arange(coins + 1), coins, probability)
    assert abs(law.sum() - 1) < 1e-12
    np.testing.assert_allclose(law, expected, rtol=1e-6, atol=1e-13)
    assert 0 <= heads(coins, probability, words(coins)) <= coins


def test_the_count_of_few_coins_is_exact_to_a_float():
    for coins, probability in ((1, 0.25), (3, 0.5), (7, 0.125)):
        terms = [math.comb(coins, k) * probability**k * (1 - probability) ** (coins - k) for k in range(coins + 1)]
        np.testing.assert_allclose(spread(coins, probability), terms, rtol=1e-15)


@settings(max_examples=60, deadline=None)
@given(population=st.integers(1, 500), data=st.data(), seed=st.integers(0, 2**32))
def test_samples_are_distinct_clients_in_order(population, data, seed):
    size = data.draw(st.integers(0, population))
    chosen = sample(population, size, words(seed))
    assert len(chosen) == size and (np.diff(chosen) > 0).all()
    assert not size or 0 <= chosen[0] <= chosen[-1] < population


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_subset_is_equally_likely(size):
    stream, counts = words(5), {}
    for _ in range(6000):
        chosen = tuple(sample(5, size, stream).tolist())
        counts[chosen] = counts.get(chosen, 0) + 1
    assert len(counts) == math.comb(5, size)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_poisson_members_flip_their_own_coins():
    cohorts, stream = Poisson(6, 0.3), words(9)
    seen = np.zeros((4000, 6))
    for row in seen:
        row[cohorts.draw(1, stream)] = 1
    patterns, counts = np.unique(seen, axis=0, return_counts=True)
    likely = 0.3 ** patterns.sum(1) * 0.7 ** (6 - patterns.sum(1)) * 4000
    often = likely >= 5
    rest_seen, rest = 4000 - counts[often].sum(), 4000 - likely[often].sum()
    assert stats.chisquare([*counts[often], rest_seen], [*likely[often], rest]).pvalue > 1e-4


def test_a_published_size_stays_within_its_limit():
    cohorts, stream = Poisson(50, 0.1, largest=6), words(3)
    sizes = [len(cohorts.draw(1, stream)) for _ in range(300)]
    assert max(sizes) == 6 and min(sizes) < 4


def test_a_schedule_is_followed_and_clients_that_are_away_are_never_asked():
    there = {1: [4, 2], 2: [], 3: [0, 1, 2, 3]}
    cohorts = Available(5, lambda number: np.array(there[number], np.int64), size=3)
    assert cohorts.draw(1, words(1)).tolist() == [2, 4]
    assert cohorts.draw(2, words(1)).tolist() == []
    chosen = cohorts.draw(3, words(1)).tolist()
    assert len(chosen) == 3 and set(chosen) < set(there[3])
    with pytest.raises(CohortRefused, match="names no client"):
        Available(2, lambda number: np.array([2])).draw(1, words(1))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), rate=st.floats(0, 0.9), seed=st.integers(0, 2**63 - 1), number=st.integers(1, 1000))
def test_dropouts_are_those_of_the_protocols_simulation(n, rate, seed, number):
    cohort = np.arange(n)
    pattern = dropout_pattern(number, tuple(range(n)), rate=rate, seed=seed)
    left = Dropouts(rate, seed).survivors(number, cohort)
    assert left.tolist() == [client for client in range(n) if pattern.get(client, "unmask") == "unmask"]
    assert set(pattern.values()) <= set(PHASES)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Poisson(0, 0.1),
        lambda: Poisson(10, 0.0),
        lambda: Poisson(10, 1.5),
        lambda: Poisson(10, math.nan),
        lambda: Poisson(10, 0.5, largest=4),
        lambda: Poisson(10, 0.5, largest=11),
        lambda: FixedSize(10, 11),
        lambda: FixedSize(10, 0),
        lambda: Everyone(True),
        lambda: Available(3, lambda number: number, size=0),
        lambda: Available.windows(np.zeros(2, int), np.zeros(3, int), period=4),
        lambda: Dropouts(1.0),
        lambda: Dropouts(0.1, seed=-1),
    ],
)
def test_numbers_out_of_range(make):
    with pytest.raises(CohortRefused, match="SFM-141"):
        make()
