"""The estimators by themselves: laws, independent computations, and how often they are wrong."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import binom, norm

from fedmeta_privacy import gdp
from fedmeta_privacy.audit import (
    AuditBound,
    AuditContext,
    AuditError,
    Decisions,
    Kind,
    SeedPolicy,
    autocorrelation,
    combine_rounds,
    correlation,
    count_correct,
    decide,
    gaussian_bound,
    gaussian_is_rejected,
    multi_run_bound,
    one_run_bound,
    one_run_gaussian_bound,
    one_run_p_value,
    upper_limit,
)
from fedmeta_privacy.claims import Unit, View

WHERE = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)
REST = {"delta": 1e-5, "p": 0.05, "context": WHERE}
ONE_RUN = (one_run_bound, one_run_gaussian_bound)
MULTI = (multi_run_bound, gaussian_bound)


def bound_of(estimator, guesses, correct, *, canaries=None, p=0.05, delta=1e-5):
    return estimator(
        canaries=canaries or guesses, guesses=guesses, correct=correct, delta=delta, p=p, context=WHERE
    ).epsilon


counts = st.integers(1, 120).flatmap(lambda r: st.tuples(st.just(r), st.integers(0, r - 1)))


@settings(max_examples=40, deadline=None)
@given(counts, st.integers(0, 300), st.sampled_from([1e-6, 1e-3, 0.05, 0.3]))
def test_more_right_guesses_never_lower_the_one_run_bounds(pair, extra, p):
    guesses, correct = pair
    for estimator in ONE_RUN:
        fewer = bound_of(estimator, guesses, correct, canaries=guesses + extra, p=p)
        more = bound_of(estimator, guesses, correct + 1, canaries=guesses + extra, p=p)
        assert fewer <= more + 1e-8


@settings(max_examples=40, deadline=None)
@given(counts, st.sampled_from([(1e-6, 1e-3), (1e-3, 0.05), (0.05, 0.3)]))
def test_a_smaller_error_never_raises_a_bound(pair, ps):
    trials, wrong = pair
    for estimator in ONE_RUN:
        low, high = (bound_of(estimator, trials, trials - wrong, p=p) for p in ps)
        assert low <= high + 1e-8
    for estimator in MULTI:
        low, high = (
            estimator(Decisions(wrong // 2, trials, wrong, trials), delta=1e-5, p=p, context=WHERE).epsilon for p in ps
        )
        assert low <= high


@settings(max_examples=40, deadline=None)
@given(counts, st.integers(0, 100))
def test_one_more_error_never_raises_a_multi_run_bound(pair, other):
    trials, wrong = pair
    for estimator in MULTI:
        few = estimator(Decisions(min(other, trials), trials, wrong, trials), **REST).epsilon
        many = estimator(Decisions(min(other, trials), trials, wrong + 1, trials), **REST).epsilon
        assert many <= few


@settings(max_examples=40, deadline=None)
@given(counts, st.integers(1, 100_000), st.sampled_from([0.0, 1e-7, 1e-5, 1e-3]))
def test_the_p_value_grows_with_epsilon_also_for_many_canaries(pair, canaries, delta):
    guesses, wrong = pair
    values = [
        one_run_p_value(e, canaries=canaries + guesses, guesses=guesses, correct=guesses - wrong, delta=delta)
        for e in np.linspace(0, 10, 41)
    ]
    assert all(a <= b * (1 + 1e-9) for a, b in itertools.pairwise(values))
    assert values[-1] <= 1.0


def test_the_one_run_p_value_against_the_theorem_as_printed():
    for canaries, guesses, correct, delta, eps in [
        (50, 20, 17, 1e-3, 0.4),
        (400, 60, 41, 1e-4, 0.2),
        (9, 9, 9, 0.01, 2),
    ]:
        q = math.exp(eps) / (1 + math.exp(eps))
        law = [math.comb(guesses, j) * q**j * (1 - q) ** (guesses - j) for j in range(guesses + 1)]
        tails = [sum(law[k:]) for k in range(guesses + 1)]
        beta = tails[correct]
        alpha = max((tails[max(correct - i, 0)] - beta) / i for i in range(1, canaries + 1))
        found = one_run_p_value(eps, canaries=canaries, guesses=guesses, correct=correct, delta=delta)
        assert found == pytest.approx(min(1.0, beta + 2 * canaries * delta * alpha), rel=1e-9)


def largest_tail(mu, canaries, guesses, correct):
    """max P[W >= correct] over all laws of W that mu-GDP allows, as a linear program.

    fbar(x) = Phi(Phi^-1(x) + mu) is concave, so r <= fbar(h) is r <= every tangent; finitely many loosen it a little.
    """
    at = norm.cdf(np.linspace(-6, 6, 400))
    slope = norm.pdf(norm.ppf(at) + mu) / norm.pdf(norm.ppf(at))
    base = norm.cdf(norm.ppf(at) + mu) - slope * at
    j = np.arange(guesses + 1)
    rows, limits = [], []
    for i in range(1, guesses + 1):
        r = (j >= i) * j / canaries
        h = (j >= i - 1) * (guesses - j) / canaries
        rows += list(r[None, :] - slope[:, None] * h[None, :])
        limits += list(base)
    found = linprog(-(j >= correct).astype(float), np.array(rows), np.array(limits), np.ones((1, guesses + 1)), [1.0])
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize(
    ("mu", "canaries", "guesses", "correct"),
    [(0.5, 12, 12, 10), (1.0, 12, 12, 11), (1.0, 30, 12, 12), (2.0, 10, 10, 10), (0.3, 20, 16, 12)],
)
def test_the_recursion_against_a_linear_program_of_its_constraints(mu, canaries, guesses, correct):
    """The least p at which mu is not rejected is the largest tail that the constraints allow."""
    truth = largest_tail(mu, canaries, guesses, correct)
    rejected = lambda p: gaussian_is_rejected(mu, canaries=canaries, guesses=guesses, correct=correct, p=p)
    assert not rejected(truth * (1 - 2e-3))  # never rejects what some mechanism may do
    assert rejected(min(truth * 1.02, 1.0)) or truth > 0.99  # and is not much weaker than it could be


@settings(max_examples=30, deadline=None)
@given(counts, st.integers(0, 300), st.sampled_from([1e-3, 0.05]))
def test_a_refuted_shift_refutes_every_smaller_one(pair, extra, p):
    guesses, wrong = pair
    verdicts = [
        gaussian_is_rejected(mu, canaries=guesses + extra, guesses=guesses, correct=guesses - wrong, p=p)
        for mu in np.linspace(0, 6, 61)
    ]
    assert verdicts == sorted(verdicts, reverse=True)


def test_randomised_response_is_never_accused_more_often_than_stated():
    """m coins, each kept with probability e^eps / (1 + e^eps): exactly (eps, 0)-DP, and W is exactly binomial."""
    rng = np.random.default_rng(0)
    for eps, m in ((0.5, 200), (2.0, 50)):
        q = 1 / (1 + math.exp(-eps))
        bounds = [bound_of(one_run_bound, m, int(v), delta=0.0) for v in rng.binomial(m, q, 200)]
        above = np.mean(np.array(bounds) > eps)
        assert above <= binom.isf(1e-4, 200, 0.05) / 200
        assert max(bounds) > 0.7 * eps  # and it says something


def test_an_exact_gaussian_is_never_accused_more_often_than_stated():
    rng, mu, runs = np.random.default_rng(1), 1.0, 150
    truth = gdp.epsilon_bounds(mu, 1e-5)[1]
    above, best = dict.fromkeys((*ONE_RUN, *MULTI), 0), dict.fromkeys((*ONE_RUN, *MULTI), 0.0)
    for _ in range(runs):
        coins = rng.integers(0, 2, 400).astype(bool)
        scores = coins + rng.normal(size=400) / mu
        correct = count_correct(scores, coins, 60)
        for estimator in ONE_RUN:
            found = bound_of(estimator, 60, correct, canaries=400)
            above[estimator] += found > truth
            best[estimator] = max(best[estimator], found)
        for estimator in MULTI:
            found = estimator(decide(scores, coins, 0.5), **REST).epsilon
            above[estimator] += found > truth
            best[estimator] = max(best[estimator], found)
    assert max(above.values()) <= binom.isf(1e-4, runs, 0.05)
    assert best[gaussian_bound] > 0.6 * truth
    assert best[one_run_gaussian_bound] > 0.3 * truth


def test_clopper_pearson_is_the_rate_at_which_so_few_have_probability_p():
    for events, trials, p in ((0, 10, 0.05), (3, 50, 1e-3), (49, 50, 0.2)):
        rate = upper_limit(events, trials, p)
        assert binom.cdf(events, trials, rate) == pytest.approx(p, rel=1e-6)
    assert upper_limit(7, 7, 0.05) == 1.0


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("SFM-331", lambda: bound_of(one_run_bound, 5, 6)),
        ("SFM-331", lambda: bound_of(one_run_bound, 5, 3, canaries=4)),
        ("SFM-331", lambda: bound_of(one_run_gaussian_bound, 5, -1)),
        ("SFM-331", lambda: bound_of(one_run_bound, 5, 2.0)),
        ("SFM-331", lambda: bound_of(one_run_bound, True, 1)),
        ("SFM-331", lambda: Decisions(3, 2, 0, 2)),
        ("SFM-331", lambda: Decisions(0, 0, 0, 2)),
        ("SFM-331", lambda: Decisions(0, 1, -1, 2)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, p=0.0)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, p=1.0)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, p=math.nan)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, delta=1.0)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, delta=math.nan)),
        ("SFM-332", lambda: bound_of(one_run_bound, 5, 3, delta=-1e-9)),
        ("SFM-332", lambda: bound_of(one_run_gaussian_bound, 5, 3, delta=0.0)),
        ("SFM-332", lambda: gaussian_bound(Decisions(0, 5, 0, 5), delta=0.0, p=0.05, context=WHERE)),
        ("SFM-332", lambda: multi_run_bound(Decisions(0, 5, 0, 5), delta="1e-5", p=0.05, context=WHERE)),
        ("SFM-333", lambda: decide(np.array([0.1, math.nan]), np.array([True, False]), 0.5)),
        ("SFM-333", lambda: decide(np.array([0.1]), np.array([True, False]), 0.5)),
        ("SFM-333", lambda: decide(np.array([0.1, 0.2]), np.array([1, 0]), 0.5)),
        ("SFM-333", lambda: decide(np.array([0.1, 0.2]), np.array([True, False]), math.inf)),
        ("SFM-333", lambda: autocorrelation(np.zeros(100))),
        ("SFM-333", lambda: autocorrelation(np.ones(10))),
        ("SFM-333", lambda: autocorrelation(np.full(100, math.inf))),
        ("SFM-333", lambda: correlation(np.ones(100), np.ones(101))),
        ("SFM-333", lambda: combine_rounds(np.zeros((2, 3)), np.ones(3))),
        ("SFM-333", lambda: combine_rounds(np.zeros((2, 3)), np.array([1.0, 0.0]))),
        ("SFM-333", lambda: combine_rounds(np.full((1, 3), math.nan), np.ones(1))),
        ("SFM-331", lambda: count_correct(np.arange(4.0), np.array([True] * 4), 6)),
        ("SFM-331", lambda: count_correct(np.arange(4.0), np.array([True] * 4), 3)),
        ("SFM-334", lambda: AuditContext("task", View.SERVER, colluders=0, survivors=7)),
        ("SFM-334", lambda: AuditContext(Unit.TASK, View.SERVER, colluders=7, survivors=7)),
        ("SFM-334", lambda: AuditContext(Unit.TASK, View.SERVER, colluders=-1, survivors=7)),
        ("SFM-334", lambda: multi_run_bound(Decisions(0, 5, 0, 5), kind=Kind.ONE_RUN, **REST)),
    ],
)
def test_refusals(code, call):
    with pytest.raises(AuditError) as refused:
        call()
    assert refused.value.code == code
    assert refused.value.remedy


def test_a_bound_never_travels_without_its_label():
    bound = gaussian_bound(Decisions(5, 1000, 700, 1000), **REST)
    shown, body = str(bound), bound.as_json()
    for part in ("delta 1e-05", "p = 0.05", "2000 trials", "unit task", "view server", "c = 0", "n' = 7", "(a) test"):
        assert part in shown
    assert "GDP family assumed: yes" in shown
    assert "GDP family assumed: no" in str(multi_run_bound(Decisions(5, 1000, 700, 1000), **REST))
    assert {"epsilon", "delta", "p", "trials", "unit", "view", "colluders", "survivors", "seeds", "label"} <= set(body)
    one_run = {"canaries": 100, "guesses": 100, "correct": 90}
    any_mechanism, shift = one_run_bound(**one_run, **REST), one_run_gaussian_bound(**one_run, **REST)
    assert "any mechanism" in any_mechanism.label and "Gaussian shift refuted" in shift.label
    assert any_mechanism.as_json()["label"] != shift.as_json()["label"]
    assert len({kind.label for kind in Kind}) == len({kind.assumptions for kind in Kind}) == 3
    with pytest.raises(AuditError):
        AuditBound(math.nan, None, 1e-5, 0.05, 10, "none", Kind.MULTI_RUN, WHERE)


def test_correlations_of_independent_noise_stay_within_their_limits():
    rng = np.random.default_rng(2)
    for _ in range(50):
        x, y = rng.normal(size=(2, 4096))
        assert autocorrelation(x).independent
        assert correlation(x, y).independent
    repeated = np.tile(rng.normal(size=64), 64)
    assert not autocorrelation(repeated).independent
    assert SeedPolicy.SYSTEM is WHERE.seeds
