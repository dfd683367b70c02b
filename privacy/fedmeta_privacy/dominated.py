# SPDX-License-Identifier: Apache-2.0
"""Which single release costs at least as much as another, at every epsilon and in both directions."""

from __future__ import annotations

from .events import (
    Basic,
    CappedPoisson,
    ClientThenRecord,
    DiscreteGaussianSum,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    SkellamSum,
)


def releases(event: Basic) -> int:
    """How many releases an event stands for."""
    return 1 if isinstance(event, DiscreteGaussianSum | NonPrivate) else event.count


def dominates(declared: Basic, event: Basic) -> bool:  # noqa: PLR0911 - one per family
    """Whether one release of `declared` dominates one of `event`; False where it is not known.

    More noise is post-processing of less. Less sampling is dominated, as the curve of a Poisson-sampled release is
    convex in q and least at q = 0. Client-then-record sampling with (q_c, q_r) lies between Poisson(q_c q_r), the
    client's coin forgotten, and Poisson(q_r), the coin fixed to heads. A discrete sum's total variation has to be
    covered too.

    Example:
        >>> dominates(PoissonGaussian(1.0, 0.1), ClientThenRecord(1.0, 0.5, 0.1))
        True
        >>> dominates(PoissonGaussian(1.0, 0.05), ClientThenRecord(1.0, 0.5, 0.1))
        False
    """
    if isinstance(declared, NonPrivate) or isinstance(event, NonPrivate):
        return isinstance(declared, NonPrivate)
    if declared.adjacency is not event.adjacency:
        return False
    match declared, event:
        case FixedSizeGaussian(), FixedSizeGaussian():
            same = (declared.population, declared.sample) == (event.population, event.sample)
            return same and event.noise_over_clip >= declared.noise_over_clip
        case CappedPoisson(), CappedPoisson():
            same = (declared.population, declared.cap) == (event.population, event.cap)
            same = same and declared.sampling_probability == event.sampling_probability
            return same and event.noise_multiplier >= declared.noise_multiplier
        case SkellamSum(), SkellamSum():
            return (
                event.noise_variance >= declared.noise_variance
                and event.l1_sensitivity <= declared.l1_sensitivity
                and event.l2_sensitivity <= declared.l2_sensitivity
                and event.variation <= declared.variation
            )
    own, other = _sampled(declared), _sampled(event)
    if own is None or other is None:
        return False
    shift, keep, q, variation = own
    other_shift, other_keep, other_q, other_variation = other
    # Poisson(q) after the client's coin is forgotten, or each stage by itself.
    covered = other_q <= q and (other_keep <= keep or keep >= 1)
    forgotten = other_keep >= 1 and other_q <= keep * q * (1 - 2.0**-50)
    return other_shift <= shift and other_variation <= variation and (covered or forgotten)


def _sampled(event: Basic) -> tuple[float, float, float, float] | None:
    """(squared shift, client probability, record probability, total variation) of one Gaussian-family release."""
    match event:
        case Gaussian():
            return event.noise_multiplier**-2.0, 1.0, 1.0, 0.0
        case DiscreteGaussianSum():
            return event.mu_squared, 1.0, 1.0, event.total_variation
        case PoissonGaussian():
            return event.noise_multiplier**-2.0, 1.0, event.sampling_probability, 0.0
        case PoissonDiscreteGaussianSum():
            return event.noise_multiplier**-2.0, 1.0, event.sampling_probability, event.sum.total_variation
        case ClientThenRecord():
            return event.noise_multiplier**-2.0, event.client_probability, event.record_probability, 0.0
        case _:
            return None
