# SPDX-License-Identifier: Apache-2.0
"""Discrete Gaussian noise from a cryptographic keystream, by table.

`DiscreteGaussian(scale)` inverts the distribution function of D_{Z, scale} with 128-bit thresholds
(`inversion`). The thresholds come from integer arithmetic alone, the uniform words from whoever holds the
keystream: a `Words` function is an argument, so that this room needs no cipher.

Total variation of one draw from the exact law: each of the L thresholds is rounded down by less than
2^-128, and the table ends 13.3 scales out, where less than 2^-127 of the mass is left.
A run's delta pays for it: a mechanism within total variation TV of one with curve delta(eps) has the curve
delta(eps) + (1 + e^eps) TV, and TV adds up over every coordinate, party and round (`events.total_variation`).

Words are taken in a fixed order: blocks of 2^15 values, in each first one word per value, then one per tie, then
the signs, 64 to a word, in the order of the word's bytes and each byte's bits from the most significant.
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
LARGEST_SCALE = 2.0**18
_BLOCK = 1 << 15  # values worked on at once: they stay in the cache
_BITS = 256  # of the fixed-point arithmetic; errors grow as (table length)^3 * 2^-256 < 2^-185


class DiscreteGaussian:
    """Sampler of the discrete Gaussian: P(x) proportional to exp(-x^2 / (2 scale^2)) on the integers.

    Args:
        scale: s in steps, 3.2 to 2^18; taken as the exact rational that the float is.

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

    __slots__ = ("_table", "reach", "scale", "total_variation")

    def __init__(self, scale: float) -> None:
        if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
            raise PlanError(
                f"noise of scale {scale:.6g} steps is outside [{SMALLEST_SCALE}, {LARGEST_SCALE:g}]",
                "change the encoding step",
            )
        self.scale = float(scale)
        self.reach = math.ceil(REACH_IN_SCALES * self.scale)
        self._table = _table(self.scale)
        tail = 4 * math.exp(-((self.reach + 1) ** 2) / (2 * self.scale**2)) / REACH_IN_SCALES
        self.total_variation = self.reach * 2.0**-128 + tail + 2.0**-180

    def __repr__(self) -> str:
        return f"DiscreteGaussian(scale={self.scale!r})"

    def sample(self, size: int, words: Words) -> NDArray[np.int64]:
        """Draw `size` independent values, shape (size,), from uniform 64-bit words.

        Guarantee: within `total_variation` per value of the exact law if the words are uniform.
        """
        drawn = np.empty(size, np.int64)
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            magnitude = self._table.invert(words(count), words)
            bits = words((count + 63) // 64).astype("<u8", copy=False).view(np.uint8)
            sign = np.unpackbits(bits, count=count).view(np.int8)
            np.multiply(magnitude, 1 - 2 * sign, out=drawn[start : start + count])
        return drawn


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
