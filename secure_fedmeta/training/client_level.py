# SPDX-License-Identifier: Apache-2.0
"""Meta-training of many small clients with a client-level guarantee, the server trusted.

Each round every one of N registered clients is taken by its own secret coin of probability q; each contribution is
clipped, the sum gets noise of a *public* deviation, and is divided by the public number q N. How many were drawn is
neither published nor used: not in the noise, not in the divisor, not in the adaptive clip.

**Views.** `release`: who sees the models (all of them) and no cohort. Neighbours differ in one client, whose vector is
zeroed out, and with an adaptive clip its count too: it is as if it had stayed away, not as if it held no records (an
empty client is within the clip and counts as that). Replacing a client costs more than is stated here. Given the
others, a round's sum in the two worlds is N(a, s^2 I) and (1 - q) N(a, s^2 I) + q N(a + v, s^2 I) with ||v|| at most
the sensitivity: the pair of the Poisson-sampled Gaussian under add/remove (Zhu, Dong and Wang 2022, arXiv
2106.08567v4), so `events.PoissonGaussian` accounts for it. Publishing the cohort's size would condition the coin and
take that away (zeroing out leaves the client in the count). `server`: who also sees the cohorts; then there is no
sampling (q = 1), and a client pays for the rounds in which it was drawn, in the worst case for all.

**Noise.** "normal": a floating-point generator, and cohorts by one whose seed the caller knows. It is for simulation
and protects nobody (`Private.protects`): the numbers have the right distribution up to rounding, but neither a
cryptographic source nor a proof against floating-point attacks. "discrete": each clipped row rounded to steps, one
discrete Gaussian of the keystream for the whole sum; its event carries the rounding and the sampler's total variation,
the coins are words of a keystream too, with probability q rounded down to 64 bits, and each client is computed by
itself: beside others its last bits, and with them a step, may depend on who else was drawn. The accountant's epsilon is
then the real one (`PoissonDiscreteGaussianSum`).

**Not counted**: rates, clips and rounds that were chosen by looking at private data, the models that a `watch` shows to
anyone but who may see the release anyway, and time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fedmeta_crypto import Keystream
from fedmeta_privacy import accountant
from fedmeta_privacy.calibration import SAMPLER_VARIATION
from fedmeta_privacy.clipping import AdaptiveClip, Clipping, clip, l2_sensitivity
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.events import (
    DiscreteGaussianSum,
    Event,
    Gaussian,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    Repeated,
)
from fedmeta_privacy.noise import DiscreteGaussian

from ..engines.batch import TaskBatch
from ..entropy import noise_key
from ..errors import TrainingRefused
from .loop import BatchEngine, Watch
from .outer import Outer

Tensor = torch.Tensor
Float = NDArray[np.float64]
_BLOCK = 32
_COARSE = 5e-3


class Population(Protocol):
    """N clients, each with its own data."""

    def __len__(self) -> int:
        """N, registered and public."""

    def batch(self, drawn: NDArray[np.int64], round_: int) -> TaskBatch:
        """The tasks of the clients drawn in a round; a client's depends on its own data and the round alone."""


