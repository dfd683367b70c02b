# SPDX-License-Identifier: Apache-2.0
"""Whether the noise of one release really is one fresh draw per coordinate.

The mechanism test counts canaries of one release as independent trials; these checks are what stands behind that. Both
use correlations about zero, the known mean of the noise, so that one draw shared by all coordinates shows as a
correlation of 1 and not as 0/0.

For independent coordinates of one scale, a correlation over d pairs has standard deviation 1/sqrt(d), and one over the
d - lag pairs that are `lag` apart, divided by the power of all d, a smaller one. So the limit of 5/sqrt(d) is passed
with probability 6e-7 at most by each of them (normal approximation; d >= 64 is asked for).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ScoresRefused

_DEVIATIONS = 5.0
_FEWEST = 64


@dataclass(frozen=True, slots=True)
class Correlation:
    """The largest correlation found, by absolute value.

    Attributes:
        largest: between 0 and 1 but for the edges of short vectors.
        limit: five standard deviations for independent coordinates.
        compared: how many correlations were looked at.
    """

    largest: float
    limit: float
    compared: int

    @property
    def independent(self) -> bool:
        """Whether nothing beyond chance was found."""
        return self.largest < self.limit

    @property
    def p(self) -> float:
        """Chance that independent noise passes `largest` anywhere, at most."""
        deviations = self.largest / self.limit * _DEVIATIONS
        return min(1.0, self.compared * math.erfc(deviations / math.sqrt(2)))


def autocorrelation(residuals: NDArray[np.float64]) -> Correlation:
    """Largest correlation of coordinates 1, 2, 4, ... apart: repeated blocks, seeds and shared draws.

    Shapes: (d,), the released sum minus what was put in.
    Raises:
        ScoresRefused: not finite, fewer than 64, or all zero.

    Example:
        >>> autocorrelation(np.ones(128)).independent
        False
        >>> autocorrelation(np.random.default_rng(0).normal(size=4096)).independent
        True
    """
    x = _checked(residuals)
    power = float(x @ x)
    lags = [1 << k for k in range((x.size // 2).bit_length())]
    found = max(abs(float(x[:-lag] @ x[lag:])) / power for lag in lags)
    return Correlation(found, _DEVIATIONS / math.sqrt(x.size), len(lags))


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> Correlation:
    """Correlation of two residual vectors: of two rounds, two parties or two halves.

    Raises:
        ScoresRefused: as `autocorrelation`, and different lengths.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2, 4096))
        >>> correlation(x[0], x[1]).independent, correlation(x[0], x[0]).independent
        (True, False)
    """
    a, b = _checked(first), _checked(second)
    if a.shape != b.shape:
        raise ScoresRefused(f"residuals of {a.size} and {b.size} coordinates", "compare the same coordinates")
    found = abs(float(a @ b)) / math.sqrt(float(a @ a) * float(b @ b))
    return Correlation(found, _DEVIATIONS / math.sqrt(a.size), 1)


def _checked(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.asarray(residuals, dtype=np.float64)
    if x.ndim != 1 or x.size < _FEWEST or not np.isfinite(x).all():
        raise ScoresRefused("the residuals are not a finite vector", f"give at least {_FEWEST} finite numbers")
    if not x.any():
        raise ScoresRefused("all residuals are zero: there is no noise to judge", "audit a release with noise")
    return x
