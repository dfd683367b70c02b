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

from .hiding import Hiding, hiding_for
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
        hiding: strength and graph; k, t, A, D and c.
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
    hiding: Hiding
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
        return self.hiding.masked

    @property
    def threshold(self) -> int:
        """t: shares that open a secret."""
        return self.hiding.graph.threshold

    @property
    def colluders(self) -> int:
        """c: sites whose noise hides nobody, since they may work with the server; A under signatures."""
        return self.hiding.colluders

    @property
    def private(self) -> bool:
        """Whether an epsilon may be stated at all."""
        return self.scale is not None and not self.plan.insecure_reproducible

    def honest(self, survivors: int, votes: int | None = None) -> int:
        """Survivors whose noise still hides a record from the server."""
        return self.hiding.honest(survivors, votes)

    def shift(self, honest: int) -> float:
        """Squared Gaussian shift of a round with this many honest noises; infinite without any."""
        if self.scale is None or honest < 1:
            return math.inf
        return _shift(self.release, self.scale, honest)

    @property
    def floor_shift(self) -> float:
        """What a round is charged before it starts: the fewest honest noises that the site can be sure of."""
        return self.shift(self.hiding.floor_honest)

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
            "dropout_fraction": decimal(self.plan.dropout_assumed),  # as it counts, so that the graph follows from it
            "dimension": self.dimension,
            "strength": self.hiding.name,
            "neighbours": self.hiding.graph.neighbours,
            "threshold": self.threshold,
            "corrupt": self.hiding.graph.corrupt,
            "min_survivors": self.hiding.min_survivors,
            "colluders": self.colluders,
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
    hiding = hiding_for(plan, clients)
    survivors = _planned_survivors(plan, hiding)
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
            planned_honest=hiding.honest(survivors),
            floor_honest=hiding.floor_honest,
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
        hiding=hiding,
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


def _planned_survivors(plan: Plan, hiding: Hiding) -> int:
    """Survivors that noise is planned for: the stated number, else round(n (1 - dropout)), n_min at least if signed."""
    n, least = hiding.clients, hiding.min_survivors
    planned = plan.planned_survivors
    if planned is None:
        planned = max(1, round(n * (1 - plan.dropout)), least if hiding.signed else 0)
    if planned > n:
        raise PlanError(f"{planned} survivors are planned among {n} sites", "plan at most all of them")
    if hiding.masked and planned < least:
        raise PlanError(
            f"a round needs {least} survivors ({n} sites, t = {hiding.graph.threshold}); {planned} are planned",
            "plan for more survivors or less dropout, lower the threshold or raise dropout_fraction, or add sites",
        )
    return planned
