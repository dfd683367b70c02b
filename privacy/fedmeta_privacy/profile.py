# SPDX-License-Identifier: Apache-2.0
"""One stated epsilon as every other form of the same guarantee: mu, the whole profile, groups, an attacker's odds.

A run whose releases are Gaussian (up to a total variation that is accounted for) is mu-GDP, and its epsilon at one
delta fixes mu: the curve epsilon(mu, delta) of `gdp` is strictly increasing in mu. `mu_from` returns a mu that is
never below the run's: it takes the largest one whose *lower* bound of epsilon does not exceed the stated epsilon, and
the stated epsilon is an upper bound of the run's. Everything below is computed from that mu and rounded up.

- Profile: `gdp.epsilon_upper` at each delta, with the total variation of the noise sampler.
- Renyi: a mu-GDP mechanism is a randomised post-processing of N(0, 1) against N(mu, 1) (Blackwell's theorem, as in
  Dong, Roth and Su 2019, section 2, arXiv 1905.02383v3), so its Renyi divergence of order a is at most a mu^2/2. This
  holds for the Gaussian law, before the sampler's total variation, which no Renyi divergence survives.
- Groups: k units together are k*mu-GDP (same paper, on group privacy). The total variation is per data set and stays.
- Attacker: who accepts false alarms at rate f detects a unit's presence with rate at most
  1 - Phi(Phi^-1(1 - f) - mu) (Neyman-Pearson), plus twice the total variation: one world's law may move the threshold,
  the other's the rate. And from (epsilon, delta) alone: min(1, e^epsilon f + delta), the definition applied to the
  set of outputs that raise the alarm (Kairouz, Oh and Viswanath 2015, arXiv 1311.0776); weaker, and stated beside it.
"""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from . import gdp
from .errors import PlanError

DELTAS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
ORDERS = (1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
GROUPS = (2, 5, 10)
FALSE_ALARMS = 0.01
_OUTWARD = 1e-12  # absolute, on probabilities; ndtr and ndtri are accurate to a few 1e-16


def mu_from(epsilon: float, delta: float) -> float:
    """A mu that is at least that of any run whose epsilon at `delta` is bounded by `epsilon`, both from the GDP curve.

    Raises:
        PlanError: epsilon is negative, not finite or beyond 700, or delta is no probability.

    Example:
        >>> mu = mu_from(gdp.epsilon_upper(0.9, 1e-5), 1e-5)
        >>> 0.9 <= mu < 0.9 * (1 + 1e-7)
        True
        >>> mu_from(0.0, 1e-5) < 1e-4
        True
    """
    if not 0 <= epsilon <= 700 or not 0 < delta < 1:
        raise PlanError(f"no mu is defined for epsilon={epsilon}, delta={delta}", "state a finite epsilon")

    def within(mu: float) -> bool:
        return gdp.epsilon_bounds(mu, delta)[0] <= epsilon

    low, high = 0.0, 1e-3
    while within(high):
        low, high = high, 2 * high
    for _ in range(60):
        mid = (low + high) / 2
        if mid in (low, high):
            break
        if within(mid):
            low = mid
        else:
            high = mid
    return high


def epsilon_profile(mu: float, total_variation: float) -> dict[float, float]:
    """Epsilon at each delta of `DELTAS`, rounded up; infinite where the sampler's variation leaves no room.

    Example:
        >>> profile = epsilon_profile(1.0, 0.0)
        >>> round(profile[1e-5], 6), profile[1e-4] < profile[1e-10]
        (4.377178, True)
    """
    return {delta: gdp.epsilon_upper(mu, delta, total_variation=total_variation) for delta in DELTAS}


def renyi_curve(mu: float) -> dict[float, float]:
    """Renyi divergence at most, by order: a mu^2 / 2, rounded up.

    Example:
        >>> round(renyi_curve(0.5)[8.0], 9)
        1.0
    """
    return {order: order * mu**2 / 2 * (1 + 2.0**-50) for order in ORDERS}


def group_epsilon(mu: float, delta: float, size: int, total_variation: float) -> float:
    """Epsilon at `delta` for `size` units that change together.

    Example:
        >>> group_epsilon(0.5, 1e-5, 2, 0.0) == gdp.epsilon_upper(1.0, 1e-5)
        True
    """
    return gdp.epsilon_upper(size * mu, delta, total_variation=total_variation)


def loose_group(epsilon: float, delta: float, size: int) -> tuple[float, float]:
    """(epsilon, delta) of a group from those of one unit alone: k epsilon and delta (e^(k eps) - 1)/(e^eps - 1).

    For guarantees that are not Gaussian: the definition applied k times, P_0(A) <= e^eps P_1(A) + delta <= ... <=
    e^(k eps) P_k(A) + delta (1 + e^eps + ... + e^((k-1) eps)).

    Example:
        >>> epsilon, delta = loose_group(0.5, 1e-6, 2)
        >>> epsilon, round(delta, 9)
        (1.0, 2.649e-06)
    """
    total = sum(math.exp(min(700.0, i * epsilon)) for i in range(size)) * delta
    return size * epsilon, min(1.0, total * (1 + 2.0**-40))


def detection_bound(epsilon: float, delta: float, false_alarms: float = FALSE_ALARMS) -> float:
    """Highest detection rate at this rate of false alarms that (epsilon, delta) allows: min(1, e^eps f + delta).

    Example:
        >>> round(detection_bound(1.0, 1e-5), 6), detection_bound(5.0, 1e-5)
        (0.027193, 1.0)
    """
    return min(1.0, math.exp(min(700.0, epsilon)) * false_alarms + delta + _OUTWARD)


def gaussian_detection(mu: float, total_variation: float, false_alarms: float = FALSE_ALARMS) -> float:
    """The same from the whole curve: 1 - Phi(Phi^-1(1 - f) - mu), rounded up.

    Example:
        >>> round(gaussian_detection(1.0, 0.0), 6)
        0.092362
        >>> gaussian_detection(0.0, 0.0) >= 0.01
        True
    """
    rate = float(ndtr(float(ndtri(false_alarms)) + mu))
    return min(1.0, rate * (1 + 1e-9) + 2 * total_variation + _OUTWARD)