@dataclass(frozen=True, slots=True)
class ClientLevel:
    """A private run's public settings.

    Attributes:
        epsilon, delta: target of view release.
        sampling_probability: q.
        clipping: of a client's contribution; `AdaptiveClip` follows the norms.
        noise: "normal" in simulation, "discrete" exact.
    Raises:
        TrainingRefused: a setting out of range.
    """

    epsilon: float
    delta: float
    sampling_probability: float
    clipping: Clipping
    noise: Literal["normal", "discrete"] = "normal"

    def __post_init__(self) -> None:
        q = self.sampling_probability
        if not (self.epsilon > 0 and 0 < self.delta < 1 and 0 < q <= 1) or self.noise not in ("normal", "discrete"):
            raise TrainingRefused(f"{self} is out of range", "client level", "use epsilon > 0, delta and q in (0, 1)")

    def event(self, multiplier: float, *, rounds: int, population: int, dimension: int) -> Event:
        """What view `release` sees of a run."""
        if self.noise == "normal":
            return PoissonGaussian(multiplier, self.sampling_probability, rounds)
        return PoissonDiscreteGaussianSum(
            self.discrete(multiplier, population=population, dimension=dimension).event,
            self.sampling_probability,
            rounds,
        )

    def unsampled(self, multiplier: float, *, population: int, dimension: int) -> Event:
        """What view `server` sees of one round, of a client that was drawn."""
        if self.noise == "normal":
            return Gaussian(multiplier)
        return self.discrete(multiplier, population=population, dimension=dimension).event

    def discrete(self, multiplier: float, *, population: int, dimension: int) -> _Discrete:
        """Steps, scale and event of a sum of rounded rows, `multiplier` times the rounded sensitivity."""
        width = dimension + self.clipping.extra_coordinates
        before = self.sensitivity(population, dimension)
        encoding = IntegerEncoding(choose_step(before, width), width, 32)
        return _Discrete(encoding, encoding.l2_sensitivity(before), multiplier)

    def sensitivity(self, population: int, dimension: int) -> float:
        """How far zeroing one client out moves the float64 sum, whoever is drawn; arithmetic of N rows included."""
        return l2_sensitivity(self.clipping, slots=population, dimension=dimension)

    def multiplier(self, *, rounds: int, population: int, dimension: int) -> float:
        """Noise over sensitivity at which view `release` meets the target; about 2^-8 above the smallest.

        A function of the plan alone, so it cannot depend on any cohort that was drawn.

        Raises:
            TrainingRefused: more than 1000 would be needed.

        Example:
            >>> from fedmeta_privacy.clipping import FlatClip
            >>> level = ClientLevel(8.0, 1e-5, 0.02, FlatClip(1.0))
            >>> round(level.multiplier(rounds=100, population=1000, dimension=10), 2)
            0.54
        """
        return _multiplier(self, rounds, population, dimension)


