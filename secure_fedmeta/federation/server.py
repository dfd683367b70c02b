# SPDX-License-Identifier: Apache-2.0
"""The server: announces rounds, opens sums, takes outer steps, keeps the books. It never holds a site's arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import (
    Entropy,
    Outgoing,
    PeerProtocolError,
    Phase,
    RoundParameters,
    Step,
    TooFewSurvivors,
)
from fedmeta_crypto.errors import BadShare, OutOfOrder, Unexpected
from fedmeta_crypto.homomorphic.errors import DecryptionFailed, DecryptorSilent
from fedmeta_crypto.records import MAX_RECORD_BYTES
from fedmeta_crypto.secagg.step import PhaseClosed, RecordCountersigned, SharesCorrected, SumOpened
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy.clipping import AdaptiveClip
from fedmeta_privacy.errors import UnsafeModel
from fedmeta_privacy.ledger import Json, LedgerChain, Statement
from fedmeta_privacy.sensitivity import check_model

from ..errors import RunError
from ..noise_plan import Counted
from ..schedule import Schedule
from .accounts import Accounts
from .approximate import ApproximateSum
from .closed import RoundClosed
from .conduct import Conduct, answered_dealers, missing_shares
from .identities import Credentials
from .model import announced_to_bytes, model_digest
from .outer import OuterOptimizer, in_units
from .plain import PlainSum
from .sessions import ServerSide, round_parameters, server_side, signed_part
from .statements import COMMITMENT_BYTES, RECENT_HEADS, RoundFacts, round_body
from .surplus import surplus_parts


class Server:
    """The aggregator of one run as a sans-IO state machine.

    `announce` opens a round; `receive` and `deadline` drive it; when it is over, `closed` holds the result and
    `ledger_lines` the lines to append. A shell may stop calling at any time: the ledger holds whole lines only.
    Whatever a site sends, the run goes on: a round that fails is followed by the next, without whoever was convicted.
    """

    def __init__(
        self,
        schedule: Schedule,
        cohort: tuple[int, ...],
        *,
        credentials: Credentials | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        if schedule.hiding.signed and credentials is None:
            raise RunError(
                f"strength {schedule.hiding.name} without a key to sign with", "server", "give it credentials"
            )
        self.schedule = schedule
        self.cohort = cohort
        self.outer = OuterOptimizer(
            schedule.plan,
            dimension=schedule.dimension,
            survivors=schedule.planned_survivors,
            start=schedule.start,
        )
        self.clipping = schedule.clipping  # of the next round: an adaptive one moves
        self._clip_norm: float | None = None  # as announced
        self.accounts = Accounts(schedule, cohort)
        self.round = 0
        self.closed: RoundClosed | None = None
        self.last_sum: NDArray[np.int64] | None = None
        self.conduct = Conduct(schedule.hiding, None if credentials is None else credentials.people)
        self._credentials = credentials
        self._chain = LedgerChain()
        self.recent_heads: list[str] = []  # the newest ones but the very newest, which the next line names anyway
        self._lines = bytearray()
        self._entropy = entropy
        self._session: ServerSide | None = None
        self._plain: PlainSum | ApproximateSum | None = None
        self.last_error = 0.0  # of the newest sum, in steps: 0 where sums are exact
        self._parameters: RoundParameters | None = None
        self._asked: frozenset[int] = frozenset()
        self._opened: tuple[int, ...] = ()  # survivors of a sum that is open but not yet booked
        self._booked = 0  # newest round in the books
        self._pending: tuple[Statement, RoundClosed] | None = None  # stated, not yet countersigned
        self._noise: dict[int, str] = {}
        self._agreed = self._before = ""
        self._pairs: set[tuple[int, int]] = set()  # (dealer, holder) of wrong or missing shares
        self._advertised: set[int] = set()
        self._mask_set: tuple[int, ...] = ()
        self._answers: dict[int, frozenset[int]] = {}  # holder -> dealers whose shares it gave
        # Called with each round's statement before anybody is shown it: makes the state after it durable.
        self.on_stated: Callable[[Statement], None] | None = None

    def record(self, kind: str, body: dict[str, Json]) -> None:
        """Append a line to the ledger of the run, signed if the server has a key."""
        statement = self._chain.state(kind, self.round, "server", body)
        if kind == "round" and self.on_stated is not None:
            self.on_stated(statement)
        self._append(statement)

    def _append(self, statement: Statement, countersigned: tuple[tuple[int, bytes], ...] = ()) -> None:
        if self._chain.head == statement.head:  # an interrupt may come here twice
            return
        sigs: list[tuple[str | int, str]] = [(id_, signature.hex()) for id_, signature in sorted(countersigned)]
        if self._credentials is not None:
            sigs.insert(0, ("server", self._credentials.identity.sign(statement.signed_bytes).hex()))
        line = statement.sealed(sigs)
        self.recent_heads = [*self.recent_heads, self._chain.head][-RECENT_HEADS:]
        self._chain.take(statement)
        self._lines += line

    def follow(self, statement: Statement, again: tuple[tuple[int, bytes], ...] | None = None) -> None:
        """Go on after a line that the ledger holds already; or that it lacks, and that is signed `again`."""
        if again is not None:
            self._append(statement, again)
        else:
            self.recent_heads = [*self.recent_heads, self._chain.head][-RECENT_HEADS:]
            self._chain.take(statement)
        self.round = self._booked = int(str(statement.entry["round"]))

    def ledger_lines(self) -> bytes:
        """Lines made since the last call, whole; the shell appends them to the file."""
        lines, self._lines = bytes(self._lines), bytearray()
        return lines

    def nonce(self) -> bytes:
        """Fresh bytes (32) that name a run."""
        return self._entropy(32)

    @property
    def ledger_head(self) -> str:
        """Hash of the newest ledger line."""
        return self._chain.head

    @property
    def excluded(self) -> dict[int, str]:
        """Sites that are asked no more, and why."""
        return self.conduct.excluded

    def announce(self, proposal: bytes | None = None) -> Step:
        """Open the next round: M0 to every member, or to the decryptor first, of whom `proposal` is."""
        if self._parameters is not None and self.closed is None:
            raise OutOfOrder(f"round {self.round} is still open", where="server")
        schedule = self.schedule
        self.round += 1  # an attempt that fails below has used the number too: no key is proposed for it twice
        self._clip_norm = self.clipping.clip_norm if isinstance(self.clipping, AdaptiveClip) else None
        body = announced_to_bytes(self.outer.theta, self._clip_norm)
        self._before = model_digest(self.outer.theta)
        self._pending, self._noise, self._agreed = None, {}, ""
        people = None if self._credentials is None else self._credentials.people
        nonce = self._entropy(32)
        parameters = self._parameters = round_parameters(
            schedule, self.cohort, number=self.round, body=body, nonce=nonce, people=people, proposal=proposal
        )
        self.closed = None
        self._votes: int | None = None
        self._asked, self._opened = frozenset(), ()
        self._pairs, self._mask_set, self._answers, self._advertised = set(), (), {}, set()
        if not schedule.masked:
            self._plain = self._unmasked(parameters, proposal)
            self._asked = frozenset(self.cohort)
            message = self._plain.announcement(parameters.to_message())
            return Step(send=tuple(Outgoing(site, message) for site in self.cohort))
        self._session = server_side(schedule, parameters, self._credentials, proposal)
        return self._asked_only(self._session.announce())

    def _unmasked(self, parameters: RoundParameters, key: bytes | None) -> PlainSum | ApproximateSum:
        session, cohort = parameters.session, self.cohort
        if key is None:
            return PlainSum(session, cohort, self.schedule.length)
        return ApproximateSum(self.schedule, session=session, cohort=cohort, number=self.round, public_key=key)

    def _asked_only(self, step: Step) -> Step:
        """The step without what would go to those who are asked no more."""
        return replace(step, send=tuple(out for out in step.send if out.to not in self.excluded))

    def receive(self, message: bytes, *, sender: int) -> Step:
        """Take one message; a bad one raises a numbered error and changes only what is held against its author."""
        plain = self._plain
        if plain is not None and sender == DECRYPTOR and isinstance(plain, ApproximateSum):
            plain.opened(message)
            return self._sum_of(plain)
        if plain is not None:
            plain.receive(message, sender=sender)
            return self.deadline() if len(plain.received) == len(self.cohort) else Step()
        session = self._session
        if session is None or self._parameters is None:
            raise OutOfOrder(f"site {sender} sent a message outside a round", where="server")
        if sender in self.excluded:
            raise Unexpected("this site is excluded", sender=sender, where="server")
        given = None
        if self.schedule.hiding.signed:
            given = answered_dealers(message, sender, surplus=self.schedule.surplus_parts)
        added = given is not None and sender not in self._answers
        if given is not None and added:
            self._answers[sender] = given
        try:
            step = self._guarded(lambda: session.receive(message, sender=sender))
        except PeerProtocolError as error:
            if added:
                del self._answers[sender]
            signed = signed_part(self.schedule, message, self._parameters.key_hash)
            self.conduct.refused(signed, error, self._parameters, session.session)
            raise
        if sender == DECRYPTOR:
            return self._asked_only(step)
        self._advertised.add(sender)
        # Nobody waits for those who were not asked.
        if self.excluded and session.phase is Phase.ADVERTISE_KEYS:
            return self.deadline() if self._advertised >= set(self.cohort) - self.excluded.keys() else step
        return step

    def deadline(self) -> Step:
        """Close the present phase with those who have answered; too few end the round without a sum."""
        plain = self._plain
        if plain is not None:
            try:
                asked = plain.close()
            except DecryptorSilent as error:
                self._plain = None
                self._close((), aborted=str(error))
                return Step()
            return self._sum_of(plain) if asked is None else asked
        session = self._session
        return Step() if session is None else self._guarded(lambda: session.deadline(session.phase))

    def _sum_of(self, plain: PlainSum | ApproximateSum) -> Step:
        """Take the step of a sum that no masks hid."""
        self._plain, self._opened = None, tuple(sorted(plain.received))
        self.last_error = plain.error
        total = plain.total
        return Step() if total is None else self._open(total, self._opened)

    def abort(self, reason: str) -> None:
        """End the open round without a sum; those who were asked for an upload stay charged."""
        if self._parameters is None or self.closed is not None:
            return
        if self._pending is not None:  # the sum is booked: what is missing are countersignatures
            session = self._session
            gathered = session is not None and session.phase is Phase.COUNTERSIGN
            self._advance(session.deadline(Phase.COUNTERSIGN) if gathered and session is not None else Step())
            self._finish(())
            return
        self._session = self._plain = None
        self._close(self._opened, aborted=reason)

    def _guarded(self, move: Callable[[], Step]) -> Step:
        """Make a move of the open session; what ends the session ends the round without a sum."""
        try:
            return self._advance(move())
        except (TooFewSurvivors, BadShare, DecryptionFailed, DecryptorSilent) as error:
            if self._session is None or self._parameters is None or self._session.phase is not Phase.FAILED:
                raise
            self._weigh()
            if isinstance(error, BadShare):
                self.conduct.lost(error, self._parameters)
            self._session = None
            self._close((), aborted=str(error))
            return Step()

    def _advance(self, step: Step) -> Step:
        session, send = self._session, step.send
        if session is not None and session.phase is Phase.MASK_INPUT and not self._asked:
            self._asked = frozenset(out.to for out in step.send) - {DECRYPTOR}
        for event in step.events:
            if isinstance(event, PhaseClosed) and event.phase is Phase.SHARE_KEYS:
                self._mask_set = event.members
            if isinstance(event, PhaseClosed) and event.phase is Phase.CONSISTENCY:
                self._votes = len(event.members)
            if isinstance(event, SharesCorrected):
                self._pairs.update(event.pairs)
                self.conduct.doubt(event.unproved)
            if isinstance(event, RecordCountersigned):
                self._finish(event.signatures)
            if isinstance(event, SumOpened):
                self._weigh()
                self._opened = tuple(event.survivors)
                if session is not None:
                    alive, self._agreed = set(self._opened), session.agreed.hex()
                    attached = session.attachments()
                    self._noise = {id_: h[:COMMITMENT_BYTES].hex() for id_, h in attached if id_ in alive}
                send += self._open(self._without_surplus(event, session), self._opened).send
        return replace(step, send=send)

    def _without_surplus(self, opened: SumOpened, session: ServerSide | None) -> NDArray[np.uint32]:
        """The opened sum less the parts of noise that so few dropouts make superfluous, in the ring."""
        noise, encoding = self.schedule.surplus, self.schedule.encoding
        if noise is None or session is None:
            return opened.total
        removed = surplus_parts(
            noise,
            opened.surplus,
            dropped=len(opened.dropped),
            session=session.session,
            dimension=self.schedule.length,
        )
        return encoding.to_ring(opened.total.astype(np.int64) - removed)

    def _weigh(self) -> None:
        """Judge the shares of the round in hand: those that were wrong, and those that nobody gave."""
        session, parameters = self._session, self._parameters
        if session is not None and parameters is not None:
            self._pairs.update(missing_shares(self._answers, self._mask_set, parameters, session.session))
            self.conduct.shares(self._pairs, parameters)

    def _open(self, total: NDArray[np.uint32], survivors: tuple[int, ...]) -> Step:
        """Decode, step, book; then publish the round's line to those who can countersign it."""
        if not survivors:
            self._close((), aborted="no site answered")
            return Step()
        self.last_sum = self.schedule.encoding.from_ring(total)
        slots = len(survivors) * self.schedule.plan.unit_slots
        decoded = self.schedule.encoding.decode(self.last_sum)
        gradients, self.clipping = in_units(decoded, self.clipping, slots=slots)
        theta = self.outer.step(gradients)
        statement = self._state(survivors, aborted=None, norm=float(np.linalg.norm(gradients)))
        try:
            check_model(theta)
        except UnsafeModel as error:
            self._finish(())
            raise RunError(
                f"the model diverged: {error.what}", f"round {self.round}", "lower the outer learning rate"
            ) from None
        session = self._session
        if session is None or not self.schedule.hiding.signed or len(statement.content) > MAX_RECORD_BYTES:
            self._finish(())
            return Step()
        return session.publish(statement.content)

    def _close(self, survivors: tuple[int, ...], *, aborted: str) -> None:
        """End the round without a sum, or with one that was not taken: nobody is asked to countersign that."""
        self._state(survivors, aborted=aborted)
        self._finish(())

    def _finish(self, countersigned: tuple[tuple[int, bytes], ...]) -> None:
        """Write the round's line with whoever countersigned it; the round is over."""
        if self._pending is None:
            return
        statement, closed = self._pending
        self._append(statement, countersigned)
        self._session = self._pending = None
        self.closed = replace(closed, countersigned=tuple(id_ for id_, _ in countersigned))

    def _state(self, survivors: tuple[int, ...], *, aborted: str | None, norm: float = 0.0) -> Statement:
        """Book the round and put its line into words; signatures are still missing."""
        schedule, parameters = self.schedule, self._parameters
        if parameters is None:
            raise OutOfOrder("no round is open", where="server")
        # Under signatures a site lowers its own charge once it has seen the proof: of that, its answer is the sign.
        lowered = frozenset(self._answers if schedule.hiding.signed else survivors)
        if self._booked < self.round:  # an interrupt may come back here by way of `abort`
            self.accounts.record(
                uploaded=self._asked, survivors=frozenset(survivors), lowered=lowered, votes=self._votes
            )
            self._booked = self.round
        spent = self.accounts.spent()
        counted = schedule.counted(len(survivors), self._votes) if survivors else Counted(0)
        findings = self.conduct.take_findings()
        facts = RoundFacts(
            session=parameters.session.hex(),
            agreed=self._agreed,
            behaviour=parameters.behaviour_hash.hex(),
            cohort=self.cohort,
            asked=self._asked,
            answered=lowered & frozenset(survivors),
            survivors=survivors,
            votes=self._votes,
            aborted=aborted,
            false_shares=self._pairs,
            findings=findings,
            excluded=self.excluded,
            honest=counted.honest,
            shift=schedule.shift(*counted) if survivors else None,
            noise=self._noise,
            model_before=self._before,
            model=model_digest(self.outer.theta),
            clip_norm=self._clip_norm,
        )
        body = round_body(
            schedule, facts, books=self.accounts.books(), views=spent.as_views(), heads=tuple(self.recent_heads)
        )
        statement = self._chain.state("round", self.round, "server", body)
        closed = RoundClosed(self.round, len(self.cohort), survivors, spent, aborted, norm, findings)
        if self.on_stated is not None:
            self.on_stated(statement)
        self._pending = statement, closed
        return statement
