# SPDX-License-Identifier: Apache-2.0
"""Participation and epsilon: the books are kept anew from who took part, and every stated epsilon is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fedmeta_privacy import accountant
from fedmeta_privacy.events import Event
from fedmeta_privacy.ledger import Json, Line, decimal

from ..federation.accounts import Accounts, Spent
from ..federation.statements import COMMITMENT_BYTES, same
from ..noise_plan import Counted
from ..schedule import Schedule
from .signatures import body_of
from .verdict import Findings, Verdict, is_digest, plain_decimal

_SLACK = 1e-9  # of the stated decimal against the recomputed one
MOST_SECOND_OPINIONS = 40


@dataclass(frozen=True, slots=True)
class Taken:
    """Who took part in a round, as its line says."""

    asked: frozenset[int]
    answered: frozenset[int]
    survivors: tuple[int, ...]
    votes: int | None
    aborted: bool


def check_rounds(lines: list[Line], schedule: Schedule, cohort: tuple[int, ...], found: Findings) -> Spent:
    """Replay every round; returns what they cost, as recomputed."""
    books = Accounts(schedule, cohort)
    rounds = [line for line in lines if line.entry["type"] == "round"]
    again = {line.number for line in rounds[:: max(1, len(rounds) // MOST_SECOND_OPINIONS)]} | {
        line.number for line in rounds[-1:]
    }
    model: Json = None
    for line in lines:
        body = body_of(line)
        if line.entry["type"] == "round":
            taken = _taken(line, schedule, cohort, found)
            if taken is not None:
                _replay(line, taken, books, schedule, found)
            if not all(isinstance(body.get(name), str) for name in ("model_before", "model")):
                found.add(Verdict.INCOMPLETE, "models", line.number, "it does not name its models")
            if model is not None and body.get("model_before") != model:
                found.add(Verdict.TAMPERED, "models", line.number, "it began from another model than the last round's")
            model = body.get("model")
            if not is_digest(body.get("behaviour")):
                found.add(Verdict.INCOMPLETE, "terms", line.number, "it does not name what was bound into the masks")
        if line.entry["type"] in ("round", "end"):
            check_epsilon(line, books, schedule, found, second=line.number in again)
    check_noise(rounds, schedule, found)
    found.looked("participation", f"{len(rounds)} rounds, books of {len(cohort)} sites")
    found.looked("epsilon", f"exact bound on every line, PLD on {len(again)} of them")
    found.checks.setdefault("sampling", "none claimed: q = 1")
    return books.spent()


def _taken(line: Line, schedule: Schedule, cohort: tuple[int, ...], found: Findings) -> Taken | None:
    """Read who took part, with every rule that a real round keeps."""
    body, hiding = body_of(line), schedule.hiding

    def wrong(what: str) -> None:
        found.add(Verdict.CLAIM_TOO_SMALL, "participation", line.number, what)

    lists = [_ids(body.get(name)) for name in ("asked", "answered", "survivors")]
    votes, aborted = body.get("votes"), body.get("aborted")
    if None in lists or not (votes is None or type(votes) is int) or not (aborted is None or isinstance(aborted, str)):
        found.add(Verdict.INCOMPLETE, "participation", line.number, "it does not say who took part")
        return None
    asked, answered, survivors = (tuple(ids or ()) for ids in lists)
    if not same(body.get("cohort"), list(cohort)):
        wrong("another cohort than the run's")
    if not set(answered) <= set(survivors) <= set(asked) <= set(cohort):
        wrong("survivors who were not asked, or answers of others than survivors")
    if not set(asked) <= set(cohort):
        return None  # nothing can be booked for strangers
    excluded = body.get("excluded")
    if not isinstance(excluded, Mapping):
        found.add(Verdict.INCOMPLETE, "participation", line.number, "it does not say who is excluded")
    elif len(excluded) > hiding.graph.dropped:
        wrong("more sites are excluded than may be missing")
    if aborted is None or survivors:  # a sum was opened, whether it was used or not
        if hiding.masked and len(survivors) < hiding.min_survivors:
            wrong(f"a sum of {len(survivors)} sites, where every site refuses fewer than {hiding.min_survivors}")
        if hiding.signed and not hiding.quorum <= (-1 if votes is None else int(str(votes))) <= len(survivors):
            wrong(f"{votes} sites signed the survivors; {hiding.quorum} are a quorum of {len(survivors)}")
        if hiding.signed and len(answered) < schedule.threshold + 1:
            wrong(f"{len(answered)} sites gave shares; {schedule.threshold + 1} are needed to open a sum")
    return Taken(
        frozenset(asked),
        frozenset(answered),
        survivors,
        None if votes is None else int(str(votes)),
        aborted is not None,
    )


def _ids(stated: Json) -> tuple[int, ...] | None:
    if not isinstance(stated, list) or not all(type(site) is int for site in stated):
        return None
    ids = tuple(stated)
    return ids if list(ids) == sorted(set(ids)) else None


def _replay(line: Line, taken: Taken, books: Accounts, schedule: Schedule, found: Findings) -> None:
    """Book the round, and compare honest noises, shift, floor and books with what the line says."""
    books.record(uploaded=taken.asked, survivors=frozenset(taken.survivors), lowered=taken.answered, votes=taken.votes)
    counted = schedule.counted(len(taken.survivors), taken.votes) if taken.survivors else Counted(0)
    expected: dict[str, Json] = {
        "honest": counted.honest,
        "shift": decimal(schedule.shift(*counted)) if taken.survivors else None,
        "charge": decimal(schedule.floor_shift),
        "books": books.books(),
        "delta": decimal(schedule.plan.delta),
    }
    body = body_of(line)
    wrong = [name for name, value in expected.items() if not same(body.get(name), value)]
    if wrong:
        what = f"{', '.join(wrong)}: not what follows from who took part"
        found.add(Verdict.CLAIM_TOO_SMALL, "participation", line.number, what)


def check_epsilon(line: Line, books: Accounts, schedule: Schedule, found: Findings, *, second: bool) -> None:
    """The stated epsilon of each view must not be below the recomputed one, by either accountant."""
    stated = body_of(line).get("epsilon")
    if not isinstance(stated, Mapping):
        found.add(Verdict.INCOMPLETE, "epsilon", line.number, "it states no epsilon")
        return
    views = books.spent().as_views()
    for view, value in views.items():
        text = stated.get(view)
        if text == "none":
            continue  # nothing is claimed
        claimed = plain_decimal(text)
        if claimed is None:
            found.add(Verdict.INCOMPLETE, "epsilon", line.number, f"no epsilon for the view {view}")
        elif not schedule.private:
            found.add(Verdict.CLAIM_TOO_SMALL, "epsilon", line.number, f"{view}: {claimed:.6g} is stated, none holds")
        elif claimed < value * (1 - _SLACK):
            what = f"{view}: {claimed:.6g} is stated, {value:.6g} is what the rounds so far come to"
            found.add(Verdict.CLAIM_TOO_SMALL, "epsilon", line.number, what)
    server = plain_decimal(stated.get("server"))
    if second and schedule.private and server is not None:
        other = _second(tuple(books.events()), schedule.plan.delta)
        if server * (1 + 1e-3) + 5e-4 < other:
            what = f"server: {server:.6g} is stated, the second accountant has {other:.6g}"
            found.add(Verdict.CLAIM_TOO_SMALL, "epsilon", line.number, what)


@lru_cache(maxsize=256)
def _second(events: tuple[Event, ...], delta: float) -> float:
    return accountant.loss_distribution_epsilon(events, delta)


def check_noise(rounds: list[Line], schedule: Schedule, found: Findings) -> None:
    """Every survivor committed to the seed of its noise, and no seed was used twice."""
    if schedule.scale is None or not schedule.hiding.signed:
        return
    seen: dict[str, tuple[Json, int]] = {}
    for line in rounds:
        body = body_of(line)
        stated, survivors = body.get("noise"), body.get("survivors")
        pairs = (
            [pair for pair in stated if isinstance(pair, list) and len(pair) == 2] if isinstance(stated, list) else []
        )
        if body.get("aborted") is None and not same([pair[0] for pair in pairs], survivors):
            found.add(Verdict.INCOMPLETE, "noise", line.number, "not every survivor committed to its noise")
        for site, commitment in pairs:
            if not isinstance(commitment, str) or len(commitment) != 2 * COMMITMENT_BYTES:
                found.add(Verdict.INCOMPLETE, "noise", line.number, f"the commitment of site {site} is none")
            if str(commitment) in seen:
                other, at = seen[str(commitment)]
                what = f"sites {other} (line {at}) and {site} drew noise from one seed: a difference shows their data"
                found.add(Verdict.CLAIM_TOO_SMALL, "noise", line.number, what)
            seen[str(commitment)] = (site, line.number)
    found.looked("noise", f"{len(seen)} commitments, all different" if seen else "no commitments")
