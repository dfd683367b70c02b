# SPDX-License-Identifier: Apache-2.0
"""What one run's page says, from its folder alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fedmeta_privacy.disclosed_text import NOT_COVERED, UNITS, actors_of
from fedmeta_privacy.errors import DisclosureRefused
from fedmeta_privacy.label import plain_label
from fedmeta_privacy.run_record import RunRecord
from fedmeta_privacy.statements import Statements
from fedmeta_privacy.view_numbers import view_numbers

from ..federation.approximate import error_in_steps
from ..guarantee import downgrade_line, encryption_line, rounding_line, show, worst_case_lines
from ..schedule import Schedule
from . import stored_table
from .facts import Facts
from .plots import round_plots

VIEWS = {
    "server": "the server",
    "member": "any one member site",
    "release": "outsiders",
    "local": "someone who saw each upload",
}
MOST_LISTED = 50  # of sites and rounds: a page stays a page
_PERSONS = {"record": "one person's record", "task": "one person with all rows", "client": "one whole site"}


def report_content(facts: Facts) -> dict[str, Any]:
    """All values of `report.html.j2`."""
    schedule, scores = facts.schedule, facts.scores
    record = replace(facts.record, epsilon=facts.epsilon)
    views = {view: view_numbers(record, view) for view in VIEWS}
    private = record.private
    opened = [each for each in record.rounds if not each.aborted]
    return {
        "title": scores.get("title") or f"Run of {schedule.clients} sites",
        "site": scores.get("site") or ["site", "sites"],
        "person": scores.get("person") or ["person", "persons"],
        "generated": bool(scores.get("generated")),
        "source": scores.get("source", ""),
        "made": record.ended or record.started or "",
        "software": record.software,
        "plan": schedule.plan,
        "schedule": schedule,
        "record": record,
        "private": private,
        "unit": _PERSONS[schedule.plan.unit],
        "views": view_rows(views),
        "spent": {view: _shown(record.epsilon.get(view)) for view in VIEWS},
        "second": show(record.second[1]) if record.second else None,
        "guarantee": facts.guarantee,
        "contradictions": facts.contradictions[:MOST_LISTED],
        "beside": worst_case_lines(schedule, facts.accounts) if facts.rounds else [],
        "label": _label(record, views["server"], str((scores.get("person") or ["person"])[0])),
        "unit_in_words": UNITS[schedule.plan.unit],
        "not_covered": NOT_COVERED,
        "actors": actors_of(record),
        "gaps": len(facts.disclosure.get("gaps", [])),
        "evidence": evidence_line(facts),
        "verification": verification(facts),
        "hiding": schedule.hiding,
        "encrypted": encryption_line(schedule),
        "error": error_in_steps(schedule) if schedule.decrypted and not schedule.masked else 0.0,
        "downgrade": downgrade_line(schedule),
        "rounding": rounding_line(schedule),
        "at_floor": show(schedule.epsilon(schedule.plan.rounds * schedule.floor_shift)) if private else "none",
        "excluded": dict(facts.end.get("excluded") or {}),
        "findings": [
            f"round {number}: {text}"
            for number, body in zip(facts.numbers, facts.rounds, strict=True)
            for text in body.get("findings", ())
        ][:MOST_LISTED],
        "absences": facts.absences[:MOST_LISTED],
        "absent": len(facts.absences),
        "aborted": [(each.number, each.aborted) for each in record.rounds if each.aborted][:MOST_LISTED],
        "sums": len(opened),
        "uploads": sum(each.survivors for each in opened),
        "fewest": min((each.survivors for each in opened), default=0),
        "missing": sum(each.invited - each.survivors for each in opened),
        **_costs(facts),
        "plots": round_plots(facts, live_of(facts)),
        "scores": scores,
        "stored": stored_table(facts.pilot),
        "mechanism": mechanism_rows(schedule),
        "head": facts.head,
    }


def live_of(facts: Facts) -> tuple[str, str]:
    """Key and title of the figure that was watched: the pilot's, else the first that is no loss."""
    live = facts.scores.get("live")
    if isinstance(live, Mapping):
        return str(live["key"]), str(live["title"])
    known = {"round", "loss", "bytes", "seconds"}
    others = [key for row in facts.metrics[:1] for key in row if key not in known]
    return (others[0], others[0]) if others else ("", "")


