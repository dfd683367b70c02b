# SPDX-License-Identifier: Apache-2.0
"""Complete rounds as trials: one client-level canary, fresh keys each time. The only audit that sees reused seeds.

A client's whole vector is the unit. In every round a fair coin decides whether the victim's vector is the canary or
zero; the auditor knows everyone else's. Two rules are used, both fixed beforehand, each at error p/2:

- plain: the score against the middle, 1/2;
- beside a reference: one more round is run first, with the victim's vector zero, and its score is subtracted. Against
  fresh noise this only adds a shift that all trials share; against noise that is used twice it is exact.
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
from fedmeta_privacy.audit import AuditBound, AuditContext, Decisions, Kind, SeedPolicy, gaussian_bound, multi_run_bound
from fedmeta_privacy.calibration import Release
from fedmeta_privacy.claims import Unit, View
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.noise import DiscreteGaussian, Words

from ..errors import SettingError
from .rounds import Opened, masked_sum, silent_clients

Steps = NDArray[np.int64]
THRESHOLD = 0.5
VICTIM = 0


@dataclass(frozen=True, slots=True)
class ClientCanary:
    """One client whose vector is at the clip norm, or zero.

    Example:
        >>> design = ClientCanary(epsilon=4.0)
        >>> design.survivors, design.claim <= 4.0
        (4, True)
    """

    epsilon: float
    delta: float = 1e-5
    clients: int = 5
    dimension: int = 64
    silent: float = 0.3
    clip_norm: float = 1.0
    encoding: IntegerEncoding = field(init=False)
    release: Release = field(init=False)
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        encoding = IntegerEncoding(choose_step(self.clip_norm, self.dimension), self.dimension, 32)
        release = Release(encoding.l2_sensitivity(self.clip_norm), self.dimension, self.clients)
        mu = gdp.mu_for(self.epsilon, self.delta, total_variation=release.variation(1))
        each = math.sqrt(((release.l2_sensitivity / mu) ** 2 * (1 + 2.0**-30) + 9.0) / self.survivors)
        object.__setattr__(self, "encoding", encoding)
        object.__setattr__(self, "release", release)
        object.__setattr__(self, "scale", math.ceil(16 * each) / 16)

    @property
    def lost(self) -> tuple[int, ...]:
        """Clients that fall silent; never the victim, who is the first."""
        return silent_clients(range(self.clients), self.silent)

    @property
    def survivors(self) -> int:
        """N'."""
        return self.clients - len(self.lost)

    @property
    def claim(self) -> float:
        """Epsilon at delta that the product would state for one such round, rounded up."""
        mu = math.sqrt(self.release.shift(self.scale, self.survivors))
        return gdp.epsilon_upper(mu, self.delta, total_variation=self.release.variation(1))


class ClientRounds:
    """The product's round, repeated with fresh keys and fresh noise.

    Example:
        >>> rounds = ClientRounds(ClientCanary(epsilon=4.0))
        >>> abs(rounds.score(present=True)) < 20
        True
    """

    def __init__(self, design: ClientCanary, *, entropy: Entropy = os.urandom) -> None:
        self.design, self.entropy = design, entropy
        self._release = ClippedNoisySum(
            clip_norm=design.clip_norm, encoding=design.encoding, noise=DiscreteGaussian(design.scale)
        )
        self._direction = np.full(design.dimension, 1 / math.sqrt(design.dimension))

    def words(self, client: int) -> Words:  # noqa: ARG002 - a substitute may give a client the same stream twice
        """A fresh keystream for a client's noise."""
        return Keystream(self.entropy(16)).words

    def sum(self, steps: Mapping[int, Steps]) -> Opened:
        """The masked sum of those who did not fall silent."""
        vectors = {client: self.design.encoding.to_ring(vector) for client, vector in steps.items()}
        return masked_sum(vectors, silent=self.design.lost)

    def score(self, *, present: bool) -> float:
        """One complete round; what it holds along the canary's direction, in clip norms."""
        design, nothing = self.design, np.zeros(self.design.dimension)
        canary = 4.0 * design.clip_norm * self._direction
        steps = {
            client: self._release((canary if present and client == VICTIM else nothing)[None, :], self.words(client))
            for client in range(design.clients)
        }
        decoded = design.encoding.decode(design.encoding.from_ring(self.sum(steps).total))
        return float(decoded @ self._direction) / design.clip_norm


@dataclass(frozen=True, slots=True)
class MultiRunAudit:
    """Bounds of both rules beside the claim; together they err with probability at most p."""

    claim: float
    plain: AuditBound
    plain_any_family: AuditBound
    beside_reference: AuditBound
    beside_reference_any_family: AuditBound

    @property
    def bounds(self) -> tuple[AuditBound, ...]:
        """All of them."""
        return self.plain, self.plain_any_family, self.beside_reference, self.beside_reference_any_family

    @property
    def refuted(self) -> bool:
        """Whether any of them is above the claim."""
        return any(bound.exceeds(self.claim) for bound in self.bounds)


def audit_rounds(rounds: ClientRounds, *, count: int, p: float = 0.05) -> MultiRunAudit:
    """`count` rounds in each world and one reference round.

    Raises:
        SettingError: no rounds.

    Example:
        >>> audit = audit_rounds(ClientRounds(ClientCanary(epsilon=4.0)), count=3)
        >>> audit.plain.trials, audit.plain.kind.value
        (6, 'multi-run bound')
    """
    if count < 1:
        raise SettingError(f"{count} rounds", "multi-run audit", "run one round at least in each world")
    design = rounds.design
    reference = rounds.score(present=False)
    # The worlds alternate: what drifts over the rounds hits both.
    pairs = np.array([[rounds.score(present=present) for present in (False, True)] for _ in range(count)])
    seeds = SeedPolicy.SYSTEM if rounds.entropy is os.urandom else SeedPolicy.SEEDED
    context = AuditContext(Unit.CLIENT, View.SERVER, colluders=0, survivors=design.survivors, seeds=seeds)

    def both(shift: float) -> tuple[AuditBound, AuditBound]:
        said = pairs - shift > THRESHOLD
        decisions = Decisions(int(said[:, 0].sum()), count, int((~said[:, 1]).sum()), count)
        # Half of p for each rule; both ways from the decisions to an epsilon rest on the same two limits.
        half, delta, kind = p / 2, design.delta, Kind.MULTI_RUN
        return (
            gaussian_bound(decisions, delta=delta, p=half, context=context, kind=kind),
            multi_run_bound(decisions, delta=delta, p=half, context=context, kind=kind),
        )

    return MultiRunAudit(design.claim, *both(0.0), *both(reference))
