# SPDX-License-Identifier: Apache-2.0
"""What readers see first: the first and the last line say nothing beside what the rounds come to, and no line more.

No site countersigns these two lines, and documents are made of them; so each of their statements is worked out anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedmeta_privacy.ledger import Json, Line, decimal

from ..federation.accounts import Spent
from ..federation.statements import accountant_terms, same
from ..guarantee import guarantee_sentence, protocol_line
from ..schedule import Schedule
from .signatures import body_of
from .verdict import Findings, Verdict, plain_decimal

_CHECK = "statements"
# fmt: off
_RUN = {
    "run", "software", "behaviour", "seed", "unit", "adjacency", "mode", "protocol", "allow_list", "sensitivity",
    "budget_shift", "trust", "decryptor", "at",
}
_ROUND = {
    "session", "agreed", "behaviour", "terms", "cohort", "asked", "answered", "survivors", "votes", "aborted",
    "false_shares", "findings", "excluded", "honest", "shift", "charge", "books", "noise", "model_before", "model",
    "delta", "epsilon", "epsilon_lower", "heads", "clip_norm",
}
_END = {
    "stopped", "model", "excluded", "guarantee", "delta", "epsilon", "accountant", "second_accountant", "at",
}
_RESUME = {"interrupted", "finished", "model", "at"}
# fmt: on
_FIELDS = {"run": _RUN, "round": _ROUND, "resume": _RESUME, "end": _END}
_VIEWS = {"server", "release", "local", "member"}


def check_ends(lines: list[Line], schedule: Schedule, spent: Spent, found: Findings) -> None:
    """Fields that this audit does not know, and every statement of the first and the last line."""
    for line in lines:
        body, kind = body_of(line), str(line.entry["type"])
        if unknown := sorted(set(body) - _FIELDS.get(kind, set(body))):
            what = f"it states what this audit does not know: {', '.join(name[:40] for name in unknown[:5])}"
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, what)
        stated = body.get("epsilon")
        if isinstance(stated, Mapping) and (others := sorted(set(stated) - _VIEWS)):
            what = f"an epsilon is stated for views that nothing is proved for: {', '.join(others)[:80]}"
            found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, line.number, what)
        if line.entry["actor"] != "server":
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, "another author than the server")
    _compare(lines[0], _opening(schedule), found)
    if lines[-1].entry["type"] == "end":
        _closing(lines, schedule, spent, found)
    found.looked(_CHECK, "fields of every line; the first and the last line worked out anew")


def _opening(schedule: Schedule) -> dict[str, Json]:
    plan, trust = schedule.plan, schedule.hiding.trust
    return {
        "trust": None if trust is None else f"{trust.value}: {trust.who_could_read}",
        "unit": plan.unit,
        "adjacency": plan.adjacency,
        "mode": plan.mode,
        "protocol": protocol_line(schedule),
        "sensitivity": {
            "support": decimal(schedule.sensitivity.support),
            "query": decimal(schedule.sensitivity.query),
            "steps": decimal(schedule.release.l2_sensitivity),
        },
        "budget_shift": decimal(schedule.limit),
    }


def _closing(lines: list[Line], schedule: Schedule, spent: Spent, found: Findings) -> None:
    last, body = lines[-1], body_of(lines[-1])
    expected: dict[str, Json] = {
        "delta": decimal(schedule.plan.delta),
        "guarantee": guarantee_sentence(schedule, spent),
        "accountant": accountant_terms(),
    }
    _compare(last, expected, found)
    second = body.get("second_accountant")
    stated = second.get("server") if isinstance(second, Mapping) else None
    if stated != "none":
        value = plain_decimal(stated)
        # An independent bound of the same releases: it cannot be far below the one that is proved.
        if not schedule.private or value is None or value < spent.server * (1 - 1e-2) - 1e-3:
            what = "the second accountant's epsilon is not what the rounds come to"
            found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, last.number, what)
    rounds = [body_of(line) for line in lines if line.entry["type"] == "round"]
    if rounds and schedule.plan.tail_average == 0 and body.get("model") != rounds[-1].get("model"):
        what = "it releases another model than the last round's"
        found.add(Verdict.TAMPERED, "models", last.number, what)


def _compare(line: Line, expected: Mapping[str, Json], found: Findings) -> None:
    body = body_of(line)
    if wrong := [name for name, value in expected.items() if not same(body.get(name), value)]:
        what = f"{', '.join(wrong)}: not what follows from the behaviour and the rounds"
        found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, line.number, what)
