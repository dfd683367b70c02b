# SPDX-License-Identifier: Apache-2.0
"""Many unequal sampled rounds composed at once: one product in the Fourier domain, with its error bound.

The loss of a run is the sum of the rounds' independent losses, each on the grid of `losses`, never below the truth. For
a tilt theta > 0 let M_t = sum_k p_t(k) e^(theta l_k) and f_t(w) the discrete Fourier transform, of length N, of the
tilted law p_t(k) e^(theta l_k) / M_t. With S = prod_t M_t and r the inverse transform of prod_t f_t,

    delta(eps) = S sum_k r_k e^(-theta l_k) (1 - e^(eps - l_k))_+  + what is lost,

summed over one window of N grid points. theta is taken where the exponential (Renyi) bound is smallest, so that the
tilted law lies around eps and every error below is relative to delta itself. What is lost, all added to delta:

- *above the window*: mass beyond its top is at most exp(K(s) - s top) for every order s, K(s) = sum_t log M_t(s)
  (Chernoff); the window is chosen so that this is below 1e-7 delta. Mass below the window wraps around and is counted
  higher: never too low.
- *infinite losses*: their sum over rounds.
- *masses and transforms*: let e_t bound, for every w, how far the computed f_t is from the exact one: the tilted sum of
  `LossPmf.errors`, plus 16 u log2 N for the transform (every intermediate value of a fast transform is
  the transform of a subsequence, so at most its 1-norm, and a butterfly adds at most 5 u of the norms it joins: 5 u
  log2 N times the law's 1-norm, 1; argued for radix 2, and pocketfft mixes radices, hence the margin), plus 64
  u for weights and the product. As |f_t| <= 1, products differ by at most (1 + e)^n - 1 <= expm1(2 sum_t e_t) =: E at
  each frequency.
- *frequencies left out*: |prod f_t| <= exp(-sum_t (1 - |f_t|)) <= exp(-sum_i n_i (1 - |f_i|)), n_i the rounds' summed
  tilted weights of corner i; where the right side is below e^-70, the product is taken as 0.

So each r_k is within rho = (E * frequencies kept + sum of what is left out) / N + 16 u log2 N |r|_2, and delta within
S sum_k rho e^(-theta l_k). Losses off by `shift` are added to epsilon.
Both directions are composed and the larger epsilon is returned: neither dominates the other under composition (Lebeda
et al. 2024, arXiv 2405.20769).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .dominance import CLASSES, Corners, corners
from .losses import LARGEST_LOSS, Array, LossPmf, grid_top, sampled_gaussian

Complex = NDArray[np.complex128]
_U = 2.0**-53
_LARGEST_GRID = 2**21
_LARGEST_PMF = 2**18
_COARSEST = 2e-3
_SILENT = 70.0  # |product| below e^-70 is left out
_ROWS = 4096  # rounds whose products are formed at once


@dataclass(frozen=True, slots=True)
class Rounds:
    """Sampled rounds as columns: what a run's ledger is turned into before it is accounted for.

    Attributes:
        noise_multiplier: (r,) noise deviation over sensitivity.
        sampling: (r,) probability with which a record is taken, in (0, 1].
        keep: (r,) probability with which its client is taken before that; 1 without that stage.
        count: (r,) how often.
    """

    noise_multiplier: Array
    sampling: Array
    keep: Array
    count: Array


def composed_epsilon(rounds: Rounds, delta: float, *, classes: int = CLASSES, fineness: float = 0.005) -> float:
    """Epsilon of all rounds together at `delta`, rounded up; infinite where none can be certified.

    Args:
        rounds: in any order.
        delta: inside (0, 1).
        classes: most corner rounds that unequal rounds are dominated by.
        fineness: squared grid interval over the mean variance of one round's loss; the variance grows by a sixth of it.

    Example:
        >>> noise, sampling = np.linspace(0.9, 1.3, 1000), np.linspace(0.005, 0.02, 1000)
        >>> rounds = Rounds(noise, sampling, np.ones(1000), np.ones(1000))
        >>> 2.0 < composed_epsilon(rounds, 1e-6) < 2.5
        True
    """
    mu, q, keep, count = _distinct(rounds)
    total = float(count.sum())
    if total == 0:
        return 0.0
    made = corners(mu, q, keep, count, classes=classes)
    tail = delta * 1e-7 / total
    if tail < 1e-300:
        return math.inf
    interval = _interval(made, tail, fineness)
    pairs = [
        sampled_gaussian(float(m), float(p), interval=interval, tail=tail) for m, p in zip(made.mu, made.q, strict=True)
    ]
    return max(_one_direction([pair[side] for pair in pairs], made, delta, interval) for side in (0, 1))


def _interval(made: Corners, tail: float, fineness: float) -> float:
    """Grid interval from the mean variance of a round's loss, within what the largest grids hold."""
    variance = np.minimum(made.q**2 * np.expm1(np.minimum(made.mu**2, 50.0)), made.q * made.mu**2)
    mean = float(made.count @ (made.weight * variance[made.index]).sum(axis=1)) / float(made.count.sum())
    longest = max(grid_top(float(m), float(p), tail) for m, p in zip(made.mu, made.q, strict=True))
    return max(min(math.sqrt(fineness * mean), _COARSEST), min(longest, 600.0) / _LARGEST_PMF)


