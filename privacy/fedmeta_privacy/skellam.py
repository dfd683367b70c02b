# SPDX-License-Identifier: Apache-2.0
"""Skellam noise: the difference of two Poisson draws, by 128-bit tables of whole numbers.

For teaching and comparison (Agarwal, Kairouz and Liu 2021, arXiv 2110.04995): Skellam is closed under sums, so
dropouts change nothing but the variance, but only Renyi bounds are proved for it; the discrete Gaussian has an exact
Gaussian bound and is the default. Library samplers of the Poisson law work in floats and state no distance from it;
this one does.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError
from .inversion import ThresholdTable, Words

SMALLEST_SKELLAM_SCALE = 1.0
LARGEST_SKELLAM_SCALE = 2.0**14
_ONE = 1 << 256
_BLOCK = 1 << 15
_CUT = 1 << (256 - 150)  # the table ends where a weight falls below 2^-150 of the largest


class Skellam:
    """Sampler of X - Y with X, Y independent Poisson(scale^2 / 2).

    Args:
        scale: standard deviation in steps, 1 to 2^14; taken as the exact rational that the float is.

    Attributes:
        variance: of one draw, scale^2; variances of independent draws add up to that of their sum, again Skellam.
        reach: the largest |x| that can be returned.
        total_variation: bound on the distance of one draw from the exact law. Of each Poisson draw: its thresholds are
            rounded down by less than 2^-128 each, and what lies beyond the table weighs less than 2^-135: weights fall
            at least geometrically there, by a ratio of at most 1 - 2^-10, from 2^-150 of the largest.

    Raises:
        PlanError: scale outside the range.

    Example:
        >>> noise = Skellam(4.0)
        >>> noise.variance, noise.total_variation < 2.0**-118
        (16.0, True)
        >>> noise.sample(2, lambda n: np.full(n, 1 << 63, np.uint64))
        array([0, 0])
    """

    __slots__ = ("_smallest", "_table", "reach", "scale", "total_variation")

    def __init__(self, scale: float) -> None:
        if not SMALLEST_SKELLAM_SCALE <= scale <= LARGEST_SKELLAM_SCALE:
            raise PlanError(
                f"Skellam noise of scale {scale:.6g} steps is outside [1, {LARGEST_SKELLAM_SCALE:g}]",
                "change the encoding step, or use the discrete Gaussian",
            )
        self.scale = float(scale)
        self._smallest, self._table = _poisson_table(self.scale)
        self.reach = self._table.high.size
        self.total_variation = 2 * (self.reach * 2.0**-128 + 2.0**-135)

    def __repr__(self) -> str:
        return f"Skellam(scale={self.scale!r})"

    @property
    def variance(self) -> float:
        """scale^2, in squared steps; rounded to the nearest float."""
        return self.scale**2

    def sample(self, size: int, words: Words) -> NDArray[np.int64]:
        """Draw `size` independent values, shape (size,), from two uniform words each.

        Words are taken in blocks of 2^15 values: one per value and its ties for X, then the same for Y.
        """
        drawn = np.empty(size, np.int64)
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            first = self._table.invert(words(count), words)
            np.subtract(first, self._table.invert(words(count), words), out=drawn[start : start + count])
        return drawn


@lru_cache(maxsize=8)
def _poisson_table(scale: float) -> tuple[int, ThresholdTable]:
    """Smallest value and thresholds of Poisson(scale^2 / 2) between the two cuts."""
    smallest, weights = _poisson_weights(Fraction(scale) ** 2 / 2)
    total, cumulative, thresholds = sum(weights), 0, []
    for weight in weights[:-1]:
        cumulative += weight
        thresholds.append((cumulative << 128) // total)
    return smallest, ThresholdTable.of(thresholds)


def _poisson_weights(rate: Fraction) -> tuple[int, list[int]]:
    """2^256 p_k / p_mode for consecutive k around the mode, from p_{k+1} / p_k = rate / (k + 1), in integers.

    Each step rounds down by less than one unit of 2^-256, and what it inherits shrinks, as weights do: after n steps
    a weight is off by less than n units, and a cumulative sum by less than n^2 < 2^40 of them.
    """
    mode = math.floor(rate)
    above, weight, k = [_ONE], _ONE, mode
    while weight >= _CUT:
        k += 1
        weight = weight * rate.numerator // (rate.denominator * k)
        above.append(weight)
    below, weight, k = [], _ONE, mode
    while weight >= _CUT and k > 0:
        weight = weight * rate.denominator * k // rate.numerator
        k -= 1
        below.append(weight)
    return k, below[::-1] + above
