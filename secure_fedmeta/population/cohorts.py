# SPDX-License-Identifier: Apache-2.0
"""Who takes part in a round, really drawn, and who drops out.

A cohort costs what its own size does, never what the population's: Poisson sampling draws how many take part
(binomial) and then which (uniform without replacement), which is the law of N independent coins. Where sampling is to
lower an epsilon its coins must be secret and uniform: they are words of an AES keystream, rejected rather than reduced,
and the count comes from integer arithmetic (`binomial`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.noise import Words

from ..errors import CohortRefused
from ..federation.dropouts import dropout_pattern
from .binomial import heads
from .clients import Indices


class Cohorts(Protocol):
    """A frozen way to draw who takes part; `accounting.events_of` says what it is worth."""

    def draw(self, number: int, words: Words) -> Indices:
        """Distinct clients of round `number` (from 1), ascending; `words` is a fresh keystream."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """All N clients, every round."""

    population: int

    def __post_init__(self) -> None:
        _whole("population", self.population)

    def draw(self, number: int, words: Words) -> Indices:  # noqa: ARG002
        """All of them."""
        return np.arange(self.population)


@dataclass(frozen=True, slots=True)
class Poisson:
    """Each client by a coin of its own, with probability `probability`; the number of members stays secret.

    `largest`: publish the number of members, and draw again if there are more than that. Given a published number m,
    the cohort is a uniform sample of m clients, and is accounted as one: the coin is a secret no more.

    Example:
        >>> from fedmeta_crypto import Keystream
        >>> words = Keystream(bytes(16)).words
        >>> len(Poisson(10_000, 0.01).draw(1, words)) in range(50, 160)
        True
    """

    population: int
    probability: float
    largest: int | None = None

    def __post_init__(self) -> None:
        _whole("population", self.population)
        if not 0 < self.probability <= 1:
            raise CohortRefused(f"probability={self.probability!r}", "cohort", "choose it in (0, 1]")
        mean = self.population * self.probability
        if self.largest is not None and not mean <= self.largest <= self.population:
            raise CohortRefused(
                f"largest={self.largest} with {mean:g} members on average", "cohort", "choose it from the mean to N"
            )

    def draw(self, number: int, words: Words) -> Indices:  # noqa: ARG002
        """A fresh sample."""
        count = heads(self.population, self.probability, words)
        while self.largest is not None and count > self.largest:
            count = heads(self.population, self.probability, words)
        return sample(self.population, count, words)


@dataclass(frozen=True, slots=True)
class FixedSize:
    """`size` of N clients, uniform without replacement, afresh each round."""

    population: int
    size: int

    def __post_init__(self) -> None:
        _whole("population", self.population)
        _whole("size", self.size)
        if self.size > self.population:
            raise CohortRefused(f"{self.size} of {self.population} clients", "cohort", "draw at most all of them")

    def draw(self, number: int, words: Words) -> Indices:  # noqa: ARG002
        """A fresh sample."""
        return sample(self.population, self.size, words)


@dataclass(frozen=True, slots=True, eq=False)
class Available:
    """Whoever is there, by a schedule: `trace(number)` are the clients that can take part in round `number`.

    A schedule is nobody's secret coin: whoever knows that a client is awake at night knows when it took part. So it
    lowers no epsilon, and each round counts in full for whoever is in it. Who was available may depend on no record.
    At most `size` of the available take part, the first in an order drawn afresh; that does not change the account.
    `name` says which schedule it is, so that a run is not resumed under another one; `windows` names its own.
    """

    population: int
    trace: Callable[[int], Indices] = field(repr=False)
    size: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _whole("population", self.population)
        if self.size is not None:
            _whole("size", self.size)

    @classmethod
    def windows(cls, starts: Indices, lengths: Indices, *, period: int, size: int | None = None) -> Available:
        """Each client is there for `lengths[i]` rounds of every `period`, from round `starts[i]` on.

        Example:
            >>> from fedmeta_crypto import Keystream
            >>> night = Available.windows(np.array([0, 2]), np.array([2, 1]), period=3)
            >>> [night.draw(number, Keystream(bytes(16)).words).tolist() for number in (3, 4, 5)]
            [[0], [0], [1]]
        """
        if starts.shape != lengths.shape or starts.ndim != 1 or period < 1:
            raise CohortRefused("starts and lengths differ in shape", "trace", "give one of each a client")
        spelled = [np.ascontiguousarray(part, dtype="<i8").tobytes() for part in (starts, lengths, np.array(period))]
        name = "windows " + hashlib.sha256(b"".join(spelled)).hexdigest()
        first, long = starts.copy(), lengths.copy()
        return cls(len(first), lambda number: np.flatnonzero((number - first) % period < long), size, name)

    def draw(self, number: int, words: Words) -> Indices:
        """Those available, or `size` of them."""
        there = np.unique(np.asarray(self.trace(number), np.int64))
        if len(there) and not 0 <= there[0] <= there[-1] < self.population:
            raise CohortRefused(f"the trace of round {number} names no client", "trace", "use 0 to N - 1")
        if self.size is None or len(there) <= self.size:
            return there
        chosen: Indices = there[sample(len(there), self.size, words)]
        return chosen


@dataclass(frozen=True, slots=True)
class Dropouts:
    """Unreliable clients: each drops out of a round on its own, by a seed and never by data.

    Attributes:
        rate: probability of each client in each round.
        seed: of the pattern; the same as the protocol's simulation draws (`federation.dropouts`).

    Example:
        >>> Dropouts(0.0, seed=1).silent(1, np.arange(3))
        {}
    """

    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1 or not 0 <= self.seed < 2**63:
            raise CohortRefused(f"rate={self.rate!r}, seed={self.seed!r}", "dropouts", "use a rate below 1, seed >= 0")

    def silent(self, number: int, cohort: Indices) -> Mapping[int, str]:
        """Clients that fall silent, with the message that they do not send."""
        if self.rate == 0:
            return {}
        return dropout_pattern(number, tuple(int(client) for client in cohort), rate=self.rate, seed=self.seed)

    def survivors(self, number: int, cohort: Indices) -> Indices:
        """Those whose upload arrives: who falls silent later is in the sum all the same."""
        gone = [client for client, phase in self.silent(number, cohort).items() if phase != "unmask"]
        kept: Indices = cohort[~np.isin(cohort, gone)] if gone else cohort
        return kept


def sample(population: int, size: int, words: Words) -> Indices:
    """`size` distinct of 0 .. N - 1, uniform, ascending; in time and memory of `size` (Floyd 1987).

    Example:
        >>> from fedmeta_crypto import Keystream
        >>> sample(5, 5, Keystream(bytes(16)).words).tolist()
        [0, 1, 2, 3, 4]
    """
    if 2 * size > population:  # choose who stays out
        out = sample(population, population - size, words) if size < population else np.zeros(0, np.int64)
        kept: Indices = np.delete(np.arange(population), out)
        return kept
    chosen: set[int] = set()
    picks = _below(np.arange(population - size + 1, population + 1, dtype=np.uint64), words)
    for last, pick in zip(range(population - size, population), picks.tolist(), strict=True):
        chosen.add(last if pick in chosen else pick)
    return np.sort(np.fromiter(chosen, np.int64, len(chosen)))


def _below(bounds: NDArray[np.uint64], words: Words) -> NDArray[np.uint64]:
    """One uniform whole number below each bound (from 1): words that would favour some are drawn again."""
    picks = np.zeros(len(bounds), np.uint64)
    todo = np.arange(len(bounds))
    top = np.uint64(2**64 - 1)
    while len(todo):
        drawn, bound = words(len(todo)).astype(np.uint64), bounds[todo]
        fine = drawn <= top - (top % bound + np.uint64(1)) % bound  # below the largest multiple of the bound
        picks[todo[fine]] = drawn[fine] % bound[fine]
        todo = todo[~fine]
    return picks


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CohortRefused(f"{name}={value!r}", "cohort", "give a positive whole number")