def _one_direction(pmfs: Sequence[LossPmf], made: Corners, delta: float, interval: float) -> float:
    """Epsilon for one direction of adjacency."""
    orders, logs = _log_moments(pmfs, made, interval)
    cost = (logs - math.log(delta)) / np.where(orders > 0, orders, np.nan)
    theta, log_scale = (float(values[np.nanargmin(cost)]) for values in (orders, logs))
    top = float(np.nanmin((logs - math.log(delta * 1e-7)) / np.where(orders > 0, orders, np.nan)))
    if not math.isfinite(theta) or not math.isfinite(top) or theta <= 0:
        return math.inf
    below = orders < theta
    bottom = float(np.max((log_scale - logs[below] - 45.0) / (theta - orders[below])))
    first = math.floor(bottom / interval)
    size = _window(first, max(top, 0.0), interval)
    if size > _LARGEST_GRID:
        return math.inf
    wide = _window(first, max(top, _tilted_top(pmfs, made, interval, orders, logs, theta, log_scale)), interval)
    points, most = int(size), min(wide, _LARGEST_GRID, 16 * size)
    while 2 * points <= most and (first + 2 * points) * interval <= LARGEST_LOSS:
        points *= 2
    last = first + points - 1
    positive = orders > 0
    above = math.exp(min(0.0, float(np.min(logs[positive] - orders[positive] * last * interval)))) * 1.001
    tilted = _tilt(pmfs, made, theta, interval)
    law, rho = _composed_law(tilted, made, first, points)
    infinities = np.array([pmf.infinity for pmf in pmfs])
    infinite = float(made.count @ (made.weight * infinities[made.index]).sum(axis=1))
    shift = float(made.count.sum()) * max(pmf.shift for pmf in pmfs)
    grid = np.arange(first, last + 1, dtype=np.float64) * interval
    return _solve(law + rho, tilted.log_scale, theta, grid, delta, infinite + above) * (1 + 1e-12) + shift


def _window(first: int, top: float, interval: float) -> float:
    """Grid points, a power of two, from `first` to a loss; infinite if the loss lies below."""
    points = top / interval + 3 - first
    return 2 ** max(8, math.ceil(math.log2(points))) if 2 < points < 2**40 else math.inf


def _tilted_top(
    pmfs: Sequence[LossPmf],
    made: Corners,
    interval: float,
    orders: Array,
    logs: Array,
    theta: float,
    log_scale: float,
) -> float:
    """A loss above which the tilted law has a mass of at most e^-45, or none at all.

    What lies above the window wraps to its lower end, where undoing the tilt enlarges it by e^(theta * window): counted
    too high, without harm to the guarantee, but a heavy tail of few rounds would then cost more than all the rest.
    """
    whole = float(made.count.sum()) * max(pmf.lowest + pmf.masses.size for pmf in pmfs) * interval
    steeper = orders > theta
    if not steeper.any():
        return whole
    return min(whole, float(np.min((logs[steeper] - log_scale + 45.0) / (orders[steeper] - theta))))


