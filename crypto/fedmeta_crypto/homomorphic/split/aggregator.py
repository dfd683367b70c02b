# SPDX-License-Identifier: Apache-2.0
"""The aggregator of a masked split: `ServerSession`'s surface, with a decryptor beside the clients and no key in reach.

    ANNOUNCE --announce/M0 to the decryptor--> --its offer/announcements--> ADVERTISE_KEYS .. UNMASK, as in any round
        --M9* and the decryptor's words--> DONE      M9*, but no words yet: DECRYPT     any --too few, silence--> FAILED

Each parcel that is taken goes on to the decryptor at once, and M6 and M8 follow: the decryptor adds as they come, so
that neither side ever holds more than one upload and one sum.

How an application wires it:

1. `Decryptor.begin(round)` gives a proposal, sent to the server (its `Outgoing.to` is `SERVER`).
2. The server calls `proposed_key` on it, and makes `RoundParameters(modulus_bits=0, modulus=scheme.modulus,
   length=scheme.session_length, key_hash=key.hash, ...)` at a signed strength: so the key is bound into M0, the session
   and every mask.
3. `AddingServer(parameters, ...).announce()` sends M0 to `wire.DECRYPTOR`, whose answer, handed to
   `receive(..., sender=DECRYPTOR)`, makes it send every client its announcement (M0 and offer in one message).
4. From here on `Outgoing`s to `DECRYPTOR` go to `Decryptor.receive`, and what that returns to `receive` as above.
"""

from dataclasses import replace
from typing import Never

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import OutOfOrder, PlanRefused, Repeated, Stranger, Unexpected
from fedmeta_crypto.homomorphic.errors import DecryptorSilent, KeyInReach, NoCiphertext
from fedmeta_crypto.homomorphic.parcel import is_parcel
from fedmeta_crypto.homomorphic.split.client import offered_key
from fedmeta_crypto.homomorphic.split.evidence import read_upload
from fedmeta_crypto.homomorphic.split.messages import (
    Kind,
    RoundKey,
    announcement,
    read_opened,
    read_proposal,
    unframe,
)
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.modular import Words
from fedmeta_crypto.secagg.authentication import Authenticator
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.server import ServerSession
from fedmeta_crypto.secagg.step import Event, Outgoing, Phase, ResidueOpened, Step, SumOpened
from fedmeta_crypto.wire import DECRYPTOR, SERVER, MessageType, claimed_type

_WHERE = "aggregator"
_FOR_DECRYPTOR = (MessageType.SURVIVORS, MessageType.CONSISTENCY_PROOF)


def proposed_key(proposal: bytes, *, scheme: SplitScheme, round_: int, people: AllowList) -> RoundKey:
    """The key that the decryptor proposes for a round; its `hash` goes into `RoundParameters.key_hash`.

    Raises:     WrongKey: of another scheme, or no public key.  KeyInReach: it holds a secret key.  BadSignature and
                what else bytes can be refused for.
    """
    if not isinstance(proposal, bytes):
        raise KeyInReach("an aggregator takes a proposal's bytes, no object that could hold a key", where=_WHERE)
    most = scheme.offer_bytes
    key = read_proposal(proposal, scheme_digest=scheme.digest, round_=round_, people=people, max_bytes=most)
    scheme.cipher.check_public_key(key.public_key)
    return key


