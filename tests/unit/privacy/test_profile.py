"""Other forms of one epsilon: never smaller than what the run spent, and checked by other means."""

import math

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from dp_accounting.privacy_accountant import NeighboringRelation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from fedmeta_privacy import gdp, profile
from fedmeta_privacy.errors import PlanError

MUS = st.floats(0.01, 8.0)
DELTAS = st.floats(1e-12, 0.05)


@given(MUS, DELTAS)
@settings(max_examples=60, deadline=None)
def test_mu_from_an_epsilon_is_never_below_the_run_s_and_tight(mu, delta):
    stated = gdp.epsilon_upper(mu, delta)
    if stated == 0:
        return  # delta alone pays for this mu: any mu up to some bound fits, and the bound is returned
    found = profile.mu_from(stated, delta)
    assert mu <= found <= mu * (1 + 1e-6)


@given(st.floats(0.0, 50.0), DELTAS)
@settings(max_examples=40, deadline=None)
def test_any_mechanism_with_that_epsilon_on_the_curve_has_a_smaller_mu(epsilon, delta):
    mu = profile.mu_from(epsilon, delta)
    assert gdp.epsilon_bounds(mu, delta)[1] >= epsilon  # whoever spends less has epsilon below the stated one


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_the_profile_is_what_another_accountant_says(mu):
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-4)
    accountant.compose(dp_event.GaussianDpEvent(1 / mu))
    for delta, epsilon in profile.epsilon_profile(mu, 0.0).items():
        assert epsilon == pytest.approx(accountant.get_epsilon(delta), rel=2e-4, abs=2e-4)
    assert len(profile.DELTAS) == 7


def test_total_variation_makes_a_profile_worse_until_nothing_holds():
    plain, moved = profile.epsilon_profile(1.0, 0.0), profile.epsilon_profile(1.0, 1e-13)
    assert all(moved[delta] >= plain[delta] for delta in plain)
    assert math.isinf(profile.epsilon_profile(1.0, 1e-11)[1e-10])


@pytest.mark.parametrize("order", profile.ORDERS)
def test_the_renyi_curve_is_the_divergence_of_two_gaussians(order):
    mu = 0.8
    scale = order * (order - 1) * mu**2 / 2  # kept out of the integral, which would leave the floats

    def integrand(x):
        return math.exp(order * norm.logpdf(x, mu) + (1 - order) * norm.logpdf(x) - scale)

    moment, _ = quad(integrand, order * mu - 12, order * mu + 12)
    divergence = (math.log(moment) + scale) / (order - 1)
    assert profile.renyi_curve(mu)[order] == pytest.approx(divergence, rel=1e-6)


@given(MUS, st.sampled_from(profile.GROUPS))
@settings(max_examples=30, deadline=None)
def test_a_group_costs_more_than_one_and_no_more_than_the_definition_allows(mu, size):
    delta = 1e-5
    one, group = gdp.epsilon_upper(mu, delta), profile.group_epsilon(mu, delta, size, 0.0)
    assert group >= one
    epsilon, loose_delta = profile.loose_group(one, delta, size)
    if loose_delta < 1:
        assert gdp.delta_lower(epsilon, size * mu) <= loose_delta


@given(MUS, DELTAS)
@settings(max_examples=60, deadline=None)
def test_no_point_of_the_curve_allows_less_than_the_exact_detection(mu, delta):
    exact = profile.gaussian_detection(mu, 0.0)
    assert exact <= profile.detection_bound(gdp.epsilon_upper(mu, delta), delta) + 1e-9


def test_the_detection_bound_is_attained_by_the_best_attacker():
    rng = np.random.default_rng(7)
    mu, n = 1.3, 400_000
    absent, present = rng.normal(size=n), rng.normal(mu, size=n)
    threshold = norm.isf(profile.FALSE_ALARMS)
    false, hits = (absent > threshold).mean(), (present > threshold).mean()
    bound = profile.gaussian_detection(mu, 0.0)
    assert abs(false - 0.01) < 1e-3 and bound - 5e-3 < hits < bound + 4 * math.sqrt(0.25 / n)
    assert profile.gaussian_detection(mu * 0.9, 0.0) < hits  # a smaller mu would be refuted


@pytest.mark.parametrize("epsilon", [-1.0, math.inf, math.nan, 701.0])
def test_no_mu_for_what_is_no_epsilon(epsilon):
    with pytest.raises(PlanError):
        profile.mu_from(epsilon, 1e-5)
