# SPDX-License-Identifier: Apache-2.0
"""Discrete Gaussian noise without any table or float: exact, and slow.

Canonne, Kamath and Steinke 2020 (arXiv 2004.00010v3), Algorithms 1 to 3: a discrete Gaussian from a discrete Laplace
by rejection, a discrete Laplace from geometric draws, and both from Bernoulli(exp(-x)) with rational x. All arithmetic
is on whole numbers, so that the law is exact if the words are uniform: no total variation is to be charged. For
small counts and as the reference of the table sampler (`noise.DiscreteGaussian`), which is a thousand times faster.

Not protected: the number of words and the time depend on the values drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError
from .inversion import Words

_FETCH = 256  # words asked for at once; those left at the end of a call are not used again
LARGEST_VARIANCE = 2**40


class ExactDiscreteGaussian:
    """Sampler of the discrete Gaussian: P(x) proportional to exp(-x^2 / (2 variance)) on the integers.

    Args:
        variance: sigma^2 in squared steps, an exact rational in (0, 2^40]; `Fraction(scale) ** 2` for a float scale.

    Guarantee: exact (total variation 0) if the words are uniform and independent.

    Raises:
        PlanError: a variance that is not a rational in the range.

    Example:
        >>> from itertools import count
        >>> counter = count()
        >>> words = lambda n: np.array([hash_of(next(counter)) for _ in range(n)], np.uint64)
        >>> hash_of = lambda i: (i * 0x9E3779B97F4A7C15 ^ i << 40) % 2**64  # not random: an example
        >>> ExactDiscreteGaussian(Fraction(9)).sample(4, words).dtype
        dtype('int64')
    """

    __slots__ = ("variance",)

    total_variation = 0.0

    def __init__(self, variance: Fraction | int) -> None:
        if isinstance(variance, bool) or not isinstance(variance, Fraction | int):
            raise PlanError(f"the variance {variance!r} is not an exact rational", "pass a Fraction")
        if not 0 < variance <= LARGEST_VARIANCE:
            raise PlanError(f"variance {float(variance):.6g} is outside (0, 2^40]", "change the encoding step")
        self.variance = Fraction(variance)

    def __repr__(self) -> str:
        return f"ExactDiscreteGaussian(variance={self.variance!r})"

    def sample(self, size: int, words: Words) -> NDArray[np.int64]:
        """Draw `size` independent values, shape (size,)."""
        stream = _stream(words)
        scale = math.isqrt(self.variance.numerator // self.variance.denominator) + 1  # t of Algorithm 3
        return np.array([_gaussian(self.variance, scale, stream) for _ in range(size)], np.int64)


def _stream(words: Words) -> Iterator[int]:
    while True:
        yield from words(_FETCH).tolist()


def _below(bound: int, stream: Iterator[int]) -> int:
    """Uniform on 0 .. bound - 1, by rejection."""
    count = -(-bound.bit_length() // 64)
    limit = (1 << 64 * count) // bound * bound
    while True:
        drawn = 0
        for _ in range(count):
            drawn = drawn << 64 | next(stream)
        if drawn < limit:
            return drawn % bound


def _exponential_coin(x: Fraction, stream: Iterator[int]) -> bool:
    """True with probability exp(-x), x >= 0 (Algorithm 1)."""
    while x > 1:
        if not _small_exponential_coin(1, 1, stream):
            return False
        x -= 1
    return _small_exponential_coin(x.numerator, x.denominator, stream)


def _small_exponential_coin(numerator: int, denominator: int, stream: Iterator[int]) -> bool:
    """The same for x in [0, 1]: the first k with Bernoulli(x / k) = 0 is odd with probability exp(-x)."""
    k = 1
    while _below(k * denominator, stream) < numerator:
        k += 1
    return k % 2 == 1


def _laplace(scale: int, stream: Iterator[int]) -> int:
    """P(x) proportional to exp(-|x| / scale) (Algorithm 2)."""
    while True:
        remainder = _below(scale, stream)
        if not _small_exponential_coin(remainder, scale, stream):
            continue
        quotient = 0
        while _small_exponential_coin(1, 1, stream):
            quotient += 1
        magnitude = remainder + scale * quotient
        negative = next(stream) & 1
        if negative and magnitude == 0:
            continue  # else zero would be counted twice
        return -magnitude if negative else magnitude


def _gaussian(variance: Fraction, scale: int, stream: Iterator[int]) -> int:
    """Accept a Laplace draw y with probability exp(-(|y| - variance/scale)^2 / (2 variance)) (Algorithm 3)."""
    while True:
        drawn = _laplace(scale, stream)
        if _exponential_coin((abs(drawn) - variance / scale) ** 2 / (2 * variance), stream):
            return drawn
