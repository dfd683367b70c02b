# SPDX-License-Identifier: Apache-2.0
"""All parties of a run, wired together: a shell that carries bytes between a server and its sites.

A site may live in this process (`LocalSite`) or in one of its own (`pipes.PipedSite`); the same objects run in both,
and with the same entropy they write the same ledger.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fedmeta_crypto import SERVER, Entropy, ProtocolError, Step
from fedmeta_crypto.wire import DECRYPTOR, MessageType
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import JournalRolledBack, PrivacyError

from ..entropy import site_entropy
from ..errors import RemoteRefusal, RunError, StatementRefused
from ..performance import Performance
from ..schedule import Schedule
from .approximate import CkksDecryptor
from .client import SiteClient
from .closed import RoundClosed
from .contribution import Data
from .decryptor import LocalDecryptor
from .dropouts import dropout_pattern
from .identities import Credentials
from .server import Server
from .sessions import type_of
from .storage import GroupCommit, SiteStorage
from .witness import dispute_line

# A site that falls silent "at" a phase does not send this message.
_SILENT_AT: dict[int | None, str] = {
    MessageType.ADVERTISEMENT: "advertise",
    MessageType.SHARES: "share",
    MessageType.MASKED_INPUT: "mask",
    MessageType.CONSISTENCY: "vote",
    MessageType.UNMASKING: "unmask",
}


class Party(Protocol):
    """A site as the shell sees it."""

    def receive(self, message: bytes) -> Step:
        """Take one message of the server."""

    def settle(self) -> None:
        """Return once what the last step persists is durable; only then may its messages be delivered."""

    def affords(self, shift: float) -> bool:
        """Whether the site's own filter has room for a release of this squared shift."""

    def abort(self) -> None:
        """Leave the open round and wipe its secrets."""

    def close(self) -> None:
        """Leave the run."""


