# SPDX-License-Identifier: Apache-2.0
"""A plan's clipping as a rule of the privacy room, with what follows from it: sensitivity, size, and what C_t may be.

Per-layer: `clip_norm` C is the whole row's bound in every case. Layer l is clipped to C_l = C w_l / ||w||, with equal
weights unless the plan states others, so sqrt(sum C_l^2) = C and the claim is that of flat clipping.

Adaptive (Andrew et al. 2021, arXiv 1905.03871; bounds in `fedmeta_privacy.clipping`): rows are divided by the public
C_t, and the count of rows within it is one more coordinate of the same noisy sum. One event covers both, at the joint
sensitivity sqrt(1 + w^2/4) of one row, which no C_t changes. For units that own one row: tasks and clients.

Which C_t a server may announce follows from public numbers: C_1 is the plan's, and one opened sum moves it by a factor
from exp(-lr (1 - q)) to exp(lr q), within [clip_min, clip_max] (`reachable`). That it follows from the *sum* cannot be
checked by who does not see it. It need not be, for the guarantee: that holds for every C_t.

The count's noise, as a fraction of the slots, is the sum's noise over w times all slots: with few units it drowns the
count, and C_t wanders within its limits. An empty slot counts as half within, so slots should be close to the units
registered. A run without noise (epsilon none) has a count without noise too, and no guarantee.
"""

from __future__ import annotations

import math

from fedmeta_privacy.claims import Claim, Unit
from fedmeta_privacy.clipped_sum import clipped_sum_sensitivity
from fedmeta_privacy.clipping import AdaptiveClip, Clipping, FlatClip, PerLayerClip, l2_sensitivity, require_one_row
from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.ledger import Json, decimal
from fedmeta_privacy.sensitivity import SMALLEST_CLIP

from .plan import Plan

_SLACK = 1 + 2.0**-30  # of C_t, multiplied up over up to 10^5 rounds in float64
_LARGEST_EXPONENT = 600.0


def clipping_of(plan: Plan, layers: tuple[int, ...]) -> Clipping:
    """The rule that every site clips its rows by.

    Args:
        plan: the settings.
        layers: lengths of the network's named parameters, in the order of the flat vector; () for closed forms.
    Raises:
        PlanError: no layers to clip, weights that do not match them, or a norm out of range.

    Example:
        >>> clipping_of(Plan(clipping="per-layer", clip_norm=5.0, layer_weights=(3.0, 4.0)), (2, 1)).clip_norms
        (3.0, 4.0)
    """
    if plan.clipping == "flat":
        return FlatClip(plan.clip_norm)
    if plan.clipping == "adaptive":
        return AdaptiveClip(
            clip_norm=plan.clip_norm,
            count_weight=plan.count_weight,
            target_quantile=plan.clip_quantile,
            learning_rate=plan.clip_lr,
            smallest=plan.clip_min,
            largest=plan.clip_max,
        )
    if not layers:
        raise PlanError("per-layer clipping of a model without layers", "pass a network as `model`, or clip flat")
    weights = plan.layer_weights or (1.0,) * len(layers)
    if len(weights) != len(layers):
        raise PlanError(f"{len(weights)} layer_weights for {len(layers)} parameters", "give one weight each, or none")
    whole = math.hypot(*weights)
    norms = tuple(plan.clip_norm * weight / whole for weight in weights)
    if min(norms) < SMALLEST_CLIP:
        raise PlanError(
            f"a layer would be clipped to {min(norms):.3g}", f"choose clip_norm or weights for >= {SMALLEST_CLIP:g}"
        )
    return PerLayerClip(layers, norms)


def check_clipping(plan: Plan) -> None:
    """Refuse adaptive clipping for records.

    A record may be a support record, which moves all query rows: for mode bounded-glm no bound covers the count, and
    none is claimed here for mode noisy-inner either.

    Raises:
        UnsupportedClaim: with the reason.
    """
    if plan.clipping == "adaptive":
        require_one_row(clipping_of(plan, ()), Unit(plan.unit), adapts_on_private_rows=True)