def _distinct(rounds: Rounds) -> tuple[Array, Array, Array, Array]:
    """Columns (mu, q, keep, count), sorted, with equal rounds counted together."""
    order = np.lexsort((rounds.keep, rounds.sampling, rounds.noise_multiplier))
    columns = [column[order] for column in (rounds.noise_multiplier, rounds.sampling, rounds.keep)]
    new = np.ones(len(order), bool)
    new[1:] = np.any([np.diff(column) != 0 for column in columns], axis=0)
    starts = np.flatnonzero(new)
    z, q, keep = (column[starts] for column in columns)
    count = np.add.reduceat(rounds.count[order], starts) if len(order) else np.zeros(0)
    return 1 / z * (1 + 2 * _U), q, keep, count


def _log_moments(pmfs: Sequence[LossPmf], made: Corners, interval: float) -> tuple[Array, Array]:
    """K(s) = sum over rounds of log E e^(s L), for a few orders s."""
    low = min(pmf.lowest for pmf in pmfs)
    high = max(pmf.lowest + pmf.masses.size for pmf in pmfs)
    grid = np.arange(low, high) * interval
    orders = np.concatenate([[-2.0, -1.0, 0.0], np.geomspace(0.05, 400.0, 28)])
    orders = orders[np.abs(orders) * max(abs(grid[0]), abs(grid[-1]), 1e-9) < 600]
    powers = np.exp(orders[:, None] * grid)
    moments = np.stack(
        [powers[:, pmf.lowest - low : pmf.lowest - low + pmf.masses.size] @ pmf.masses for pmf in pmfs], axis=1
    )
    logs = np.empty(len(orders))
    nothing = np.maximum(0.0, 1 - made.weight.sum(axis=1))
    for at, of_corner in enumerate(moments):
        logs[at] = made.count @ np.log((made.weight * of_corner[made.index]).sum(axis=1) + nothing)
    return orders, logs


@dataclass(frozen=True, slots=True)
class _Tilted:
    """Corner laws tilted and scaled to 1, and the rounds' weights over them.

    Attributes:
        laws: of each corner, (lowest index, masses).
        errors: (c,) 1-norm of what each law may be off by.
        weight: (r, 4); `nothing` is the weight (r,) of loss 0.
        log_scale: log of S.
    """

    laws: list[tuple[int, Array]]
    errors: Array
    weight: Array
    nothing: Array
    log_scale: float


def _tilt(pmfs: Sequence[LossPmf], made: Corners, theta: float, interval: float) -> _Tilted:
    laws, sums, errors = [], [], []
    for pmf in pmfs:
        exponent = theta * interval * (pmf.lowest + np.arange(pmf.masses.size))
        factor = np.exp(exponent)
        law = pmf.masses * factor
        total = float(law.sum())
        off = float((pmf.errors * factor).sum() + _U * (law @ (8 + 4 * np.abs(exponent))))
        laws.append((pmf.lowest, law / total))
        sums.append(total)
        errors.append(off / total + law.size * _U)
    moment = np.array(sums)
    weight = made.weight * moment[made.index]
    nothing = np.maximum(0.0, 1 - made.weight.sum(axis=1))
    each = weight.sum(axis=1) + nothing
    logs = np.log(each)
    # Rounded up: each logarithm and the sum are good to a few units in the last place.
    log_scale = float(made.count @ logs) + 64 * _U * float(made.count @ (1 + np.abs(logs)))
    return _Tilted(laws, np.array(errors), weight / each[:, None], nothing / each, log_scale)


