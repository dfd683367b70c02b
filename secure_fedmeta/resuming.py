# SPDX-License-Identifier: Apache-2.0
"""Going on with a run that was killed: what is on the disks of all parties decides, and nothing is forgotten.

The ledger says what was spent; the sites' own files say what the ledger must hold at least. A round that any party had
begun and that has no line gets one: aborted, charged with the floor. It is never done again under its number; the next
number draws fresh keys and fresh noise. Where the disks contradict each other, nothing goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fedmeta_privacy.clipping import AdaptiveClip
from fedmeta_privacy.errors import JournalRolledBack
from fedmeta_privacy.journal import RESTORE
from fedmeta_privacy.ledger import Json, Line, Statement

from .audit.chain import check_chain, read_ledger
from .audit.participation import check_rounds
from .audit.signatures import body_of, check_signatures
from .audit.terms import check_terms
from .audit.verdict import Findings, Verdict
from .errors import IdentityRefused, LedgerBehind, ResumeRefused, StateDamaged
from .federation.identities import Credentials
from .federation.model import announced_to_bytes, model_digest
from .federation.past import Ask, SitePast
from .federation.server import Server
from .federation.state import ServerState, held_states, load_state, save_state
from .federation.statements import CRASHED, UNITS, RoundFacts, round_body, same
from .federation.storage import whole_records
from .files import RunFolder, decryptor_beside, server_beside, sites_beside
from .schedule import Schedule

_RESTORE = "restore ledger.jsonl, and the server's folder, from a copy that has all rounds; do not go on without them"
_SLACK = 2.0**-36


@dataclass(slots=True)
class Keeper:
    """Makes the server's state durable with each round's statement; the state before it stays until the next one."""

    server: Server
    folder: Path
    credentials: Credentials | None
    run: str = ""
    previous: int | None = None
    newest: int | None = field(default=None, init=False)

    def __call__(self, stated: Statement) -> None:
        """Write the state that `stated` ends in."""
        clipping = self.server.clipping
        norm = clipping.clip_norm if isinstance(clipping, AdaptiveClip) else None
        state = ServerState(stated, self.run, *self.server.outer.state(), norm)
        if self.newest is not None and self.newest < state.seq:
            self.previous = self.newest
        save_state(self.folder, state, self.credentials, keep=self.previous)
        self.newest = state.seq


def reopened(out: Path) -> RunFolder:
    """The folder of a run that was killed, its files held by this process; torn last lines are cut off.

    Raises:
        ResumeRefused: it holds no ledger.  FileError: another process holds it.
    """
    if not (out / "ledger.jsonl").is_file():
        raise ResumeRefused("the folder holds no run", str(out), "start without resume")
    folder = RunFolder(out)
    try:
        for name in ("ledger.jsonl", "metrics.jsonl"):
            data = (out / name).read_bytes()
            os.truncate(out / name, data.rfind(b"\n") + 1)
    except BaseException:
        folder.close()
        raise
    return folder


def read_past(out: Path, schedule: Schedule | None) -> list[Line]:
    """The lines so far of an unfinished run, of this schedule if one is given.

    Raises:
        ResumeRefused: of other settings, or ended.  AuditRefused, LedgerDamaged: not a ledger.
    """
    if not (out / "ledger.jsonl").stat().st_size:
        raise ResumeRefused("the run was killed before its first line", str(out), "start afresh in another folder")
    lines = read_ledger(out / "ledger.jsonl")
    if schedule is not None and not same(body_of(lines[0]).get("behaviour"), schedule.behaviour()):
        raise ResumeRefused("the ledger is of a run with other settings", str(out), "give the plan of its config.toml")
    if lines[-1].entry["type"] == "end":
        raise ResumeRefused("the run has ended", str(out), "start another run, and count both")
    return lines


def check_keys(homes: Mapping[int, Path], name: str) -> None:
    """Refuse to make a key where one was: a party that lost it is not the party that the run began with."""
    for home in homes.values():
        if not (home / name).is_file():
            raise IdentityRefused("the key that this run began with is missing", str(home / name), "restore the file")


def go_on(
    server: Server,
    ask: Ask,
    lines: list[Line],
    folder: RunFolder,
    *,
    keeper: Keeper,
    at: str | None,
) -> None:
    """Bring a fresh server to where the run stopped, and say so in the ledger; `ask` is asked once.

    Raises:
        LedgerBehind: the ledger lacks or contradicts what the sites or the server's own folder hold.
        StateDamaged: the server's state cannot be had.
        JournalRolledBack: a site's own files are older than the ledger.
    """
    where = str(folder.out / "ledger.jsonl")
    _check_ledger(lines, server, keeper.credentials, where)
    keeper.run = lines[0].statement.head
    ahead = _ahead(lines, server.schedule, keeper)
    sites = ask(None if ahead is None else ahead.statement.content)
    _compare_heads(lines, ahead, sites, where)
    for line in lines:
        _follow(server, line.statement)
    finished = None
    if ahead is not None and any(head.head == ahead.statement.head for site in sites.values() for head in site.heads):
        again = tuple((number, site.again) for number, site in sorted(sites.items()) if site.again is not None)
        _follow(server, ahead.statement, again)
        finished = server.round
    stated = [line.statement for line in lines] + ([ahead.statement] if finished and ahead is not None else [])
    _restore(server, stated, keeper)
    interrupted = _interrupted(server, sites, stated, folder, where)
    _compare_books(server, sites, where)
    body: dict[str, Json] = {
        "interrupted": interrupted,
        "finished": finished,
        "model": model_digest(server.outer.theta),
        "at": at,
    }
    server.record("resume", body)
    _cut_metrics(folder, server.round)


def _compare_books(server: Server, sites: Mapping[int, SitePast], where: str) -> None:
    """Nobody has spent more than the books say: not here, and not in an earlier run."""
    schedule = server.schedule
    if schedule.scale is None:
        return
    for number, booked in zip(server.cohort, server.accounts.books(), strict=True):
        if booked < sites[number].spent / schedule.limit * UNITS * (1 - _SLACK):
            raise LedgerBehind(f"it holds less than site {number} has spent", where, _RESTORE)


def _check_ledger(lines: list[Line], server: Server, own: Credentials | None, where: str) -> None:
    """The audit's own checks; what is merely missing is expected of a run that was killed."""
    found = Findings()
    check_chain(lines, found)
    check_signatures(lines, None if own is None else own.people, server.schedule, server.cohort, found)
    check_terms(lines, server.schedule, found)
    check_rounds(lines, server.schedule, server.cohort, found)
    bad = [one for one in found.found if one.verdict in (Verdict.TAMPERED, Verdict.CLAIM_TOO_SMALL)]
    if bad:
        raise LedgerBehind(f"line {bad[0].line} does not hold: {bad[0].what}", where, _RESTORE)


