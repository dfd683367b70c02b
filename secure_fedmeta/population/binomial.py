# SPDX-License-Identifier: Apache-2.0
"""How many of N independent coins show heads, from uniform words and integer arithmetic alone.

numpy's binomial works in floats whose error nobody has bounded; where the count decides who is in a private sum, it is
drawn here instead. Weights w_k, proportional to P(k), follow from the mode outwards by the exact ratio
P(k+1)/P(k) = (N - k) q / ((k + 1) (1 - q)), with q the rational that the float is, in 320-bit fixed point. They are
cut off where they fall below 2^-200 of the largest; they fall at least geometrically there. The cumulative sums,
compared with 128 uniform bits, give the count.

Total variation from the exact law: each threshold is off by less than 2^-127 with the rounding of fewer than 2^40
weights, and at most 2^22 thresholds are allowed: below 2^-100 in all (`VARIATION`).
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate

import numpy as np

from fedmeta_privacy.noise import Words

from ..errors import CohortRefused

VARIATION = 2.0**-100
_BITS, _CUT, _MOST = 320, 200, 2**22


def heads(coins: int, probability: float, words: Words) -> int:
    """One draw of Binomial(coins, probability); takes two words.

    Guarantee: within `VARIATION` of the exact law if the words are uniform.
    Raises:
        CohortRefused: more than 2^22 counts are possible at all.

    Example:
        >>> heads(100, 0.5, lambda n: np.full(n, 2**63, np.uint64))
        50
    """
    least, thresholds = _table(coins, probability)
    high, low = words(2).tolist()
    return least + bisect_right(thresholds, (int(high) << 64) | int(low))


@lru_cache(maxsize=8)
def _table(coins: int, probability: float) -> tuple[int, list[int]]:
    """The least count, and floor(2^128 P(count <= k)) for all counts but the last."""
    q = Fraction(probability)
    mode = min(coins, int((coins + 1) * q))
    heads_, tails = q.numerator, q.denominator - q.numerator
    up, weight, k = [], 1 << _BITS, mode
    while k < coins and weight >> (_BITS - _CUT) and tails:
        weight = weight * ((coins - k) * heads_) // ((k + 1) * tails)
        k += 1
        up.append(weight)
        _check(len(up))
    down, weight, k = [], 1 << _BITS, mode
    while k > 0 and weight >> (_BITS - _CUT):
        weight = weight * (k * tails) // ((coins - k + 1) * heads_)
        k -= 1
        down.append(weight)
        _check(len(down))
    weights = [*reversed(down), 1 << _BITS, *up]
    total = sum(weights)
    return mode - len(down), [(part << 128) // total for part in accumulate(weights[:-1])]


def _check(count: int) -> None:
    if count > _MOST:
        raise CohortRefused("a Poisson sample with more than 2^22 possible sizes", "cohort", "sample fewer clients")


def spread(coins: int, probability: float) -> np.ndarray:
    """The law that `heads` draws from, (coins + 1,) float64: for tests and plots, not for an account."""
    least, thresholds = _table(coins, probability)
    law = np.zeros(coins + 1)
    edges = [0, *thresholds, 1 << 128]
    for place, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        law[least + place] = (high - low) / 2.0**128
    return law
