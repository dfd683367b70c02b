# SPDX-License-Identifier: Apache-2.0
"""The accountant turned round: noise, rounds and clients for a target epsilon.

Every answer lies on a grid (1/1024 of noise multiplier, whole rounds, whole clients) and is checked by the accountant
on both sides: at the answer epsilon is at most the target, at the next cheaper grid point it is above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import accountant
from .calibration import Release
from .errors import PlanError
from .events import (
    Basic,
    CappedPoisson,
    ClientThenRecord,
    DiscreteGaussianSum,
    Event,
    FixedSizeGaussian,
    Gaussian,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    Repeated,
)

NOISE_GRID = 1 / 1024
_MOST_NOISE = 2.0**20
_MOST_ROUNDS = 10**7
_MOST_CLIENTS = 10**7

Noisy = Gaussian | PoissonGaussian | ClientThenRecord | CappedPoisson | FixedSizeGaussian


def noise_for(event: Noisy, *, target: float, delta: float) -> float:
    """Smallest noise, in 1024ths, at which `event` (with its count) costs at most `target`.

    Args:
        event: all but the noise, whose value in it is ignored; for `FixedSizeGaussian` the answer is over the clip.
        target: epsilon, positive.
        delta: inside (0, 1).
    Raises:
        PlanError: no noise up to 2^20 is enough.

    Example:
        >>> z = noise_for(Gaussian(1.0, count=10), target=2.0, delta=1e-5)
        >>> accountant.epsilon([Gaussian(z, 10)], 1e-5).upper <= 2.0
        True
        >>> accountant.epsilon([Gaussian(z - NOISE_GRID, 10)], 1e-5).upper > 2.0
        True
    """
    _check(target, delta)

    def holds(steps: int) -> bool:
        noise = steps * NOISE_GRID
        if isinstance(event, FixedSizeGaussian):
            return accountant.epsilon([replace(event, noise_over_clip=noise)], delta).upper <= target
        return accountant.epsilon([replace(event, noise_multiplier=noise)], delta).upper <= target

    what = f"noise below {_MOST_NOISE:g} for epsilon {target}"
    # From noise 1: accountants take long over noise that hides nothing.
    return _least(holds, round(_MOST_NOISE / NOISE_GRID), what, start=round(1 / NOISE_GRID)) * NOISE_GRID


def rounds_for(event: Basic, *, target: float, delta: float) -> int:
    """Largest number of releases of `event` (each with its count) that cost at most `target`; 0 if one is too much.

    Example:
        >>> rounds = rounds_for(Gaussian(10.0), target=2.0, delta=1e-5)
        >>> accountant.epsilon([Gaussian(10.0, rounds)], 1e-5).upper <= 2.0
        True
        >>> accountant.epsilon([Gaussian(10.0, rounds + 1)], 1e-5).upper > 2.0
        True
    """
    _check(target, delta)

    def exceeds(rounds: int) -> bool:
        return accountant.epsilon([Repeated(event, rounds)], delta).upper > target

    return _least(exceeds, _MOST_ROUNDS, f"number of rounds up to {_MOST_ROUNDS} that spends epsilon {target}") - 1


def clients_for(
    release: Release, *, scale: float, rounds: int, target: float, delta: float, sampling_probability: float = 1.0
) -> int:
    """Fewest honest clients whose noises of this scale keep `rounds` sums within `target`.

    Args:
        release: what one round releases.
        scale: of one client's discrete Gaussian, in encoding steps.
        rounds: how many.
        target: epsilon, positive.
        delta: inside (0, 1).
        sampling_probability: of the unit, by a coin that is secret from whoever sees the sum; 1 without sampling.
    Raises:
        PlanError: no number of clients up to 10^7 is enough.

    Example:
        >>> release = Release(1000.0, dimension=31, parties=100)
        >>> clients_for(release, scale=1000.0, rounds=40, target=3.0, delta=1e-5)
        78
    """
    _check(target, delta)

    def holds(honest: int) -> bool:
        event: Basic = release.event(scale, honest)
        if sampling_probability < 1 and isinstance(event, DiscreteGaussianSum):
            event = PoissonDiscreteGaussianSum(event, sampling_probability)
        repeated: Event = Repeated(event, rounds)
        return accountant.epsilon([repeated], delta).upper <= target

    return _least(holds, _MOST_CLIENTS, f"number of clients up to {_MOST_CLIENTS} that gives epsilon {target}")


def _check(target: float, delta: float) -> None:
    if not (0 < target < 700 and 0 < delta < 1):
        raise PlanError(f"epsilon={target} at delta={delta} is not a target", "choose 0 < epsilon < 700, 0 < delta < 1")


def _least(holds: Callable[[int], bool], most: int, what: str, *, start: int = 1) -> int:
    """Smallest positive whole number that holds, by doubling from `start` and bisection; checked at both ends."""
    low, high = 0, start
    while not holds(high):
        if high >= most:
            raise PlanError(f"there is no {what}", "choose another target, or change the rest of the plan")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
