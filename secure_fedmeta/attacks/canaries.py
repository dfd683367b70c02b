# SPDX-License-Identifier: Apache-2.0
"""Canaries through the product's own round: clip, encode, noise, mask, drop, sum, decode.

A canary is a task whose contribution is one direction of its own, four times as long as the clip allows, put in by a
coin of the auditor. Directions are disjoint, so the decoded sum at a canary's coordinate is its score. The claim it is
held against is the product's: the exact Gaussian bound of the sum of discrete Gaussians, every unit in the round
(q = 1), no colluders, the survivors that there really were.

The classes have no test hooks: a test that plants a bug substitutes a subclass for the mechanism.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy, Keystream
from fedmeta_privacy import gdp
from fedmeta_privacy.calibration import Release
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.noise import REACH_IN_SCALES, DiscreteGaussian, Words

from ..errors import SettingError
from .rounds import Opened, masked_sum, silent_clients

Coins = NDArray[np.bool_]
Steps = NDArray[np.int64]
Float = NDArray[np.float64]

OVERSHOOT = 4.0  # a canary before clipping, over the clip norm
_ROUNDING_COST = 0.01
_DENSE = 1 << 18  # most floats of one block of contributions


@dataclass(frozen=True, slots=True)
class CanaryDesign:
    """How many canaries, where, and against which claim.

    Attributes:
        epsilon, delta: the claim that the noise is calibrated for; the claim itself is `claim`, never above it.
        clients: n.
        canaries: per client; client k of the cohort owns coordinates k * canaries and the next ones.
        dimension: d, at least clients * canaries; the coordinates left over carry noise alone.
        silent: share of the clients that fall silent after dealing their shares.
        clip_norm: C of one unit.

    Raises:
        SettingError: directions that do not fit, or nobody left.  PlanError: noise that no sampler offers.

    Example:
        >>> design = CanaryDesign(epsilon=4.0, clients=10, canaries=20, dimension=256)
        >>> design.survivors, 3.9 < design.claim <= 4.0
        (7, True)
    """

    epsilon: float
    delta: float = 1e-5
    clients: int = 10
    canaries: int = 10_000
    dimension: int = 1 << 17
    silent: float = 0.3
    clip_norm: float = 1.0
    encoding: IntegerEncoding = field(init=False)
    release: Release = field(init=False)
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        if self.canaries < 1 or self.clients * self.canaries > self.dimension:
            raise SettingError(
                f"{self.clients} x {self.canaries} canaries in {self.dimension} coordinates",
                "canaries",
                "use fewer canaries or more coordinates: each one needs its own",
            )
        if not 0 <= self.silent <= 0.3:
            raise SettingError(f"a share of {self.silent} falls silent", "canaries", "choose 0 to 0.3")
        step = choose_step(self.clip_norm, self.dimension, cost=_ROUNDING_COST)
        encoding = IntegerEncoding(step, self.dimension, 32)
        release = Release(encoding.l2_sensitivity(self.clip_norm), self.dimension, self.clients)
        mu = gdp.mu_for(self.epsilon, self.delta, total_variation=release.variation(1))
        # (Delta / mu)^2 = h s^2 - 9, to the next sixteenth of a step upwards
        each = math.sqrt(((release.l2_sensitivity / mu) ** 2 * (1 + 2.0**-30) + 9.0) / self.survivors)
        object.__setattr__(self, "encoding", encoding)
        object.__setattr__(self, "release", release)
        object.__setattr__(self, "scale", math.ceil(16 * each) / 16)
        encoding.check_room(
            parties=self.clients,
            largest_coordinate=self.clip_norm,
            noise_reach=math.ceil(REACH_IN_SCALES * self.scale),
        )
        if self.claim > self.epsilon:
            raise PlanError(f"the noise gives {self.claim}, above {self.epsilon}", "report this")

    @property
    def lost(self) -> tuple[int, ...]:
        """Clients that fall silent."""
        return silent_clients(range(self.clients), self.silent)

    @property
    def survivors(self) -> int:
        """n', for which the noise is calibrated: what the clients can be sure of."""
        return self.clients - len(self.lost)

    @property
    def mu(self) -> float:
        """Gaussian shift that one unit is claimed to cause."""
        return math.sqrt(self.release.shift(self.scale, self.survivors))

    @property
    def claim(self) -> float:
        """Epsilon at delta that the product would state for this round, rounded up."""
        return gdp.epsilon_upper(self.mu, self.delta, total_variation=self.release.variation(1))


