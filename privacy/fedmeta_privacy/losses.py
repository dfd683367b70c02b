# SPDX-License-Identifier: Apache-2.0
"""The privacy loss of one sampled Gaussian release, on a grid, never below the truth.

With Q = N(0, 1/mu^2) and P = (1 - q) Q + q N(1, 1/mu^2) the pair of a Poisson-sampled Gaussian release is (P, Q)
when a unit is removed and (Q, P) when it is added; the loss is L(x) = log(dP/dQ)(x) = log(1 - q + q e^y),
y = mu^2 (x - 1/2), which increases in x (Zhu, Dong and Wang 2022, Theorem 11, arXiv 2106.08567v3).

Discretisation ("connect the dots", Doroshenko et al. 2022, arXiv 2207.04380v2): the outcomes whose loss lies between
two grid points h apart are moved to these points so that the mass under P and the mass under Q of the interval are
both kept. e^-L then has the same mean and more spread, and delta(eps) = E_P[(1 - e^eps e^-L)_+] is an expectation of
a convex function of e^-L: it can only grow, for every eps and in every composition. Masses outside the grid are moved
up: those above become an infinite loss, those below the lowest point.

Floating point: every mass is off by at most `error` in total after tilting (`LossPmf`), and the edges of the intervals
lie at losses off by at most `shift`, which moves epsilon by no more than the sum of the shifts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]
_U = 2.0**-53
LARGEST_LOSS = 600.0  # what is above counts as infinite, so that e^loss stays a float


@dataclass(frozen=True, slots=True)
class LossPmf:
    """Masses of one release's loss at `(lowest + i) * interval`, as a sub-probability.

    Attributes:
        lowest: index of the first grid point.
        masses: (n,), under the first distribution of the pair.
        infinity: mass of an infinite loss.
        errors: (n,), how far each mass may be from its exact value.
        shift: how far the losses may be from the grid points.
    """

    lowest: int
    masses: Array
    infinity: float
    errors: Array
    shift: float


def grid_top(mu: float, q: float, tail: float) -> float:
    """A loss that is exceeded with probability at most `tail` under P, and under Q.

    Example:
        >>> 4.0 < grid_top(1.0, 0.01, 1e-15) < 5.0
        True
    """
    x = 1 - float(ndtri(tail)) / mu  # P(X > x) <= tail, as N(1, 1/mu^2) lies right of Q
    y = mu**2 * (x - 0.5)
    return y if q >= 1 else float(np.logaddexp(math.log1p(-q), math.log(q) + y))


def sampled_gaussian(mu: float, q: float, *, interval: float, tail: float) -> tuple[LossPmf, LossPmf]:
    """Loss of one release when the unit is removed, and when it is added.

    Args:
        mu: sensitivity over noise deviation.
        q: sampling probability in (0, 1]; 1 is the plain Gaussian.
        interval: h, distance of the grid points.
        tail: mass that may become an infinite loss.

    Example:
        >>> removed, added = sampled_gaussian(1.0, 0.5, interval=1e-2, tail=1e-15)
        >>> abs(removed.masses.sum() - 1) < 1e-9, removed.infinity <= 1e-15
        (True, True)
        >>> grid = (removed.lowest + np.arange(removed.masses.size)) * 1e-2
        >>> abs(float(removed.masses @ np.exp(-grid)) - 1) < 1e-9  # the mass under Q is kept
        True
    """
    h = interval
    high = math.ceil(min(grid_top(mu, q, tail), LARGEST_LOSS) / h)
    low = -high if q >= 1 else max(-high, math.floor(math.log1p(-q) / h))
    grid = np.arange(low, high + 1, dtype=np.float64) * h
    odds, x = _edges(grid, mu, q)
    b, b_error, b_below, b_above = _interval_masses(mu * x)
    c, c_error, c_below, c_above = _interval_masses(mu * (x - 1))
    growth = math.expm1(h)
    # Removed: an interval of masses a under P and b under Q leaves (b e^l - a) / (e^h - 1) at its lower end.
    a, a_error = (1 - q) * b + q * c, (1 - q) * b_error + q * c_error
    upper = odds[1:]
    down = (b * upper - q * c) / growth
    down_error = (upper * b_error + q * c_error + 8 * _U * (b * upper + q * c)) / growth
    removed = _two_ends(down, down_error, a, a_error)
    removed[0][0] += (1 - q) * b_below + q * c_below
    a_above = (1 - q) * b_above + q * c_above
    # Added: the same intervals mirrored, with P and Q exchanged.
    lower, scale = odds[:-1], np.exp(-grid[:-1])
    down = (q * c - b * lower) * scale / growth
    down_error = (q * c_error + lower * b_error + 8 * _U * (q * c + b * lower)) * scale / growth
    added = _two_ends(down[::-1], down_error[::-1], b[::-1], b_error[::-1])
    added[0][0] += b_above
    finite = x[np.isfinite(x)]
    shift = _U * (32 + 8 * mu**2 * float(np.abs(finite).max(initial=0.0) + 1))
    return (
        LossPmf(low, removed[0], a_above * (1 + 1e-9), removed[1], shift),
        LossPmf(-high, added[0], b_below * (1 + 1e-9), added[1], shift),
    )


def _edges(grid: Array, mu: float, q: float) -> tuple[Array, Array]:
    """Odds q e^y and outcomes x at the grid's losses; x is -inf where no outcome has so small a loss."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if q >= 1:
            odds, y = np.exp(grid), grid
        else:
            # Each form where it loses no digits.
            odds = np.maximum(np.where(grid < -0.5, np.exp(grid) - (1 - q), np.expm1(grid) + q), 0.0)
            y = np.log(odds) - math.log(q)
        return odds, y / mu**2 + 0.5


def _interval_masses(t: Array) -> tuple[Array, Array, float, float]:
    """Standard normal masses between increasing points, bounds on their errors, and what lies below and above."""
    cdf, sf = ndtr(t), ndtr(-t)
    left = t[1:] <= 0
    masses = np.where(left, np.diff(cdf), -np.diff(sf))
    # ndtr is good to a few units in the last place near 0 and to about t^2 of them in the tail.
    squares = 4 + np.where(np.isfinite(t), t, 0.0) ** 2
    used = np.where(left, cdf[1:] * squares[1:], sf[:-1] * squares[:-1])
    return np.maximum(masses, 0.0), 8 * _U * used, float(cdf[0]), float(sf[-1])


def _two_ends(down: Array, down_error: Array, total: Array, total_error: Array) -> tuple[Array, Array]:
    """Put `down` of each interval's mass at its lower and the rest at its upper end."""
    down = np.clip(down, 0.0, total)  # a value outside is rounding, within its error
    masses, errors = np.zeros(total.size + 1), np.zeros(total.size + 1)
    masses[:-1] += down
    masses[1:] += total - down
    errors[:-1] += down_error
    errors[1:] += down_error + total_error
    return masses, errors
