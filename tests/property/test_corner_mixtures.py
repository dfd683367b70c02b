"""A round is dominated by its corner mixture, and composed epsilons behave as epsilons do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fedmeta_privacy.composition import Rounds, composed_epsilon
from fedmeta_privacy.dominance import corners
from fedmeta_privacy.losses import sampled_gaussian

EPSILONS = np.linspace(-3, 3, 61)


def curve(mu, q, removed):
    """Hockey-stick divergence of the sampled pair by its closed form, computed here anew."""
    deltas = []
    for eps in EPSILONS if removed else -EPSILONS:
        v = math.expm1(eps) + q
        if v <= 0:
            delta = -math.expm1(eps)
        else:
            x = math.log(v / q) / mu**2 + 0.5
            p = (1 - q) * norm.sf(mu * x) + q * norm.sf(mu * (x - 1))
            delta = p - math.exp(eps) * norm.sf(mu * x)
        deltas.append(delta if removed else -math.expm1(-eps) + math.exp(-eps) * delta)
    return np.array(deltas)


@given(st.lists(st.tuples(st.floats(0.05, 5), st.floats(1e-4, 1)), min_size=8, max_size=8, unique=True), st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_round_is_dominated_by_its_mixture(kinds, removed):
    mu, q = (np.array(column) for column in zip(*sorted(kinds), strict=True))
    made = corners(mu, q, np.ones(8), np.ones(8), classes=6)
    corner_curves = np.stack([curve(m, p, removed) for m, p in zip(made.mu, made.q, strict=True)])
    # `corners` may reorder rows; each row's weights say which round it stands for.
    mixed = np.einsum("ri,rie->re", made.weight, corner_curves[made.index])
    order = np.concatenate([np.flatnonzero(q >= 1), np.flatnonzero(q < 1)])
    single = np.stack([curve(m, p, removed) for m, p in zip(mu[order], q[order], strict=True)])
    assert np.all(mixed >= single - 1e-13)


def test_the_mixture_fails_where_the_curve_is_not_convex():
    """Interpolating in mu instead of the total variation would under-report: the theorem's choice matters."""
    low, high, part = 0.1, 3.0, 0.5
    middle = curve(low + part * (high - low), 0.5, removed=True)
    wrong = (1 - part) * curve(low, 0.5, removed=True) + part * curve(high, 0.5, removed=True)
    assert np.any(wrong < middle - 1e-3)


@given(st.floats(0.05, 4), st.floats(1e-3, 1), st.sampled_from([1e-3, 3e-3, 1e-2]))
@settings(max_examples=40, deadline=None)
def test_the_grid_is_never_below_the_exact_curve(mu, q, interval):
    for pmf, removed in zip(sampled_gaussian(mu, q, interval=interval, tail=1e-14), (True, False), strict=True):
        losses = (pmf.lowest + np.arange(pmf.masses.size)) * interval
        on_grid = np.array([np.maximum(-np.expm1(eps - losses), 0) @ pmf.masses for eps in EPSILONS]) + pmf.infinity
        exact = curve(mu, q, removed)
        assert np.all(on_grid >= exact - 1e-11) and np.all(on_grid <= exact + interval * pmf.masses.max() + 1e-9)
        assert pmf.masses.sum() + pmf.infinity == pytest.approx(1, abs=1e-9)


kinds = st.lists(st.tuples(st.floats(0.6, 5), st.floats(1e-3, 0.3), st.integers(1, 200)), min_size=1, max_size=6)


def total(rows, **options):
    noise, sampling, count = (np.array(column, float) for column in zip(*rows, strict=True))
    return composed_epsilon(Rounds(noise, sampling, np.ones(len(rows)), count), 1e-6, **options)


@given(kinds)
@settings(max_examples=6, deadline=None)
def test_epsilon_grows_with_rounds_and_falls_with_noise(rows):
    before = total(rows)
    assert total([*rows, (1.5, 0.05, 3)]) >= before * (1 - 1e-4) - 1e-6
    assert total([(z * 1.2, q, n) for z, q, n in rows]) <= before * (1 + 1e-4) + 1e-6
    assert total([(z, q / 2, n) for z, q, n in rows]) <= before * (1 + 1e-4) + 1e-6


@given(kinds)
@settings(max_examples=5, deadline=None)
def test_order_and_grouping_change_nothing(rows):
    split = [(z, q, 1) for z, q, n in rows for _ in range(min(n, 4))]
    grouped = [(z, q, min(n, 4)) for z, q, n in rows]
    assert total(split[::-1]) == pytest.approx(total(grouped), rel=1e-9, abs=1e-12)


def test_nothing_costs_nothing_and_the_impossible_is_infinite():
    empty = np.zeros(0)
    assert composed_epsilon(Rounds(empty, empty, empty, empty), 1e-6) == 0
    assert total([(0.02, 1.0, 10)]) == math.inf
