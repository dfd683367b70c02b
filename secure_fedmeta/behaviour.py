# SPDX-License-Identifier: Apache-2.0
"""All settings of a schedule that change what a client sends or what it means, as canonical JSON values.

Their hash is bound into the masks, and an auditor makes the schedule anew from them (`audit.terms`). A setting that
changes nothing under a plan is left out and reads as its default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedmeta_crypto.homomorphic.seal.presets import CKKS_4096
from fedmeta_privacy.ledger import Json, decimal

from .plan import Plan

if TYPE_CHECKING:
    from .schedule import Schedule

# Settings of the simulation alone: they change neither what a client sends nor what it means.
_NOT_BEHAVIOUR = {"dropout", "seed"}
# Settings that mean nothing unless another one calls for them.
_ADAPTIVE_ONLY = {"clip_quantile", "clip_lr", "count_weight", "clip_min", "clip_max"}
_OF_ALGORITHMS = {
    "anil": {"head"},
    "meta-sgd": {"rates"},
    "imaml": {"regularization", "cg_steps"},
    "per-fedavg": {"local_lr", "local_steps"},
}


def behaviour_of(schedule: Schedule) -> dict[str, Json]:
    """The settings that count, with what every party derived from them."""
    plan = schedule.plan
    settings = plan.model_dump(exclude=_NOT_BEHAVIOUR | _meaningless(plan))
    body: dict[str, Json] = {name: _spelled(value) for name, value in settings.items()}
    body |= {
        "clients": schedule.clients,
        "dropout_fraction": decimal(plan.dropout_assumed),  # as it counts, so that the graph follows from it
        "dimension": schedule.dimension,
        "strength": schedule.hiding.name,
        "neighbours": schedule.hiding.graph.neighbours,
        "threshold": schedule.threshold,
        "corrupt": schedule.hiding.graph.corrupt,
        "min_survivors": schedule.hiding.min_survivors,
        "colluders": schedule.colluders,
        "planned_survivors": schedule.planned_survivors,
        "step": decimal(schedule.encoding.step),
        "scale": None if schedule.scale is None else decimal(schedule.scale),
        "modulus_bits": schedule.encoding.modulus_bits,  # as it counts, stated or not
        "codebook": schedule.codebook_hash.hex(),
        "architecture": None if schedule.network is None else schedule.network.hex(),
        "inner": [
            {
                "count": one.count,
                "clip": decimal(one.clip_norm),
                "step": decimal(one.encoding.step),
                "scale": None if one.scale is None else decimal(one.scale),
            }
            for one in schedule.inner
        ],
    }
    if schedule.surplus is not None:
        body["surplus"] = {
            "honest_scale": decimal(schedule.surplus.honest_scale),
            "scales": [decimal(scale) for scale in schedule.surplus.scales],
        }
    if schedule.scheme is not None:
        body["scheme"] = schedule.scheme.digest.hex()
    elif schedule.plan.aggregation == "ckks":
        body["scheme"] = CKKS_4096.digest.hex()
    if schedule.layers:
        body["layers"] = list(schedule.layers)
    return body


def _spelled(value: Any) -> Json:
    if isinstance(value, tuple):
        return [_spelled(one) for one in value]
    return decimal(value) if isinstance(value, float) else value


def _meaningless(plan: Plan) -> set[str]:
    """Settings that change nothing under this plan; what is left out reads as its default."""
    unused = set() if plan.clipping == "adaptive" else set(_ADAPTIVE_ONLY)
    unused |= set() if plan.clipping == "per-layer" else {"layer_weights"}
    unused |= {"clipping"} if plan.clipping == "flat" else set()
    unused |= {"rounding"} if plan.rounding == "nearest" else set()
    for algorithm, settings in _OF_ALGORITHMS.items():
        unused |= set() if plan.algorithm == algorithm else settings
    unused |= set() if plan.loss == "squared" else {"label_bound"}
    unused |= {"inner_rule"} if plan.inner_rule == "gradient" else set()
    unused |= {"inner_max_norm"} if plan.inner_max_norm is None else set()
    return unused | ({"support_fraction", "query_slots"} if plan.one_role else set())
