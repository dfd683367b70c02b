# SPDX-License-Identifier: Apache-2.0
"""A server whose sites are elsewhere: phase by phase, letters go out and answers come back until a deadline.

The same `Server` as in one process; a post that carries bytes is all that differs. With the same entropy the same
bytes cross, in the same order, and the same ledger is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from fedmeta_crypto import SERVER, ProtocolError, Step
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy.errors import PrivacyError

from ..entropy import site_entropy
from ..errors import RunError
from ..schedule import Schedule
from .approximate import CkksDecryptor
from .decryptor import LocalDecryptor
from .identities import Credentials
from .server import Server
from .simulation import RoundReport


@dataclass(frozen=True, slots=True)
class Refused:
    """A site's numbered error in place of an answer."""

    text: str


Answer = Sequence[bytes] | Refused


class Post(Protocol):
    """Whatever carries bytes to sites and back."""

    def exchange(self, letters: Mapping[int, Sequence[bytes]]) -> Mapping[int, Answer]:
        """Deliver each site's letters in order; the answers that came before the deadline, by site."""


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One exchange, for operators.

    Attributes:
        asked, late, refused: how many sites; who did not answer in time, and who answered with an error.
        seconds: from the first letter to the last answer, or the deadline.
        bytes_out, bytes_in: protocol bytes; what the post adds is not in them.
    """

    round: int
    asked: int
    late: tuple[int, ...]
    refused: tuple[int, ...]
    seconds: float
    bytes_out: int
    bytes_in: int

    def as_json(self) -> dict[str, object]:
        """All fields, for a log."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


@dataclass(slots=True)
class Exchange:
    """A run's server and the post that reaches its sites.

    Attributes:
        schedule: of the run; every site makes its own from the same plan.
        cohort: client ids.
        post: carries the bytes.
        credentials: the server's; signed rounds need them.
        decryptor: the second server, of a plan that has one.
        phases: of the newest round.
    Raises:
        RunError: the plan drops sites out by chance, which only a simulation does; or a decryptor is missing.
    """

    schedule: Schedule
    cohort: tuple[int, ...]
    post: Post
    credentials: Credentials | None = None
    decryptor: LocalDecryptor | CkksDecryptor | None = None
    server: Server = field(init=False)
    phases: list[PhaseReport] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        plan = self.schedule.plan
        if plan.dropout:
            raise RunError(
                f"dropout = {plan.dropout:g} drops sites out by chance", "exchange", "set dropout = 0: sites are real"
            )
        if self.schedule.decrypted != (self.decryptor is not None):
            raise RunError("a plan with a decryptor needs one, and no other plan has one", "exchange", "pass it")
        entropy = site_entropy("server", seed=plan.seed, insecure_reproducible=plan.insecure_reproducible)
        self.server = Server(self.schedule, self.cohort, credentials=self.credentials, entropy=entropy)

    def rounds(self) -> Iterator[RoundReport]:
        """Run until the planned rounds are done or the books have no room for another floor.

        Each site's own filter decides for itself: one without room answers with its error, and is missing.
        """
        while self.server.round < self.schedule.plan.rounds and self.server.accounts.affords_round():
            yield self.run_round()

    def run_round(self) -> RoundReport:
        """One round, from the announcement to the new model."""
        start = time.perf_counter()
        self.phases = []
        gone: set[int] = set()
        rejected: list[str] = []
        waiting: dict[int, list[bytes]] = {}
        sent = 0
        proposal = None
        if self.decryptor is not None:
            (out,) = self.decryptor.begin(self.server.round + 1).send
            proposal = out.message
            sent += len(proposal)
        sent += self._address(self.server.announce(proposal), waiting, gone, rejected)
        while self.server.closed is None:
            if not waiting:
                sent += self._address(self.server.deadline(), waiting, gone, rejected)
                continue
            letters, waiting = waiting, {}
            for site, answer in self._posted(letters).items():
                if isinstance(answer, Refused):
                    rejected.append(answer.text)
                    gone.add(site)
                    continue
                for message in answer:
                    sent += len(message)
                    sent += self._address(self._taken(message, site, rejected), waiting, gone, rejected)
            gone.update(late for phase in self.phases[-1:] for late in phase.late)
            waiting = {site: letters for site, letters in waiting.items() if site not in gone}
        if self.decryptor is not None:
            self.decryptor.abort()  # harmless after its one opening
        return RoundReport(self.server.closed, time.perf_counter() - start, sent, tuple(rejected))

    def _posted(self, letters: Mapping[int, Sequence[bytes]]) -> dict[int, Answer]:
        """The answers, in the order of ids, of those who were asked."""
        start = time.perf_counter()
        came = self.post.exchange(letters)
        answers = {site: came[site] for site in sorted(letters) if site in came}
        self.phases.append(
            PhaseReport(
                self.server.round,
                len(letters),
                tuple(site for site in sorted(letters) if site not in answers),
                tuple(site for site, answer in answers.items() if isinstance(answer, Refused)),
                time.perf_counter() - start,
                sum(len(letter) for each in letters.values() for letter in each),
                sum(len(m) for answer in answers.values() if not isinstance(answer, Refused) for m in answer),
            )
        )
        return answers

    def _taken(self, message: bytes, sender: int, rejected: list[str]) -> Step:
        try:
            return self.server.receive(message, sender=sender)
        except (ProtocolError, PrivacyError) as error:
            rejected.append(str(error))
            return Step()

    def _address(self, step: Step, waiting: dict[int, list[bytes]], gone: set[int], rejected: list[str]) -> int:
        """Sort a step's messages by receiver; the decryptor, which is here, is asked at once. Returns their bytes."""
        sent = 0
        for out in step.send:
            sent += len(out.message)
            if out.to == DECRYPTOR and self.decryptor is not None:
                try:
                    opened = self.decryptor.receive(out.message)
                except (ProtocolError, PrivacyError) as error:
                    rejected.append(str(error))
                    continue
                for back in opened.send:
                    sent += len(back.message)
                    sent += self._address(self._taken(back.message, DECRYPTOR, rejected), waiting, gone, rejected)
            elif out.to != SERVER and out.to not in gone:
                waiting.setdefault(out.to, []).append(out.message)
        return sent
