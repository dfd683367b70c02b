# SPDX-License-Identifier: Apache-2.0
"""From a budget to noise: the inverse of the accountant, never on the wrong side of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import gdp
from .errors import PlanError
from .events import SMALLEST_SCALE, DiscreteGaussianSum
from .noise import LARGEST_SCALE

# Bound on `DiscreteGaussian.total_variation` for every allowed scale: tables have at most 13.3 * 2^14 thresholds.
SAMPLER_VARIATION = 2.0**-105


@dataclass(frozen=True, slots=True)
class Release:
    """What one round releases, but for the noise: everything needed to turn a scale into a shift.

    Attributes:
        l2_sensitivity: of one party's integer vector, in steps.
        dimension: coordinates.
        parties: members of the cohort, for the sampler's total variation.
    """

    l2_sensitivity: float
    dimension: int
    parties: int

    def event(self, scale: float, honest: int) -> DiscreteGaussianSum:
        """The event of a round in which `honest` parties each added noise of this scale."""
        return DiscreteGaussianSum(
            self.l2_sensitivity,
            noise_variance=honest * scale**2,
            smallest_scale=scale,
            parties=honest,
            dimension=self.dimension,
            sampler_variation=SAMPLER_VARIATION,
        )

    def shift(self, scale: float, honest: int) -> float:
        """Squared Gaussian shift of such a round."""
        return self.event(scale, honest).mu_squared

    def variation(self, rounds: int) -> float:
        """Total variation of a whole run, every member counted in every round."""
        return rounds * self.event(SMALLEST_SCALE, self.parties).total_variation


def budget_shift(epsilon: float, delta: float, *, release: Release, rounds: int) -> float:
    """mu_B^2 of an (epsilon, delta) budget, after the sampler's share of delta, rounded down.

    Example:
        >>> release = Release(1e4, dimension=31, parties=10)
        >>> limit = budget_shift(3.0, 1e-3, release=release, rounds=40)
        >>> gdp.epsilon_upper(limit**0.5, 1e-3, total_variation=release.variation(40)) <= 3.0
        True
    """
    mu = gdp.mu_for(epsilon, delta, total_variation=release.variation(rounds))
    return mu**2 * (1 - 2.0**-48)


def noise_scale(limit: float, *, release: Release, rounds: int, planned_honest: int, floor_honest: int) -> float:
    """Smallest scale (in sixteenths of a step) at which `rounds` planned rounds pass the filter.

    A round is charged its floor before it starts and lowered to its survivors afterwards, so the last
    round needs room for a floor: (rounds - 1) * shift(planned) + shift(floor) <= limit.

    Raises:
        PlanError: no honest party is left at the floor, or the noise does not fit the sampler.

    Example:
        >>> release = Release(1e4, dimension=31, parties=10)
        >>> s = noise_scale(1.0, release=release, rounds=40, planned_honest=10, floor_honest=6)
        >>> 39 * release.shift(s, 10) + release.shift(s, 6) <= 1.0
        True
    """
    if floor_honest < 1 or planned_honest < floor_honest:
        raise PlanError(
            f"{floor_honest} honest sites at the threshold and {planned_honest} planned give no noise floor",
            "raise the threshold or the planned survivors, or declare fewer colluders",
        )

    def fits(sixteenths: int) -> bool:
        scale = sixteenths / 16
        planned, floor = release.shift(scale, planned_honest), release.shift(scale, floor_honest)
        # The slack covers the filter's own upward rounding.
        return ((rounds - 1) * planned + floor) * (1 + 2.0**-44) <= limit

    low, high = math.ceil(SMALLEST_SCALE * 16) - 1, int(LARGEST_SCALE * 16)
    if not fits(high):
        raise PlanError(
            f"the budget asks for noise beyond {LARGEST_SCALE:g} encoding steps",
            "use fewer rounds or a larger epsilon",
        )
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high / 16
