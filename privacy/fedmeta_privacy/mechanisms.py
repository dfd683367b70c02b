# SPDX-License-Identifier: Apache-2.0
"""What a mechanism releases when nothing is sampled, as data.

An event describes one mechanism well enough to account for it without reading other code. A new
mechanism is a new class, never a new meaning for an old one (the rule of dp_accounting's
`dp_event`). Every event states its adjacency: `SLOT` is add/remove of one unit (or the emptying of its
registered slot), `REPLACE_ONE` the exchange of one unit for another. A noise multiplier is always noise
standard deviation over L2 sensitivity under the event's own adjacency; where a class takes the noise over the
clip norm instead, its field is called `noise_over_clip`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .claims import Adjacency
from .errors import PlanError

# Lemma of `DiscreteGaussianSum`: the smoothing parameter used, squared, and the smallest scale.
SMOOTHING_VARIANCE = 9.0
SMALLEST_SCALE = 3.2
_LEMMA_VARIATION = 2.0**-130


def positive(name: str, value: float) -> None:
    """Refuse what is not a positive finite number."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise PlanError(f"{name} must be a positive number, not {value!r}", f"correct {name}")


def whole(value: int, name: str = "count") -> None:
    """Refuse what is not a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PlanError(f"{name} must be a positive integer, not {value!r}", f"correct {name}")


@dataclass(frozen=True, slots=True)
class Gaussian:
    """`count` releases of a sum with Gaussian noise; each unit is in every one of them.

    Example:
        >>> Gaussian(2.0, count=4).mu_squared
        1.0
    """

    noise_multiplier: float
    count: int = 1
    adjacency: Adjacency = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        whole(self.count)

    @property
    def mu_squared(self) -> float:
        """Squared Gaussian shift of all releases together."""
        return self.count / self.noise_multiplier**2


@dataclass(frozen=True, slots=True)
class DiscreteGaussianSum:
    """One release of an integer sum to which honest parties each added discrete Gaussian noise.

    Guarantee: with Delta the L2 sensitivity in encoding steps and S the sum of the honest parties'
    squared scales, every scale at least 3.2 steps, the release is (Delta / sqrt(S - 9))-GDP up to a
    total variation of 2^-130 per party and coordinate, plus what the sampler itself is off by.

    Proof sketch: write D_s for the discrete Gaussian of scale s. Up to that variation, D_s on Z^d
    is what comes out when a draw of N(0, (s^2 - 9) I) is rounded to an integer by adding D_3 centred
    on the draw. This rounding commutes with integer shifts, so the pair (D_s, D_s + v) is a
    post-processing of the Gaussian pair with shift |v|. Sums of D_{s_i} are D_{sqrt(sum s_i^2)} up to
    the same variation. The plain formula Delta / sqrt(S) is *not* valid: it under-reports by up to
    6 % in delta at scale 4.

    Attributes:
        l2_sensitivity: steps; of the larger role (a record is in one role only).
        noise_variance: S, in squared steps, over honest parties in the opened sum.
        smallest_scale: of these parties, in steps.
        parties: how many they are.
        dimension: coordinates of the sum.
        sampler_variation: total variation of one drawn coordinate from the exact law.
        adjacency: under which `l2_sensitivity` holds.

    Example:
        >>> event = DiscreteGaussianSum(100.0, noise_variance=5 * 90.0**2, smallest_scale=90.0, parties=5,
        ...                             dimension=31, sampler_variation=2.0**-110)
        >>> event.mu_squared > 100.0**2 / (5 * 90.0**2)
        True
    """

    l2_sensitivity: float
    noise_variance: float
    smallest_scale: float
    parties: int
    dimension: int
    sampler_variation: float
    adjacency: Adjacency = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("l2_sensitivity", self.l2_sensitivity)
        positive("noise_variance", self.noise_variance)
        if self.parties < 1 or self.dimension < 1 or not 0 <= self.sampler_variation < 1:
            raise PlanError(f"parties={self.parties}, dimension={self.dimension}", "both count from 1")
        if not self.smallest_scale >= SMALLEST_SCALE:
            raise PlanError(
                f"a party's noise has scale {self.smallest_scale} steps, below {SMALLEST_SCALE}",
                "make the encoding step smaller",
            )
        if self.noise_variance < self.parties * self.smallest_scale**2 * (1 - 1e-9):
            raise PlanError("the parties' scales do not add up to the stated variance", "state the executed noise")

    @property
    def mu_squared(self) -> float:
        """Squared Gaussian shift, rounded up."""
        return self.l2_sensitivity**2 / (self.noise_variance - SMOOTHING_VARIANCE) * (1 + 2.0**-40)

    @property
    def total_variation(self) -> float:
        """Distance of the executed noise from the law that the shift is computed for."""
        return self.parties * self.dimension * (_LEMMA_VARIATION + self.sampler_variation)


@dataclass(frozen=True, slots=True)
class SkellamSum:
    """`count` releases of an integer sum to which parties added Skellam noise of this total variance.

    Guarantee: for whole orders a > 1, Renyi divergence at most
        a D2^2 / (2 V) + min(((2 a - 1) D2^2 + 6 D1) / (4 V^2), 3 D1 / (2 V))
    (Agarwal, Kairouz and Liu 2021, arXiv 2110.04995, the bound for vectors; a sum of Skellam variables is one).
    There is no proved Gaussian shift, so epsilon comes from these orders and is a few percent looser.

    Attributes:
        l1_sensitivity, l2_sensitivity: D1 and D2, in steps, under `adjacency`.
        noise_variance: V, in squared steps, over honest parties in the opened sum.
        variation: total variation of the executed noise of one release from the exact law.
    """

    l1_sensitivity: float
    l2_sensitivity: float
    noise_variance: float
    count: int = 1
    variation: float = 0.0
    adjacency: Adjacency = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("l1_sensitivity", self.l1_sensitivity)
        positive("l2_sensitivity", self.l2_sensitivity)
        positive("noise_variance", self.noise_variance)
        whole(self.count)
        if not 0 <= self.variation < 1:
            raise PlanError(f"a variation of {self.variation!r} is none", "state it in [0, 1)")
        if self.l2_sensitivity > self.l1_sensitivity * (1 + 1e-9):
            raise PlanError("the L2 sensitivity of a vector is never above its L1 sensitivity", "correct them")

    def renyi(self, order: int) -> float:
        """Renyi divergence of all releases at a whole order, rounded up.

        Example:
            >>> SkellamSum(100.0, 10.0, 1e4).renyi(8) > 8 * 10.0**2 / (2 * 1e4)
            True
        """
        d1, square, v = self.l1_sensitivity, self.l2_sensitivity**2, self.noise_variance
        excess = min(((2 * order - 1) * square + 6 * d1) / (4 * v**2), 3 * d1 / (2 * v))
        return self.count * (order * square / (2 * v) + excess) * (1 + 2.0**-48)


@dataclass(frozen=True, slots=True)
class NonPrivate:
    """A release without any guarantee; it makes every epsilon infinite."""
