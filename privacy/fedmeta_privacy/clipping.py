# SPDX-License-Identifier: Apache-2.0
"""Clipping: how much one unit's row may weigh in a sum, as a value that carries its bound.

A *row* is one unit's whole contribution to a release: a query record's meta-gradient, a task's, or a client's. Three
rules, each a product of projections onto balls:

* `FlatClip(C)`: the row's norm is at most C.
* `PerLayerClip(lengths, norms)`: slice l of the row is clipped to C_l; the row's norm is at most sqrt(sum C_l^2).
* `AdaptiveClip`: flat, to a public C_t that follows a quantile of the norms (Andrew et al. 2021, arXiv 1905.03871).

**Adaptive, accounted.** A row is divided by the public C_t and clipped to norm 1, and a coordinate w b is appended:
b = +1/2 if the row was within C_t, else -1/2; an empty slot has no row and adds nothing. One row's norm is at most
sqrt(1 + w^2/4), whatever C_t is, so step, noise and event stay constant over a run and one event covers both the sum
and the count. This is Theorem 1 of that paper in other coordinates: with noise s on all d + 1 coordinates, the
gradient sum has multiplier sigma_grad = s and the count sigma_b = s/w, and together they are worth
sigma = s/sqrt(1 + w^2/4), i.e. sigma_grad = (sigma^-2 - (2 sigma_b)^-2)^(-1/2).
The server turns the noisy count into C_{t+1} (`AdaptiveClip.after`), dividing by the *public* number of slots: how many
rows there truly were is private. An empty slot counts as half unclipped.

**Which units.** These bounds are the sensitivity for a unit that owns one row and moves no other: tasks, clients, and
records in the query role. A support record moves *all* query rows. Flat and per-layer clipping are 1-Lipschitz, so the
bound of `sensitivity` is left as it is; the indicator b is not, and a support record could flip every one of them:
with adaptive clipping no record claim through an adaptation without noise holds (`require_one_row`).

**Arithmetic.** u = 2^-53, float64. The computed norm of d values is off by a relative (d/2 + 2) u, the factor and its
product by 3 u: a row's norm exceeds its bound by at most (d + 8) u, twice that is charged. A sum of m rows in any
order, however cut into blocks, is off by at most 2 m u times the sum of their norms; in two worlds that is 4 m^2 u
times the bound. Both are in `l2_sensitivity`.

**Broken rows.** A row with a NaN or an infinity (also after the division by C_t) contributes nothing, not even to the
count. How many there were is private: it is in no value made here, and `count_unusable` is for the site's own eyes.

**Wiring** (product code): agree on the rule in the plan; make the `IntegerEncoding` with d + `extra_coordinates`
coordinates and the noise from `l2_sensitivity`; on the site `ClippedNoisySum(clipping=..., slots=...)`; on the server
`split` the decoded sum of all sites, step with the gradient part, and announce `after(count, slots=of all sites)` in
the next round. A site takes the announced C_t with `set_clip_norm`: it is public and cannot change the guarantee.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .claims import Unit
from .errors import PlanError, UnsupportedClaim

_UNIT_ROUNDOFF = 2.0**-53
LARGEST_SLOTS = 2**20
_LEAST, _MOST = 2.0**-100, 2.0**100


def _norm(name: str, value: float) -> None:
    if not (isinstance(value, int | float) and _LEAST <= value <= _MOST):
        raise PlanError(f"{name} must be a number from 2^-100 to 2^100, not {value!r}", f"correct {name}")


@dataclass(frozen=True, slots=True)
class FlatClip:
    """Clip each row to the norm `clip_norm`, in the row's units.

    Example:
        >>> clip(np.array([[3.0, 4.0], [0.3, 0.4]]), FlatClip(1.0)).values.round(6)
        array([[0.6, 0.8],
               [0.3, 0.4]])
    """

    clip_norm: float

    def __post_init__(self) -> None:
        _norm("clip_norm", self.clip_norm)

    @property
    def row_bound(self) -> float:
        """Norm of a clipped row at most, before arithmetic."""
        return self.clip_norm

    @property
    def extra_coordinates(self) -> int:
        """Coordinates of the released sum beyond the row's own."""
        return 0


