# SPDX-License-Identifier: Apache-2.0
"""`disclosure.json`: a run's privacy in twelve groups of fields, each one filled from the ledger or a named gap.

The groups follow what NIST SP 800-226, the Differential Privacy Deployments Registry, ISO/IEC 27559 and model cards ask
for. Nothing in it is private: N is the number of *registered slots*, never of records, and participation is what the
ledger states. It is technical evidence and no legal certificate. The same ledger and statements make the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from . import profile
from .disclosed_text import (
    ADJACENCIES,
    CLIPPED,
    DEPLOYED,
    MODES,
    NOT_COVERED,
    UNITS,
    UNPROTECTED,
    actors_of,
    adjacency_of,
    encryption_of,
    sampling_of,
    server_could,
)
from .label import plain_label
from .run_record import VIEWS, RunRecord
from .statements import Statements
from .view_numbers import MOST_ROUNDS_LISTED, Field, gap, or_gap, per_round, view_numbers

FORMAT = "secure-fedmeta/disclosure/1"
NOTICE = "Technical evidence, no legal certificate."


def disclose(
    record: RunRecord,
    statements: Statements,
    *,
    surroundings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document.

    Args:
        record: from the ledger.
        statements: the operator's.
        surroundings: what the product knows beside the ledger: `software` (versions and hashes), `config_sha256`,
            `ledger_head`, `ledger_sha256`, `utility` (simulation only), `hazards`.
    Raises:
        PlanError: the ledger states an epsilon that no curve reaches.
    """
    around = surroundings or {}
    views = {view: view_numbers(record, view) for view in VIEWS if view in record.epsilon}
    server = views.get("server", {})
    detection = server.get("detection_at_1_percent_false_alarms", {}).get("bound") if record.private else None
    document: dict[str, Any] = {
        "format": FORMAT,
        "notice": NOTICE,
        "identity": _identity(record, statements, around),
        "protected": _protected(record, statements, views),
        "guarantee": _guarantee(record, views),
        "mechanism": _mechanism(record, statements),
        "accounting": _accounting(record),
        "unprotected": _unprotected(statements),
        "deployment": _deployment(record, statements),
        "hazards": _hazards(record, around),
        "verification": _verification(record, around),
        "utility": _utility(statements, around),
        "context": _context(statements),
        "label": {
            "plain": plain_label(record, statements, detection),
            "exact": or_gap(record.guarantee, "the ledger has no closing line: the run was broken off"),
        },
    }
    document["gaps"] = sorted(_gaps(document, ""))
    return document


