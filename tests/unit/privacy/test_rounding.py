# SPDX-License-Identifier: Apache-2.0
"""Conditional rounding: the bound always holds, words are counted, other claims are refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from noise_words import Queue, words

from fedmeta_privacy.claims import Adjacency, Unit
from fedmeta_privacy.errors import EncodingOverflow, PlanError, UnsupportedClaim
from fedmeta_privacy.rounding import TRIES, ConditionalRounding, rounded_norm_bound

D = 40
anything = arrays(np.float64, D, elements=st.floats(allow_nan=True, allow_infinity=True))


def rounding(step=0.125, dimension=D, clip_norm=1.0, **more):
    return ConditionalRounding(step, dimension, clip_norm, Unit.CLIENT, Adjacency.ZERO_OUT, **more)


@given(anything | arrays(np.float64, D, elements=st.floats(-0.3, 0.3)), st.integers(0, 2**32))
def test_the_norm_bound_holds_whatever_comes_in(vector, seed):
    made = rounding(beta=0.9)  # a bound so tight that draws are often rejected
    queue = Queue(words(seed)(TRIES * D))
    drawn = made.round(vector, queue)
    assert sum(int(x) ** 2 for x in drawn) <= made.l2_sensitivity**2
    assert queue.taken == TRIES * D  # the same for every vector: broken, rejected or accepted at once


def test_squares_that_would_wrap_in_64_bits_are_not_taken_for_small():
    made = rounding(step=2.0**-20, dimension=8, clip_norm=1.0)
    huge = np.full(8, 2.0**12)  # 2^32 steps each; 8 * 2^64 is zero modulo 2^64
    assert (made.round(huge, words(1)) == 0).all()


@pytest.mark.parametrize("value", [-1e-30, 1e-30, -5e-324, 0.0, -0.0])
def test_values_beside_whole_numbers(value):
    drawn = rounding().round(np.full(D, value), lambda n: np.full(n, 1 << 63, np.uint64))
    assert (np.abs(drawn) == 0).all()


def test_the_mean_is_kept():
    vector = np.random.default_rng(1).normal(size=D) * 0.1
    made = rounding()
    draws = np.array([made.round(vector, words(seed)) for seed in range(4000)])
    standard_error = draws.std(axis=0) / math.sqrt(len(draws)) + 1e-9
    assert (np.abs(draws.mean(axis=0) - vector / 0.125) < 5.5 * standard_error).all()


def test_if_no_draw_fits_the_vector_is_zero_and_else_the_first_is_taken():
    made = rounding(step=1.0, dimension=4, clip_norm=1.0, beta=0.99)
    half = np.full(4, 0.5)  # rounded up everywhere: norm 2, beyond the bound of about 1.73
    assert made.l2_sensitivity < 2
    up, down = [0] * 4, [2**64 - 1] * 4
    assert made.round(half, Queue(up * 3)).tolist() == [0, 0, 0, 0]
    assert made.round(half, Queue([*up, 0, *down[1:], *down])).tolist() == [1, 0, 0, 0]
    assert made.round(half, Queue([*up, *up, 0, 0, *down[2:]])).tolist() == [1, 1, 0, 0]


@given(st.floats(0.01, 1e6), st.integers(1, 10**6), st.floats(1e-9, 0.99))
def test_the_bound_is_the_papers(bound, dimension, beta):
    # Kairouz et al. 2021 in mpmath, by itself.
    import mpmath

    with mpmath.workprec(200):
        c, d = mpmath.mpf(bound), mpmath.mpf(dimension)
        second = c**2 + d / 4 + mpmath.sqrt(2 * mpmath.log(1 / mpmath.mpf(beta))) * (c + mpmath.sqrt(d) / 2)
        exact = min(c + mpmath.sqrt(d), mpmath.sqrt(second))
        assert exact <= rounded_norm_bound(bound, dimension, beta=beta) <= exact * (1 + mpmath.mpf(2) ** -46)


def test_a_draw_exceeds_the_bound_no_more_often_than_beta():
    beta, dimension = 0.5, 60
    vector = np.full(dimension, 1 / math.sqrt(dimension))
    bound = rounded_norm_bound(4.0, dimension, beta=beta)
    coins = np.random.default_rng(3).random((20_000, dimension))
    scaled = vector * 4
    norms = np.linalg.norm(np.floor(scaled) + (coins < scaled - np.floor(scaled)), axis=1)
    assert (norms > bound).mean() <= beta


@pytest.mark.parametrize(
    ("unit", "adjacency"), [(u, a) for u in Unit for a in Adjacency if (u, a) != (Unit.CLIENT, Adjacency.ZERO_OUT)]
)
def test_every_other_claim_is_refused_with_the_reason(unit, adjacency):
    with pytest.raises(UnsupportedClaim, match=r"SFM-302.*two rounded vectors"):
        ConditionalRounding(0.125, D, 1.0, unit, adjacency)


def test_why_other_claims_are_refused():
    # Two neighbouring sums a hair apart, rounded with separate coins: further apart than the change before rounding
    # and than the deterministic bound of a shared rule would be for this pair.
    made = rounding(step=1.0, dimension=400, clip_norm=12.0)
    x = np.full(400, 0.5)
    other = x.copy()
    other[0] += 1e-9
    apart = np.linalg.norm(made.round(x, words(1)) - made.round(other, words(2)))
    assert apart > 10 > np.linalg.norm(x - other)


@pytest.mark.parametrize("change", [{"step": 0.3}, {"step": 0.0}, {"step": 2.0**-40}, {"dimension": 0}, {"beta": 1.0}])
def test_refused_settings(change):
    with pytest.raises(PlanError, match="SFM-301"):
        rounding(**change)


def test_wrong_length():
    with pytest.raises(EncodingOverflow):
        rounding().round(np.zeros(D + 1), words(1))
