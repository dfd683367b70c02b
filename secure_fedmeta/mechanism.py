# SPDX-License-Identifier: Apache-2.0
"""What a plan's mode means in numbers: the claim, the sensitivity of an upload, and the noise inside an adaptation.

Mode noisy-inner, first order. The site adapts by K noisy steps: each is the sum of its support records' gradients,
clipped to `inner_clip`, plus discrete Gaussian noise of its own, divided by the public n_S. So theta_K protects the
support records by itself, whoever sees it; the upload (clipped query gradients at theta_K, plus the round's noise)
reads support records through theta_K alone. A record has one role, so a round costs the larger of K inner releases at
one noise and one upload at the noises of all honest sites (Dwork and Roth 2014, Theorem 3.16 and Proposition 2.1).

Second order. The exact meta-gradient A_0 ... A_{K-1} v with A_k = I - lr H_S(theta_k) reads the support records again,
through the Hessian. Here v_K is the site's query sum with its *own* noise, and
v_k = v_{k+1} - (lr/n_S) [sum over support records of clip(H_i(theta_k) v_{k+1}, hessian_clip) + noise], K more
releases. A clipped product is not linear in v, so noise that only the sum of all sites holds could not pass through it:
each v_k must protect the query records at the site. Hence nothing is shared, every view costs the same, and the round
costs the larger of 2K inner releases and one query release, all at one noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from fedmeta_privacy.calibration import Release, noise_scale
from fedmeta_privacy.claims import Adjacency, Circumstances, Claim, Mode, Network, Unit, View, claim
from fedmeta_privacy.clipped_sum import clipped_sum_sensitivity
from fedmeta_privacy.clipping import Clipping
from fedmeta_privacy.encoding import NARROW_COST, ROUNDING_COST, IntegerEncoding, choose_step
from fedmeta_privacy.errors import PlanError, UnprovedAdaptation
from fedmeta_privacy.glm_losses import LOGISTIC, SOFTMAX
from fedmeta_privacy.noise import REACH_IN_SCALES
from fedmeta_privacy.sensitivity import (
    Order,
    RoleSensitivity,
    check_adaptation,
    displacement_sensitivity,
    glm_sensitivity,
)

from .clip_plan import check_clipping, row_sensitivity
from .plan import Plan


def rounding_cost(steps: float, encoding: IntegerEncoding, sensitivity: float) -> float:
    """By which fraction a sensitivity of so many steps after rounding exceeds the one before."""
    return steps * encoding.step / sensitivity - 1


def encodings(
    sensitivity: float, dimension: int, modulus_bits: int, *, moved: Callable[[IntegerEncoding], float] | None = None
) -> Iterator[IntegerEncoding]:
    """From the largest step whose rounding costs 0.1 % of the sensitivity, doubling, to where it costs 10 %.

    The first one whose noise fits the sampler and whose sum fits the ring is taken. `moved` is the sensitivity in steps
    after rounding; that of rounding to the nearest step unless given.

    Example:
        >>> [round(math.log2(one.step), 1) for one in encodings(1.0, 31, 32)]
        [-13.0, -12.0, -11.0, -10.0, -9.0, -8.0, -7.0, -6.0]
    """

    def at(step: float) -> tuple[IntegerEncoding, float]:
        encoding = IntegerEncoding(step, dimension, modulus_bits)
        steps = encoding.l2_sensitivity(sensitivity) if moved is None else moved(encoding)
        return encoding, rounding_cost(steps, encoding, sensitivity)

    step = choose_step(sensitivity, dimension)
    while at(2 * step)[1] <= ROUNDING_COST:
        step *= 2
    encoding, cost = at(step)
    while cost <= NARROW_COST:
        yield encoding
        encoding, cost = at(2 * encoding.step)


@dataclass(frozen=True, slots=True)
class InnerRelease:
    """`count` noisy sums that a site makes for itself in every round; their noise is its own.

    Attributes:
        count: releases a round.
        clip_norm: bound on one record's part.
        encoding: float to steps; the ring plays no part.
        release: sensitivity in steps.
        scale: noise in steps; None without a guarantee.
    """

    count: int
    clip_norm: float
    encoding: IntegerEncoding
    release: Release
    scale: float | None

    @property
    def shift(self) -> float:
        """Squared Gaussian shift of all of them together."""
        return math.inf if self.scale is None else self.count * _shift(self.release, self.scale, 1)

    @property
    def largest_noise(self) -> float:
        """Largest coordinate of one draw, in the vector's own units."""
        return math.ceil(REACH_IN_SCALES * (self.scale or 0.0)) * self.encoding.step


_shift = lru_cache(maxsize=1024)(Release.shift)


def claim_of(plan: Plan, *, network: bool) -> Claim:
    """The plan's row of the claim table, checked in all three views.

    Raises:
        UnsupportedClaim, UnprovedAdaptation: with the reason.
    """
    _check_adaptation(plan)
    if plan.mode == "bounded-glm" and plan.clipping == "per-layer":
        raise PlanError("per-layer clipping in mode bounded-glm, whose model has one layer", "clip flat")
    inner = plan.mode == "noisy-inner"
    given = Circumstances(
        network=Network.ANY if network or inner else Network.GLM,
        second_order=plan.second_order,
        private_hessian=inner,
    )
    rows = [claim(Unit(plan.unit), view, Adjacency(plan.adjacency), Mode(plan.mode), given) for view in View]
    check_clipping(plan)
    return rows[0]