class AddingServer:
    """The aggregator in one round: learns the sum and holds no key.

    Guarantee:  `SumOpened` holds the sum modulo 2^B of the survivors' vectors, exact under `SplitScheme`'s condition
                and if the decryptor decrypts rightly; or the round ends in a named error and nothing is opened.
    Args:       parameters: of a detached round, with the hash of the proposed key.  proposal: the decryptor's bytes,
                for this round.  scheme: as in the plan.  identity, allow_list: as for `ServerSession`; the list names
                `wire.DECRYPTOR`.
    Raises:     PlanRefused: a round of another scheme.  KeyInReach: anything but public bytes.  WrongKey: a key of
                another scheme.
    Memory:     one sum, whatever the number of clients.
    """

    trust = TrustModel.SPLIT_MASKED

    def __init__(
        self,
        parameters: RoundParameters,
        *,
        scheme: SplitScheme,
        proposal: bytes,
        identity: Identity,
        allow_list: AllowList,
    ) -> None:
        scheme.check(parameters)
        key = proposed_key(proposal, scheme=scheme, round_=parameters.round, people=allow_list)
        if key.hash != parameters.key_hash:
            raise PlanRefused("the parameters name another key than the proposal", where=_WHERE)
        self._inner = ServerSession(parameters, identity=identity, allow_list=allow_list)
        self.parameters = parameters
        self.session = self._inner.session
        self.scheme = scheme
        self._people = allow_list
        self._wire = Authenticator(
            parameters, session=self.session, me=SERVER, identity=identity, allow_list=allow_list
        )
        self._announced: Step | None = None  # what waits for the offer
        self._begun = self._failed = self._opened = False
        self._commitments: dict[int, bytes] = {}
        self._words: Words | None = None
        self._residue: ResidueOpened | None = None

    def __repr__(self) -> str:
        return f"AddingServer(round={self.parameters.round}, phase={self.phase.name})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled, as the sessions are."""
        raise TypeError("a session is one-shot and cannot be copied")

    @property
    def phase(self) -> Phase:
        """Where the round is; `DECRYPT` is the wait for the decryptor's words when all else is there."""
        if self._failed:
            return Phase.FAILED
        if not self._begun:
            return Phase.ANNOUNCE
        inner = self._inner.phase
        return Phase.DECRYPT if inner is Phase.DONE and not self._opened else inner

    @property
    def agreed(self) -> bytes:
        """As `ServerSession.agreed`."""
        return self._inner.agreed

    def attachments(self) -> tuple[tuple[int, bytes], ...]:
        """(id, the application's 32 bytes) of each parcel taken, by id."""
        return tuple(sorted(self._commitments.items()))

    def announce(self) -> Step:
        """Send M0 to the decryptor; once. The clients get theirs when its offer is there."""
        self._announced = self._inner.announce()
        return Step(send=(Outgoing(DECRYPTOR, self._announced.send[0].message),))

    def receive(self, message: bytes, *, sender: int) -> Step:
        """Take one message of a client or of the decryptor (`sender` is `wire.DECRYPTOR`).

        Raises:     PeerProtocolError: refused, nothing changed.  TooFewSurvivors, BadShare with `phase` FAILED.
                    OutOfOrder: not announced yet.
        """
        if self._announced is None and not self._begun:
            raise OutOfOrder("announce the round first", where="receive")
        if sender == DECRYPTOR:
            return self._take_words(message) if self._begun else self._take_offer(message)
        if not self._begun:
            raise OutOfOrder("the decryptor has offered no key yet", where="receive")
        if is_parcel(message):
            return self._take_parcel(message, sender)
        if claimed_type(message) == MessageType.MASKED_INPUT:
            raise NoCiphertext("a masked input without its ciphertext", sender=sender, where="masked_input")
        return self._advance(self._inner.receive(message, sender=sender))

    def deadline(self, phase: Phase) -> Step:
        """Close `phase` with those who have answered; no effect if it is over already.

        Raises:     TooFewSurvivors: the round cannot go on.  DecryptorSilent: it waits for the decryptor only, and is
                    FAILED now.  OutOfOrder: a later phase.
        """
        if self.phase is Phase.FAILED:
            return Step()
        if phase not in (Phase.ANNOUNCE, Phase.DECRYPT):
            return self._advance(self._inner.deadline(phase))
        if phase is self.phase and (self._begun or self._announced is not None):
            self._failed = True
            self._words = self._residue = None
            raise DecryptorSilent(f"no answer by the deadline of {phase.name}", where=_WHERE)
        if not (self._begun if phase is Phase.ANNOUNCE else self._opened):
            raise OutOfOrder(f"{phase.name} has not begun", where="deadline")
        return Step()

    def publish(self, record: bytes) -> Step:
        """As `ServerSession.publish`, after `SumOpened`."""
        if not self._opened:
            raise OutOfOrder(f"no record can be published when {self.phase.name}", where="publish")
        return self._inner.publish(record)

    def _take_offer(self, offer: bytes) -> Step:
        parameters, announced = self.parameters, self._announced
        if announced is None:
            raise OutOfOrder("announce the round first", where="receive")
        offered_key(offer, parameters=parameters, session=self.session, scheme=self.scheme, people=self._people)
        self._announced, self._begun = None, True
        return Step(send=tuple(Outgoing(out.to, announcement(out.message, offer)) for out in announced.send))

    def _take_parcel(self, message: bytes, sender: int) -> Step:
        where = MessageType.MASKED_INPUT.where
        if sender not in self.parameters.cohort:
            raise Stranger("not in the cohort", sender=sender, where=where)
        if sender in self._commitments:
            raise Repeated("this client sent one already", sender=sender, where=where)
        if self.phase is not Phase.MASK_INPUT:  # nothing is hashed or parsed for those who come late
            raise Unexpected(f"not expected in {self.phase.name}", sender=sender, where=where)
        upload = read_upload(message, wire=self._wire, parameters=self.parameters, scheme=self.scheme, sender=sender)
        # The inner session refuses what is masked for others or sent by one who left; only what it counts goes on.
        step = self._inner.receive(upload.parcel.masked_input, sender=sender)
        self._commitments[sender] = upload.parcel.commitment
        step = self._advance(step)
        return replace(step, send=(Outgoing(DECRYPTOR, message), *step.send))

    def _take_words(self, message: bytes) -> Step:
        if self._words is not None:
            raise Repeated("the sum was opened already", sender=DECRYPTOR, where=Kind.OPENED.where)
        length, modulus = self.scheme.session_length, self.scheme.modulus
        payload = unframe(
            message,
            Kind.OPENED,
            session=self.session,
            round_=self.parameters.round,
            people=self._people,
            max_bytes=self.scheme.opened_bytes,
        )
        self._words = read_opened(payload, survivors_digest=self.agreed, length=length, modulus=modulus)
        return Step(events=self._sum())

    def _advance(self, step: Step) -> Step:
        """What the inner session did, with copies for the decryptor, and the sum when residue and words are there."""
        copies = [out.message for out in step.send if claimed_type(out.message) in _FOR_DECRYPTOR]
        send = (*step.send, Outgoing(DECRYPTOR, copies[0])) if copies else step.send
        events: list[Event] = []
        for event in step.events:
            if isinstance(event, ResidueOpened):
                self._residue = event
                events += self._sum()
            else:
                events.append(event)
        return replace(step, send=send, events=tuple(events))

    def _sum(self) -> tuple[Event, ...]:
        words, opened = self._words, self._residue
        if words is None or opened is None:
            return ()
        modulus = np.uint64(self.scheme.modulus)
        # Both are below t: the difference leaves [0, t) downwards by less than t, and wraps around 2^64 there.
        left = words - opened.residue
        np.minimum(left, left + modulus, out=left)
        total: NDArray[np.uint32] = self.scheme.unpack(left)
        self._opened, self._residue = True, None
        self._words = np.zeros(0, np.uint64)
        return (SumOpened(total, opened.survivors, opened.dropped, opened.surplus),)