def _composed_law(tilted: _Tilted, made: Corners, first: int, size: int) -> tuple[Array, float]:
    """The composed tilted law on the window, and how far each of its entries may be off."""
    transform_error = 16 * _U * math.log2(size)
    errors = tilted.errors + 64 * _U
    errors += transform_error  # times the 1-norm of the law, which is 1
    off = float(made.count @ (tilted.weight * errors[made.index]).sum(axis=1)) + 64 * _U * float(made.count.sum())
    times = np.bincount(made.index.ravel(), (tilted.weight * made.count[:, None]).ravel(), len(tilted.laws))
    transforms, exponent = [], np.zeros(size // 2 + 1)
    in_memory = len(tilted.laws) * size <= 2**24
    for n, law in zip(times, _transforms(tilted, size), strict=True):
        exponent += n * np.maximum(0.0, 1 - np.abs(law))
        if in_memory:
            transforms.append(law)
    kept = np.flatnonzero(exponent - off < _SILENT)
    left_out = 2 * float(np.exp(-np.maximum(0.0, np.delete(exponent, kept) - off)).sum())
    corner_laws = np.stack([law[kept] for law in (transforms if in_memory else _transforms(tilted, size))])
    product = np.zeros(size // 2 + 1, np.complex128)
    product[kept] = _product(corner_laws, tilted, made)
    law = fft.irfft(product, size)
    rho = (2 * len(kept) * math.expm1(min(2 * off, 700.0)) + left_out) / size
    rho += transform_error * float(np.linalg.norm(law))
    return np.roll(law, -(first % size)), rho


def _transforms(tilted: _Tilted, size: int) -> Iterator[Complex]:
    """Transforms of the corner laws, wrapped to the window's length."""
    for lowest, law in tilted.laws:
        ring = np.zeros(size)
        for start in range(0, law.size, size):
            part = law[start : start + size]
            at = (lowest + start) % size
            head = min(part.size, size - at)
            ring[at : at + head] += part[:head]
            ring[: part.size - head] += part[head:]
        yield fft.rfft(ring)


def _product(laws: Complex, tilted: _Tilted, made: Corners) -> Complex:
    """Multiply (sum_i weight_i law_i + nothing) over all rounds, at the kept frequencies."""
    result = np.ones(laws.shape[1], np.complex128)
    cell = made.index[:, 0]
    order = np.argsort(cell, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(cell[order])) + 1), len(order)]
    chunk = max(1, min(_ROWS, 2**21 // max(1, laws.shape[1])))
    for begin, end in pairwise(bounds):
        around = laws[made.index[order[begin]]].view(np.float64)  # real weights act on both parts alike
        for start in range(begin, end, chunk):
            rows = order[start : min(start + chunk, end)]
            of_rows = (tilted.weight[rows] @ around).view(np.complex128) + tilted.nothing[rows, None]
            count = made.count[rows]
            single = count == 1
            result *= np.multiply.reduce(of_rows[single], axis=0)
            if not single.all():
                with np.errstate(divide="ignore"):  # log 0: that factor, and the product, are 0
                    logs, times = np.log(of_rows[~single]), count[~single]
                # Parts by themselves: a real number times the complex -inf would be NaN.
                result *= np.exp(times @ logs.real + 1j * (times @ logs.imag))
    return result


def _solve(law: Array, log_scale: float, theta: float, grid: Array, delta: float, lost: float) -> float:
    """Smallest epsilon >= 0 at which the bound of the module's docstring is at most delta."""
    at = grid > 0
    from_zero = not at.all()  # the masses between zero and the window's lower end would be missing
    law, grid = np.maximum(law[at], 0.0), grid[at]
    # Exponents above 300 belong to epsilons whose delta is far above 1.
    terms = law * np.exp(np.minimum(log_scale - theta * grid, 300.0))
    upper = np.cumsum(terms[::-1])[::-1]
    lower = np.cumsum((terms * np.exp(-np.minimum(grid, 700.0)))[::-1])[::-1]
    lost += 1e-300
    slack = 8 * _U * len(grid) * upper
    # delta at epsilon 0 and at every grid point, from the masses strictly above it.
    deltas = upper + slack - np.exp(np.minimum(np.concatenate([[0.0], grid[:-1]]), 700.0)) * lower + lost
    holds = np.flatnonzero(deltas <= delta)
    if len(holds) == 0 or grid[-1] > 700:
        return math.inf
    k = int(holds[0])
    if k == 0 or (k == 1 and not from_zero):
        # Below a window that begins above zero nothing is known but that epsilon falls no further than to its edge.
        return 0.0 if from_zero else float(grid[0])
    numerator = float(upper[k - 1] + slack[k - 1] + lost - delta)
    least = float(grid[k - 2]) if k >= 2 else 0.0
    exact = math.log(numerator / float(lower[k - 1])) if numerator > 0 else least
    return min(max(exact, least), float(grid[k - 1]))
