# SPDX-License-Identifier: Apache-2.0
"""The server's side of a round: collects, forwards, adds, and opens only the sum.

    ANNOUNCE --announce/M0--> ADVERTISE_KEYS --M1*/M2--> SHARE_KEYS --M3*/M4--> MASK_INPUT
        --M5*/M6--> UNMASK --M9*/SumOpened--> DONE              any --too few, bad shares--> FAILED

A phase closes when everyone expected has answered, or at its deadline with those who have. The server
holds no secret and needs no entropy: its nonce is part of the parameters.

Source: Bonawitz et al., CCS 2017, figure 4, without its consistency round.
"""

import numpy as np

from fedmeta_crypto.errors import (
    BadKey,
    BadMessage,
    BadShare,
    OutOfOrder,
    Repeated,
    Stranger,
    TooFewSurvivors,
    Unexpected,
)
from fedmeta_crypto.keys import check_public
from fedmeta_crypto.messages import (
    Delivery,
    KeyAdvertisement,
    MaskedInput,
    Message,
    Roster,
    SealedShares,
    SurvivorList,
    UnmaskingShares,
    max_bytes,
    message_digest,
    view_digest,
)
from fedmeta_crypto.ring import reduce_in_place
from fedmeta_crypto.sealed import NO_BOX, SecretKind
from fedmeta_crypto.secagg.opening import open_sum
from fedmeta_crypto.secagg.parameters import RoundParameters, session_of
from fedmeta_crypto.secagg.step import Outgoing, Phase, PhaseClosed, Step, SumOpened
from fedmeta_crypto.wire import SERVER, Header, MessageType, Reader, check_header, frame, unframe

# The grammar: the one message type that each phase collects.
_COLLECTS = {
    Phase.ADVERTISE_KEYS: MessageType.ADVERTISEMENT,
    Phase.SHARE_KEYS: MessageType.SHARES,
    Phase.MASK_INPUT: MessageType.MASKED_INPUT,
    Phase.UNMASK: MessageType.UNMASKING,
}
_COLLECTED_IN = {kind: phase for phase, kind in _COLLECTS.items()}
_NEXT = {
    Phase.ADVERTISE_KEYS: Phase.SHARE_KEYS,
    Phase.SHARE_KEYS: Phase.MASK_INPUT,
    Phase.MASK_INPUT: Phase.UNMASK,
    Phase.UNMASK: Phase.DONE,
}


