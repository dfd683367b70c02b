# SPDX-License-Identifier: Apache-2.0
"""All three kinds of audit of a plan's mechanism, on the machine of whoever asks.

A plan spreads its budget over many rounds, each of which alone says too little for an audit of a minute. What is
audited is therefore one round that spends the whole budget: the plan's sites and share of dropouts, noise for the
plan's Gaussian equivalent mu_B, and the claim restated at a delta that one-run bounds can work with (they charge
2 m delta). The complete rounds of kind (c) are those of five clients on 64 coordinates, at the same claim. Each bound
errs with probability 1e-3 at most, so that a verdict may rest on any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedmeta_privacy import gdp
from fedmeta_privacy.audit import AuditBound

from ..aggregation import SUM_ONLY
from ..errors import UserError
from ..plan import Plan
from .audits import CanaryAudit, audit_canaries
from .canaries import CanaryDesign
from .trials import ClientCanary, ClientRounds, MultiRunAudit, audit_rounds

DELTA = 1e-5
TRIALS = 20_000
ROUNDS = 60
P = 1e-3
MOST_CLIENTS = 20
_COORDINATES = 1 << 14


class NothingToAudit(UserError):
    """A plan without a claim that canaries could be held against.

    Cause: A plan with epsilon none, uploads in the clear, or reproducible keys.
    Remedy: Audit a plan with an epsilon, masks and fresh keys.
    """

    code = "SFM-129"


@dataclass(frozen=True, slots=True)
class PlannedAudit:
    """Figures of the three kinds beside the claim at delta 1e-5."""

    claim: float
    canaries: CanaryAudit
    runs: MultiRunAudit

    @property
    def bounds(self) -> tuple[AuditBound, ...]:
        """Every figure, each with its label."""
        return self.canaries.bounds + self.runs.bounds

    @property
    def refuted(self) -> bool:
        """Whether any figure or check contradicts the claim."""
        return bool(self.canaries.found) or self.runs.refuted


def audit_plan(plan: Plan, *, trials: int = TRIALS, rounds: int = ROUNDS) -> PlannedAudit:
    """Audit one round that spends the plan's whole budget.

    Raises:
        NothingToAudit: the plan adds no noise, is reproducible, or does not hide single uploads.
    """
    if plan.epsilon is None or plan.insecure_reproducible or plan.aggregation not in SUM_ONLY:
        raise NothingToAudit(
            "the plan makes no claim for a sum alone", "plan", "audit a plan with an epsilon, masks and fresh keys"
        )
    claim = gdp.epsilon_bounds(gdp.mu_for(plan.epsilon, plan.delta), DELTA)[0]
    clients, silent = min(max(plan.clients, 3), MOST_CLIENTS), min(plan.dropout, 0.3)
    design = CanaryDesign(
        epsilon=claim,
        delta=DELTA,
        clients=clients,
        canaries=_COORDINATES // clients,
        dimension=_COORDINATES,
        silent=silent,
    )
    canaries = audit_canaries(design, trials=trials, p=P)
    runs = audit_rounds(ClientRounds(ClientCanary(epsilon=claim, delta=DELTA)), count=rounds, p=P)
    return PlannedAudit(design.claim, canaries, runs)
