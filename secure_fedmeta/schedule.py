# SPDX-License-Identifier: Apache-2.0
"""A plan made exact for a cohort and a dimension: sensitivities, encoding, noise and budget.

Every client computes its own schedule from its own plan; nothing in it comes from the server.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache

from fedmeta_privacy import gdp
from fedmeta_privacy.calibration import Release, budget_shift, noise_scale
from fedmeta_privacy.claims import Adjacency, Mode, Unit, View, claim
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.ledger import Json, canonical, decimal
from fedmeta_privacy.noise import REACH_IN_SCALES
from fedmeta_privacy.sensitivity import Order, RoleSensitivity, logistic_sensitivity

from .plan import Plan

# Settings of the simulation alone: they change neither what a client sends nor what it means.
_NOT_BEHAVIOUR = {"dropout", "seed"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What every party of a run agrees on, derived from the plan.

    Attributes:
        plan: the settings.
        clients: n, members of the cohort.
        dimension: d, parameters of the model.
        threshold: t, shares that open a secret; t + 1 survivors are needed, as nobody holds a share of its own.
        planned_survivors: how many the noise is planned for.
        sensitivity: per role, before encoding.
        release: what one round releases, in steps.
        encoding: float to ring.
        scale: each site's noise in steps; None without a guarantee.
        limit: mu_B^2 of the budget; infinite without a guarantee.
        codebook_hash: SHA-256 of the public ranges, bound into the masks.
        behaviour_digest: SHA-256 of all settings that change what a client sends or what it means.
    """

    plan: Plan
    clients: int
    dimension: int
    threshold: int
    planned_survivors: int
    sensitivity: RoleSensitivity
    release: Release
    encoding: IntegerEncoding
    scale: float | None
    limit: float
    codebook_hash: bytes
    behaviour_digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "behaviour_digest", hashlib.sha256(canonical(self.behaviour())).digest())

    @property
    def masked(self) -> bool:
        """Whether uploads are hidden in a masked sum."""
        return self.plan.aggregation == "mask"

    @property
    def private(self) -> bool:
        """Whether an epsilon may be stated at all."""
        return self.scale is not None and not self.plan.insecure_reproducible

    def honest(self, survivors: int) -> int:
        """Survivors whose noise still hides a record from the server."""
        return survivors - self.plan.colluders if self.masked else 1

    def shift(self, honest: int) -> float:
        """Squared Gaussian shift of a round with this many honest noises; infinite without any."""
        if self.scale is None or honest < 1:
            return math.inf
        return _shift(self.release, self.scale, honest)

    @property
    def floor_shift(self) -> float:
        """What a round is charged before it starts: t survivors, c of them colluding."""
        return self.shift(self.honest(self.threshold))

    @property
    def planned_shift(self) -> float:
        """What a round costs with the planned survivors."""
        return self.shift(self.honest(self.planned_survivors))

    def epsilon(self, shift: float) -> float:
        """Epsilon at the plan's delta of releases with this total squared shift, rounded up.

        Infinite for a run without a guarantee, reproducible ones included.
        """
        if math.isinf(shift) or not self.private:
            return math.inf
        variation = self.release.variation(self.plan.rounds)
        return _epsilon(math.sqrt(shift), self.plan.delta, total_variation=variation)

    def behaviour(self) -> dict[str, Json]:
        """All settings that change what a client sends or what it means, as canonical JSON values."""
        settings = self.plan.model_dump(exclude=_NOT_BEHAVIOUR)
        body: dict[str, Json] = {
            name: decimal(value) if isinstance(value, float) else value for name, value in settings.items()
        }
        body |= {
            "clients": self.clients,
            "dimension": self.dimension,
            "threshold": self.threshold,
            "planned_survivors": self.planned_survivors,
            "step": decimal(self.encoding.step),
            "scale": None if self.scale is None else decimal(self.scale),
            "codebook": self.codebook_hash.hex(),
        }
        return body

    def behaviour_hash(self, model: bytes) -> bytes:
        """Binds the model and the whole behaviour into the masks: two versions never cancel."""
        return hashlib.sha256(b"sfm-behaviour/1" + self.behaviour_digest + model).digest()


# Asked for many times a round with the same few arguments.
_shift = lru_cache(maxsize=1024)(Release.shift)
_epsilon = lru_cache(maxsize=1024)(gdp.epsilon_upper)


