# SPDX-License-Identifier: Apache-2.0
"""The noise of a run's uploads: encoding step, scale, removable parts and budget, worked out together.

The finest encoding step is taken whose noise the sampler has and whose sum fits the ring; a coarser one costs a little
sensitivity, up to 10 %, and what it costs is said (`Schedule.rounding_cost`). `encoding.choose_encoding` does the same
for one draw a site; it knows no removable parts, whose law follows from the sensitivity and whose reach is their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from fedmeta_crypto.sealed import MAX_SURPLUS
from fedmeta_privacy.calibration import Release, budget_shift, noise_scale
from fedmeta_privacy.claims import Adjacency, Unit
from fedmeta_privacy.encoding import NARROW_COST, IntegerEncoding
from fedmeta_privacy.errors import EncodingOverflow, PlanError, SurplusRefused
from fedmeta_privacy.events import DiscreteGaussianSum
from fedmeta_privacy.noise import REACH_IN_SCALES
from fedmeta_privacy.rounding import ConditionalRounding, require_client_zero_out, rounded_norm_bound
from fedmeta_privacy.surplus import SurplusNoise, surplus_noise

from .aggregation import ring_bits
from .hiding import Hiding
from .mechanism import encodings, rounding_cost
from .plan import Plan


class Counted(NamedTuple):
    """The noise in an opened sum: of how many honest sites, and how many dropped out (0 where that changes nothing)."""

    honest: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class UploadNoise:
    """How a site's upload is encoded and noised, and what all uploads together may cost.

    Attributes:
        encoding: float to ring.
        release: what one round releases, in steps.
        scale: each site's noise in steps, without its removable parts; None without a guarantee.
        surplus: the law of each site's noise where parts of it are removed; None where none are.
        limit: mu_B^2 of the budget; infinite without a guarantee.
        rounding: where floats are not rounded to the nearest step; None where they are.
    """

    encoding: IntegerEncoding
    release: Release
    scale: float | None
    surplus: SurplusNoise | None
    limit: float
    rounding: ConditionalRounding | None = None

    def event(self, counted: Counted) -> DiscreteGaussianSum:
        """The event of one round with this noise in its sum.

        Raises:
            PlanError: a run without noise.
        """
        if self.scale is None:
            raise PlanError("a round without noise is no event with a guarantee", "plan an epsilon")
        if self.surplus is not None:
            return self.surplus.event(self.release, honest=counted.honest, dropped=counted.dropped)
        return self.release.event(self.scale, counted.honest)

    def shift(self, counted: Counted) -> float:
        """Squared Gaussian shift of one round; infinite without honest noise."""
        if self.scale is None or counted.honest < 1:
            return math.inf
        if self.surplus is not None:
            return _surplus_shift(self.surplus, self.release, honest=counted.honest, dropped=counted.dropped)
        return _shift(self.release, self.scale, counted.honest)

    @property
    def reach(self) -> int:
        """The largest noise of one site, in steps, before anything is removed."""
        if self.surplus is not None:
            return self.surplus.reach
        return math.ceil(REACH_IN_SCALES * (self.scale or 0.0))


# Asked for many times a round with the same few arguments.
_shift = lru_cache(maxsize=1024)(Release.shift)
_surplus_shift = lru_cache(maxsize=1024)(SurplusNoise.shift)


def plan_noise(
    plan: Plan,
    hiding: Hiding,
    *,
    sensitivity: float,
    largest: float,
    dimension: int,
    inner: int,
    planned: int,
    floor: int,
) -> UploadNoise:
    """Encoding and noise of the uploads.

    Args:
        plan: the settings.
        hiding: strength and graph.
        sensitivity: of one site's upload before encoding, in the vector's own units.
        largest: bound on one coordinate of one site's upload before encoding and noise.
        dimension: coordinates.
        inner: noisy sums that a site makes for itself besides, for their share of delta.
        planned: honest noises in the planned sum; 1 where noises do not add up.
        floor: the fewest honest noises that a site can be sure of.
    Raises:
        PlanError, SurplusRefused: no noise that the sampler has suffices, or nothing is proved for it.
        UnsupportedClaim: conditional rounding of anything but a whole client under zero-out.
        EncodingOverflow: the sum could leave the ring at every step whose rounding costs 10 % at most.
    """
    removable = plan.dropout_noise == "surplus" and plan.epsilon is not None
    bits = ring_bits(plan.aggregation, clients=hiding.clients, dimension=dimension, stated=plan.modulus_bits)
    if removable:
        _check_removable(hiding)
    # In each sum a site's noise is one draw, or one for its base and one for each part.
    draws = hiding.clients * (1 + hiding.graph.dropped) if removable else hiding.clients
    refusal: PlanError | SurplusRefused | EncodingOverflow | None = None
    tried = ""
    for encoding in _tried(plan, sensitivity, dimension, bits):
        moved = math.inf
        try:
            rounding, moved = _rounded(plan, encoding, sensitivity)
            release = Release(moved, dimension, draws + inner)
            noise = _sized(plan, hiding, encoding, release, planned=planned, floor=floor)
            encoding.check_room(parties=hiding.clients, largest_coordinate=largest, noise_reach=noise.reach)
        except (PlanError, SurplusRefused, EncodingOverflow) as error:
            refusal = refusal or error
            cost = rounding_cost(moved, encoding, sensitivity)
            tried = f"{error.what}; rounding to steps of {encoding.step:g} costs {cost:.2%} of sensitivity already"
            continue
        return replace(noise, rounding=rounding)
    if isinstance(refusal, EncodingOverflow):
        raise EncodingOverflow(
            f"{tried}, the limit is {NARROW_COST:.0%}",
            "use more bits, fewer parties, rounds or slots, or a larger epsilon",
        )
    raise refusal or PlanError("no encoding step fits", "use fewer rounds or a larger epsilon")


def _tried(plan: Plan, sensitivity: float, dimension: int, bits: int) -> Iterator[IntegerEncoding]:
    """Encodings from fine to coarse."""
    if plan.rounding == "nearest":
        return encodings(sensitivity, dimension, bits)
    require_client_zero_out(Unit(plan.unit), Adjacency(plan.adjacency))
    if plan.epsilon is None:
        raise PlanError("conditional rounding without noise saves nothing", "use rounding=nearest, or an epsilon")

    def moved(encoding: IntegerEncoding) -> float:
        return rounded_norm_bound(sensitivity / encoding.step, dimension)

    return encodings(sensitivity, dimension, bits, moved=moved)


def _rounded(plan: Plan, encoding: IntegerEncoding, sensitivity: float) -> tuple[ConditionalRounding | None, float]:
    """The rounding at one step, and the sensitivity in steps after it."""
    if plan.rounding == "nearest":
        return None, encoding.l2_sensitivity(sensitivity)
    rounding = ConditionalRounding(
        encoding.step, encoding.dimension, sensitivity, Unit(plan.unit), Adjacency(plan.adjacency)
    )
    return rounding, rounding.l2_sensitivity


def _sized(
    plan: Plan, hiding: Hiding, encoding: IntegerEncoding, release: Release, *, planned: int, floor: int
) -> UploadNoise:
    """The noise at one encoding step."""
    if plan.epsilon is None:
        return UploadNoise(encoding, release, None, None, math.inf)
    limit = budget_shift(plan.epsilon, plan.delta, release=release, rounds=plan.rounds)
    if plan.dropout_noise == "surplus":
        surplus = surplus_noise(
            limit,
            release=release,
            rounds=plan.rounds,
            clients=hiding.clients,
            corrupt=hiding.colluders,
            dropped=hiding.graph.dropped,
        )
        return UploadNoise(encoding, release, surplus.scales[0], surplus, limit)
    scale = noise_scale(limit, release=release, rounds=plan.rounds, planned_honest=planned, floor_honest=floor)
    return UploadNoise(encoding, release, scale, None, limit)


def _check_removable(hiding: Hiding) -> None:
    """Parts may be removed only where the server can be held to the number of sites that dropped out."""
    instead = 'over-provision (dropout_noise = "over-provision")'
    if not hiding.masked:
        raise SurplusRefused("surplus noise is taken off a sum, and this run masks none", f"mask the sum, or {instead}")
    if hiding.graph.neighbours != hiding.clients - 1:
        raise SurplusRefused(
            f"surplus noise on a {hiding.graph_name}: a part of its sum could be opened, with less noise than planned",
            f"use fewer sites, or {instead}",
        )
    if hiding.graph.dropped > MAX_SURPLUS:
        raise SurplusRefused(f"{hiding.graph.dropped} parts of noise, {MAX_SURPLUS} at most", instead)