def view_rows(views: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Epsilon by view in every form: who, what is seen, epsilon, mu, what a membership attacker can reach."""
    rows = []
    for view, numbers in views.items():
        bound = numbers.get("detection_at_1_percent_false_alarms")
        epsilon = numbers["epsilon"]
        rows.append(
            {
                "who": VIEWS[view],
                "sees": str(numbers["sees"]),
                "epsilon": "none" if epsilon == "none" else show(epsilon),
                "mu": _up(numbers.get("gdp_mu")),
                "hits": _percent(bound["bound"] if isinstance(bound, Mapping) else None),
            }
        )
    return rows


def _label(record: RunRecord, server: Mapping[str, Any], person: str) -> str:
    """In plain words, from the ledger: a sentence in a file beside it is not repeated."""
    try:
        said = Statements.from_table({"person": person})
    except DisclosureRefused:
        said = Statements()
    bound = server.get("detection_at_1_percent_false_alarms")
    return plain_label(record, said, bound["bound"] if record.private and isinstance(bound, Mapping) else None)


def evidence_line(facts: Facts) -> str:
    """Who countersigned the rounds, and how a reader checks that without trusting this page."""
    schedule = facts.schedule
    check = "Verify with: secure-fedmeta audit RUN --roster ALLOW-LIST --heads SITES, the two from outside the run."
    if not schedule.hiding.signed:
        return f"Nobody countersigned the rounds (strength {schedule.hiding.name}): an audit can only be incomplete."
    fewest = min(facts.countersigned, default=0)
    return (
        f"Each executed round's line in ledger.jsonl carries the signatures of {fewest} of {schedule.clients} sites or "
        f"more; an audit asks for {schedule.threshold}. {check}"
    )


def verification(facts: Facts) -> dict[str, Any] | None:
    """The last audit's result, if it was of this ledger; None without one."""
    found = facts.verification
    if not found:
        return None
    return {
        "verdict": str(found.get("verdict", "")),
        "status": found.get("status"),
        "of_this": (found.get("ledger") or {}).get("head") == facts.head,
        "checks": [
            (str(one.get("check", "")), str(one.get("result", "")), str(one.get("looked_at", "")))
            for one in _listed(found.get("checks"))
        ],
        "findings": [str(one.get("what", ""))[:300] for one in _listed(found.get("findings"))][:50],
    }


def _listed(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _costs(facts: Facts) -> dict[str, Any]:
    sent = [v for v in facts.metric("bytes") if v is not None]
    times = sorted(v for v in facts.metric("seconds") if v is not None)
    return {
        "kilobytes": sum(sent) / 1e3 if sent else None,
        "milliseconds": 1e3 * times[len(times) // 2] if times else None,
    }


def _shown(value: float | None) -> str:
    return "none" if value is None else show(value)


def _up(value: object) -> str:
    """A number rounded up to three digits."""
    return f"{math.ceil(value * 1e3 - 1e-9) / 1e3:.3f}" if isinstance(value, int | float) else "-"


def _percent(value: object) -> str:
    return f"{math.ceil(value * 1e3 - 1e-9) / 10:.1f} %" if isinstance(value, int | float) else "-"


def mechanism_rows(schedule: Schedule) -> list[tuple[str, str]]:
    """The mechanism in a table: what is learned, clipped, encoded, added, hidden."""
    plan, bound, hiding = schedule.plan, schedule.sensitivity, schedule.hiding
    learned = "a network" if schedule.network is not None else f"a {plan.loss} model"
    steps = f"{plan.inner_steps} inner step(s) of rate {plan.inner_lr:g}"
    rows = [
        (
            "Learning",
            f"{plan.algorithm.upper()}, {learned}, {schedule.dimension} parameters, {steps}",
        ),
        ("Unit, adjacency, mode", f"{plan.unit}, {plan.adjacency}, {plan.mode}"),
        (
            "Sensitivity",
            f"support role {bound.support:.4f}, query role {bound.query:.4f}; the larger one counts"
            if plan.unit == "record"
            else f"{bound.worst:.4f}",
        ),
        (
            "Slots per site",
            {
                "record": f"{plan.support_slots} support, {plan.query_slots} query; clip {plan.clip_norm:g}",
                "task": f"{plan.task_slots} persons; clip {plan.clip_norm:g}",
                "client": f"the site is one unit; clip {plan.clip_norm:g}",
            }[plan.unit],
        ),
        ("Encoding", f"step {schedule.encoding.step:.4g}, ring 2^{schedule.encoding.modulus_bits}"),
        ("Noise per site", f"discrete Gaussian, {schedule.scale:g} steps" if schedule.scale else "none"),
        ("Colluders assumed", str(schedule.colluders)),
    ]
    if hiding.signed and schedule.masked:
        rows += [
            ("Withstands", f"A = {hiding.graph.corrupt} corrupt and D = {hiding.graph.dropped} silent sites"),
            ("Worst round", f"n_min = {hiding.min_survivors} survivors, at least h = {hiding.floor_honest} honest"),
        ]
    return rows