@dataclass(frozen=True, slots=True)
class PerLayerClip:
    """Clip consecutive slices of each row, `lengths[l]` coordinates to the norm `clip_norms[l]`.

    Example:
        >>> PerLayerClip((2, 1), (3.0, 4.0)).row_bound
        5.0
    """

    lengths: tuple[int, ...]
    clip_norms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.lengths or len(self.lengths) != len(self.clip_norms) or min(self.lengths) < 1:
            raise PlanError(
                f"{len(self.lengths)} layers with {len(self.clip_norms)} norms",
                "give one length >= 1 and one norm each",
            )
        for clip_norm in self.clip_norms:
            _norm("each of clip_norms", clip_norm)

    @property
    def row_bound(self) -> float:
        """sqrt(sum C_l^2), before arithmetic."""
        return math.hypot(*self.clip_norms)

    @property
    def extra_coordinates(self) -> int:
        """Coordinates of the released sum beyond the row's own."""
        return 0


@dataclass(frozen=True, slots=True)
class AdaptiveClip:
    """Clip to a public norm that follows the `target_quantile` of the rows' norms; see the module.

    Attributes:
        clip_norm: C_t, public, in the row's units.
        count_weight: w; larger means a more precise count and, under one budget, more noise on the gradient:
            a factor sqrt(1 + w^2/4).
        target_quantile: fraction of rows that should pass unclipped.
        learning_rate: of the logarithm of C_t.
        smallest, largest: limits of C_t.

    Example:
        >>> rule = AdaptiveClip(clip_norm=2.0, count_weight=0.2)
        >>> rule.after(count=0.2 * 50, slots=100).clip_norm  # all 100 of 100 within: lower the norm
        1.8096...
    """

    clip_norm: float
    count_weight: float
    target_quantile: float = 0.5
    learning_rate: float = 0.2
    smallest: float = 2.0**-20
    largest: float = 2.0**20

    def __post_init__(self) -> None:
        for name in ("clip_norm", "count_weight", "smallest", "largest"):
            _norm(name, getattr(self, name))
        if not 0 < self.target_quantile < 1 or not 0 < self.learning_rate <= 10:
            raise PlanError(
                f"target_quantile={self.target_quantile}, learning_rate={self.learning_rate}",
                "choose a quantile in (0, 1) and a rate in (0, 10]",
            )
        if not self.smallest <= self.clip_norm <= self.largest:
            raise PlanError(
                f"clip_norm={self.clip_norm} is outside [{self.smallest}, {self.largest}]", "start within the limits"
            )

    @property
    def row_bound(self) -> float:
        """sqrt(1 + w^2/4): of a normalised row with its count coordinate, before arithmetic; independent of C_t."""
        return math.hypot(1.0, self.count_weight / 2)

    @property
    def extra_coordinates(self) -> int:
        """Coordinates of the released sum beyond the row's own."""
        return 1

    def at(self, clip_norm: float) -> AdaptiveClip:
        """The same rule at another public norm, brought within the limits.

        Raises:
            PlanError: not a number.
        """
        if math.isnan(clip_norm):
            raise PlanError("the announced clip_norm is not a number", "announce a positive number")
        return replace(self, clip_norm=min(max(clip_norm, self.smallest), self.largest))

    def after(self, count: float, *, slots: int) -> AdaptiveClip:
        """The rule of the next round: C exp(-learning_rate (fraction - target_quantile)). Post-processing, pure.

        Args:
            count: last coordinate of the decoded sum, w * sum of (b_i), noise included.
            slots: registered slots of all parties in the sum, a public number.
        """
        if not math.isfinite(count) or slots < 1:
            raise PlanError(f"count={count}, slots={slots}", "pass the decoded count and the public slots")
        fraction = min(1.0, max(0.0, count / (self.count_weight * slots) + 0.5))
        return self.at(self.clip_norm * math.exp(-self.learning_rate * (fraction - self.target_quantile)))

    def split(self, decoded: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Decoded sum (d + 1,) to the gradient sum (d,) in its own units, and the count for `after`."""
        return decoded[:-1] * self.clip_norm, float(decoded[-1])


Clipping = FlatClip | PerLayerClip | AdaptiveClip


@dataclass(frozen=True, slots=True)
class ClippedRows:
    """Rows together with what they were clipped to; made by `clip` only.

    Shapes: `values` (m, d + clipping.extra_coordinates) float64.
    Attributes:
        row_bound: no row's norm exceeds it, arithmetic included.
    """

    values: NDArray[np.float64] = field(repr=False)
    clipping: Clipping
    row_bound: float


def clip(rows: NDArray[np.float64], clipping: Clipping) -> ClippedRows:
    """Clip each row of (m, d) float64. Broken rows become zero, count coordinate included.

    Raises:
        PlanError: not a float64 matrix, or another width than the layers'.
    """
    safe, intact = usable(rows, clipping)
    if isinstance(clipping, PerLayerClip):
        edges = np.cumsum(clipping.lengths)[:-1]
        parts = zip(np.split(safe, edges, axis=1), clipping.clip_norms, strict=True)
        values = np.concatenate([_project(part, norm) for part, norm in parts], axis=1)
    elif isinstance(clipping, FlatClip):
        values = _project(safe, clipping.clip_norm)
    else:
        marks = clipping.count_weight * unclipped(safe, intact)
        values = np.concatenate([_project(safe, 1.0), marks[:, None]], axis=1)
    return ClippedRows(values, clipping, clipping.row_bound * row_slack(rows.shape[1]))


def usable(rows: NDArray[np.float64], clipping: Clipping) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The rows in the clip's units (divided by C_t if adaptive), broken ones zeroed, and which were intact.

    Shapes: (m, d) to (m, d) and (m,).
    """
    if rows.ndim != 2 or rows.dtype != np.float64:
        raise PlanError(f"rows of shape {rows.shape} and type {rows.dtype}", "pass a float64 matrix, one row per unit")
    if isinstance(clipping, PerLayerClip) and sum(clipping.lengths) != rows.shape[1]:
        raise PlanError(f"rows of {rows.shape[1]} for layers of {sum(clipping.lengths)}", "match the layers")
    with np.errstate(all="ignore"):
        scaled = rows / clipping.clip_norm if isinstance(clipping, AdaptiveClip) else rows
    intact: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(scaled), axis=1)
    return np.where(intact[:, None], scaled, 0.0), intact