class ServerSession:
    """The server in one round.

    Memory:     O(length) for the sum, which is the only vector kept, and O(n^2) for sealed shares.
    Guarantee:  `SumOpened` holds the exact sum modulo 2^b of the survivors' vectors, or the round ends in
                a named error and nothing is opened. `TooFewSurvivors` and `BadShare` are terminal.
    Source:     Bonawitz et al., CCS 2017, figure 4.

    Example:
        >>> server = ServerSession(RoundParameters(round=1, cohort=(3, 5, 8), threshold=2,
        ...     min_survivors=3, modulus_bits=32, length=4, behaviour_hash=bytes(32),
        ...     server_nonce=bytes(32), body=b""))
        >>> [outgoing.to for outgoing in server.announce().send], server.phase.name
        ([3, 5, 8], 'ADVERTISE_KEYS')
    """

    def __init__(self, parameters: RoundParameters) -> None:
        self.parameters = parameters
        self._announcement = parameters.to_message()
        self.session = session_of(self._announcement)
        self.phase = Phase.ANNOUNCE
        self._members = parameters.cohort  # who is expected in this phase
        self._answered: dict[Phase, set[int]] = {phase: set() for phase in _COLLECTS}
        self._limit = max(
            max_bytes(kind, members=len(parameters.cohort), length=parameters.length) for kind in _COLLECTS.values()
        )
        self._adverts: dict[int, KeyAdvertisement] = {}
        self._publics: set[bytes] = set()
        self._boxes: dict[int, dict[int, bytes]] = {}
        self._mask_set: tuple[int, ...] = ()
        self._view = b""
        self._digests: dict[int, bytes] = {}
        self._sum = np.zeros(parameters.length, np.uint32)
        self._answers: dict[int, dict[int, bytes]] = {}

    def __repr__(self) -> str:
        return f"ServerSession(round={self.parameters.round}, phase={self.phase.name})"

    def announce(self) -> Step:
        """Send M0 to every member of the cohort; once."""
        if self.phase is not Phase.ANNOUNCE:
            raise OutOfOrder("the round was announced already", where="announce")
        self.phase = Phase.ADVERTISE_KEYS
        return Step(send=tuple(Outgoing(id_, self._announcement) for id_ in self.parameters.cohort))

    def receive(self, message: bytes, *, sender: int) -> Step:
        """Take one message of a client.

        Args:       sender: who the transport says it is; the header must say the same.
        Raises:     PeerProtocolError: refused, nothing changed (log it and go on).  TooFewSurvivors,
                    BadShare with `phase` FAILED: it was the last answer and the round cannot be opened.
                    OutOfOrder: not announced yet.
        """
        if self.phase is Phase.ANNOUNCE:
            raise OutOfOrder("announce the round first", where="receive")
        if sender not in self.parameters.cohort:
            raise Stranger("not in the cohort", sender=sender, where="receive")
        header, payload = unframe(message, sender=sender, max_bytes=self._limit)
        check_header(header, session=self.session, round_=self.parameters.round, sender=sender)
        self._expect(header.type, sender)
        reader = Reader(payload, sender=sender, where=header.type.where)
        match header.type:
            case MessageType.ADVERTISEMENT:
                self._take_keys(KeyAdvertisement.read(reader), sender)
            case MessageType.SHARES:
                self._take_boxes(SealedShares.read(reader), sender)
            case MessageType.MASKED_INPUT:
                bits, length = self.parameters.modulus_bits, self.parameters.length
                masked = MaskedInput.read(reader, bits=bits, length=length, sender=sender)
                self._take_input(masked, message, sender)
            case _:
                self._take_answers(UnmaskingShares.read(reader), sender)
        answered = self._answered[self.phase]
        answered.add(sender)
        return self._close() if len(answered) == len(self._members) else Step()

    def deadline(self, phase: Phase) -> Step:
        """Close `phase` with those who have answered; no effect if it is over already.

        Raises:     TooFewSurvivors: the round cannot go on, and is FAILED.  OutOfOrder: a later phase.
        """
        if phase not in _COLLECTS or phase > self.phase:
            raise OutOfOrder(f"{phase.name} has not begun", where="deadline")
        return self._close() if phase is self.phase else Step()

    def _expect(self, kind: MessageType, sender: int) -> None:
        phase = _COLLECTED_IN.get(kind)
        if phase is not None and sender in self._answered[phase]:
            raise Repeated("this client sent one already", sender=sender, where=kind.where)
        if phase is not self.phase:
            raise Unexpected(f"not expected in {self.phase.name}", sender=sender, where=kind.where)
        if sender not in self._members:
            raise Unexpected("this client left the round", sender=sender, where=kind.where)

    def _take_keys(self, advert: KeyAdvertisement, sender: int) -> None:
        publics = {advert.cipher_public, advert.mask_public}
        for public in publics:
            check_public(public, sender=sender, where="advertisement")
        if len(publics) < 2 or publics & self._publics:
            raise BadKey("a public key occurs twice", sender=sender, where="advertisement")
        self._publics |= publics
        self._adverts[sender] = advert

    def _take_boxes(self, shares: SealedShares, sender: int) -> None:
        boxes = dict(shares.boxes)
        if tuple(boxes) != tuple(id_ for id_ in self._members if id_ != sender):
            raise BadMessage("not one box for every other member", sender=sender, where="shares")
        self._boxes[sender] = boxes

    def _take_input(self, masked: MaskedInput, message: bytes, sender: int) -> None:
        if masked.view_digest != self._view:
            raise BadMessage("masked for another mask set", sender=sender, where="masked_input")
        self._digests[sender] = message_digest(message)
        np.add(self._sum, masked.vector, out=self._sum)

    def _take_answers(self, shares: UnmaskingShares, sender: int) -> None:
        alive, mask_set = set(self._members), set(self._mask_set)
        for peer, kind, _ in shares.answers:
            right = SecretKind.SELF_MASK if peer in alive else SecretKind.MASK_KEY
            if peer == sender or peer not in mask_set or kind is not right:
                raise BadMessage(f"an answer nobody asked for, on {peer}", sender=sender, where="unmasking")
        self._answers[sender] = {peer: share for peer, _, share in shares.answers}

    def _close(self) -> Step:
        phase, parameters = self.phase, self.parameters
        members = tuple(id_ for id_ in self._members if id_ in self._answered[phase])
        missing = tuple(id_ for id_ in self._members if id_ not in self._answered[phase])
        # To open takes t shares of each secret, and nobody holds shares of his own: t + 1 answers.
        need = parameters.threshold + 1 if phase is Phase.UNMASK else parameters.min_survivors
        if len(members) < need:
            self._fail()
            raise TooFewSurvivors(need=need, have=len(members), phase=phase.name)
        closed = PhaseClosed(phase, members, missing)
        if phase is Phase.UNMASK:
            return Step(events=(closed, self._open()))
        self._members = members
        send = self._lists(phase)
        self.phase = _NEXT[phase]
        return Step(send=send, events=(closed,))

    def _lists(self, phase: Phase) -> tuple[Outgoing, ...]:
        """The message that tells the members who is still there."""
        members = self._members
        if phase is Phase.SHARE_KEYS:
            self._mask_set, self._view = members, view_digest(self.session, members)
            boxes, self._boxes = self._boxes, {}
            rows = {to: tuple((u, NO_BOX if u == to else boxes[u][to]) for u in members) for to in members}
            return tuple(Outgoing(to, self._framed(Delivery(row))) for to, row in rows.items())
        if phase is Phase.ADVERTISE_KEYS:
            message = self._framed(Roster(tuple((id_, self._adverts[id_]) for id_ in members)))
        else:
            message = self._framed(SurvivorList(tuple((id_, self._digests[id_]) for id_ in members)))
        return tuple(Outgoing(to, message) for to in members)

    def _open(self) -> SumOpened:
        survivors, total = self._members, self._sum
        try:
            false = open_sum(
                total,
                parameters=self.parameters,
                session=self.session,
                adverts=self._adverts,
                dropped=_without(self._mask_set, survivors),
                survivors=survivors,
                answers=self._answers,
            )
        except (BadShare, TooFewSurvivors):
            self._fail()
            raise
        reduce_in_place(total, self.parameters.modulus_bits)
        self._answers = {}
        self.phase = Phase.DONE
        return SumOpened(total, survivors, _without(self.parameters.cohort, survivors), false)

    def _fail(self) -> None:
        self.phase = Phase.FAILED
        self._boxes, self._answers = {}, {}
        self._sum = np.zeros(0, np.uint32)

    def _framed(self, message: Message) -> bytes:
        header = Header(message.TYPE, self.session, self.parameters.round, SERVER)
        return frame(header, message.payload())


def _without(ids: tuple[int, ...], gone: tuple[int, ...]) -> tuple[int, ...]:
    excluded = set(gone)
    return tuple(id_ for id_ in ids if id_ not in excluded)
