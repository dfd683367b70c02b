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
        >>> 3.8 < grid_top(1.0, 0.01, 1e-15) < 3.9
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
        >>> bool(abs(removed.masses.sum() - 1) < 1e-9 and removed.infinity <= 1e-15)
        True
        >>> grid = (removed.lowest + np.arange(removed.masses.size)) * 1e-2
        >>> bool(abs(removed.masses @ np.exp(-grid) - 1) < 1e-9)  # the mass under Q is kept
        True
    """
    h = interval
    high = math.ceil(min(grid_top(mu, q, tail), LARGEST_LOSS) / h)
    low = -high if q >= 1 else max(-high, math.floor(math.log1p(-q) / h))
    grid = np.arange(low, high + 1, dtype=np.float64) * h
    odds, t = _edges(grid, mu, q)
    (b, b_error), (c, c_error), rise, fall = _intervals(t, mu)
    b_above, c_above, b_below, c_below = (float(ndtr(v)) for v in (-t[-1], mu - t[-1], t[0], t[0] - mu))
    growth = math.expm1(h)
    # Removed: an interval of masses a under P and b under Q leaves (b e^l - a) / (e^h - 1) at its lower end, which is
    # q e^y / (e^h - 1) times `rise`, y at the upper end.
    a, a_error = (1 - q) * b + q * c, (1 - q) * b_error + q * c_error
    factor = odds[1:] / growth
    masses, errors = _two_ends(factor * rise[0], np.abs(factor) * rise[1], a, a_error)
    masses[0] += (1 - q) * b_below + q * c_below
    above = ((1 - q) * b_above + q * c_above) * (1 + 1e-9)
    shift = _U * (32 + 8 * mu * float(np.abs(t[np.isfinite(t)]).max(initial=0.0) + mu))
    removed = LossPmf(low, masses, above, errors, shift)
    # Added: the same intervals mirrored, with P and Q exchanged; `fall` is the same with y at the lower end.
    scale = np.exp(-grid[:-1]) / growth
    inside = odds[:-1] > 0
    # The last grid point may lie beyond all outcomes: (a e^-l - b) / (e^h - 1) with e^-l a = e^-l ((1 - q) b + q c).
    beyond, beyond_error = q * c - odds[:-1] * b, q * c_error + np.abs(odds[:-1]) * b_error
    down = scale * np.where(inside, odds[:-1] * fall[0], beyond)
    down_error = scale * np.where(inside, odds[:-1] * fall[1], beyond_error + 8 * _U * np.abs(beyond))
    masses, errors = _two_ends(down[::-1], down_error[::-1], b[::-1], b_error[::-1])
    masses[0] += b_above
    return removed, LossPmf(-high, masses, b_below * (1 + 1e-9), errors, shift)


def _edges(grid: Array, mu: float, q: float) -> tuple[Array, Array]:
    """Odds q e^y at the grid's losses and outcomes t = mu x; below 0 and -inf where no outcome has such a loss."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if q >= 1:
            odds, y = np.exp(grid), grid
        else:
            # Each form where it loses no digits.
            odds = np.where(grid < -0.5, np.exp(grid) - (1 - q), np.expm1(grid) + q)
            y = np.log(np.maximum(odds, 0.0)) - math.log(q)
        return odds, y / mu + mu / 2


_Bounded = tuple[Array, Array]  # values and bounds on their errors
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def _intervals(t: Array, mu: float) -> tuple[_Bounded, _Bounded, _Bounded, _Bounded]:
    """Integrals over the intervals between increasing outcomes t, phi the standard normal density.

    Returns b = int phi(s), c = int phi(s - mu), rise = int phi(s) (1 - e^(mu (s - upper))) and
    fall = int phi(s) (e^(mu (s - lower)) - 1). Narrow intervals by Gauss-Legendre with 6 nodes, whose relative error
    1.9e-16 width^12 f^(12)/f is below 2^-52 where width (|t| + mu + 6) < 1, with no cancellation; wide ones by
    differences of the distribution function, good to a few units in the last place near 0 and t^2 of them in the tail.
    """
    lower, upper = t[:-1], t[1:]
    width = upper - lower
    far = np.maximum(np.abs(np.where(np.isfinite(lower), lower, 0.0)), np.abs(np.where(np.isfinite(upper), upper, 0.0)))
    narrow = np.isfinite(width) & (width * (far + mu + 6) < 1)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        b, b_size = _mass(lower, upper)
        c, c_size = _mass(lower - mu, upper - mu)
        b_error, c_error = (8 * _U * (4 + (far + mu) ** 2) * size for size in (b_size, c_size))
        # rise = b - c e^(mu^2/2 - mu upper), as phi(s - mu) = phi(s) e^(mu s - mu^2/2); fall alike.
        at_upper, at_lower = np.exp(mu**2 / 2 - mu * upper), np.exp(mu**2 / 2 - mu * lower)
        rise = b - c * at_upper
        fall = np.where(np.isfinite(lower), c * at_lower - b, 0.0)
        more = 8 * _U * (4 + mu * (far + mu))
        rise_error = b_error + c_error * at_upper + more * (b + c * at_upper)
        fall_error = np.where(np.isfinite(lower), b_error + c_error * at_lower + more * (b + c * at_lower), 0.0)
    if narrow.any():
        lo, half = lower[narrow], width[narrow] / 2
        ahead, behind = half * (1 + _NODES[:, None]), half * (1 - _NODES[:, None])  # of the interval's ends
        s = lo + ahead
        density = _WEIGHTS[:, None] * half * np.exp(-(s**2) / 2) / math.sqrt(2 * math.pi)
        values = (
            density.sum(axis=0),
            (density * np.exp(mu * s - mu**2 / 2)).sum(axis=0),
            -(density * np.expm1(-mu * behind)).sum(axis=0),
            (density * np.expm1(mu * ahead)).sum(axis=0),
        )
        for (whole, error), value in zip(
            ((b, b_error), (c, c_error), (rise, rise_error), (fall, fall_error)), values, strict=True
        ):
            whole[narrow] = value
            # Exponents lose t^2 and mu t units; the widths are differences of near floats, exact.
            error[narrow] = 8 * _U * (8 + (far[narrow] + mu) ** 2) * value
    return (b, b_error), (c, c_error), (rise, rise_error), (fall, fall_error)


def _mass(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Standard normal masses between outcomes, and the size of what was subtracted for them."""
    left = upper <= 0
    more, less = ndtr(np.where(left, upper, -lower)), ndtr(np.where(left, lower, -upper))
    return np.maximum(more - less, 0.0), more


def _two_ends(down: Array, down_error: Array, total: Array, total_error: Array) -> tuple[Array, Array]:
    """Put `down` of each interval's mass at its lower and the rest at its upper end."""
    down = np.clip(down, 0.0, total)  # a value outside is rounding, within its error
    masses, errors = np.zeros(total.size + 1), np.zeros(total.size + 1)
    masses[:-1] += down
    masses[1:] += total - down
    errors[:-1] += down_error
    errors[1:] += down_error + total_error
    return masses, errors
