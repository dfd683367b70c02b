# SPDX-License-Identifier: Apache-2.0
"""Gaussian differential privacy: the exact curve, with directed rounding.

A mechanism is mu-GDP if telling two neighbours apart is at least as hard as telling N(0, 1) from
N(mu, 1). Its privacy curve is

    delta(eps) = Phi(mu/2 - eps/mu) - e^eps * Phi(-mu/2 - eps/mu)

(Balle and Wang 2018, Theorem 8, arXiv 1805.06530v2; Dong, Roth and Su 2019, Corollary 2.13,
arXiv 1905.02383v3), and mu_1, ..., mu_T compose to sqrt(sum mu_t^2) exactly. Every function here
returns a bound in a stated direction: floating point may loosen it, never tighten it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import log_ndtr

from .errors import PlanError

# log_ndtr is accurate to a few units in the last place of its result; the exponential of a number
# of size L turns these into a relative error of about L * 2^-52. Four times that is charged.
_ULP = 2.0**-50
_OUTWARD = 5e-10  # relative, on every epsilon that leaves this file
LARGEST_EPSILON = 700.0  # e^eps must stay a float


def _terms(epsilon: float, mu: float) -> tuple[float, float, float]:
    """The two terms of the curve and a bound on their relative error."""
    log_a = float(log_ndtr(mu / 2 - epsilon / mu))
    log_b = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    slack = _ULP * (4.0 + abs(log_a) + 2 * epsilon + abs(log_b))
    return math.exp(log_a), math.exp(min(log_b, 0.0)), slack


def delta_upper(epsilon: float, mu: float) -> float:
    """Smallest delta known to hold at `epsilon` for a mu-GDP mechanism, rounded up.

    Example:
        >>> 0.1268 < delta_upper(1.0, 1.0) < 0.1270
        True
    """
    if mu <= 0:
        return 0.0
    a, b, slack = _terms(epsilon, mu)
    return min(1.0, max(0.0, a * (1 + slack) - b * (1 - slack)))


def delta_lower(epsilon: float, mu: float) -> float:
    """The same curve, rounded down."""
    if mu <= 0:
        return 0.0
    a, b, slack = _terms(epsilon, mu)
    return min(1.0, max(0.0, a * (1 - slack) - b * (1 + slack)))


def epsilon_bounds(mu: float, delta: float) -> tuple[float, float]:
    """(lower, upper) around the exact epsilon of a mu-GDP mechanism at `delta`.

    Raises:
        PlanError: mu is negative or NaN, or delta is not inside (0, 1).

    Example:
        >>> low, high = epsilon_bounds(1.0, 1e-5)
        >>> low <= 4.377178095681226 <= high and high - low < 1e-7
        True
    """
    high = _upper(mu, delta)
    if math.isinf(high):
        return high, high
    low = _smallest(lambda eps: delta_lower(eps, mu) <= delta, mu, delta, last_false=True)
    return max(0.0, low * (1 - _OUTWARD) - 1e-12), high


def _upper(mu: float, delta: float) -> float:
    if not mu >= 0 or not 0 < delta < 1:
        raise PlanError(f"no epsilon is defined for mu={mu} and delta={delta}", "use mu >= 0, 0 < delta < 1")
    if math.isinf(mu):
        return math.inf
    high = _smallest(lambda eps: delta_upper(eps, mu) <= delta, mu, delta, last_false=False)
    return high * (1 + _OUTWARD) + 1e-12 if high > 0 else 0.0


def epsilon_upper(mu: float, delta: float, *, total_variation: float = 0.0) -> float:
    """Epsilon that holds at `delta` for a mechanism within `total_variation` of a mu-GDP one.

    If M is within total variation tv of a mechanism with curve d(eps), both worlds are moved, so M
    satisfies delta = d(eps) + (1 + e^eps) * tv. Returns infinity when no epsilon can be certified.

    Example:
        >>> epsilon_upper(1.0, 1e-5, total_variation=1e-30) >= epsilon_upper(1.0, 1e-5)
        True
        >>> epsilon_upper(30.0, 1e-5, total_variation=1e-20)
        inf
    """
    if total_variation <= 0:
        return _upper(mu, delta)
    # Most runs: a billionth of delta is set aside, and the variation fits into it.
    epsilon = _upper(mu, delta * (1 - 1e-9))
    if epsilon <= LARGEST_EPSILON and (1 + math.exp(epsilon)) * total_variation <= delta * 1e-9:
        return epsilon
    # Else shrink delta by what the variation needs: that raises epsilon, which shrinks delta again, a monotone
    # iteration from below that ends at the smallest solution, if there is one.
    epsilon = _upper(mu, delta)
    for _ in range(64):
        if epsilon > LARGEST_EPSILON:
            return math.inf
        left = delta - (1 + math.exp(epsilon)) * total_variation * (1 + 1e-12)
        if left <= 0:
            return math.inf
        following = _upper(mu, left)
        if following <= epsilon * (1 + 1e-12):
            return following
        epsilon = following * (1 + 1e-12)
    return math.inf


def mu_for(epsilon: float, delta: float, *, total_variation: float = 0.0) -> float:
    """Largest mu (rounded down) whose curve lies below (epsilon, delta): the budget's Gaussian equivalent.

    Raises:
        PlanError: epsilon is not a positive number, or delta leaves no room beside `total_variation`.

    Example:
        >>> mu = mu_for(3.0, 1e-3)
        >>> epsilon_upper(mu, 1e-3) <= 3.0 < epsilon_upper(mu * 1.001, 1e-3)
        True
    """
    if not 0 < epsilon <= LARGEST_EPSILON:
        raise PlanError(f"epsilon={epsilon} is not a budget", f"choose 0 < epsilon <= {LARGEST_EPSILON:g}")
    if not 0 < delta - (1 + math.exp(epsilon)) * total_variation < 1:
        raise PlanError(
            f"epsilon={epsilon} at delta={delta} is beyond what the noise sampler is proved for over this run",
            "lower epsilon or the number of rounds",
        )

    def fits(mu: float) -> bool:
        return epsilon_upper(mu, delta, total_variation=total_variation) <= epsilon

    low, high = 0.0, 1.0
    while fits(high):
        low, high = high, 2 * high
    for _ in range(60):
        mid = (low + high) / 2
        if fits(mid):
            low = mid
        else:
            high = mid
    return low


def _smallest(holds: Callable[[float], bool], mu: float, delta: float, *, last_false: bool) -> float:
    """Bisect for the epsilon at which a decreasing curve falls below delta."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2 * high
        if high > 1e300:  # mu or 1/delta beyond floats
            raise PlanError(f"no finite epsilon for mu={mu}, delta={delta}", "add noise")
    while high - low > 1e-10 * high:
        mid = (low + high) / 2
        if mid in (low, high):
            break
        if holds(mid):
            high = mid
        else:
            low = mid
    return low if last_false else high