@dataclass(frozen=True, slots=True, eq=False)
class CanaryRound:
    """What the auditor holds after a round.

    Shapes: `scores` and `coins` (survivors * canaries,), scores in clip norms; `residual` (d,), the decoded sum minus
    what was put in, in steps.
    """

    scores: Float
    coins: Coins
    residual: Float


class CanaryMechanism:
    """One round of the product with canaries as its tasks, fresh keys each time.

    Args:
        design: of the canaries.
        entropy: of keys and noise; the operating system's unless a test must be repeatable.

    Example:
        >>> mechanism = CanaryMechanism(CanaryDesign(epsilon=4.0, clients=5, canaries=8, dimension=64))
        >>> round_ = mechanism.run()
        >>> round_.scores.shape, round_.residual.shape
        ((32,), (64,))
    """

    def __init__(self, design: CanaryDesign, *, entropy: Entropy = os.urandom) -> None:
        self.design = design
        self.entropy = entropy
        self.noise = DiscreteGaussian(self.scale())

    def __repr__(self) -> str:
        return f"CanaryMechanism({self.design!r})"

    def scale(self) -> float:
        """Noise of one client, in steps."""
        return self.design.scale

    def toss(self) -> dict[int, Coins]:
        """A fair coin for every canary of every client."""
        return {client: self._toss(self.design.canaries) for client in range(self.design.clients)}

    def run(self, coins: Mapping[int, Coins] | None = None) -> CanaryRound:
        """Release and sum, with new coins unless these are given (for canaries that stay for several rounds)."""
        design = self.design
        coins = self.toss() if coins is None else coins
        lost = design.lost
        # A silent client never sends its vector, so it need not be made: but it does deal shares and masks.
        nothing = np.zeros(design.dimension, np.int64)
        steps = {c: nothing if c in lost else self.release(c, coins[c]) for c in coins}
        total = design.encoding.from_ring(self.sum(steps).total)
        put_in = np.zeros(design.dimension)
        where = np.concatenate([self._places(c) for c in coins if c not in lost])
        tossed = np.concatenate([coins[c] for c in coins if c not in lost])
        put_in[where] = np.where(tossed, round(design.clip_norm / design.encoding.step), 0)
        scores = design.encoding.decode(total[where]) / design.clip_norm
        return CanaryRound(scores, tossed, total - put_in)

    def release(self, client: int, coins: Coins) -> Steps:
        """One client's vector in steps: every task clipped by itself, summed, rounded, noised."""
        words = Keystream(self.entropy(16)).words
        return self.add_noise(self.clipped_sum(client, coins), words)

    def clipped_sum(self, client: int, coins: Coins) -> Float:
        """The clipped sum (d,) by the product's own clipping, in blocks of tasks.

        Tasks of one block are zero outside the block's own coordinates, so clipping them there is clipping them.
        """
        design = self.design
        block = min(design.canaries, math.isqrt(_DENSE))
        total = np.zeros(design.dimension)
        places = self._places(client)
        for start in range(0, design.canaries, block):
            inside = coins[start : start + block]
            tasks = np.diag(inside * (OVERSHOOT * design.clip_norm))
            encoding = IntegerEncoding(design.encoding.step, inside.size, 32)
            clip = ClippedNoisySum(clip_norm=design.clip_norm, encoding=encoding, noise=None)
            total[places[start : start + block]] = encoding.decode(clip(tasks, None))
        return total

    def add_noise(self, clipped: Float, words: Words) -> Steps:
        """Round and add noise as a site does, by the same object; the sum is clipped already."""
        design = self.design
        longest = 2.0 * design.canaries * design.clip_norm  # longer than any sum of clipped tasks
        finish = ClippedNoisySum(clip_norm=longest, encoding=design.encoding, noise=self.noise)
        return finish(clipped[None, :], words)

    def sum(self, steps: Mapping[int, Steps]) -> Opened:
        """The masked sum of those who did not fall silent."""
        to_ring = self.design.encoding.to_ring
        vectors = {client: to_ring(vector) for client, vector in steps.items()}
        return masked_sum(vectors, silent=self.design.lost)

    def _places(self, client: int) -> NDArray[np.int64]:
        return np.arange(client * self.design.canaries, (client + 1) * self.design.canaries)

    def _toss(self, count: int) -> Coins:
        bits = np.frombuffer(self.entropy((count + 7) // 8), np.uint8)
        return np.unpackbits(bits)[:count].astype(np.bool_)
