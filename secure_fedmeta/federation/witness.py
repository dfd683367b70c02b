# SPDX-License-Identifier: Apache-2.0
"""A site's side of the ledger: what it checks before it countersigns, and the heads that it keeps.

A countersignature says: by what I know myself, this line is true, and it follows what I was shown before. What a site
cannot know (the sum, the new model, messages of other sites) it does not vouch for: the next announcement shows it the
model, and each other site vouches for its own entry in the books.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fedmeta_privacy.errors import JournalRolledBack, PrivacyError
from fedmeta_privacy.ledger import Json, Statement, canonical, decimal, read_statement

from ..errors import HeadsDamaged, StatementRefused
from ..schedule import Schedule
from .statements import UNITS, same, terms, units

KEPT = b'{"countersigned"'  # how a line of `heads` begins
DISPUTED = b'{"disputed"'
_SLACK = 2.0**-36  # of sums of floats in another order, and of units


@dataclass(frozen=True, slots=True)
class Head:
    """A head that a site countersigned, with what the line's books said of this site, in units of its budget.

    Example:
        >>> line = Head(seq=3, round=2, head="ab" * 32, books=7).to_line()
        >>> Head.from_line(line) == Head(seq=3, round=2, head="ab" * 32, books=7)
        True
    """

    seq: int
    round: int
    head: str
    books: int

    def to_line(self) -> bytes:
        """As it stands in the site's own file."""
        # "countersigned" comes first: by that, `KEPT`, the storage tells these lines from a journal's.
        rest = canonical({"books": self.books, "round": self.round, "seq": self.seq})
        return KEPT + b":" + canonical(self.head) + b"," + rest[1:] + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Head:
        """Inverse; ValueError if it is none."""
        entry = json.loads(line)
        if not isinstance(entry, dict) or set(entry) != {"books", "countersigned", "round", "seq"}:
            raise ValueError("not a head")
        head = cls(entry["seq"], entry["round"], entry["countersigned"], entry["books"])
        counts = (head.seq, head.round, head.books)
        if not all(type(count) is int and count >= 0 for count in counts) or not isinstance(head.head, str):
            raise ValueError("not a head")
        return head


def read_heads(content: bytes, where: str) -> tuple[Head, ...]:
    """The heads of a site's file, oldest first.

    Raises:
        HeadsDamaged: a line is no head, or they do not grow.
    """
    heads: list[Head] = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            head = Head.from_line(line)
        except (ValueError, RecursionError):
            raise HeadsDamaged(f"line {number} is not a head", where, "restore the file from a copy") from None
        if heads and head.seq <= heads[-1].seq:
            raise HeadsDamaged(f"line {number} does not grow", where, "restore the file from a copy")
        heads.append(head)
    return tuple(heads)


@dataclass(slots=True)
class _Round:
    """What the site knows of the round in hand."""

    session: str
    round: int
    behaviour: str
    model: str
    commitment: str | None = None
    clip_norm: str | None = None
    survivors: tuple[int, ...] = ()
    honest: int = 0
    shift: float = 0.0