def _ahead(lines: list[Line], schedule: Schedule, keeper: Keeper) -> ServerState | None:
    """The state after the line that is due next, if the server had come to state it."""
    where, due = str(keeper.folder), len(lines)
    held = held_states(keeper.folder)
    if held and held[-1] > due:
        what = f"the server's folder knows of line {held[-1] + 1}, and the ledger ends with line {due}"
        raise LedgerBehind(what, where, _RESTORE)
    if due not in held:
        return None
    state = load_state(keeper.folder, due, run=keeper.run, dimension=schedule.dimension, credentials=keeper.credentials)
    if state.statement.entry["prev"] != lines[-1].statement.head:
        raise LedgerBehind("the server's next line follows another one than the ledger's last", where, _RESTORE)
    return state


def _compare_heads(lines: list[Line], ahead: ServerState | None, sites: Mapping[int, SitePast], where: str) -> None:
    """What sites countersigned must be here, or be the one line that the server was about to write."""
    known = [line.statement.head for line in lines] + ([] if ahead is None else [ahead.statement.head])
    for number, site in sites.items():
        for head in site.heads:
            if head.seq >= len(known):
                what = f"site {number} countersigned line {head.seq + 1}, and the ledger ends with line {len(lines)}"
                raise LedgerBehind(what, where, _RESTORE)
            if known[head.seq] != head.head:
                raise LedgerBehind(f"site {number} countersigned another line {head.seq + 1}", where, _RESTORE)


def _follow(server: Server, past: Statement, again: tuple[tuple[int, bytes], ...] | None = None) -> None:
    """Book a line again, as it was booked then; what it says was compared with this before."""
    body = past.entry["body"]
    assert isinstance(body, Mapping)
    server.follow(past, again)
    if past.entry["type"] != "round":
        return
    votes = body["votes"]
    server.accounts.record(
        uploaded=_ids(body["asked"]),
        survivors=_ids(body["survivors"]),
        lowered=_ids(body["answered"]),
        votes=None if votes is None else int(str(votes)),
    )
    excluded = body["excluded"]
    assert isinstance(excluded, Mapping)
    server.conduct.restore({int(site): str(why) for site, why in excluded.items()})


def _ids(stated: Json) -> frozenset[int]:
    return frozenset(site for site in stated if isinstance(site, int)) if isinstance(stated, list) else frozenset()


def _restore(server: Server, stated: list[Statement], keeper: Keeper) -> None:
    """The model and the optimiser, as they were after the newest round's line."""
    rounds = [one for one in stated if one.entry["type"] == "round"]
    if not rounds:
        return
    newest, seq = rounds[-1], int(str(rounds[-1].entry["seq"]))
    body = newest.entry["body"]
    assert isinstance(body, Mapping)
    dimension = server.schedule.dimension
    state = load_state(keeper.folder, seq, run=keeper.run, dimension=dimension, credentials=keeper.credentials)
    if state.statement.head != newest.head or model_digest(state.arrays["theta"]) != body["model"]:
        raise StateDamaged(
            f"it is not the state after line {seq + 1} of this ledger", str(keeper.folder), "restore the folder"
        )
    server.outer.restore(state.arrays, state.counts)
    if isinstance(server.clipping, AdaptiveClip):
        if state.clip_norm is None:
            raise StateDamaged("it holds no clip norm", str(keeper.folder), "restore the folder")
        server.clipping = server.clipping.at(state.clip_norm)
    keeper.newest = seq


