# SPDX-License-Identifier: Apache-2.0
"""The server: announces rounds, opens sums, takes outer steps, keeps the books. It never holds a site's arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy, Outgoing, Phase, RoundParameters, ServerSession, Step, TooFewSurvivors
from fedmeta_crypto.errors import BadShare, OutOfOrder
from fedmeta_crypto.secagg.step import SharesCorrected, SumOpened
from fedmeta_privacy.errors import UnsafeModel
from fedmeta_privacy.ledger import Json, LedgerChain, decimal
from fedmeta_privacy.sensitivity import check_model

from ..errors import RunError
from ..schedule import Schedule
from .accounts import Accounts, Spent
from .model import model_digest, model_to_bytes
from .outer import OuterOptimizer
from .plain import PlainSum


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round is over.

    Attributes:
        round: its number.
        invited: size of the cohort.
        survivors: whose uploads are in the sum; empty when the round was aborted.
        spent: epsilon so far, per view.
        aborted: why no sum was opened; None if one was.
        norm: length of the decoded mean, for the log.
    """

    round: int
    invited: int
    survivors: tuple[int, ...]
    spent: Spent
    aborted: str | None
    norm: float


class Server:
    """The aggregator of one run as a sans-IO state machine.

    `announce` opens a round; `receive` and `deadline` drive it; when it is over, `closed` holds the result and
    `ledger_lines` the lines to append. A shell may stop calling at any time: the ledger holds whole lines only.
    """

    def __init__(self, schedule: Schedule, cohort: tuple[int, ...], *, entropy: Entropy = os.urandom) -> None:
        self.schedule = schedule
        self.cohort = cohort
        self.outer = OuterOptimizer(schedule.plan, dimension=schedule.dimension, survivors=schedule.planned_survivors)
        self.accounts = Accounts(schedule, cohort)
        self.round = 0
        self.closed: RoundClosed | None = None
        self.last_sum: NDArray[np.int64] | None = None
        self._chain = LedgerChain()
        self._lines = bytearray()
        self._entropy = entropy
        self._session: ServerSession | None = None
        self._plain: PlainSum | None = None
        self._parameters: RoundParameters | None = None
        self._asked: frozenset[int] = frozenset()
        self._opened: tuple[int, ...] = ()  # survivors of a sum that is open but not yet booked
        self._booked = 0  # newest round in the books
        self._false_shares: tuple[tuple[int, int], ...] = ()  # (dealer, holder) corrected while opening

    # -- ledger ------------------------------------------------------------------------------------

    def record(self, kind: str, body: dict[str, Json]) -> None:
        """Append a line to the ledger of the run."""
        self._lines += self._chain.append(kind, self.round, "server", body)

    def ledger_lines(self) -> bytes:
        """Lines made since the last call, whole; the shell appends them to the file."""
        lines, self._lines = bytes(self._lines), bytearray()
        return lines

    @property
    def ledger_head(self) -> str:
        """Hash of the newest ledger line."""
        return self._chain.head

    # -- rounds ------------------------------------------------------------------------------------

    def announce(self) -> Step:
        """Open the next round: M0 to every member."""
        if self._parameters is not None and self.closed is None:
            raise OutOfOrder(f"round {self.round} is still open", where="server")
        schedule = self.schedule
        self.round += 1
        self.closed = None
        body = model_to_bytes(self.outer.theta)
        self._parameters = RoundParameters(
            round=self.round,
            cohort=self.cohort,
            threshold=schedule.threshold,
            min_survivors=schedule.threshold + 1,  # nobody holds a share of its own secret
            modulus_bits=schedule.encoding.modulus_bits,
            length=schedule.dimension,
            behaviour_hash=schedule.behaviour_hash(body),
            server_nonce=self._entropy(32),
            body=body,
        )
        self._asked, self._opened, self._false_shares = frozenset(), (), ()
        if not schedule.masked:
            self._plain = PlainSum(self._parameters.session, self.cohort, schedule.dimension)
            self._asked = frozenset(self.cohort)
            message = self._parameters.to_message()
            return Step(send=tuple(Outgoing(site, message) for site in self.cohort))
        self._session = ServerSession(self._parameters)
        return self._session.announce()

    def receive(self, message: bytes, *, sender: int) -> Step:
        """Take one message; a bad one raises a numbered error and changes nothing."""
        if self._plain is not None:
            self._plain.receive(message, sender=sender)
            if len(self._plain.received) == len(self.cohort):
                return self.deadline()
            return Step()
        session = self._session
        if session is None:
            raise OutOfOrder(f"site {sender} sent a message outside a round", where="server")
        return self._guarded(lambda: session.receive(message, sender=sender))

    def deadline(self) -> Step:
        """Close the present phase with those who have answered; too few end the round without a sum."""
        if self._plain is not None:
            plain, self._opened = self._plain, tuple(sorted(self._plain.received))
            self._open(plain.total, self._opened)
            self._plain = None
            return Step()
        session = self._session
        return Step() if session is None else self._guarded(lambda: session.deadline(session.phase))

    def abort(self, reason: str) -> None:
        """End the open round without a sum; those who were asked for an upload stay charged."""
        if self._parameters is not None and self.closed is None:
            self._session = self._plain = None
            self._close(self._opened, aborted=reason)

    def _guarded(self, move: Callable[[], Step]) -> Step:
        """Make a move of the open session; what ends the session ends the round without a sum."""
        try:
            return self._advance(move())
        except (TooFewSurvivors, BadShare) as error:
            if self._session is not None and self._session.phase is not Phase.FAILED:
                raise
            self._session = None
            self._close((), aborted=str(error))
            return Step()

    def _advance(self, step: Step) -> Step:
        session = self._session
        if session is not None and session.phase is Phase.MASK_INPUT and not self._asked:
            self._asked = frozenset(out.to for out in step.send)
        for event in step.events:
            if isinstance(event, SharesCorrected):
                self._false_shares = event.pairs
            if isinstance(event, SumOpened):
                self._opened = tuple(event.survivors)
                self._open(event.total, self._opened)
                self._session = None
        return step

    def _open(self, total: NDArray[np.uint32], survivors: tuple[int, ...]) -> None:
        if not survivors:
            self._close((), aborted="no site answered")
            return
        self.last_sum = self.schedule.encoding.from_ring(total)
        decoded = self.schedule.encoding.decode(self.last_sum)
        theta = self.outer.step(decoded)
        self._close(survivors, aborted=None, norm=float(np.linalg.norm(decoded)))
        try:
            check_model(theta)
        except UnsafeModel as error:
            raise RunError(
                f"the model diverged: {error.what}", f"round {self.round}", "lower the outer learning rate"
            ) from None

    def _close(self, survivors: tuple[int, ...], *, aborted: str | None, norm: float = 0.0) -> None:
        schedule, parameters = self.schedule, self._parameters
        if parameters is None:
            raise OutOfOrder("no round is open", where="server")
        if self._booked < self.round:  # an interrupt may come back here by way of `abort`
            self.accounts.record(uploaded=self._asked, survivors=frozenset(survivors))
            self._booked = self.round
        spent = self.accounts.spent()
        honest = schedule.honest(len(survivors)) if survivors else 0
        stated = schedule.private
        self.record(
            "round",
            {
                "session": parameters.session.hex(),
                "behaviour": parameters.behaviour_hash.hex(),
                "cohort": list(self.cohort),
                "asked": sorted(self._asked),
                "survivors": list(survivors),
                "aborted": aborted,
                "false_shares": [list(pair) for pair in self._false_shares],
                "honest": honest,
                "shift": decimal(schedule.shift(honest)) if survivors else None,
                "floor_shift": decimal(schedule.floor_shift),
                "model": model_digest(self.outer.theta),
                "delta": decimal(schedule.plan.delta),
                "epsilon": {view: decimal(value) if stated else "none" for view, value in spent.as_views().items()},
            },
        )
        self.closed = RoundClosed(self.round, len(self.cohort), survivors, spent, aborted, norm)
