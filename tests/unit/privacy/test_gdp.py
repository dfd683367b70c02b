import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_privacy import gdp
from fedmeta_privacy.errors import PlanError

mus = st.floats(1e-3, 30)
deltas = st.floats(1e-12, 0.5)


def test_published_value():
    # TF-privacy style check: sigma 1, one release, delta 1e-5 (Balle and Wang's exact curve).
    low, high = gdp.epsilon_bounds(1.0, 1e-5)
    assert low <= 4.377178095681226 <= high


@given(mus, deltas)
def test_bounds_are_ordered_and_tight(mu, delta):
    low, high = gdp.epsilon_bounds(mu, delta)
    assert 0 <= low <= high <= low * (1 + 1e-6) + 1e-6


@given(mus, deltas)
def test_upper_really_holds_on_the_curve(mu, delta):
    _, high = gdp.epsilon_bounds(mu, delta)
    assert gdp.delta_upper(high, mu) <= delta


@given(st.floats(1e-2, 20), st.floats(1e-10, 0.1))
def test_monotone_in_mu_and_delta(mu, delta):
    assert gdp.epsilon_upper(mu * 1.01, delta) >= gdp.epsilon_upper(mu, delta)
    assert gdp.epsilon_upper(mu, delta / 2) >= gdp.epsilon_upper(mu, delta)


@given(st.floats(0.05, 20), st.floats(1e-10, 0.1))
def test_budget_is_never_exceeded_by_its_own_inverse(epsilon, delta):
    mu = gdp.mu_for(epsilon, delta)
    assert gdp.epsilon_upper(mu, delta) <= epsilon
    assert gdp.epsilon_upper(mu * (1 + 1e-6), delta) > epsilon * (1 - 1e-5)


def test_total_variation_only_raises_epsilon():
    plain = gdp.epsilon_upper(1.0, 1e-5)
    moved = gdp.epsilon_upper(1.0, 1e-5, total_variation=1e-8)
    assert moved > plain
    # The definition: curve + (1 + e^eps) tv <= delta at the returned epsilon.
    assert gdp.delta_upper(moved, 1.0) + (1 + math.exp(moved)) * 1e-8 <= 1e-5


def test_no_epsilon_when_the_sampler_is_too_coarse():
    assert gdp.epsilon_upper(1.0, 1e-5, total_variation=1e-5) == math.inf
    with pytest.raises(PlanError, match="SFM-301"):
        gdp.mu_for(3.0, 1e-5, total_variation=1e-5)


@pytest.mark.parametrize(("mu", "delta"), [(-1, 0.1), (math.nan, 0.1), (1, 0), (1, 1), (1, math.nan)])
def test_nonsense_is_refused(mu, delta):
    with pytest.raises(PlanError):
        gdp.epsilon_bounds(mu, delta)


def test_nothing_released_costs_nothing():
    assert gdp.epsilon_bounds(0.0, 1e-6) == (0.0, 0.0)
    assert gdp.epsilon_bounds(math.inf, 1e-6) == (math.inf, math.inf)
