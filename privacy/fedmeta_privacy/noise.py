# SPDX-License-Identifier: Apache-2.0
"""Discrete Gaussian noise from a cryptographic keystream, by table.

`DiscreteGaussian(scale)` inverts the distribution function of D_{Z, scale} with 128-bit thresholds
(`inversion`). The thresholds come from integer arithmetic alone, the uniform words from whoever holds the
keystream: a `Words` function is an argument, so that this room needs no cipher.

Total variation of one draw from the exact law: each of the L thresholds is rounded down by less than
2^-128, and the table ends 13.3 scales out, where less than 2^-127 of the mass is left.

Scales beyond 2^14 would need large tables; there a draw is X + k Y, X of scale a = 3.25 k and Y of scale b, both by
table, k a power of two and a^2 + k^2 b^2 = s'^2 >= s^2, equal up to the rounding of b (convolution: Peikert 2010,
Theorem 3.1; Micciancio and Walter 2017, ePrint 2017/259). Completing the square, P(X + k Y = z) is proportional to
exp(-z^2/(2 s'^2)) times the sum of a Gaussian of width t = a k b/s' over a coset of the lattice kZ, which by Poisson
summation is the same for every z up to a factor 1 +- e, e <= 2.01 exp(-2 pi^2 (t/k)^2). Here t/k = 3.25
sqrt(1 - (a/s')^2) > 3, so e < 2^-255, and the law is D_{s'} up to 2^-254 and the variations of X and Y. Draws beyond
`reach` are moved to it, for another 2^-127. More noise than stated, by a relative 2^-50 at most, is safe.

A run's delta pays for it: a mechanism within total variation TV of one with curve delta(eps) has the curve
delta(eps) + (1 + e^eps) TV, and TV adds up over every coordinate, party and round (`events.total_variation`).

Words are taken in a fixed order: blocks of 2^15 values, in each first one word per value, then one per tie, then
the signs, 64 to a word, in the order of the word's bytes and each byte's bits from the most significant; where there
are an X and a Y, all of this for the block's X and then for its Y.
Not protected: lookups are not constant time.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError
from .events import SMALLEST_SCALE
from .inversion import ThresholdTable, Words

__all__ = ["LARGEST_SCALE", "REACH_IN_SCALES", "DiscreteGaussian", "Words"]

REACH_IN_SCALES = 13.3
LARGEST_SCALE = 2.0**24
_LARGEST_TABLE = 2.0**14  # scales up to here have one table
_BLOCK = 1 << 15  # values worked on at once: they stay in the cache
_BITS = 256  # of the fixed-point arithmetic; errors grow as (table length)^3 * 2^-256 < 2^-185


class DiscreteGaussian:
    """Sampler of the discrete Gaussian: P(x) proportional to exp(-x^2 / (2 scale^2)) on the integers.

    Args:
        scale: s in steps, 3.2 to 2^24; taken as the exact rational that the float is.

    Attributes:
        reach: the largest |x| that can be returned.
        total_variation: bound on the distance of one draw from the exact law.

    Raises:
        PlanError: scale outside the range.

    Example:
        >>> noise = DiscreteGaussian(4.0)
        >>> noise.reach, noise.total_variation < 2.0**-120
        (54, True)
        >>> noise.sample(3, lambda n: np.zeros(n, np.uint64))
        array([0, 0, 0])
    """

    __slots__ = ("_factor", "_tables", "reach", "scale", "total_variation")

    def __init__(self, scale: float) -> None:
        if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
            raise PlanError(
                f"noise of scale {scale:.6g} steps is outside [{SMALLEST_SCALE}, {LARGEST_SCALE:g}]",
                "change the encoding step",
            )
        self.scale = float(scale)
        self.reach = math.ceil(REACH_IN_SCALES * self.scale)
        self._tables: tuple[ThresholdTable, ...]
        tail = 4 * math.exp(-((self.reach + 1) ** 2) / (2 * self.scale**2)) / REACH_IN_SCALES
        if self.scale <= _LARGEST_TABLE:
            self._factor, self._tables = 0, (_table(self.scale),)
            self.total_variation = self.reach * 2.0**-128 + tail + 2.0**-180
        else:
            self._factor, narrow, wide = split_scale(self.scale)
            self._tables = (_table(narrow), _table(wide))
            parts = DiscreteGaussian(narrow).total_variation + DiscreteGaussian(wide).total_variation
            self.total_variation = parts + tail + 2.0**-180

    def __repr__(self) -> str:
        return f"DiscreteGaussian(scale={self.scale!r})"

    def sample(self, size: int, words: Words) -> NDArray[np.int64]:
        """Draw `size` independent values, shape (size,), from uniform 64-bit words.

        Guarantee: within `total_variation` per value of the exact law if the words are uniform.
        """
        drawn = np.empty(size, np.int64)
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            part = drawn[start : start + count]
            _signed(self._tables[0], words, out=part)
            if self._factor:
                wide = np.empty(count, np.int64)
                _signed(self._tables[1], words, out=wide)
                part += self._factor * wide
                np.clip(part, -self.reach, self.reach, out=part)
        return drawn


def _signed(table: ThresholdTable, words: Words, *, out: NDArray[np.int64]) -> None:
    """Fill `out` with draws of one table, signs included."""
    magnitude = table.invert(words(out.size), words)
    bits = words((out.size + 63) // 64).astype("<u8", copy=False).view(np.uint8)
    sign = np.unpackbits(bits, count=out.size).view(np.int8)
    np.multiply(magnitude, 1 - 2 * sign, out=out)


def split_scale(scale: float) -> tuple[int, float, float]:
    """(k, a, b) of the module for a scale beyond 2^14: a^2 + k^2 b^2 >= scale^2, exactly.

    Example:
        >>> split_scale(2.0**20)[:2]
        (512, 1664.0)
    """
    factor = 1 << (math.floor(math.log2(scale)) // 2 - 1)
    narrow = 3.25 * factor
    wide = math.sqrt(scale**2 - narrow**2) / factor
    while Fraction(narrow) ** 2 + (factor * Fraction(wide)) ** 2 < Fraction(scale) ** 2:
        wide = math.nextafter(wide, math.inf)
    return factor, narrow, wide


@lru_cache(maxsize=8)
def _table(scale: float) -> ThresholdTable:
    return ThresholdTable(*_thresholds(scale))


def _thresholds(scale: float) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """floor(2^128 P(|X| <= k)) for k = 0 .. reach - 1, as high and low 64-bit words."""
    weights = _weights(scale)
    total = 2 * sum(weights) - weights[0]
    cumulative = 0
    packed = bytearray()
    for index, weight in enumerate(weights[:-1]):
        cumulative += weight if index == 0 else 2 * weight
        packed += ((cumulative << 128) // total).to_bytes(16, "big")
    both = np.frombuffer(bytes(packed), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])


def _weights(scale: float) -> list[int]:
    """2^256 exp(-k^2 / (2 scale^2)) for k = 0 .. reach, by w_{k+1} = w_k q^(2k+1), in integers."""
    square = Fraction(scale) ** 2
    root = _exp_minus(1 / (2 * square))
    step = (root * root) >> _BITS
    weight, ratio, weights = 1 << _BITS, root, []
    for _ in range(math.ceil(REACH_IN_SCALES * scale) + 1):
        weights.append(weight)
        weight = (weight * ratio) >> _BITS
        ratio = (ratio * step) >> _BITS
    return weights


def _exp_minus(x: Fraction) -> int:
    """floor-ish 2^256 exp(-x) for 0 <= x < 1 by its alternating series, with 64 guard bits."""
    bits = _BITS + 64
    scaled = (x.numerator << bits) // x.denominator
    term = total = 1 << bits
    index = 1
    while term:
        term = ((term * scaled) >> bits) // index
        total += -term if index % 2 else term
        index += 1
    return total >> 64