# Beside the adaptation's own noise, only these read nothing else of the support records.
_NOISY_INNER = ("maml", "fomaml")


def _check_adaptation(plan: Plan) -> None:
    """Refuse what is not proved of records; a task's or a site's clip covers any adaptation, whatever it reads.

    Raises:
        UnprovedAdaptation: with the reason.
    """
    if plan.unit != "record":
        return
    rule = "clipped" if plan.inner_max_norm is not None else plan.inner_rule
    if plan.mode == "bounded-glm":
        check_adaptation(plan.algorithm, rule)
        if plan.loss == "squared":
            raise UnprovedAdaptation(
                "no record-level bound is proved for loss squared: its gradient has no bound",
                "use unit=task or unit=client, or loss logistic or cross-entropy",
            )
    elif plan.mode == "noisy-inner" and (plan.algorithm not in _NOISY_INNER or rule != "gradient"):
        what = plan.algorithm if plan.algorithm not in _NOISY_INNER else f"{plan.algorithm} with {rule} steps"
        raise UnprovedAdaptation(
            f"no guarantee is proved for {what} in mode noisy-inner: its noisy sums are plain gradients of a constant "
            "rate, clipped record by record, and whatever else reads the support records would read them without noise",
            "use unit=task or unit=client, or algorithm maml or fomaml with plain gradient steps",
        )


def upload_sensitivity(plan: Plan, row: Claim, rule: Clipping, dimension: int) -> RoleSensitivity:
    """How far one unit moves a site's upload, before encoding.

    In mode noisy-inner a support record does not move it: what the upload knows of it, the inner releases have paid
    for. `dimension` counts the model's parameters; a count beside them is in the bound (`clip_plan`).

    Raises:
        PlanError, UnprovedAdaptation: a setting outside the proofs.
    """
    if row.mode is Mode.BOUNDED_GLM:
        loss = LOGISTIC if plan.loss == "logistic" else SOFTMAX
        if plan.one_role:
            return displacement_sensitivity(
                loss,
                row_bound=plan.row_bound,
                inner_lr=plan.inner_lr,
                inner_steps=plan.inner_steps,
                slots=plan.support_slots,
                clip_norm=plan.clip_norm,
                dimension=dimension,
                adjacency=row.adjacency,
                divisor=plan.inner_lr * plan.inner_steps if plan.algorithm == "reptile" else 1.0,
            )
        return glm_sensitivity(
            loss,
            order=Order.SECOND if plan.second_order else Order.FIRST,
            row_bound=plan.row_bound,
            inner_lr=plan.inner_lr,
            inner_steps=plan.inner_steps,
            support_slots=plan.support_slots,
            query_slots=plan.query_slots,
            clip_norm=plan.clip_norm,
            dimension=dimension,
            adjacency=row.adjacency,
        )
    moved = row_sensitivity(rule, row, slots=plan.unit_slots, dimension=dimension)
    return RoleSensitivity(support=0.0, query=moved)


def inner_counts(plan: Plan) -> tuple[tuple[int, float], ...]:
    """(releases a round, clip) of each kind of noisy sum inside an adaptation."""
    if plan.mode != "noisy-inner":
        return ()
    gradients = (plan.inner_steps, plan.inner_clip)
    return (gradients, (plan.inner_steps, plan.hessian_clip)) if plan.algorithm == "maml" else (gradients,)


def inner_releases(plan: Plan, row: Claim, dimension: int, *, allowance: float | None) -> tuple[InnerRelease, ...]:
    """The noisy sums inside an adaptation, with noise such that a round's cost at most `allowance` together.

    `allowance` is the squared shift of one upload with the planned survivors, so the support role costs no more than
    the query role; None for a run without noise.

    Raises:
        PlanError: no noise that the sampler has suffices.
    """
    counts = inner_counts(plan)
    return tuple(
        _inner(plan, row, dimension, count, clip, None if allowance is None else allowance / len(counts))
        for count, clip in counts
    )


def _inner(plan: Plan, row: Claim, dimension: int, count: int, clip: float, allowance: float | None) -> InnerRelease:
    moved = clipped_sum_sensitivity(row, clip_norm=clip, slots=plan.support_slots) * (1 + 2.0**-20)
    refusal: PlanError | None = None
    for encoding in encodings(moved, dimension, 32):
        release = Release(encoding.l2_sensitivity(moved), dimension, 1)
        if allowance is None:
            return InnerRelease(count, clip, encoding, release, None)
        try:
            scale = noise_scale(allowance, release=release, rounds=count, planned_honest=1, floor_honest=1)
        except PlanError as error:
            refusal = error
            continue
        return InnerRelease(count, clip, encoding, release, scale)
    raise refusal or PlanError("no encoding step fits the inner noise", "use fewer rounds or a larger epsilon")