def make_schedule(plan: Plan, *, clients: int, dimension: int, codebook_hash: bytes = bytes(32)) -> Schedule:
    """Work out a plan for `clients` sites and a model of `dimension` parameters.

    Raises:
        PlanError: the plan has no guarantee, or cannot run; the reason is in the text.
        EncodingOverflow: the sum could leave the ring.

    Example:
        >>> schedule = make_schedule(Plan(rounds=40), clients=10, dimension=31)
        >>> schedule.threshold, schedule.epsilon(40 * schedule.planned_shift) <= 3.0
        (6, True)
    """
    masked = plan.aggregation == "mask"
    threshold = plan.threshold_for(clients) if masked else 1
    survivors = plan.survivors_for(clients)
    _check_cohort(plan, clients, threshold, survivors)
    _check_delta(plan, clients)
    claim(Unit.RECORD, View.SERVER, Adjacency.SLOT, Mode.BOUNDED_GLM)
    sensitivity = logistic_sensitivity(
        order=Order.SECOND if plan.algorithm == "maml" else Order.FIRST,
        row_bound=plan.row_bound,
        inner_lr=plan.inner_lr,
        inner_steps=plan.inner_steps,
        support_slots=plan.support_slots,
        query_slots=plan.query_slots,
        clip_norm=plan.clip_norm,
        dimension=dimension,
    )
    encoding = IntegerEncoding(choose_step(sensitivity.worst, dimension), dimension, plan.modulus_bits)
    release = Release(encoding.l2_sensitivity(sensitivity.worst), dimension, clients)
    scale, limit = None, math.inf
    if plan.epsilon is not None:
        limit = budget_shift(plan.epsilon, plan.delta, release=release, rounds=plan.rounds)
        scale = noise_scale(
            limit,
            release=release,
            rounds=plan.rounds,
            planned_honest=survivors - plan.colluders if masked else 1,
            floor_honest=threshold - plan.colluders if masked else 1,
        )
    encoding.check_room(
        parties=clients,
        largest_coordinate=plan.query_slots * sensitivity.query,
        noise_reach=math.ceil(REACH_IN_SCALES * (scale or 0.0)),
    )
    return Schedule(
        plan=plan,
        clients=clients,
        dimension=dimension,
        threshold=threshold,
        planned_survivors=survivors,
        sensitivity=sensitivity,
        release=release,
        encoding=encoding,
        scale=scale,
        limit=limit,
        codebook_hash=codebook_hash,
    )


def _check_delta(plan: Plan, clients: int) -> None:
    """Compare delta with the registered slots, a public bound on N: the count of records is not for telling."""
    slots = clients * (plan.support_slots + plan.query_slots)
    if plan.epsilon is not None and plan.delta >= 1 / slots:
        raise PlanError(
            f"delta={plan.delta:g} is not below 1/N = {1 / slots:.3g} (N = {slots} registered slots): publishing one "
            "whole record at random would satisfy it",
            f"choose delta <= {0.5 / slots:.1g}",
        )


def _check_cohort(plan: Plan, clients: int, threshold: int, survivors: int) -> None:
    if clients < 2 or (clients < 3 and plan.aggregation == "mask"):
        raise PlanError(f"{clients} site(s) cannot hide in a sum", "use at least 3 sites")
    if plan.colluders >= clients:
        raise PlanError(f"{plan.colluders} colluders among {clients} sites", "leave at least one honest site")
    if plan.aggregation == "none":
        return
    if 2 * threshold <= clients:
        raise PlanError(
            f"threshold {threshold} of {clients}: two disjoint groups could open two different sums",
            f"use a threshold of at least {clients // 2 + 1}",
        )
    # Nobody holds a share of its own secret, so a survivor's seed is opened by the others.
    if clients - 1 < threshold or survivors - 1 < threshold:
        raise PlanError(
            f"threshold {threshold} needs {threshold + 1} survivors; the plan has {survivors} of {clients}",
            "lower the threshold or the dropout, or add sites",
        )
    if survivors > clients:
        raise PlanError(f"{survivors} survivors are planned among {clients} sites", "plan at most all of them")
    if plan.colluders >= threshold:
        raise PlanError(
            f"{plan.colluders} colluders reach the threshold {threshold}: they could open any upload",
            "raise the threshold or declare fewer colluders",
        )