def _interrupted(
    server: Server, sites: Mapping[int, SitePast], stated: list[Statement], folder: RunFolder, where: str
) -> int | None:
    """The round that somebody had begun and that has no line: it gets one, charged in full. None if there is none."""
    asked_in: dict[int, frozenset[int]] = {}
    answered_in: dict[int, frozenset[int]] = {}
    for one in stated:
        body = one.entry["body"]
        assert isinstance(body, Mapping)
        if one.entry["type"] == "round":
            number = int(str(one.entry["round"]))
            asked_in[number], answered_in[number] = _ids(body["asked"]), _ids(body["answered"])
    due, asked, begun = server.round + 1, set(), _decryptor_begun(server.schedule, folder)
    for number, site in sites.items():
        charged = site.charged
        begun |= site.begun | charged
        if due in site.begun | charged:
            asked.add(number)
        missing = sorted(at for at in charged if at < due and number not in asked_in.get(at, ()))
        if missing:
            what = f"site {number} was charged for round {missing[0]}, which the ledger leaves out"
            raise LedgerBehind(what, where, _RESTORE)
        lost = sorted(at for at, ids in answered_in.items() if number in ids and at not in charged)
        if lost and server.schedule.scale is not None:
            raise JournalRolledBack(
                f"site {number} answered round {lost[0]}, says the ledger, and its journal has no charge of it", RESTORE
            )
    if begun and max(begun) > due:
        what = f"round {max(begun)} was begun, and the ledger ends with round {server.round}"
        raise LedgerBehind(what, where, _RESTORE)
    if due not in begun:
        last = stated[-1].entry["body"]
        assert isinstance(last, Mapping)
        return server.round if last.get("aborted") == CRASHED else None
    _book(server, due, frozenset(asked))
    return due


def _decryptor_begun(schedule: Schedule, folder: RunFolder) -> set[int]:
    path = folder.decryptor / "rounds"
    return {record.round for record in whole_records(path)} if schedule.split and path.is_file() else set()


def _book(server: Server, number: int, asked: frozenset[int]) -> None:
    """The line of a round that ended with the process: nothing was opened, whoever had begun is charged the floor."""
    schedule, model = server.schedule, model_digest(server.outer.theta)
    norm = server.clipping.clip_norm if isinstance(server.clipping, AdaptiveClip) else None
    server.round = number
    server.accounts.record(uploaded=asked, survivors=frozenset(), lowered=frozenset())
    facts = RoundFacts(
        session="",
        agreed="",
        behaviour=schedule.behaviour_hash(announced_to_bytes(server.outer.theta, norm)).hex(),
        cohort=server.cohort,
        asked=asked,
        answered=(),
        survivors=(),
        votes=None,
        aborted=CRASHED,
        false_shares=(),
        findings=(),
        excluded=server.excluded,
        honest=0,
        shift=None,
        noise={},
        model_before=model,
        model=model,
        clip_norm=norm,
    )
    views = server.accounts.spent().as_views()
    body = round_body(schedule, facts, books=server.accounts.books(), views=views, heads=tuple(server.recent_heads))
    server.record("round", body)


def _cut_metrics(folder: RunFolder, last: int) -> None:
    """Rows of rounds that have a line; another row would be of nothing."""
    path = folder.out / "metrics.jsonl"
    end = 0
    for row in path.read_bytes().splitlines(keepends=True):
        try:
            number = json.loads(row)["round"]
        except (ValueError, KeyError, TypeError, RecursionError):
            break
        if not isinstance(number, int | float) or number > last:
            break
        end += len(row)
    os.truncate(path, end)


@contextmanager
def replaying(out: Path) -> Iterator[None]:
    """Set a reproducible run aside and let it be done again: everything in it follows from the seed.

    Such a run has no guarantee, and its sites may not see a round twice; so all of it is played again, from the start,
    into fresh folders, and every round that had a line must come out with the same model and survivors.

    Raises:
        ResumeRefused: no such run, or an ended one.  LedgerBehind: a line came out otherwise.
    """
    with reopened(out):
        past = list(read_past(out, None))
        number = 1
        while (aside := out.with_name(f"{out.name}-interrupted-{number}")).exists():
            number += 1
        for beside in (sites_beside, server_beside, decryptor_beside):
            if beside(out).exists():
                beside(out).rename(beside(aside))
        out.rename(aside)
        yield
    again = read_ledger(out / "ledger.jsonl")
    for then, now in zip(past, again, strict=False):
        for name in ("behaviour", "model_before", "model", "survivors"):
            if then.entry["type"] in ("run", "round") and not same(body_of(now).get(name), body_of(then).get(name)):
                what = f"line {then.number} came out with another {name} than in {aside.name}"
                raise LedgerBehind(what, str(out), "give the plan, records, software and machine of before")
    if len(again) < len(past):
        raise LedgerBehind(f"fewer lines came out than in {aside.name}", str(out), "give the plan of before")
