# SPDX-License-Identifier: Apache-2.0
"""Conditional stochastic rounding: unbiased steps with a norm bound, for the client unit with zero-out only.

Kairouz, Liu and Steinke 2021 (arXiv 2102.06387), Algorithm 1 and its norm bound. Each coordinate of x/step is rounded
up or down at random so that its mean is kept, and the result is drawn again unless its norm stays within

    B = min{ C/step + sqrt(d),  sqrt( (C/step)^2 + d/4 + sqrt(2 ln(1/beta)) (C/step + sqrt(d)/2) ) },

which happens with probability at least 1 - beta when ||x|| <= C. The bound is enforced here in whole numbers on the
result, so it holds whatever was fed in, and no float error enters the sensitivity.

**What it bounds.** ||Q(x)||, hence the difference between a client's vector and *no* vector: unit = client, adjacency =
zero-out, the whole vector at once. Two neighbouring records or tasks leave two *rounded* vectors; B says nothing
about ||Q(x) - Q(x')||, which with separate coins is up to ||x - x'||/step + sqrt(d) and up to 2B. Every other unit
and adjacency is refused.

**What can be observed.** Kairouz et al. draw until the bound holds: the number of draws depends on the data. Here
`TRIES` draws are made and the same number of words is taken whatever the data, the first that fits is returned, and
the zero vector if none does (probability below beta^3 = 2^-60). The machine's time is not constant to the cycle.

Bias: a coin's probability is off by at most 2^-53, and conditioning on the norm moves a mean by the order of beta.
Neither is a matter of privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .claims import Adjacency, Unit
from .errors import EncodingOverflow, PlanError, UnsupportedClaim
from .inversion import Words

BETA = 2.0**-20
TRIES = 3
# Squares are summed in int64. sqrt(d) <= 2 B, so a draw's norm is at most 3 B (1 + 2^-20), and 10 * 2^58 < 2^62.
LARGEST_STEPS = 2.0**29
_JUST_BELOW_ONE = 1 - 2.0**-53


def rounded_norm_bound(bound: float, dimension: int, *, beta: float = BETA) -> float:
    """B of the module, in steps, from a norm bound in steps; rounded up.

    Example:
        >>> rounded_norm_bound(1000.0, 10_000)  # C/step + sqrt(d) would be 1100
        1004.0...
    """
    if not (bound > 0 and math.isfinite(bound)) or dimension < 1 or not 0 < beta < 1:
        raise PlanError(f"bound={bound}, dimension={dimension}, beta={beta}", "use positive numbers, 0 < beta < 1")
    root = math.sqrt(dimension)
    squared = bound**2 + dimension / 4 + math.sqrt(-2 * math.log(beta)) * (bound + root / 2)
    return min(bound + root, math.sqrt(squared)) * (1 + 2.0**-48)


def require_client_zero_out(unit: Unit, adjacency: Adjacency) -> None:
    """Refuse every claim for which the norm bound is not the sensitivity.

    Raises:
        UnsupportedClaim: unit is not the client, or adjacency is not zero-out.

    Example:
        >>> require_client_zero_out(Unit.CLIENT, Adjacency.ZERO_OUT)
    """
    if unit is not Unit.CLIENT or adjacency is not Adjacency.ZERO_OUT:
        raise UnsupportedClaim(
            f"conditional rounding bounds the norm of one rounded vector; with unit={unit.value} and adjacency="
            f"{adjacency.value} two neighbours are two rounded vectors, up to ||x - x'||/step + sqrt(d) apart",
            "use unit=client with adjacency=zero-out, or deterministic rounding (`IntegerEncoding.l2_sensitivity`)",
        )


@dataclass(frozen=True, slots=True)
class ConditionalRounding:
    """Stochastic rounding of a whole client vector to a stated norm.

    Attributes:
        step: one unit, a power of two, in the vector's own units.
        dimension: coordinates.
        clip_norm: C, the norm that the vector is clipped to, in its own units.
        unit, adjacency: what is claimed; only client and zero-out are accepted.
        beta: probability with which one draw may exceed the bound.

    Guarantee: ||round(x)|| <= l2_sensitivity in steps, for every x, always; and round() of no vector is zero. So it is
        the L2 sensitivity of the sum under the zero-out of one client.

    Raises:
        UnsupportedClaim: another unit or adjacency.  PlanError: a step that is not a power of two, or too fine.

    Example:
        >>> rounding = ConditionalRounding(0.25, 3, 1.0, Unit.CLIENT, Adjacency.ZERO_OUT)
        >>> rounding.round(np.array([0.5, -0.25, 0.0]), lambda n: np.zeros(n, np.uint64))
        array([ 2, -1,  0])
    """

    step: float
    dimension: int
    clip_norm: float
    unit: Unit
    adjacency: Adjacency
    beta: float = BETA

    def __post_init__(self) -> None:
        require_client_zero_out(self.unit, self.adjacency)
        if not (self.step > 0 and math.isfinite(self.step) and math.frexp(self.step)[0] == 0.5):
            raise PlanError(f"the encoding step {self.step!r} is not a power of two", "use `choose_encoding`")
        if rounded_norm_bound(self.clip_norm / self.step, self.dimension, beta=self.beta) > LARGEST_STEPS:
            raise PlanError("the clipped vector exceeds 2^29 steps", "use a larger step")

    @property
    def l2_sensitivity(self) -> float:
        """Norm bound of a rounded vector, in steps, rounded up: the square root of a whole number."""
        return math.sqrt(self._largest_square) * (1 + 2.0**-50)

    @property
    def _largest_square(self) -> int:
        return math.floor(Fraction(rounded_norm_bound(self.clip_norm / self.step, self.dimension, beta=self.beta)) ** 2)

    def round(self, vector: NDArray[np.float64], words: Words) -> NDArray[np.int64]:
        """Round (d,) float64 to (d,) int64 steps; takes TRIES * d words, whatever the vector.

        A vector that is not finite counts as zero, as does one whose norm exceeds the bound before rounding.
        Raises:
            EncodingOverflow: wrong length (public).
        """
        if vector.shape != (self.dimension,):
            raise EncodingOverflow(f"a vector of shape {vector.shape} was to be rounded", f"pass ({self.dimension},)")
        with np.errstate(all="ignore"):
            scaled = vector / self.step
            # NaN compares false: one test for NaN, infinity and size.
            fine = np.dot(scaled, scaled) <= (self.l2_sensitivity * (1 + 2.0**-20)) ** 2
        safe = np.where(fine, scaled, 0.0)
        floor = np.floor(safe)
        # -1e-30 lies 1 - 1e-30 above its floor, which a float rounds to 1: 2^64 would not fit a word.
        thresholds = (np.minimum(safe - floor, _JUST_BELOW_ONE) * 2.0**64).astype(np.uint64)
        chosen = np.zeros(self.dimension, np.int64)
        open_ = True
        for _ in range(TRIES):
            drawn = floor.astype(np.int64) + (words(self.dimension) < thresholds)
            fits = int(np.dot(drawn, drawn)) <= self._largest_square
            chosen = np.where(open_ and fits, drawn, chosen)
            open_ = open_ and not fits
        return chosen
