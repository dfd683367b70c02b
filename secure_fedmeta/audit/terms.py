# SPDX-License-Identifier: Apache-2.0
"""Terms: the run's behaviour gives a schedule here, and every round must state that schedule's own numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fedmeta_privacy.clipping import AdaptiveClip
from fedmeta_privacy.errors import PrivacyError
from fedmeta_privacy.ledger import Json, Line

from ..aggregation import EXPOSED
from ..clip_plan import reachable
from ..errors import AuditRefused, UserError
from ..federation.statements import accountant_terms, same, terms
from ..plan import Plan
from ..schedule import Schedule, make_schedule
from .signatures import body_of
from .verdict import Findings, Verdict

_CHECK = "terms"
_FLOATS = frozenset(name for name, info in Plan.model_fields.items() if "float" in str(info.annotation))


def schedule_of(opening: Line) -> Schedule:
    """The schedule that a run line's behaviour stands for, worked out anew.

    Raises:
        AuditRefused: there is no behaviour to work with, or no guarantee follows from it.
    """
    stated = body_of(opening).get("behaviour")
    if opening.entry["type"] != "run" or not isinstance(stated, Mapping):
        raise AuditRefused("the first line does not say what was run", "line 1", _ASK)
    try:
        settings = {name: _number(name, stated[name]) for name in Plan.model_fields if name in stated}
        return make_schedule(
            Plan.make(_restored(settings, stated), where="line 1"),
            clients=_integer(stated["clients"]),
            dimension=_integer(stated["dimension"]),
            codebook_hash=bytes.fromhex(str(stated["codebook"])),
            layers=tuple(_integer(length) for length in _list(stated.get("layers", []))),
            network=None if stated["architecture"] is None else bytes.fromhex(str(stated["architecture"])),
        )
    except (KeyError, ValueError, TypeError, UserError, OverflowError) as error:
        # A PrivacyError is a ValueError; its text names the setting that no guarantee follows from.
        what = error.what if isinstance(error, PrivacyError | UserError) else f"{type(error).__name__}"
        raise AuditRefused(f"no guarantee follows from the stated behaviour: {what[:300]}", "line 1", _ASK) from None


def _restored(settings: dict[str, object], stated: Mapping[str, Json]) -> dict[str, object]:
    """Settings that behaviour states as they came out: given back in the form that makes them come out again."""
    exposed = stated.get("aggregation") in EXPOSED
    if exposed:
        settings["strength"] = "semi-honest"
    complete = stated.get("neighbours") == _integer(stated["clients"]) - 1
    if settings.get("strength") != "semi-honest" or not complete or exposed:
        settings["threshold"] = None
    return settings


def _number(name: str, value: Json) -> object:
    if name in _FLOATS and isinstance(value, str) and value != "none":
        return float(value)
    if name in _FLOATS and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(float(str(one)) for one in value)
    return value


def _list(value: Json) -> Sequence[Json]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError("not a list")
    return value


def _integer(value: Json) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def check_terms(lines: list[Line], schedule: Schedule, found: Findings) -> None:
    """Each stated number against the one that follows from the behaviour: noise, sensitivity, clip, sampling, claim."""
    if not same(body_of(lines[0]).get("behaviour"), schedule.behaviour()):
        wrong = _differences(body_of(lines[0]).get("behaviour"), schedule.behaviour())
        found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, 1, f"the behaviour contradicts itself in {wrong}")
    expected = terms(schedule)
    for line in lines:
        if line.entry["type"] != "round":
            continue
        stated = body_of(line).get("terms")
        if same(stated, expected):
            continue
        if not isinstance(stated, Mapping):
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, "it states no terms")
            continue
        _check_sampling(stated, line, found)
        if not same(stated.get("accountant"), accountant_terms()):
            what = "epsilon was computed by another accountant than this one; it is recomputed here"
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, what)
        others = _differences({**stated, "accountant": accountant_terms()}, expected)
        if others:
            what = f"the executed round is not the stated behaviour's: {others}"
            found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, line.number, what)
    _check_clip_norms(lines, schedule, found)
    found.looked(_CHECK, f"delta {schedule.plan.delta!r}, noise and sensitivity worked out from the settings")


def _check_clip_norms(lines: list[Line], schedule: Schedule, found: Findings) -> None:
    """Each round's C_t against the one before: the plan's start, its limits, and one step for each opened sum.

    Whether a C_t follows from the round's noisy count cannot be told: sums are not in the ledger. The guarantee does
    not hang on it, but no site that follows the protocol uploads under another one.
    """
    rule = schedule.clipping
    rounds = [line for line in lines if line.entry["type"] == "round"]
    if not isinstance(rule, AdaptiveClip):
        for line in rounds:
            if "clip_norm" in body_of(line):
                found.add(Verdict.TAMPERED, "clip norms", line.number, "a norm of a rule that is not this run's")
        return
    sums = 0  # opened since `rule`
    for line in rounds:
        stated = body_of(line).get("clip_norm")
        low, high = reachable(rule, sums)
        norm = _finite(stated)
        if norm is None or not low <= norm <= high:
            what = f"C_t is {str(stated)[:40]}, where the plan and the rounds before allow {low:.6g} to {high:.6g}"
            found.add(Verdict.TAMPERED, "clip norms", line.number, what)
            sums += 1
            continue
        rule, sums = rule.at(norm), 1 if body_of(line).get("survivors") else 0
    found.looked("clip norms", f"{len(rounds)} rounds; bounds only, since the sums that move C_t are not in the ledger")


def _finite(stated: Json) -> float | None:
    try:
        number = float(stated) if isinstance(stated, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _check_sampling(stated: Mapping[str, Json], line: Line, found: Findings) -> None:
    """No amplification by a sampling that the ledger itself gives away.

    Unit, adjacency and mode need no look of their own: a schedule exists only for a row of the claim table, and a round
    that states another one differs from it.
    """
    sampling = stated.get("sampling")
    if not isinstance(sampling, Mapping) or sampling.get("kind") != "none" or sampling.get("q") != "1":
        what = "amplification is claimed for a cohort that the ledger names and the server chose: it holds for q = 1"
        found.add(Verdict.CLAIM_TOO_SMALL, "sampling", line.number, what)


def _differences(stated: Json, expected: Mapping[str, Json]) -> str:
    if not isinstance(stated, Mapping):
        return "every field"
    names = sorted(set(stated) | set(expected))
    return ", ".join(name[:40] for name in names if not same(stated.get(name), expected.get(name)))


_ASK = "ask the operator for the whole ledger, written by this release"
