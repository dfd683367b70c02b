# SPDX-License-Identifier: Apache-2.0
"""From events to an interval around epsilon.

Which bound is used follows from the events alone:

- nothing sampled: the exact Gaussian curve; discrete sums by their own proved shift, never the continuous one's;
- sampled, up to 16 kinds of rounds: dp_accounting's pessimistic privacy-loss distribution ("connect the dots",
  Doroshenko et al. 2022, arXiv 2207.04380v2); all unsampled events enter it as one Gaussian. Its discretisation is
  never below the truth, but its Fourier transforms are not charged for their rounding: of n rounds they lose up to
  n 2^-54 of delta (measured against the exact Gaussian curve), 1.4 % of epsilon at delta 1e-14. Here n 2^-49 is taken
  off delta first;
- more kinds, clients sampled before their records, or a delta of which that would be more than a thousandth:
  `composition`, with the same discretisation and its own error bound;
- Skellam sums and samples of fixed size: Renyi divergences (`rdp`), for which alone they have a proof.

The number is an *odometer*: what decides whether a round may start is a filter of `budget`, since composing what an
adaptive server chose is no valid filter (arXiv 2602.06756).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from . import gdp
from .errors import PlanError, UnsupportedEvent
from .events import (
    Basic,
    CappedPoisson,
    ClientThenRecord,
    DiscreteGaussianSum,
    Event,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    SkellamSum,
    common_adjacency,
    flatten,
    mu_squared,
    total_variation,
)

DEFAULT_INTERVAL = 3e-4
PLD_ROUNDING = 2.0**-49  # of delta, for each round; 37 times what was measured
MOST_KINDS = 16  # of sampled rounds that dp_accounting composes in about a second

# events, delta -> a lower bound of the true epsilon; from an accountant of another origin.
SecondOpinion = Callable[[Sequence[Event], float], float]
# (noise multiplier, sampling probability, client probability) -> rounds
_Kinds = dict[tuple[float, float, float], int]


@dataclass(frozen=True, slots=True)
class Epsilon:
    """An interval that holds the true epsilon, with the accountant's name.

    Attributes:
        lower: no smaller epsilon holds for the stated events at this delta.
        upper: the guarantee; rounded up. Infinite when nothing is guaranteed.
        delta: the delta that both belong to.
        accountant: who computed `upper`.
    """

    lower: float
    upper: float
    delta: float
    accountant: str


def epsilon(
    events: Sequence[Event],
    delta: float,
    *,
    interval: float = DEFAULT_INTERVAL,
    second_opinion: SecondOpinion | None = None,
) -> Epsilon:
    """Account for `events`, composed in any order.

    Guarantee: `upper` holds; it exceeds the truth by at most 0.1 % + 5e-4 for the sampled events it
        was tried on, by 1 % for many unequal rounds, and by 1e-9 where nothing is sampled.
    Args:
        events: what was executed; all of one adjacency.
        delta: target, inside (0, 1).
        interval: discretisation of dp_accounting's privacy loss, used only where it is.
        second_opinion: gives the lower end where something is sampled; without one it is 0 there.
    Raises:
        PlanError: delta outside (0, 1).
        MixedAdjacency: events of two adjacencies.
        UnsupportedEvent: events that no single accountant has a proof for.

    Example:
        >>> result = epsilon([Gaussian(1.0)], 1e-5)
        >>> round(result.upper, 6), result.accountant
        (4.377178, 'exact Gaussian')
        >>> epsilon([], 1e-5).upper
        0.0
    """
    if not 0 < delta < 1:
        raise PlanError(f"delta={delta} is not a probability", "choose 0 < delta < 1")
    flat = list(flatten(events))
    if any(isinstance(event, NonPrivate) for event, _ in flat):
        return Epsilon(math.inf, math.inf, delta, "none: a release was not private")
    common_adjacency(event for event, _ in flat)
    if any(isinstance(event, SkellamSum | FixedSizeGaussian) for event, _ in flat):
        from .rdp import rdp_epsilon

        return Epsilon(0.0, rdp_epsilon(events, delta), delta, "Renyi divergences of whole orders")
    if all(isinstance(event, Gaussian | DiscreteGaussianSum) for event, _ in flat):
        discrete = any(isinstance(event, DiscreteGaussianSum) for event, _ in flat)
        return unsampled_epsilon(mu_squared(events), delta, variation=total_variation(events), discrete=discrete)
    upper, name = _sampled_epsilon(events, delta, interval)
    lower = 0.0
    if second_opinion is not None:
        known = _known_to_leak(flat)
        lower = second_opinion(known, delta) if _within_reach(known, upper) else 0.0
    return Epsilon(min(lower, upper), upper, delta, name)


def unsampled_epsilon(shift: float, delta: float, *, variation: float = 0.0, discrete: bool = False) -> Epsilon:
    """The exact interval of releases with this squared shift in all.

    Args:
        shift: squared Gaussian shift, rounded up.
        delta: target.
        variation: total variation of the executed noise.
        discrete: some of it is only known to be at least as private as the shift says, so there is no lower end.
    """
    mu = math.sqrt(shift)
    lower = 0.0 if discrete else gdp.epsilon_bounds(mu, delta)[0]
    return Epsilon(lower, gdp.epsilon_upper(mu, delta, total_variation=variation), delta, "exact Gaussian")


def _sampled_epsilon(events: Sequence[Event], delta: float, interval: float) -> tuple[float, str]:
    kinds, shift, capped = _grouped(events)
    if capped:
        if any(keep < 1 for _, _, keep in kinds):
            raise UnsupportedEvent("capped cohorts beside sampled clients", "account for them separately")
    else:
        only = len(kinds) > MOST_KINDS or any(keep < 1 for _, _, keep in kinds)
        if only or sum(kinds.values()) * PLD_ROUNDING > 1e-3 * delta:
            upper = _composed(kinds, shift, delta, total_variation(events))
            if only or math.isfinite(upper):
                return upper, f"composition of {len(kinds)} kinds of rounds"
    upper = loss_distribution_epsilon(events, delta, interval=interval)
    return upper, f"dp-accounting {version('dp-accounting')} PLD at {interval:g}"


def _composed(kinds: _Kinds, shift: float, delta: float, variation: float) -> float:
    from .composition import Rounds, composed_epsilon

    columns = np.array([(*kind, count) for kind, count in kinds.items()], np.float64).T
    if shift > 0:
        columns = np.concatenate([columns, [[1 / math.sqrt(shift) * (1 - 2.0**-50)], [1.0], [1.0], [1.0]]], axis=1)
    rounds = Rounds(*columns)
    return gdp.spend_variation(lambda left: composed_epsilon(rounds, left), delta, variation)


def loss_distribution_epsilon(events: Sequence[Event], delta: float, *, interval: float = DEFAULT_INTERVAL) -> float:
    """Epsilon of dp_accounting's pessimistic privacy-loss distribution, rounded up.

    Also the second accountant for unsampled events; discreteness enters as `total_variation`.

    Raises:
        UnsupportedEvent: clients sampled before records; dp_accounting has no such event.
    """
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.privacy_accountant import NeighboringRelation

    if any(isinstance(event, NonPrivate) for event, _ in flatten(events)):
        return math.inf
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=interval)
    kinds, shift, capped = _grouped(events)
    if shift > 0:
        accountant.compose(dp_event.GaussianDpEvent(1 / math.sqrt(shift)))
    for (multiplier, probability, keep), count in kinds.items():
        if keep < 1:
            raise UnsupportedEvent("dp-accounting has no client-then-record sampling", "use the composition")
        step = dp_event.PoissonSampledDpEvent(probability, dp_event.GaussianDpEvent(multiplier))
        accountant.compose(step, count)
    for event, count in capped.items():
        accountant.compose(
            dp_event.TruncatedSubsampledGaussianDpEvent(
                event.population, event.sampling_probability, event.cap, event.noise_multiplier
            ),
            count,
        )
    rounding = PLD_ROUNDING * (1 + sum(kinds.values()) + sum(capped.values()))

    def curve(left: float) -> float:
        return float(accountant.get_epsilon(left - rounding)) if left > rounding else math.inf

    return gdp.spend_variation(curve, delta, total_variation(events)) * (1 + 1e-9)


def _grouped(events: Sequence[Event]) -> tuple[_Kinds, float, dict[CappedPoisson, int]]:
    """Sampled rounds by kind, the squared shift of what is not sampled, and capped rounds by kind.

    Composing equal rounds at once is what keeps an accountant fast.
    """
    kinds: _Kinds = {}
    capped: dict[CappedPoisson, int] = {}
    shift = 0.0
    for event, times in flatten(events):
        match event:
            case Gaussian() | DiscreteGaussianSum():
                shift += times * event.mu_squared * (1 + 2.0**-50)
                continue
            case PoissonGaussian() | PoissonDiscreteGaussianSum():
                key = (event.noise_multiplier, event.sampling_probability, 1.0)
            case ClientThenRecord():
                key = (event.noise_multiplier, event.record_probability, event.client_probability)
            case CappedPoisson():
                kind = CappedPoisson(event.noise_multiplier, event.sampling_probability, event.population, event.cap)
                capped[kind] = capped.get(kind, 0) + times * event.count
                continue
            case _:
                raise UnsupportedEvent(f"{type(event).__name__} has no loss distribution here", "use epsilon()")
        kinds[key] = kinds.get(key, 0) + times * event.count
    return kinds, shift, capped


def _known_to_leak(flat: Sequence[tuple[Basic, int]]) -> list[Event]:
    """Events that leak no more than the given ones and that a second accountant can express.

    Client-then-record sampling leaks at least what Poisson(q_c q_r) does, which is what is left when the client's coin
    is forgotten. Discrete sums and capped cohorts are left out: of these only upper bounds are known here.
    """
    known: list[Event] = []
    groups: dict[tuple[float, float], int] = {}
    for event, times in flat:
        match event:
            case Gaussian():
                known.append(Gaussian(event.noise_multiplier, event.count * times))
            case PoissonGaussian():
                key = (event.noise_multiplier, event.sampling_probability)
                groups[key] = groups.get(key, 0) + event.count * times
            case ClientThenRecord():
                key = (event.noise_multiplier, event.client_probability * event.record_probability)
                groups[key] = groups.get(key, 0) + event.count * times
            case _:
                pass
    return known + [PoissonGaussian(z, q, count) for (z, q), count in groups.items()]


def _within_reach(events: Sequence[Event], upper: float) -> bool:
    """Whether Opacus' PRV accountant would take seconds and not hours: its grid shrinks with the root of the rounds."""
    sampled = [event.count for event in events if isinstance(event, PoissonGaussian)]
    points = (upper + 4) * math.sqrt(16 * sum(sampled)) / 2e-3
    return len(sampled) <= 2 * MOST_KINDS and points < 2**24


__all__ = ["Epsilon", "Gaussian", "SecondOpinion", "epsilon", "loss_distribution_epsilon", "unsampled_epsilon"]
