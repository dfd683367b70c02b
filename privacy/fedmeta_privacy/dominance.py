# SPDX-License-Identifier: Apache-2.0
"""Unequal rounds, rounded upwards in privacy cost: each becomes a public coin over a few corner rounds.

Rounding z down and q up to the nearest corner dominates the round, but is loose: 16 classes of q between 0.005 and 0.02
cost 4 % alone. This file rounds to a *mixture* of the corners around the round instead, which also dominates it and
is loose by the square of the distance only.

Theorem. Let d(eps; q, s) be the privacy curve of a Poisson-sampled Gaussian release (either direction) with sampling
probability q and s = 2 Phi(mu/2) - 1, mu = sensitivity / noise, so that s is the total variation of the unsampled pair.
For every eps, d is convex in q and convex in s.
Proof. (q) P_q = (1 - q) Q + q P_1 is linear in q, and a hockey-stick divergence is jointly convex in its two arguments.
(s) Unsampled, e(eps; mu) is the price of a Black-Scholes call with volatility mu, and de/dmu = phi(mu/2 - eps/mu), the
normal density. With ds/dmu = phi(mu/2), de/ds = exp(eps/2 - eps^2 / (2 mu^2)), which does not decrease in mu, hence not
in s: e is convex in s. Sampled and removed: d(eps') = q e(eps) with e^eps = (e^eps' - 1 + q) / q where that is
positive, else 1 - e^eps' (Balle, Barthe and Gaboardi 2018, Theorem 2, arXiv 1807.01647v2): convex in s as q and eps do
not depend on s. Added: d'(eps) = 1 - e^eps + e^eps d(-eps). QED.

Consequence. For corners q0 <= q <= q1 and s0 <= s <= s1 with the bilinear weights w of (q, s), d(eps; q, s) <=
sum_i w_i d(eps; corner_i) for every eps: first in q at fixed s, then in s at both ends. The right side is the curve of
"draw i with probability w_i, reveal it, release as corner i", so that mixture is a dominating pair of the round, and
pairs that dominate compose (Zhu, Dong and Wang 2022, Theorem 10, arXiv 2106.08567v3). The loss distribution of the
mixture is the mixture of the loss distributions, so no class needs a distribution of its own.

A client kept with probability q_c whose records are then kept with q_r is the mixture of "nothing" (loss 0) with weight
1 - q_c and Poisson(q_r) with q_c: reveal the client's coin. It is *not* Poisson(q_c q_r): the client's other records
reveal that it was in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

CLASSES = 128
_U = 2.0**-53


@dataclass(frozen=True, slots=True)
class Corners:
    """Corner rounds, and every round as a mixture of at most four of them and of nothing.

    Attributes:
        mu: (c,) sensitivity over noise of each corner.
        q: (c,) sampling probability of each corner.
        index: (r, 4) corners of each round.
        weight: (r, 4) their weights; what a row lacks to 1 is the weight of no release at all.
        count: (r,) how often the round happened.
    """

    mu: Array
    q: Array
    index: Indices
    weight: Array
    count: Array


def corners(mu: Array, q: Array, keep: Array, count: Array, *, classes: int = CLASSES) -> Corners:
    """Dominate every round by a mixture of at most `classes` corner rounds.

    Rounds of at most `classes` different kinds are kept as they are.

    Args:
        mu: (r,) sensitivity over noise; equal kinds of rounds stand side by side.
        q: (r,) record sampling probability.
        keep: (r,) client sampling probability, 1 without that stage.
        count: (r,) whole numbers.
        classes: most corners.

    Example:
        >>> mu, q = np.linspace(0.8, 1.1, 500), np.linspace(0.005, 0.02, 500)
        >>> made = corners(mu, q, np.ones(500), np.ones(500), classes=64)
        >>> made.mu.size <= 64, bool(np.allclose(made.weight.sum(axis=1), 1))
        (True, True)
        >>> bool(np.all((made.weight * made.q[made.index]).sum(axis=1) >= q))
        True
    """
    new = np.ones(len(mu), bool)
    new[1:] = (np.diff(mu) != 0) | (np.diff(q) != 0)
    if np.count_nonzero(new) <= classes:
        kind = np.cumsum(new) - 1
        index = np.repeat(kind[:, None], 4, axis=1)
        weight = np.zeros((len(mu), 4))
        weight[:, 0] = keep
        return Corners(mu[new], q[new], index, weight, count)
    whole = q >= 1
    if whole.any() and not whole.all():  # unsampled kinds would stretch the lines: they get their own
        parts = [corners(mu[at], q[at], keep[at], count[at], classes=classes // 2) for at in (whole, ~whole)]
        moved = len(parts[0].mu)
        return Corners(
            np.concatenate([part.mu for part in parts]),
            np.concatenate([part.q for part in parts]),
            np.concatenate([parts[0].index, parts[1].index + moved]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.count for part in parts]),
        )
    q_lines, mu_lines = _lines(q, mu, classes)
    at_q, right = _position(q, q_lines)
    at_mu, up = _position(_distance(mu), _distance(mu_lines))
    width = len(mu_lines)
    base = at_q * width + at_mu
    index = np.stack([base, base + 1, base + width, base + width + 1], axis=1)
    index = np.minimum(index, len(q_lines) * width - 1)  # only where the weight is 0
    weight = np.stack([(1 - right) * (1 - up), (1 - right) * up, right * (1 - up), right * up], axis=1)
    used, place = np.unique(index, return_inverse=True)
    return Corners(
        mu_lines[used % width], q_lines[used // width], place.reshape(index.shape), weight * keep[:, None], count
    )


def _distance(mu: Array) -> Array:
    """The total variation s of the unsampled pair, in which the curve is convex."""
    return np.asarray(ndtr(mu / 2) - ndtr(-mu / 2))


def _lines(q: Array, mu: Array, classes: int) -> tuple[Array, Array]:
    """Geometric grid lines around all values; the wider range, in logarithms, gets more of them."""
    spans = [math.log(float(values.max()) / float(values.min())) for values in (q, mu)]
    if min(spans) < 1e-12:
        numbers = [classes // 2 if span >= 1e-12 else 2 for span in spans]
    else:
        ratio = math.sqrt(spans[0] / (2 * spans[1]))  # the noise counts about twice as much as the sampling
        first = int(np.clip(round(math.sqrt(classes) * ratio), 2, classes // 2))
        numbers = [first, classes // first]
    # 2 % between lines is as fine as anything needs.
    numbers = [min(n, max(2, math.ceil(span / 0.02) + 1)) for n, span in zip(numbers, spans, strict=True)]
    made = []
    for values, number in zip((q, mu), numbers, strict=True):
        lines = np.geomspace(float(values.min()) * (1 - 8 * _U), float(values.max()) * (1 + 8 * _U), number)
        lines[0], lines[-1] = values.min() * (1 - 8 * _U), values.max() * (1 + 8 * _U)
        made.append(lines)
    return np.minimum(made[0], 1.0), made[1]


def _position(values: Array, lines: Array) -> tuple[Indices, Array]:
    """Cell of each value and its place in it, from 0 to 1, rounded up (towards the more costly end)."""
    cell = np.clip(np.searchsorted(lines, values, side="right") - 1, 0, len(lines) - 2)
    gap = lines[cell + 1] - lines[cell]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(gap > 0, (values - lines[cell]) / gap, 1.0)
        slack = np.where(gap > 0, 16 * _U * np.maximum(1.0, np.abs(values) / gap), 0.0)
    return cell.astype(np.int64), np.clip(part + slack, 0.0, 1.0)
