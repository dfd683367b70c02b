# SPDX-License-Identifier: Apache-2.0
"""What a mechanism releases when units are sampled first, as data.

Sampling helps only where it is secret from whoever sees the release: a cohort that the server chose gives nothing
against that server. Each class says who flips which coin, and under which adjacency its bound is proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .claims import Adjacency
from .errors import PlanError
from .mechanisms import DiscreteGaussianSum, positive, whole


def probability(name: str, value: float) -> None:
    """Refuse what is not in (0, 1]."""
    positive(name, value)
    if value > 1:
        raise PlanError(f"{name} is {value}", "choose it in (0, 1]")


@dataclass(frozen=True, slots=True)
class PoissonGaussian:
    """As `Gaussian`, with each unit taken into a release by an independent secret coin."""

    noise_multiplier: float
    sampling_probability: float
    count: int = 1
    adjacency: ClassVar[Adjacency] = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        probability("sampling_probability", self.sampling_probability)
        whole(self.count)


@dataclass(frozen=True, slots=True)
class ClientThenRecord:
    """As `PoissonGaussian` for one record, after a coin that decides whether its client takes part at all.

    The client's coin is shared by its records, and its other records reveal it, so the loss is that of "nothing" with
    probability 1 - q_c and of Poisson(q_r) with q_c. It is not Poisson(q_c q_r), which claims 1.83 where 7.14 is true
    (q_c = q_r = 0.1, noise 1, 1000 rounds, delta 1e-5). q_c may also be m/N of a cohort of fixed size that is drawn
    afresh each round, since neighbours that differ in a record have the same clients.
    """

    noise_multiplier: float
    client_probability: float
    record_probability: float
    count: int = 1
    adjacency: ClassVar[Adjacency] = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        probability("client_probability", self.client_probability)
        probability("record_probability", self.record_probability)
        whole(self.count)


@dataclass(frozen=True, slots=True)
class FixedSizeGaussian:
    """`sample` of `population` units drawn without replacement; the sum of their clipped vectors plus noise.

    Adjacency is replace-one: adding a unit would change everybody's probability. Replacing one moves the sum by up to
    *twice* the clip norm, so the noise is stated over the clip norm and halved where a bound asks for the sensitivity.
    dp-accounting's RDP accountant takes noise over sensitivity here, its PLD accountant noise over clip: do not mix.

    Attributes:
        noise_over_clip: noise deviation over the clip norm of one unit.
        population: N, public.
        sample: m, drawn secretly and afresh for each release.
    """

    noise_over_clip: float
    population: int
    sample: int
    count: int = 1
    adjacency: ClassVar[Adjacency] = Adjacency.REPLACE_ONE

    def __post_init__(self) -> None:
        positive("noise_over_clip", self.noise_over_clip)
        whole(self.population, "population")
        whole(self.sample, "sample")
        whole(self.count)
        if self.sample > self.population:
            raise PlanError(f"{self.sample} of {self.population} cannot be drawn", "correct sample")

    @property
    def noise_multiplier(self) -> float:
        """Noise deviation over the replace-one sensitivity, which is twice the clip norm."""
        return self.noise_over_clip / 2


@dataclass(frozen=True, slots=True)
class CappedPoisson:
    """As `PoissonGaussian`, but of a sample larger than `cap` a random `cap` are kept (a memory limit).

    A unit's presence then also pushes others out; the bound is that of arXiv 2508.15089, from dp-accounting.

    Attributes:
        noise_multiplier: noise deviation over the clip norm.
        population: units that flip a coin, public.
    """

    noise_multiplier: float
    sampling_probability: float
    population: int
    cap: int
    count: int = 1
    adjacency: ClassVar[Adjacency] = Adjacency.SLOT

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        probability("sampling_probability", self.sampling_probability)
        whole(self.population, "population")
        whole(self.cap, "cap")
        whole(self.count)
        if self.cap > self.population:
            raise PlanError(f"a cap of {self.cap} never binds among {self.population}", "use PoissonGaussian")


@dataclass(frozen=True, slots=True)
class PoissonDiscreteGaussianSum:
    """`count` releases of a discrete Gaussian sum into which the unit is taken by an independent secret coin.

    Guarantee: up to `total_variation` in both worlds, a post-processing of `PoissonGaussian` at noise multiplier
    1 / sqrt(sum.mu_squared), the corrected one: for any sampled set the sum's law is within the lemma's total variation
    of a rounded Gaussian, and mixing over the coin keeps both the bound and the post-processing.
    """

    sum: DiscreteGaussianSum
    sampling_probability: float
    count: int = 1
    adjacency: ClassVar[Adjacency] = Adjacency.SLOT

    def __post_init__(self) -> None:
        probability("sampling_probability", self.sampling_probability)
        whole(self.count)
        if self.sum.adjacency is not Adjacency.SLOT:
            raise PlanError("Poisson sampling is proved for add/remove", "state the sum's add/remove sensitivity")

    @property
    def noise_multiplier(self) -> float:
        """Corrected noise over sensitivity, rounded down."""
        return float(self.sum.mu_squared**-0.5) * (1 - 2.0**-50)

    @property
    def total_variation(self) -> float:
        """Of all releases together."""
        return self.count * self.sum.total_variation
