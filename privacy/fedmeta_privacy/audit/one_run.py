# SPDX-License-Identifier: Apache-2.0
"""A lower bound on epsilon from one run, valid for any mechanism.

Source: Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One (1) Training Run", Theorem 5.2
(arXiv 2305.08846). There are m canaries, each put in by its own fair coin. The auditor sees the output, guesses r of
the coins and abstains on the others; r is fixed beforehand. If the mechanism is (epsilon, delta)-DP, the number W of
correct guesses satisfies, with q = e^epsilon / (1 + e^epsilon) and W* ~ Binomial(r, q),

    P[W >= v] <= beta + 2 m delta alpha,   beta = P[W* >= v],   alpha = max_{1 <= i <= m} P[v > W* >= v - i] / i.

Derivation in short: given the output, the posterior of each coin is within odds e^epsilon of fair, so W is
stochastically below W* if delta = 0. Each canary may fail that with probability 2 delta; conditioned on F failures
W <= W* + F, and E[F] <= 2 m delta; the worst law of F with that mean puts its weight on one i, which gives alpha.

Inversion: the bound is the least epsilon that is *not* rejected. Written as

    max_i (1 - 2 m delta / i) beta + (2 m delta / i) P[W* >= v - i]

the p-value is a maximum of functions that grow with epsilon as long as 2 m delta <= 1. Beyond that the first
factor may be negative; it is replaced by 0 there, which only raises the p-value. So it always grows, there is one
crossing, and bisection ends below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import binom

from .result import AuditBound, AuditContext, Kind, check_count, check_rates

_PRECISION = 1e-9
_LARGEST_EPSILON = 700.0


def one_run_p_value(epsilon: float, *, canaries: int, guesses: int, correct: int, delta: float) -> float:
    """Bound on the chance of at least `correct` right guesses under (epsilon, delta)-DP, rounded up.

    Example:
        >>> round(one_run_p_value(0.0, canaries=10, guesses=10, correct=10, delta=0.0) * 2**10, 9)
        1.0
    """
    q = 1.0 / (1.0 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, q))
    if delta > 0 and correct > 0:
        i = np.arange(1, correct + 1)  # beyond i = v the tail is 1 and only the divisor grows
        weight = 2.0 * canaries * delta / i
        tail = max(
            tail, float((np.maximum(0.0, 1.0 - weight) * tail + weight * binom.sf(correct - i - 1, guesses, q)).max())
        )
    return min(1.0, tail * (1 + 1e-12))


def one_run_bound(
    *, canaries: int, guesses: int, correct: int, delta: float, p: float, context: AuditContext
) -> AuditBound:
    """Lower bound on epsilon from `correct` right guesses out of `guesses` among `canaries` coins.

    Guarantee: for any (epsilon, delta)-DP mechanism the bound exceeds epsilon with probability at most p over the
        coins and the mechanism, provided that `guesses` was fixed before the output was seen.
    Raises:
        CountsRefused: correct > guesses, guesses > canaries, or not whole numbers.
        ErrorRateRefused: delta outside [0, 1) or p outside (0, 1).

    Example:
        >>> from fedmeta_privacy.claims import Unit, View
        >>> where = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)
        >>> bound = one_run_bound(canaries=100, guesses=100, correct=100, delta=1e-5, p=0.05, context=where)
        >>> round(bound.epsilon, 4), bound.kind.value
        (3.4902, 'one-run bound')
    """
    check_guesses(canaries, guesses, correct)
    check_rates(delta, p)

    def rejected(epsilon: float) -> bool:
        value = one_run_p_value(epsilon, canaries=canaries, guesses=guesses, correct=correct, delta=delta)
        return value < p

    low = largest_rejected(rejected, _LARGEST_EPSILON)
    return AuditBound(low, None, delta, p, canaries, "Steinke et al. 2023, theorem 5.2", Kind.ONE_RUN, context)


def check_guesses(canaries: int, guesses: int, correct: int) -> None:
    """Refuse v > r or r > m."""
    check_count("canaries", canaries, at_least=1)
    check_count("guesses", guesses, at_least=1, at_most=canaries)
    check_count("correct", correct, at_most=guesses)


def largest_rejected(rejected: Callable[[float], bool], limit: float) -> float:
    """The last rejected value, to a billionth from below, of a test that rejects small values; 0 if none."""
    if not rejected(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while rejected(high):
        low, high = high, 2 * high
        if high >= limit:
            return low
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if rejected(middle):
            low = middle
        else:
            high = middle
    return low