class LocalSite:
    """A site of this process, with its own files if it has a folder."""

    def __init__(
        self,
        client_id: int,
        data: Data,
        schedule: Schedule,
        folder: Path | None = None,
        disks: GroupCommit | None = None,
        *,
        credentials: Credentials | None = None,
        performance: Performance | None = None,
    ) -> None:
        """Make the site; `disks` is shared by the sites of one process. Signed rounds need `credentials`."""
        plan = schedule.plan

        def drawn(label: str) -> Entropy:
            return site_entropy(label, seed=plan.seed, insecure_reproducible=plan.insecure_reproducible)

        limit = schedule.limit if schedule.scale is not None else 0.0
        self._stored = SiteStorage(folder, limit, disks or GroupCommit()) if folder is not None else None
        self.client = SiteClient(
            client_id,
            data,
            schedule,
            self._stored.budget if self._stored else GdpFilter(limit),
            credentials=credentials,
            last_round=self._stored.last_round if self._stored else 0,
            seen_sessions=self._stored.seen_sessions if self._stored else frozenset(),
            heads=self._stored.heads if self._stored else (),
            begun=self._stored.begun if self._stored else frozenset(),
            entropy=drawn(f"site-{client_id}"),
            secrets=drawn(f"site-{client_id}-encryption"),
            performance=performance,
        )

    def receive(self, message: bytes) -> Step:
        """Take one message; `settle` before sending the answer."""
        try:
            step = self.client.receive(message)
        except StatementRefused as error:
            if self._stored is not None:
                self._stored.dispute(dispute_line(error, message))
            raise
        except JournalRolledBack as error:
            if self._stored is not None:
                self._stored.stop(dispute_line(error, message))
            raise
        if self._stored is not None:
            self._stored.keep(step.persist)
        return step

    def settle(self) -> None:
        """Wait until what must be durable is."""
        if self._stored is not None:
            self._stored.wait()

    def affords(self, shift: float) -> bool:
        """As the filter says."""
        return self.client.budget.affords(shift)

    def abort(self) -> None:
        """Wipe the open round."""
        self.client.abort()

    @property
    def kept(self) -> SiteStorage | None:
        """Its own files, if it has a folder."""
        return self._stored

    def close(self) -> None:
        """Wipe the open round and close the files."""
        try:
            self.client.abort()
        finally:
            if self._stored is not None:
                self._stored.close()


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One executed round with its cost on the wire and the clock."""

    closed: RoundClosed
    seconds: float
    bytes_sent: int
    rejected: tuple[str, ...] = field(default=())


class Simulation:
    """A server and its sites.

    Args:
        schedule: of the run; every party makes its own from the same plan.
        parties: by client id, strictly positive integers.
        credentials: the server's; signed rounds need them.
        decryptor: the second server, of a plan that has one.
        resumed: the parties go on with a run; whoever restores the server compares their charges with its books.
    """

    def __init__(
        self,
        schedule: Schedule,
        parties: Mapping[int, Party],
        *,
        credentials: Credentials | None = None,
        decryptor: LocalDecryptor | CkksDecryptor | None = None,
        resumed: bool = False,
    ) -> None:
        if schedule.decrypted != (decryptor is not None):
            raise RunError(
                "a plan with a decryptor needs one, and no other plan has one", "simulation", "pass `decryptor`"
            )
        self._decryptor = decryptor
        self.schedule = schedule
        self.cohort = tuple(sorted(parties))
        self._parties = dict(parties)
        if schedule.scale is not None and not resumed:
            # The server's books start empty: with a site that has spent before, the printed epsilon would forget it.
            nothing_spent = schedule.limit * (1 - 2.0**-40)
            used = [site for site, party in self._parties.items() if not party.affords(nothing_spent)]
            if used:
                raise RunError(
                    f"the budget of {len(used)} site(s) was used by an earlier run",
                    "sites' folders",
                    "start with fresh folders and count both runs, or restore the earlier run's server",
                )
        plan = schedule.plan
        entropy = site_entropy("server", seed=plan.seed, insecure_reproducible=plan.insecure_reproducible)
        self.server = Server(schedule, self.cohort, credentials=credentials, entropy=entropy)

    def rounds(self) -> Iterator[RoundReport]:
        """Run until the planned rounds are done or a filter has no room for another floor."""
        while self.server.round < self.schedule.plan.rounds and self.affords_round():
            yield self.run_round()

    def affords_round(self) -> bool:
        """Whether every site's own filter (and the server's books) would accept another round."""
        if self.schedule.scale is None:
            return True
        shift, excluded = self.schedule.floor_shift, self.server.excluded
        asked = [party for site, party in self._parties.items() if site not in excluded]
        return self.server.accounts.affords_round() and all(party.affords(shift) for party in asked)

    def run_round(self) -> RoundReport:
        """One round, from the announcement to the new model."""
        start = time.perf_counter()
        plan = self.schedule.plan
        silent = dropout_pattern(self.server.round + 1, self.cohort, rate=plan.dropout, seed=plan.seed)
        rejected: list[str] = []
        queue: deque[tuple[int, int, bytes]] = deque()  # sender, receiver, message
        gone: set[int] = set()
        sent, proposal = self._proposed()
        sent += _post(queue, SERVER, self.server.announce(proposal))
        while self.server.closed is None:
            if not queue:
                sent += _post(queue, SERVER, self.server.deadline())
                continue
            sender, receiver, message = queue.popleft()
            if sender in gone or receiver in gone:
                continue
            try:
                if receiver == SERVER and sender in silent and self._falls_silent(silent[sender], message):
                    gone.add(sender)
                    continue
                if receiver == SERVER:
                    if sender in self._parties:
                        self._parties[sender].settle()
                    step = self.server.receive(message, sender=sender)
                elif receiver == DECRYPTOR and self._decryptor is not None:
                    step = self._decryptor.receive(message)
                else:
                    step = self._parties[receiver].receive(message)
            except (ProtocolError, PrivacyError, RemoteRefusal, StatementRefused) as error:
                rejected.append(str(error))
                if receiver != SERVER:
                    gone.add(receiver)
                continue
            sent += _post(queue, receiver, step)
        for site in gone & self._parties.keys():
            self._parties[site].abort()
        if self._decryptor is not None:
            self._decryptor.abort()  # harmless after its one opening
        return RoundReport(self.server.closed, time.perf_counter() - start, sent, tuple(rejected))

    def _proposed(self) -> tuple[int, bytes | None]:
        """The decryptor's key for the next round, if there is a decryptor, and its size on the wire."""
        if self._decryptor is None:
            return 0, None
        (out,) = self._decryptor.begin(self.server.round + 1).send
        return len(out.message), out.message

    def close(self) -> None:
        """Close every site."""
        for party in self._parties.values():
            party.close()

    def _falls_silent(self, phase: str, message: bytes) -> bool:
        if not self.schedule.masked:
            return True  # there is one message only
        return _SILENT_AT.get(type_of(message)) == phase


def _post(queue: deque[tuple[int, int, bytes]], sender: int, step: Step) -> int:
    for out in step.send:
        queue.append((sender, out.to, out.message))
    return sum(len(out.message) for out in step.send)