class Witness:
    """Checks statements for one site, over the rounds of one run.

    Example:
        >>> from ..plan import Plan
        >>> from ..schedule import make_schedule
        >>> witness = Witness(make_schedule(Plan(), clients=10, dimension=3), 1)
        >>> witness.last is None
        True
    """

    def __init__(
        self, schedule: Schedule, me: int, heads: Sequence[Head] = (), begun: Collection[int] = frozenset()
    ) -> None:
        """Go on from the `heads` of the site's own file, and the rounds that its own file says it has `begun`."""
        self._schedule, self._me = schedule, me
        self._begun = set(begun)
        self.last: Head | None = heads[-1] if heads else None
        self._model: str | None = None  # what the last countersigned line says the model became
        self._now: _Round | None = None

    def begin(self, *, session: bytes, number: int, behaviour: bytes, model: str) -> None:
        """A round was accepted; `model` is the digest of the model in its announcement."""
        self._begun.add(number)
        self._now = _Round(session.hex(), number, behaviour.hex(), model)

    def uploaded(self, commitment: str) -> None:
        """The upload's noise was committed to."""
        if self._now is not None:
            self._now.commitment = commitment

    def clipped_to(self, clip_norm: float) -> None:
        """The announcement named this C_t; the line must name it too."""
        if self._now is not None:
            self._now.clip_norm = decimal(clip_norm)

    def settled(self, survivors: Sequence[int], *, honest: int, shift: float) -> None:
        """The survivors are proved; so many of their noises count."""
        if self._now is not None:
            self._now.survivors, self._now.honest, self._now.shift = tuple(survivors), honest, shift

    def check(self, record: bytes, *, agreed: bytes, spent: float) -> Head:
        """The head to keep before the countersignature leaves.

        Args:
            record: the statement's bytes as shown.
            agreed: digest of the survivors that this site signed.
            spent: squared shift that this site's own journal holds.
        Raises:
            StatementRefused: it differs from what this site knows; the text names the field and no value of the site.
            JournalRolledBack: the line's books prove rounds of this site that its own files do not know.
        """
        now = self._now
        if now is None:
            raise StatementRefused("a statement outside a round", f"site {self._me}", _REMEDY)
        try:
            statement = _read(record)
        except PrivacyError as error:
            raise self._refusal(now, error.what) from None
        body = statement.entry["body"]
        assert isinstance(body, Mapping)  # read_statement has seen to it
        self._check_place(statement, body, now)
        wrong = [name for name, value in self._expected(now, agreed).items() if not same(body.get(name), value)]
        if wrong:
            raise self._refusal(now, f"the line is wrong in {', '.join(wrong)}")
        self._check_lists(body, now)
        mine = self._check_books(body, now, spent) if self._schedule.scale is not None else 0
        head = Head(int(str(statement.entry["seq"])), now.round, statement.head, mine)
        self.last, self._model = head, str(body.get("model"))
        self._now = None
        return head

    def _expected(self, now: _Round, agreed: bytes) -> dict[str, Json]:
        schedule = self._schedule
        return {
            "session": now.session,
            "agreed": agreed.hex(),
            "behaviour": now.behaviour,
            "terms": _terms(schedule),
            "survivors": list(now.survivors),
            "aborted": None,
            "honest": now.honest,
            "shift": decimal(now.shift),
            "charge": decimal(schedule.floor_shift),
            "model_before": now.model,
            "clip_norm": now.clip_norm,
            "delta": decimal(schedule.plan.delta),
        }

    def _check_place(self, statement: Statement, body: Mapping[str, Json], now: _Round) -> None:
        """Round, actor, and that the line follows what was countersigned before, as far as this site saw it."""
        entry, last = statement.entry, self.last
        if (entry["type"], entry["round"], entry["actor"]) != ("round", now.round, "server"):
            raise self._refusal(now, "the line is of another round")
        if last is None:
            return
        seq, heads = entry["seq"], body.get("heads")
        assert isinstance(seq, int)
        if seq <= last.seq:
            raise self._refusal(now, "the line takes the place of one that was countersigned")
        back = seq - last.seq - 1  # lines between
        known = entry["prev"]
        if back > 0:
            near = heads if isinstance(heads, Sequence) else []
            known = near[-back] if back <= len(near) else last.head  # too far back: the auditor's to compare
        if known != last.head:
            raise self._refusal(now, "the chain forks from a head that was countersigned")
        if back == 0 and self._model not in (None, now.model):
            raise self._refusal(now, "the announced model is not the one that the last line names")

    def _check_lists(self, body: Mapping[str, Json], now: _Round) -> None:
        asked, answered, noise = (_ids(body.get(name)) for name in ("asked", "answered", "noise"))
        alive = set(now.survivors)
        if self._me not in asked & answered or not answered <= alive <= asked or noise != alive:
            raise self._refusal(now, "the line is wrong in asked, answered or noise")
        stated = body["noise"]
        assert isinstance(stated, Sequence)
        if now.commitment is not None and [self._me, now.commitment] not in stated:
            raise self._refusal(now, "the line names another noise key for this site")

    def _check_books(self, body: Mapping[str, Json], now: _Round, spent: float) -> int:
        """Own entry covers the own journal, aborted rounds included; epsilon covers the largest entry."""
        schedule, books, cohort = self._schedule, body.get("books"), body.get("cohort")
        if not (
            isinstance(books, Sequence)
            and isinstance(cohort, Sequence)
            and len(books) == len(cohort) == schedule.clients
            and all(type(entry) is int and entry >= 0 for entry in books)
            and self._me in cohort
        ):
            raise self._refusal(now, "the line has no books")
        counts = [int(str(entry)) for entry in books]
        mine = counts[list(cohort).index(self._me)]
        if mine < spent / schedule.limit * UNITS * (1 - _SLACK):
            raise self._refusal(now, "the books hold less than this site has released")
        self._check_own_files(mine, now)
        stated = body.get("epsilon")
        if not isinstance(stated, Mapping):
            raise self._refusal(now, "the line states no epsilon")
        if not schedule.private:
            if any(value != "none" for value in stated.values()):
                raise self._refusal(now, "an epsilon is stated where there is none")
            return mine
        # Each round in the books is rounded up by less than a unit.
        least = schedule.epsilon(max(0, max(counts) - now.round) / UNITS * schedule.limit)
        try:
            enough = float(str(stated["server"])) >= least * (1 - 2.0**-30)
        except (KeyError, ValueError):
            enough = False
        if not enough:
            raise self._refusal(now, "the stated epsilon is below what the books come to")
        return mine

    def _check_own_files(self, mine: int, now: _Round) -> None:
        """The shared books as second place of the own journal: they know of no round that the own files do not.

        Since the newest kept head, the entry grows by this round's shift, and by at most the floor for each other round
        that the own file says was begun: the server books no site that did not send it shares. Growth beyond that is
        of rounds that this site took part in and does not remember. Its folder was put back to an older state, or the
        server lies about earlier rounds; in both cases its filter is no longer known to hold, and it stops.

        What this cannot see: a folder put back to the middle of a round hides that one round, as a crash would.
        """
        schedule, last = self._schedule, self.last
        since = {number for number in self._begun if number > (last.round if last else 0)} - {now.round}
        floor, realised = (units(shift, schedule.limit) for shift in (schedule.floor_shift, now.shift))
        known = (last.books if last else 0) + realised + len(since) * floor
        if mine > known * (1 + _SLACK) + 1 + len(since):
            raise JournalRolledBack(
                f"site {self._me}, round {now.round}: the shared books hold rounds of this site that its own files "
                f"do not know",
                _STOPPED,
            )

    def _refusal(self, now: _Round, what: str) -> StatementRefused:
        return StatementRefused(what, f"site {self._me}, round {now.round}", _REMEDY)


def dispute_line(error: StatementRefused | JournalRolledBack, record: bytes) -> bytes:
    """What a site keeps of a statement that it did not countersign."""
    where = error.where if isinstance(error, StatementRefused) else "own files"
    return canonical({"disputed": error.what, "where": where, "bytes": len(record)}) + b"\n"


def _ids(stated: Json) -> set[int]:
    """Ids of a list of ids, or of [id, text] pairs; none if it is neither."""
    if not isinstance(stated, list | tuple):
        return set()
    firsts = [item[0] if isinstance(item, list) and item else item for item in stated]
    return {item if type(item) is int else -1 for item in firsts}


# The sites of one process are shown the same bytes and have the same plan.
_read = lru_cache(maxsize=4)(read_statement)
_terms = lru_cache(maxsize=16)(terms)
_STOPPED = (
    "take no part until the site's folder is restored from a copy that has these rounds, or until another site's "
    "ledger shows that the server lied"
)
_REMEDY = "compare the site's own files with the server's ledger before the next run"