def to_json(document: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON, keys in the order of the twelve groups, no NaN or infinity."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _identity(record: RunRecord, said: Statements, around: Mapping[str, Any]) -> dict[str, Field]:
    return {
        "run_id": or_gap(around.get("run_id"), "the ledger's first line was not at hand"),
        "title": or_gap(said.title),
        "curators": or_gap(said.curators),
        "intended_use": or_gap(said.intended_use),
        "sector": or_gap(said.sector),
        "region": or_gap(said.region),
        "data_product_type": "Machine learning model",
        "started": or_gap(record.started, "left out of the ledger, so that two reproducible runs are identical"),
        "ended": or_gap(record.ended, "left out of the ledger, or the run was broken off"),
        "contact": or_gap(said.contact),
        "software": record.software,
        "dependencies": or_gap(around.get("software"), "not looked up"),
        "git_commit": or_gap(said.git_commit),
        "config_sha256": or_gap(around.get("config_sha256"), "no config.toml beside the ledger"),
        "seed_policy": "The seed fixes split, initial weights and simulated dropouts; keys, masks and noise come "
        "from the operating system"
        if record.settings.get("insecure_reproducible") is False
        else "Keys, masks and noise came from the seed: no guarantee",
    }


def _protected(record: RunRecord, said: Statements, views: Mapping[str, Any]) -> dict[str, Field]:
    groups = views.get("server", {}).get("groups")
    return {
        "unit": record.unit,
        "unit_in_words": UNITS.get(record.unit, record.unit),
        "adjacency": adjacency_of(record.adjacency),
        "adjacency_formally": ADJACENCIES.get(record.adjacency, record.adjacency),
        "registered_slots": or_gap(record.slots, "the ledger does not state the slots"),
        "registered_slots_note": "N is a public bound on the units, never their number",
        "contributions_per_person": or_gap(said.records_per_person),
        "contributions_assumed": "one unit per person, at one site; for k units of one person see groups",
        "groups": or_gap(groups, "no guarantee to extend to groups"),
        "data_domain": or_gap(said.data_domain),
        "not_covered": list(NOT_COVERED),
    }


def _guarantee(record: RunRecord, views: Mapping[str, Any]) -> dict[str, Field]:
    budget: Field = gap("the run has no budget: it added no noise")
    planned = record.planned_epsilon
    if planned is not None and record.private:
        limit = record.budget_shift
        spent = record.epsilon["server"]
        budget = {
            "epsilon": planned,
            "delta": record.delta,
            "gdp_mu": or_gap(None if limit is None else math.sqrt(limit) * (1 + 2.0**-50), "not in the ledger"),
            "spent_epsilon": spent,
            "left_share_of_squared_shift": or_gap(_left(record), "not a Gaussian budget"),
            "enforced_by": "each site's own filter, before its upload leaves",
        }
    return {
        "variant": "(epsilon, delta)-differential privacy" + (", Gaussian (mu-GDP)" if record.gaussian else ""),
        "delta": record.delta,
        "delta_rule": _delta_rule(record),
        "budget": budget,
        "renyi_note": "the Renyi curve is the Gaussian law's; the executed noise is within total_variation of it",
        "views": {**views} if views else gap("no round was executed"),
        "per_round": per_round(record),
        "per_client": "the run's epsilon is that of its worst site; each site keeps its own in its budget journal",
        "false_alarm_rate": profile.FALSE_ALARMS,
    }


def _left(record: RunRecord) -> float | None:
    spent = record.epsilon.get("server")
    if record.budget_shift is None or spent is None or not record.gaussian:
        return None
    return max(0.0, 1 - profile.mu_from(spent, record.delta) ** 2 / record.budget_shift)


def _delta_rule(record: RunRecord) -> Field:
    if record.slots is None:
        return gap("the ledger does not state the slots")
    below = "below" if record.delta * record.slots < 1 else "NOT below"
    return f"delta = {record.delta:g} is {below} 1/N = {1 / record.slots:.3g} (N = {record.slots} registered slots)"


def _mechanism(record: RunRecord, said: Statements) -> dict[str, Field]:
    scale, step = record.number("scale"), record.number("step")
    worst = max((float(record.sensitivity.get(role, 0)) for role in ("support", "query")), default=0.0)
    return {
        "clipped": MODES.get(record.mode, record.mode) + CLIPPED.get(str(record.settings.get("clipping", "flat")), ""),
        "clip_norm": or_gap(record.number("clip_norm"), "not in the ledger"),
        "sensitivity": dict(record.sensitivity) or gap("not in the ledger"),
        "noise_distribution": f"{record.settings.get('noise', 'discrete Gaussian')} on integers, added before masking"
        if scale
        else "none",
        "noise_std_per_site": {"steps": scale, "units": scale * step} if scale and step else "none",
        "noise_multiplier_per_site": scale * step / worst if scale and step and worst else "none",
        "noise_added_by": "each site, to its own upload" if scale else "nobody",
        "sampling_implemented": sampling_of(record.settings),
        "sampling_assumed": "none: every unit counts as present in every round its site took part in (q = 1)"
        if record.gaussian
        else gap("the accountant's events are not in the ledger's closing line"),
        "adaptation": f"{record.settings.get('algorithm', 'unknown')}, {record.settings.get('inner_steps', '?')} "
        f"inner step(s); a unit in the support role and one in the query role are both accounted: "
        f"{MODES.get(record.mode, '')}",
        "post_processing": f"outer optimizer {record.settings.get('outer', 'unknown')} on the released sums; averaging",
        "public_preprocessing": or_gap(said.preprocessing),
    }


def _accounting(record: RunRecord) -> dict[str, Field]:
    second: Field = gap("no second accountant in the ledger")
    mine = record.epsilon.get("server")
    if record.second is not None and mine is not None:
        name, value = record.second
        second = {"name": name, "epsilon": value, "difference": value - mine}
    return {
        "accountant": or_gap(record.accountant, "the ledger has no closing line"),
        "composition": "squared Gaussian shifts add up; per site, the worst site counts"
        if record.gaussian
        else "as the accountant's name says; per site, the worst site counts",
        "amplification": "none claimed",
        "second_accountant": second,
        "numerical_error": "epsilon rounded up by at most 5e-10 relative"
        if record.gaussian
        else gap("the ledger does not state it"),
        "conversion": "exact Gaussian curve (Balle and Wang 2018), total variation of the sampler charged to delta"
        if record.gaussian
        else gap("the ledger does not state it"),
        "decides": "a filter on each site, not this odometer",
    }


def _unprotected(said: Statements) -> dict[str, Field]:
    return {
        "leaving_a_site_without_noise": list(UNPROTECTED),
        "losses_and_metrics": "simulation only: computed from held-out records, not covered by any epsilon; a "
        "deployment keeps them on site",
        "feature_scalers": "public ranges from the codebook; never fitted on records",
        "hyperparameter_tuning": or_gap(said.tuning),
    }


def _deployment(record: RunRecord, said: Statements) -> dict[str, Field]:
    settings = record.settings
    masked = record.masked
    return {
        "model": DEPLOYED[masked, record.decryptor],
        "actors": [dict(actor) for actor in actors_of(record)],
        "protocol": record.protocol,
        "strength": str(settings.get("strength", "none")) if masked else "none",
        "collusion_assumed": or_gap(settings.get("colluders"), "not in the ledger"),
        "minimum_cohort": or_gap(settings.get("min_survivors"), "not in the ledger"),
        "clients": or_gap(settings.get("clients"), "not in the ledger"),
        "dropouts_per_round": [r.invited - r.survivors for r in record.rounds[-MOST_ROUNDS_LISTED:]],
        "encryption": encryption_of(record),
        "authentication": "Ed25519 by an allow-list of keys" if record.allow_list else "none",
        "a_malicious_server_could": server_could(record),
        "release": or_gap(said.release),
        "refresh": or_gap(said.refresh),
        "access": "non-interactive: a model is released, no queries are answered",
    }


def _hazards(record: RunRecord, around: Mapping[str, Any]) -> dict[str, Field]:
    debug = record.settings.get("insecure_reproducible") is not False
    return {
        "random_numbers": "from the seed: NOT SECURE" if debug else "AES keystream, keys from the operating system",
        "floating_point": "integers before noise; float64 arithmetic of the clipped vector is charged to the "
        "sensitivity",
        "side_channels": "time and size of messages are not hidden; nothing sent depends on records but through the "
        "sum",
        "wrap_around": f"ring 2^{settings_bits}: room for the largest sum and noise is checked before the run"
        if (settings_bits := record.settings.get("modulus_bits"))
        else gap("not in the ledger"),
        "debug_flags": ["insecure_reproducible"] if debug else [],
        "tests_passed": or_gap(around.get("tests"), "a run does not test its software; see the release's own tests"),
        "known_limitations": "see SECURITY.md of the release",
    }


def _verification(record: RunRecord, around: Mapping[str, Any]) -> dict[str, Field]:
    return {
        "ledger_head": or_gap(around.get("ledger_head"), "the ledger was not at hand"),
        "ledger_entries": record.entries,
        "ledger_complete": record.finished,
        "stopped_early": record.stopped or "no",
        "sites_excluded": record.excluded,
        "allow_list_sha256": or_gap(record.allow_list, "nobody signs at this strength"),
        "recomputed": "run `secure-fedmeta audit` on the folder; this file is written by the run itself",
        "empirical_audit": or_gap(around.get("empirical_audit"), "none was run on this model"),
    }


def _utility(said: Statements, around: Mapping[str, Any]) -> dict[str, Field]:
    return {
        "scores": or_gap(around.get("utility"), "none in a deployment: scores stay on site"),
        "scores_note": "simulation only, not covered by any epsilon",
        "without_privacy": gap("not run; see the benchmark table in report.html"),
        "per_site_and_subgroup": gap("left out: small cells would show records"),
        "fairness": or_gap(said.fairness),
    }


def _context(said: Statements) -> dict[str, Field]:
    return {
        "recipients": or_gap(said.recipients),
        "access_control": or_gap(said.access_control),
        "threats_considered": or_gap(said.threats),
        "residual_risk": or_gap(said.residual_risk),
        "measures": or_gap(said.measures),
        "sign_off": or_gap(said.sign_off),
        "review_date": or_gap(said.review_date),
    }


def _gaps(value: object, path: str) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    if set(value) == {"gap"}:
        return [f"{path}: {value['gap']}"]
    return [found for key, part in value.items() for found in _gaps(part, f"{path}.{key}" if path else key)]
