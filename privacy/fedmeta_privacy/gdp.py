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
from functools import lru_cache

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


def spend_variation(curve: Callable[[float], float], delta: float, variation: float) -> float:
    """Smallest epsilon found with curve(delta - (1 + e^epsilon) * variation) <= epsilon; infinite if there is none.

    `curve` gives epsilon for a delta and does not increase in it. The iteration rises from below, so it ends at the
    smallest solution.

    Example:
        >>> spend_variation(lambda delta: 1.0, 1e-5, 1e-20), spend_variation(lambda delta: 60.0, 1e-5, 1e-20)
        (1.0, inf)
    """
    if variation <= 0:
        return curve(delta)
    # Most runs: a millionth of delta is set aside, and the variation fits into it.
    epsilon = curve(delta * (1 - 1e-6))
    if epsilon <= LARGEST_EPSILON and (1 + math.exp(epsilon)) * variation <= delta * 1e-6:
        return epsilon
    for _ in range(64):
        if epsilon > LARGEST_EPSILON:
            return math.inf
        left = delta - (1 + math.exp(epsilon)) * variation * (1 + 1e-12)
        if left <= 0:
            return math.inf
        following = curve(left)
        if following <= epsilon:
            return epsilon
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
    """The epsilon at which a decreasing curve falls below delta: a guess that is checked, else bisection."""
    if holds(0.0):
        return 0.0
    guess = _guess(mu, delta)
    low, high = guess * (1 - 5e-11), guess * (1 + 5e-11)
    if math.isfinite(guess) and holds(high) and not holds(low):
        return low if last_false else high
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


@lru_cache(maxsize=64)
def _guess(mu: float, delta: float) -> float:
    """Newton's method on log delta, which is concave in epsilon, from the right; not rounded in any direction."""
    epsilon = mu**2 / 2 + mu * math.sqrt(-2 * math.log(delta))
    for _ in range(40):
        a, b, _ = _terms(epsilon, mu)
        if not (b > 0 and a > b):
            return math.nan
        step = (a - b) / b * math.log((a - b) / delta)
        epsilon = max(epsilon + step, 0.0)
        if abs(step) <= 1e-13 * epsilon:
            break
    return epsilon
