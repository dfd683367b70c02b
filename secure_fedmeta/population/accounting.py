# SPDX-License-Identifier: Apache-2.0
"""What a round of a population costs a client, in each view, before it is run.

Unit: a client with everything it holds, clipped to C. Adjacency: its vector zeroed (zero-out), and no other. A client
whose vector is *replaced* moves a sum by up to 2C, and a Poisson sample by both clients' coins: nothing is said of that
here, though the bound for fixed sizes happens to cover it. n clients add up; the divisor of the mean is a public
constant, never the number that took part. A client's vector follows from that client and the model alone, bit for bit
(`rounds.ring_round` computes one at a time): else those who stay would move too.

    cohort                       release: only the models are seen
    everyone, available          Gaussian, q = 1 in every round: nobody's taking part is a secret
    Poisson, size unpublished    PoissonGaussian at q, if the noise is one public constant
    Poisson, size published      FixedSizeGaussian at the declared largest size
    fixed size                   FixedSizeGaussian

*Fixed size is not Poisson.* With a size m that is known, a cohort without the client holds another in its place, so
two neighbours' sums are up to 2C apart: writing A, B for the laws of the sum given that the client is not, or is, in
it, and B' for B with its vector zeroed, the pair is (1-g)A + gB against (1-g)A + gB', g = m/N, and B against A moves by
||v - v_j|| <= 2C when client j takes the place. Zero-out is the exchange for a client whose vector is zero, so the
replace-one bound at sensitivity 2C (`FixedSizeGaussian`; Wang, Balle and Kasiviswanathan 2019, arXiv 1808.00087v2)
holds for it. PoissonGaussian at m/N does not, and is never made here of such a cohort.

*A published size makes Poisson a fixed size*: given that m took part, they are a uniform sample of m. The Renyi bound
grows in m, so the declared largest m covers every round.

*Noise drawn by each client* adds up to a variance that follows the number of members. Between "in" and "out" of a
Poisson sample the variance then differs, which no bound here covers: refused. With a fixed size the variance is
constant as long as nobody drops out.

*Dropouts* depend on no record. With the noise drawn once they only replace vectors by zero, and the bounds above stand,
as long as nobody publishes how many were left. Where clients draw the noise, it is charged at q = 1 (who knows who
failed knows more about who took part) and at the *honest floor*: the fewest survivors that a round is opened with, less
the colluders, who may work with the server and tell it their noise. How many these may be has to be stated.

*Server view.* A server that draws the noise itself sees everything: infinite. Where clients draw it and their sum is
masked, the server knows who takes part: q = 1 for every round that a client is in, at the honest floor.

*Discrete noise* has the same events at its corrected multiplier (`DiscreteGaussianSum`), and its total variation, with
that of the cohort's draw, is taken off delta. *Normal noise* is accounted as what it imitates; the run itself gives no
guarantee, and `Account.simulated` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedmeta_privacy import accountant
from fedmeta_privacy.calibration import SAMPLER_VARIATION
from fedmeta_privacy.claims import Adjacency, Circumstances, Mode, Network, Sampling, Unit, View, claim
from fedmeta_privacy.clipping import FlatClip, l2_sensitivity
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.events import (
    Basic,
    DiscreteGaussianSum,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonGaussian,
    Repeated,
)
from fedmeta_privacy.gdp import spend_variation

from ..errors import CohortRefused
from .binomial import VARIATION
from .cohorts import Available, Cohorts, Everyone, FixedSize, Poisson
from .rounds import DiscreteNoise, NormalNoise

_DOWN = 1 - 2.0**-48


@dataclass(frozen=True, slots=True)
class Account:
    """What every round costs, known beforehand.

    Attributes:
        release, server: one round's event in each view, for a client that is in it or might be.
        variation: of one round, from the laws that the events state; taken off delta.
        simulated: True if the noise is only imitated: then nothing protects anybody.

    Example:
        >>> account = account_of(Poisson(10_000, 0.01), NormalNoise(1.0, draws="sum"), clip_norm=1.0)
        >>> 0.5 < account.epsilon(View.RELEASE, rounds=100, delta=1e-5) < 1.5
        True
        >>> account.epsilon(View.SERVER, rounds=100, delta=1e-5)
        inf
    """

    release: Basic
    server: Basic
    variation: float
    simulated: bool

    def epsilon(self, view: View, *, rounds: int, delta: float) -> float:
        """Epsilon at `delta` of that many rounds, rounded up; 0 for none.

        In the server view `rounds` may be the most that any one client took part in.
        """
        event = self.release if view is View.RELEASE else self.server
        if not rounds:
            return 0.0
        if isinstance(event, NonPrivate) or view is View.LOCAL:
            return math.inf
        repeated = [Repeated(event, rounds)]
        spent = rounds * self.variation * (1 + 2.0**-40)
        return spend_variation(lambda left: accountant.epsilon(repeated, left).upper, delta, spent)


def account_of(
    cohorts: Cohorts,
    noise: NormalNoise | DiscreteNoise | None,
    *,
    clip_norm: float,
    encoding: IntegerEncoding | None = None,
    floor: int | None = None,
    colluders: int | None = None,
    dropouts: bool = False,
) -> Account:
    """The account of rounds with these cohorts and this noise.

    Args:
        cohorts: how they are drawn.
        noise: None for a run without a guarantee.
        clip_norm: C, in the vector's units.
        encoding: of integer rounds; discrete noise needs it.
        floor: fewest survivors that a round is opened with, colluders included; needed where clients draw the noise.
        colluders: members of a round at most whose noise hides nobody, since they may work with the server; needed
            where clients draw the noise, if only to say 0.
        dropouts: whether members may drop out.

    Raises:
        CohortRefused: nothing is proved for the combination; the text says why.
    """
    if noise is None:
        return Account(NonPrivate(), NonPrivate(), 0.0, simulated=False)
    own = noise.draws == "client"
    counted = _honest(floor, colluders, _members(cohorts)) if own else 1
    _check_claims(cohorts)
    once, variation = _multiplier(noise, counted, clip_norm, encoding, factor=1)
    twice, _ = _multiplier(noise, counted, clip_norm, encoding, factor=2)
    server: Basic = Gaussian(once) if own else NonPrivate()
    simulated = isinstance(noise, NormalNoise)
    match cohorts:
        case Everyone() | Available():
            return Account(Gaussian(once), server, variation, simulated)
        case FixedSize() if own and (dropouts or counted != cohorts.size):
            return Account(Gaussian(once), server, variation, simulated)
        case FixedSize():
            # The event takes the noise over C and halves it; here it is twice the noise over 2C, rounding included.
            fixed = FixedSizeGaussian(2 * twice * _DOWN, cohorts.population, cohorts.size)
            return Account(fixed, server, variation, simulated)
        case Poisson() if own:
            raise CohortRefused(
                "a Poisson sample whose members draw the noise: the sum's variance tells how many they are, and "
                "between in and out no bound is proved",
                "account",
                'draw the noise once for the sum (draws="sum"), or cohorts of a fixed size',
            )
        case Poisson() if cohorts.largest is not None and dropouts:
            raise CohortRefused(
                "a Poisson sample of published size from which members drop out: who knows who failed knows more about "
                "who took part",
                "account",
                "leave the size unpublished (largest=None)",
            )
        case Poisson() if cohorts.largest is not None:
            fixed = FixedSizeGaussian(2 * twice * _DOWN, cohorts.population, cohorts.largest)
            return Account(fixed, server, variation + VARIATION, simulated)
        case Poisson():
            sampled = PoissonGaussian(once, cohorts.probability)
            return Account(sampled, server, variation + VARIATION, simulated)
    raise CohortRefused(
        f"nothing is proved for cohorts by {type(cohorts).__name__}", "account", "use a class of `population.cohorts`"
    )


def _check_claims(cohorts: Cohorts) -> None:
    """The rows of the claim table that an account stands on."""
    for view in (View.RELEASE, View.SERVER):
        secret = isinstance(cohorts, Poisson | FixedSize) and view is View.RELEASE
        given = Circumstances(network=Network.ANY, sampling=Sampling.SECRET if secret else Sampling.NONE)
        claim(Unit.CLIENT, view, Adjacency.ZERO_OUT, Mode.CLIENT_VECTOR, given)


def _members(cohorts: Cohorts) -> int:
    """How many there can be in a round."""
    match cohorts:
        case FixedSize():
            return cohorts.size
        case Available() if cohorts.size is not None:
            return min(cohorts.size, cohorts.population)
    return getattr(cohorts, "population", 0)


def _honest(floor: int | None, colluders: int | None, members: int) -> int:
    """Noises that hide a client in the smallest sum that is opened."""
    if floor is None or floor < 1:
        raise CohortRefused("clients draw the noise, and no floor is stated", "account", "state the fewest survivors")
    if colluders is None or colluders < 0:
        raise CohortRefused(
            "clients draw the noise, and it is not stated how many may work with the server",
            "account",
            "state colluders=, 0 if there are none: their noise hides nobody",
        )
    if colluders >= floor:
        raise CohortRefused(
            f"of {floor} survivors {colluders} may work with the server", "account", "raise the floor above them"
        )
    if floor > members:
        raise CohortRefused(
            f"a floor of {floor} with {members} members at most", "account", "lower it: no round would ever be opened"
        )
    return floor - colluders


def _multiplier(
    noise: NormalNoise | DiscreteNoise, draws: int, clip_norm: float, encoding: IntegerEncoding | None, *, factor: int
) -> tuple[float, float]:
    """Noise of the sum over the distance of two neighbours `factor` clips apart, rounded down; and the variation."""
    if isinstance(noise, NormalNoise):
        return noise.deviation * math.sqrt(draws) / (factor * clip_norm) * _DOWN, 0.0
    if encoding is None:
        raise CohortRefused("discrete noise without an encoding", "account", "pass the rounds' encoding")
    # One row's bound with its arithmetic; integer sums add nothing to it.
    row = factor * l2_sensitivity(FlatClip(clip_norm), slots=1, dimension=encoding.dimension)
    event = DiscreteGaussianSum(
        encoding.l2_sensitivity(row),
        noise_variance=draws * noise.scale**2,
        smallest_scale=noise.scale,
        parties=draws,
        dimension=encoding.dimension,
        sampler_variation=SAMPLER_VARIATION,
    )
    return event.mu_squared**-0.5 * _DOWN, event.total_variation
