# SPDX-License-Identifier: Apache-2.0
"""Noise that fits whoever is left: every party adds a base and D parts, and what turns out to be surplus is removed.

Of n parties at most c are corrupt and at most D may drop out. With m = n - c, each one adds independent discrete
Gaussian noise of

    base        s*^2 / m
    part k      s*^2 / ((m - k + 1)(m - k)),        k = 1 .. D,

every part from a seed of its own. When d <= D have dropped out, the seeds of the parts k > d of every survivor are
revealed, and whoever holds the sum subtracts them. Since 1 / ((m-k+1)(m-k)) = 1/(m-k) - 1/(m-k+1), what stays of one
survivor's noise telescopes:

    1/m + sum over k <= d of (1/(m-k) - 1/(m-k+1))  =  1 / (m - d),        `kept(d)` = s*^2 / (m - d).

*The honest noise is never less than s*^2.* The survivors are n - d. The corrupt are at most c in all, so at most c of
them survive, whichever of them dropped out or pretended to: at least m - d survivors are honest. Each keeps
s*^2 / (m - d), so that together they have s*^2 at least, and exactly s*^2 if c of the survivors are corrupt. A corrupt
survivor may add no noise, tell its own, or share a seed that is not the one it used: it is not counted. A corrupt party
that drops out makes one more part of everyone stay, and one honest noise more count.

*What must be true of d.* Let those who reveal seeds believe that d' have dropped out, and reveal parts k > d'. If
d' < d, only (m - d)/(m - d') of s*^2 is left; if d' > d, more than s*^2 is. So a seed may be revealed only against
proof of the survivors, and of one set of survivors only, and a part k <= d of nobody. The seeds revealed are
independent of all noise that stays: knowing them takes the removed parts away, and nothing more.

*What to charge.* By the lemma of `events.DiscreteGaussianSum` (its sum of honest draws of unequal scales, each at
least 3.2 steps) the release is (Delta / sqrt(s*^2 - 9))-GDP up to a total variation of 2^-130 per draw and coordinate
and what the sampler is off by. The noise of m - d honest survivors is enough for that, whatever else stays, so the
draws that count are (m - d)(d + 1): parties of the event are counted in draws.
The price is the same for every d. A round's floor, its plan and what it turns out to be are one number.

*Rounding.* Each scale is rounded up to a multiple of 2^-16 steps, in integers. All accounting uses the exact variances
before rounding, so rounding only ever adds noise. It adds less than 2^-15/3.2 of any variance.

The best that independent noise of one law can do is s*^2 of n - d survivors of whom c do not count:
s*^2 (n - d)/(n - d - c), which is what stays in the sum. Over-provisioning gives (n - d)/(n - D - c).

Source: Jiang, Wang and Chen, "Dordis", arXiv 2209.12528v4 (XNoise), whose parts have c = 0: with c corrupt survivors
the honest noise would then be (n - d - c)/(n - d) of what was planned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .calibration import SAMPLER_VARIATION, Release
from .errors import SurplusRefused
from .events import SMALLEST_SCALE, DiscreteGaussianSum
from .noise import LARGEST_SCALE, REACH_IN_SCALES, DiscreteGaussian

GRID = 2**16  # scales are whole numbers of 1/GRID steps
_SLACK = 1 + 2.0**-44  # the filter's own upward rounding


@dataclass(frozen=True, slots=True)
class SurplusNoise:
    """The noise of one party in D + 1 pieces.

    Attributes:
        clients: n.
        corrupt: c, parties whose noise counts for nothing.
        dropped: D, the most that may drop out.
        honest_scale: s*, in steps: the noise that all honest survivors together keep, a multiple of 1/16.

    Guarantee: for every d <= D and whichever c parties are corrupt, the honest survivors' kept noise has variance
        s*^2 at least (module docstring).
    Raises:
        SurplusRefused: nobody honest would be left, or a piece is below 3.2 steps or beyond the sampler.

    Example:
        >>> noise = SurplusNoise(clients=10, corrupt=1, dropped=3, honest_scale=1000.0)
        >>> [round(s, 1) for s in noise.scales]
        [333.3, 117.9, 133.6, 154.3]
        >>> [noise.variance(honest=10 - d - 1, dropped=d) for d in range(4)]
        [1000000.0, 1000000.0, 1000000.0, 1000000.0]
    """

    clients: int
    corrupt: int
    dropped: int
    honest_scale: float

    def __post_init__(self) -> None:
        counts = (self.clients, self.corrupt, self.dropped)
        if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
            raise SurplusRefused(f"clients, corrupt and dropped are {counts}", "give whole numbers")
        if self.clients - self.corrupt - self.dropped < 1:
            raise SurplusRefused(
                f"{self.corrupt} corrupt and {self.dropped} dropped of {self.clients} leave no honest noise",
                "assume fewer of them, or add parties",
            )
        if not (math.isfinite(self.honest_scale) and self.honest_scale > 0 and (16 * self.honest_scale).is_integer()):
            raise SurplusRefused(f"an honest scale of {self.honest_scale!r} steps", "give a multiple of 1/16")
        least = Fraction(SMALLEST_SCALE)
        for number in range(self.dropped + 1):
            if self._square(number) < least**2:
                raise SurplusRefused(
                    f"part {number} of {self.dropped} would have a scale of {math.sqrt(self._square(number)):.3g} "
                    f"steps, below {SMALLEST_SCALE}, where no epsilon is proved",
                    "use fewer sites or more noise, or over-provision",
                )
        if self._square(0) > Fraction(LARGEST_SCALE) ** 2:
            raise SurplusRefused(
                f"the base would have a scale beyond {LARGEST_SCALE:g} steps", "use fewer rounds or a larger epsilon"
            )

    def _square(self, number: int) -> Fraction:
        """Exact squared scale of the base (0) or of a part, in squared steps."""
        honest = self.clients - self.corrupt
        pieces = honest if number == 0 else (honest - number + 1) * (honest - number)
        return Fraction(self.honest_scale) ** 2 / pieces

    @property
    def scales(self) -> tuple[float, ...]:
        """Scale of the base, then of parts 1 .. D, in steps: what a party draws."""
        return tuple([_root_up(self._square(number)) for number in range(self.dropped + 1)])

    def kept(self, dropped: int) -> Fraction:
        """Squared scale of what stays of one survivor's noise, exactly and before rounding up.

        Raises:
            SurplusRefused: more have dropped out than the parts are made for.
        """
        if not 0 <= dropped <= self.dropped:
            raise SurplusRefused(f"{dropped} dropped, the parts are made for {self.dropped}", "end the round")
        return Fraction(self.honest_scale) ** 2 / (self.clients - self.corrupt - dropped)

    def variance(self, *, honest: int, dropped: int) -> float:
        """Squared scale of the kept noise of that many survivors, in squared steps, rounded down."""
        exact = honest * self.kept(dropped)
        near = float(exact)
        return near if Fraction(near) <= exact else math.nextafter(near, 0.0)

    def event(self, release: Release, *, honest: int, dropped: int) -> DiscreteGaussianSum:
        """The event of a round in which so many dropped out and the noise of `honest` survivors counts."""
        smallest = min(self._square(number) for number in range(dropped + 1))
        return DiscreteGaussianSum(
            release.l2_sensitivity,
            noise_variance=self.variance(honest=honest, dropped=dropped),
            smallest_scale=max(SMALLEST_SCALE, math.nextafter(math.sqrt(smallest), 0.0)),
            parties=honest * (dropped + 1),
            dimension=release.dimension,
            sampler_variation=SAMPLER_VARIATION,
        )

    def shift(self, release: Release, *, honest: int, dropped: int) -> float:
        """Squared Gaussian shift of such a round."""
        return self.event(release, honest=honest, dropped=dropped).mu_squared

    def floor_shift(self, release: Release) -> float:
        """Squared Gaussian shift of the worst round, which is every round with c corrupt survivors."""
        return self.shift(release, honest=self.clients - self.corrupt - self.dropped, dropped=self.dropped)

    @property
    def reach(self) -> int:
        """The largest noise of one party before anything is removed, in steps."""
        return sum(math.ceil(REACH_IN_SCALES * scale) for scale in self.scales)


def surplus_noise(
    limit: float, *, release: Release, rounds: int, clients: int, corrupt: int, dropped: int
) -> SurplusNoise:
    """The smallest noise (s* in sixteenths of a step) of which `rounds` rounds pass the filter, whoever drops out.

    Args:
        limit: mu_B^2 of the budget.
        release: with parties counted in draws, `clients * (dropped + 1)`.
        rounds: all of the run.
        clients: n.
        corrupt: c, parties whose noise counts for nothing.
        dropped: D, the most that may drop out.
    Raises:
        SurplusRefused: the noise does not fit the sampler, or parts of it are too small.

    Example:
        >>> release = Release(1e4, dimension=31, parties=40)
        >>> noise = surplus_noise(1.0, release=release, rounds=40, clients=10, corrupt=1, dropped=3)
        >>> noise.honest_scale, 40 * noise.floor_shift(release) <= 1.0
        (63245.5625, True)
    """

    def fits(sixteenths: int) -> bool:
        # The price of a round hangs on s* alone.
        square = (sixteenths / 16) ** 2
        if square <= SMALLEST_SCALE**2:
            return False
        event = DiscreteGaussianSum(
            release.l2_sensitivity,
            noise_variance=square * (1 - 2.0**-52),
            smallest_scale=SMALLEST_SCALE,
            parties=1,
            dimension=release.dimension,
            sampler_variation=SAMPLER_VARIATION,
        )
        return rounds * event.mu_squared * _SLACK <= limit

    low, high = 0, int(16 * LARGEST_SCALE * math.sqrt(max(1, clients - corrupt)))
    if not fits(high):
        raise SurplusRefused(
            f"the budget asks for noise beyond {LARGEST_SCALE:g} encoding steps", "use fewer rounds or a larger epsilon"
        )
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return SurplusNoise(clients, corrupt, dropped, high / 16)


@lru_cache(maxsize=4)
def samplers(scales: tuple[float, ...]) -> tuple[DiscreteGaussian, ...]:
    """One sampler per scale; their tables take long to make, and parties of one process share them."""
    return tuple([DiscreteGaussian(scale) for scale in scales])


def _root_up(square: Fraction) -> float:
    """The smallest multiple of 1/GRID that is no less than a square root, found in integers."""
    wanted = square * GRID**2
    root = math.isqrt(math.ceil(wanted) - 1) + 1  # the smallest integer whose square is at least `wanted`
    return root / GRID
