# SPDX-License-Identifier: Apache-2.0
"""The audits of a round with canaries, each with its own label: a mechanism test and two one-run bounds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedmeta_crypto import Entropy
from fedmeta_privacy.audit import (
    AuditBound,
    AuditContext,
    Correlation,
    SeedPolicy,
    autocorrelation,
    correlation,
    count_correct,
    decide,
    gaussian_bound,
    one_run_bound,
    one_run_gaussian_bound,
)
from fedmeta_privacy.claims import Unit, View

from ..errors import SettingError
from .canaries import CanaryDesign, CanaryMechanism

THRESHOLD = 0.5  # in clip norms: the middle of "out" and "in", fixed before anything is seen
MakeMechanism = Callable[[CanaryDesign], CanaryMechanism]


@dataclass(frozen=True, slots=True)
class CanaryAudit:
    """Lower bounds beside the claim.

    Attributes:
        claim: epsilon at delta that the product states for one such round.
        mechanism_test: kind (a), through independent canaries.
        one_run: kind (b), Steinke et al.
        one_run_gaussian: kind (b), f-DP.
        within: correlation inside a round's noise, the largest over rounds.
        between: correlation of two rounds' noise; None for a single round.
    """

    claim: float
    mechanism_test: AuditBound
    one_run: AuditBound
    one_run_gaussian: AuditBound
    within: Correlation
    between: Correlation | None

    @property
    def bounds(self) -> tuple[AuditBound, ...]:
        """The three of them."""
        return self.mechanism_test, self.one_run, self.one_run_gaussian

    @property
    def found(self) -> tuple[str, ...]:
        """What refutes the claim or its assumptions; empty for a mechanism that keeps its word."""
        wrong = [f"{bound.method}: {bound.epsilon:.3f}" for bound in self.bounds if bound.exceeds(self.claim)]
        checks = (("coordinates", self.within), ("rounds", self.between))
        wrong += [f"noise of {what} is correlated" for what, check in checks if check and not check.independent]
        return tuple(wrong)


def guesses_for(trials: int) -> int:
    """How many coins are guessed: even, and a function of the number of trials alone, fixed beforehand.

    2000 of 100 000, 288 of 2100: near the best for epsilon 1 to 4, where few guesses are sure and many are weak.

    Example:
        >>> guesses_for(100_000), guesses_for(2100), guesses_for(10)
        (2000, 288, 10)
    """
    return min(trials - trials % 2, 2 * int(math.sqrt(10 * trials)))


def audit_canaries(
    design: CanaryDesign,
    *,
    trials: int,
    p: float = 0.05,
    mechanism: MakeMechanism | None = None,
    entropy: Entropy = os.urandom,
) -> CanaryAudit:
    """Run as many rounds as `trials` need, and audit exactly so many canaries.

    Args:
        design: of the canaries and the claim.
        trials: canaries of surviving clients that are audited, in a fixed order.
        p: error of each bound.
        mechanism: makes what is audited; the product's own round by default.
        entropy: of coins, keys and noise.

    Raises:
        SettingError: fewer than two trials.

    Example:
        >>> audit = audit_canaries(CanaryDesign(epsilon=4.0, canaries=20, dimension=256), trials=140)
        >>> audit.mechanism_test.trials, audit.mechanism_test.kind.value
        (140, 'mechanism test')
    """
    if trials < 2:
        raise SettingError(f"{trials} trials", "canaries", "audit two canaries at least")
    audited = mechanism(design) if mechanism else CanaryMechanism(design, entropy=entropy)
    needed = -(-trials // (design.survivors * design.canaries))
    rounds = [audited.run() for _ in range(needed)]
    scores = np.concatenate([done.scores for done in rounds])[:trials]
    coins = np.concatenate([done.coins for done in rounds])[:trials]
    seeds = SeedPolicy.SYSTEM if audited.entropy is os.urandom else SeedPolicy.SEEDED
    context = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=design.survivors, seeds=seeds)
    guesses = guesses_for(trials)
    correct = count_correct(scores, coins, guesses)
    within = max((autocorrelation(done.residual) for done in rounds), key=lambda found: found.largest)
    between = correlation(rounds[0].residual, rounds[1].residual) if needed > 1 else None
    delta = design.delta
    return CanaryAudit(
        design.claim,
        gaussian_bound(decide(scores, coins, THRESHOLD), delta=delta, p=p, context=context),
        one_run_bound(canaries=trials, guesses=guesses, correct=correct, delta=delta, p=p, context=context),
        one_run_gaussian_bound(canaries=trials, guesses=guesses, correct=correct, delta=delta, p=p, context=context),
        within,
        between,
    )