def unclipped(normalised: NDArray[np.float64], intact: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The b of each row: +1/2 within norm 1, -1/2 beyond, 0 for a broken row. Shapes (m, d), (m,) to (m,)."""
    with np.errstate(all="ignore"):
        within = np.linalg.norm(normalised, axis=1) <= 1.0
    return np.where(intact, np.where(within, 0.5, -0.5), 0.0)


def count_unusable(rows: NDArray[np.float64]) -> int:
    """How many rows hold a NaN or an infinity. **Private**: for the site's own log, never for a message."""
    return int((~np.isfinite(rows).all(axis=1)).sum())


def _project(rows: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Onto the ball. Scaled by the largest entry first, so that the norm of a finite row is finite."""
    largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    with np.errstate(all="ignore"):
        direction = rows / np.where(largest > 0, largest, 1.0)
        shape = np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1.0)
        factor = bound / shape
        projected: NDArray[np.float64] = np.where(largest > factor, direction * factor, rows)
    return projected


def row_slack(dimension: int) -> float:
    """By which factor a clipped row of `dimension` values may exceed its bound in float64."""
    return 1 + (dimension + 8) * _UNIT_ROUNDOFF * 2


def l2_sensitivity(clipping: Clipping, *, slots: int, dimension: int) -> float:
    """Sensitivity of a clipped float64 sum to one slot emptied, for a unit that owns one row; arithmetic included.

    Args:
        clipping: the rule; units are the row's own, or multiples of C_t if adaptive.
        slots: rows at most, registered and public.
        dimension: d of a row.

    Raises:
        PlanError: slots outside 1 .. 2^20.

    Example:
        >>> 1.0 < l2_sensitivity(FlatClip(1.0), slots=100, dimension=1000) < 1.0 + 1e-10
        True
    """
    if not 1 <= slots <= LARGEST_SLOTS or dimension < 1:
        raise PlanError(f"slots={slots}, dimension={dimension}", "use 1 to 2^20 slots and d >= 1")
    row = clipping.row_bound * row_slack(dimension)
    return row * (1 + 4.0 * slots**2 * _UNIT_ROUNDOFF) * (1 + 2.0**-40)


def require_one_row(clipping: Clipping, unit: Unit, *, adapts_on_private_rows: bool) -> None:
    """Refuse adaptive clipping where a unit can move rows other than its own.

    Raises:
        UnsupportedClaim: unit = record, adaptive clipping, and the rows were computed from a model that was adapted on
            private rows without noise.
    """
    if isinstance(clipping, AdaptiveClip) and unit is Unit.RECORD and adapts_on_private_rows:
        raise UnsupportedClaim(
            "adaptive clipping counts rows within the norm; a support record moves all query rows and could flip "
            "every count, which no bound of the clipped sum covers",
            "use flat or per-layer clipping, or unit=task",
        )