@lru_cache(maxsize=64)
def _multiplier(level: ClientLevel, rounds: int, population: int, dimension: int) -> float:
    def fits(grid: int, interval: float) -> bool:
        event = level.event(grid / 1024, rounds=rounds, population=population, dimension=dimension)
        return accountant.epsilon([event], level.delta, interval=interval).upper <= level.epsilon

    def smallest(low: int, high: int, interval: float) -> int:
        while high - low > max(1, low // 256):
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle, interval) else (middle, high)
        return high

    low, high = 102, 512  # for less noise the accountant's grid is beyond any use
    while not fits(high, _COARSE):
        low, high = high, 2 * high
        if high > 1024 * 1000:
            raise TrainingRefused("no noise in reach meets the target", "client level", "use fewer rounds")
    # A coarse interval is fast, and what it says holds; a finer one saves the last percents.
    enough = smallest(low, high, _COARSE)
    return smallest(enough - enough // 16, enough, accountant.DEFAULT_INTERVAL) / 1024


@lru_cache(maxsize=64)
def _release(level: ClientLevel, multiplier: float, rounds: int, population: int, dimension: int) -> accountant.Epsilon:
    event = level.event(multiplier, rounds=rounds, population=population, dimension=dimension)
    return accountant.epsilon([event], level.delta)


@dataclass(frozen=True, slots=True)
class _Discrete:
    encoding: IntegerEncoding
    sensitivity: float  # in steps
    multiplier: float

    @property
    def scale(self) -> float:
        return math.ceil(16 * self.multiplier * self.sensitivity) / 16

    @property
    def event(self) -> DiscreteGaussianSum:
        return DiscreteGaussianSum(
            self.sensitivity,
            noise_variance=self.scale**2,
            smallest_scale=self.scale,
            parties=1,
            dimension=self.encoding.dimension,
            sampler_variation=SAMPLER_VARIATION,
        )


@dataclass(frozen=True, slots=True)
class Private:
    """A private run's result.

    Attributes:
        theta: released, (D,).
        multiplier: noise over sensitivity, public.
        release: epsilon of who sees the models.
        server: epsilon of who sees the cohorts too, for a client drawn in all rounds (q = 1).
        server_drawn: the same for the client that was drawn most often. The cohorts are that view's to see; for the
            simulation's eyes alone otherwise.
        clip_norms: C_t of each round, if adaptive: made of released counts.
        protects: False with noise "normal": the epsilons are then those of the mechanism that is imitated.
    """

    theta: Tensor
    multiplier: float
    release: accountant.Epsilon
    server: accountant.Epsilon
    server_drawn: accountant.Epsilon
    clip_norms: tuple[float, ...]
    protects: bool


def train_privately(
    engine: BatchEngine,
    theta: Tensor,
    population: Population,
    outer: Outer,
    level: ClientLevel,
    *,
    seed: int,
    watch: Watch | None = None,
) -> Private:
    """Rounds of drawing, clipping, adding noise and stepping.

    `seed` decides cohorts and normal noise; with discrete noise both come from the operating system, never from a seed.

    Guarantee: `release`, at `level.delta`, zero-out adjacency of a client, if the coins stay secret. With noise
        "normal" that is the guarantee of the mechanism that is simulated.
    Raises:
        TrainingRefused: delta is not below 1/N: publishing one whole client at random would satisfy it.
    """
    state, n, width = outer.begin(theta), len(population), len(theta)
    if level.delta * n >= 1:
        raise TrainingRefused(f"delta={level.delta:g} with {n} clients", "client level", "choose delta below 1/N")
    multiplier = level.multiplier(rounds=outer.rounds, population=n, dimension=width)

    def known(rounds: int) -> list[Event]:
        each = level.unsampled(multiplier, population=n, dimension=width)
        return [Repeated(each, rounds)] if rounds else []

    coins = _coins(level, n, seed)
    noisy = _noisy_sum(level, multiplier, population=n, dimension=width, seed=seed)
    rule, norms = level.clipping, []
    taken = np.zeros(n, dtype=np.int64)
    expected = level.sampling_probability * n
    for number in range(outer.rounds):
        drawn = np.flatnonzero(coins())
        taken[drawn] += 1
        blocks = _rows(engine, state.theta, population, drawn, number, apart=level.noise == "discrete")
        total = noisy(clip(part.double().numpy(), rule).values for part in blocks)
        if isinstance(rule, AdaptiveClip):
            norms.append(rule.clip_norm)
            gradient, count = rule.split(total)
            rule = rule.after(count, slots=max(1, round(expected)))
        else:
            gradient = total
        state.step(torch.from_numpy(gradient / expected).to(theta.dtype))
        if watch is not None:
            watch(number + 1, state.released)
    most = int(taken.max())
    return Private(
        state.released,
        multiplier,
        _release(level, multiplier, outer.rounds, n, width),
        accountant.epsilon(known(outer.rounds), level.delta),
        accountant.epsilon(known(most), level.delta),
        tuple(norms),
        protects=level.noise == "discrete",
    )


def _coins(level: ClientLevel, population: int, seed: int) -> Callable[[], NDArray[np.bool_]]:
    """Who is drawn in the next round, (N,): for the real noise by secret coins, which the amplification stands on."""
    q = level.sampling_probability
    if level.noise == "normal":
        rng = np.random.default_rng([seed, 1])
        return lambda: rng.random(population) < q
    key, _ = noise_key(os.urandom)
    words, heads = Keystream(key).words, int(Fraction(q) * 2**64)  # never more often than q
    if heads >= 2**64:
        return lambda: np.ones(population, dtype=bool)
    return lambda: words(population) < np.uint64(heads)


def _rows(
    engine: BatchEngine, theta: Tensor, population: Population, drawn: NDArray[np.int64], number: int, *, apart: bool
) -> Iterator[Tensor]:
    """Contributions of the clients drawn, some at a time; `apart` computes each as if nobody else were there."""
    if apart:
        for place in range(len(drawn)):
            yield engine.of_batch(theta, population.batch(drawn[place : place + 1], number))
    elif len(drawn):
        yield from torch.split(engine.of_batch(theta, population.batch(drawn, number)), _BLOCK)


def _noisy_sum(
    level: ClientLevel, multiplier: float, *, population: int, dimension: int, seed: int
) -> Callable[[Iterable[Float]], Float]:
    """From blocks of clipped rows to the noisy sum; blocks of a few rows stay in the cache."""
    width = dimension + level.clipping.extra_coordinates
    if level.noise == "normal":
        deviation = multiplier * level.sensitivity(population, dimension)
        rng = np.random.default_rng([seed, 2])

        def normal(blocks: Iterable[Float]) -> Float:
            total = rng.normal(0.0, deviation, width)
            for rows in blocks:
                total = total + rows.sum(axis=0)
            return total

        return normal
    made = level.discrete(multiplier, population=population, dimension=dimension)
    noise, encoding = DiscreteGaussian(made.scale), made.encoding

    def discrete(blocks: Iterable[Float]) -> Float:
        key, _ = noise_key(os.urandom)
        steps = noise.sample(encoding.dimension, Keystream(key).words)
        for rows in blocks:
            for row in rows:
                steps = steps + encoding.encode(row)
        return encoding.decode(steps)

    return discrete