def row_sensitivity(rule: Clipping, row: Claim, *, slots: int, dimension: int) -> float:
    """How far a unit that owns one row moves the clipped sum, its count included.

    Units: the vector's own; multiples of C_t if adaptive.

    Example:
        >>> from fedmeta_privacy.claims import Adjacency, Mode, Unit, View, claim
        >>> row = claim(Unit.TASK, View.SERVER, Adjacency.SLOT, Mode.TASK_IS_PERSON)
        >>> rule = AdaptiveClip(clip_norm=3.0, count_weight=2.0)
        >>> round(row_sensitivity(rule, row, slots=40, dimension=10), 6)  # sqrt(2), whatever the norm
        1.414214
    """
    if isinstance(rule, AdaptiveClip):
        return row.factor * l2_sensitivity(rule, slots=slots, dimension=dimension)
    return clipped_sum_sensitivity(row, clip_norm=rule.row_bound, slots=slots)


def largest_of_row(rule: Clipping) -> float:
    """Bound on the size of one coordinate of a clipped row, in its units."""
    if isinstance(rule, AdaptiveClip):
        return max(1.0, rule.count_weight / 2)
    return rule.row_bound


def reachable(rule: AdaptiveClip, sums: int) -> tuple[float, float]:
    """From which to which C_t at most `sums` opened sums can have moved `rule.clip_norm`.

    Example:
        >>> rule = AdaptiveClip(clip_norm=1.0, count_weight=0.5, largest=1.1)
        >>> [round(end, 3) for end in reachable(rule, 1)]
        [0.905, 1.1]
    """
    down = min(_LARGEST_EXPONENT, sums * rule.learning_rate * (1 - rule.target_quantile))
    up = min(_LARGEST_EXPONENT, sums * rule.learning_rate * rule.target_quantile)
    low, high = rule.clip_norm * math.exp(-down) / _SLACK, rule.clip_norm * math.exp(up) * _SLACK
    return max(low, rule.smallest), min(high, rule.largest)


def within_reach(rule: AdaptiveClip, clip_norm: float, sums: int) -> bool:
    """Whether an announced C_t is one that a server following the plan can have come to; NaN never is."""
    low, high = reachable(rule, sums)
    return low <= clip_norm <= high


def clip_terms(rule: Clipping, plan: Plan) -> dict[str, Json]:
    """The rule as a round's terms state it; a layer's length and norm stand in the run's behaviour."""
    if isinstance(rule, AdaptiveClip):
        return {
            "how": "adaptive",
            "start": decimal(rule.clip_norm),
            "least": decimal(rule.smallest),
            "most": decimal(rule.largest),
            "quantile": decimal(rule.target_quantile),
            "lr": decimal(rule.learning_rate),
            "count_weight": decimal(rule.count_weight),
            "units": "rows over the announced norm; their count is a coordinate of the same noisy sum",
        }
    terms: dict[str, Json] = {"how": plan.clipping, "norm": decimal(plan.clip_norm)}
    if isinstance(rule, PerLayerClip):
        terms["layers"] = len(rule.lengths)
    return terms


def clip_words(rule: Clipping) -> str:
    """The rule for people.

    Example:
        >>> clip_words(FlatClip(0.3))
        'flat, to norm 0.3'
    """
    if isinstance(rule, AdaptiveClip):
        return (
            f"adaptive, from norm {rule.clip_norm:g} within [{rule.smallest:g}, {rule.largest:g}] to the "
            f"{rule.target_quantile:g} quantile, by a noisy count of weight {rule.count_weight:g} in the same sum"
        )
    if isinstance(rule, PerLayerClip):
        return f"per layer, {len(rule.lengths)} of them, to norm {rule.row_bound:g} together"
    return f"flat, to norm {rule.clip_norm:g}"
