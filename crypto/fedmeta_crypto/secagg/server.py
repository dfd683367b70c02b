# SPDX-License-Identifier: Apache-2.0
"""The server's side of a round: collects, forwards, adds, and opens only the sum.

    ANNOUNCE --announce/M0--> ADVERTISE_KEYS --M1*/M2--> SHARE_KEYS --M3*/M4--> MASK_INPUT
        --M5*/M6--> UNMASK --M9*/SumOpened--> DONE              any --too few, bad shares--> FAILED
    under signatures:                      MASK_INPUT --M5*/M6--> CONSISTENCY --M7*/M8--> UNMASK
        and, if wanted, DONE --publish/M10--> COUNTERSIGN --M11*/RecordCountersigned--> RECORDED

A phase closes when everyone expected has answered, or at its deadline with those who have. The server
holds no secret and needs no entropy: its nonce is part of the parameters.

Source: Bonawitz et al., CCS 2017, figure 4, on a graph as in Bell et al., CCS 2020; its consistency round under
signatures only.
"""

from collections import defaultdict
from collections.abc import Callable

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
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import check_public
from fedmeta_crypto.messages import (
    ConsistencyProof,
    ConsistencyVote,
    Delivery,
    Evidence,
    KeyAdvertisement,
    MaskedInput,
    Message,
    Roster,
    SealedShares,
    SurvivorList,
    UnmaskingShares,
    max_bytes,
    survivors_digest,
    view_digest,
)
from fedmeta_crypto.records import Countersignature, RoundRecord, record_digest
from fedmeta_crypto.ring import word
from fedmeta_crypto.sealed import KINDS, no_box
from fedmeta_crypto.secagg.authentication import Authenticator
from fedmeta_crypto.secagg.opening import open_sum, opened_sum
from fedmeta_crypto.secagg.parameters import Graph, RoundParameters, kinds_open
from fedmeta_crypto.secagg.step import Event, Outgoing, Phase, PhaseClosed, RecordCountersigned, Step
from fedmeta_crypto.wire import SERVER, MessageType, Reader, signature_of

# The grammar: the one message type that each phase collects.
_COLLECTS = {
    Phase.ADVERTISE_KEYS: MessageType.ADVERTISEMENT,
    Phase.SHARE_KEYS: MessageType.SHARES,
    Phase.MASK_INPUT: MessageType.MASKED_INPUT,
    Phase.CONSISTENCY: MessageType.CONSISTENCY,
    Phase.UNMASK: MessageType.UNMASKING,
    Phase.COUNTERSIGN: MessageType.COUNTERSIGNATURE,
}
_COLLECTED_IN = {kind: phase for phase, kind in _COLLECTS.items()}
_NEXT = {
    Phase.ADVERTISE_KEYS: Phase.SHARE_KEYS,
    Phase.SHARE_KEYS: Phase.MASK_INPUT,
    Phase.MASK_INPUT: Phase.UNMASK,
    Phase.CONSISTENCY: Phase.UNMASK,
}


class ServerSession:
    """The server in one round.

    Memory:     O(length) for the sum, which is the only vector kept, and O(n k) for sealed shares.
    Guarantee:  `SumOpened` holds the exact sum modulo 2^b of the survivors' vectors, or the round ends in
                a named error and nothing is opened. `TooFewSurvivors` and `BadShare` are terminal.
    Args:       identity, allow_list: in a signed round, to sign with and to verify by.
    Raises:     PlanRefused: a signed round without them, or announced for other keys.
    Source:     Bonawitz et al., CCS 2017, figure 4.

    Example:
        >>> server = ServerSession(RoundParameters(round=1, cohort=(3, 5, 8), threshold=2,
        ...     min_survivors=3, modulus_bits=32, length=4, behaviour_hash=bytes(32),
        ...     server_nonce=bytes(32), body=b""))
        >>> [outgoing.to for outgoing in server.announce().send], server.phase.name
        ([3, 5, 8], 'ADVERTISE_KEYS')
    """

    def __init__(
        self, parameters: RoundParameters, *, identity: Identity | None = None, allow_list: AllowList | None = None
    ) -> None:
        self.parameters = parameters
        self.session = parameters.session
        self._wire = Authenticator(
            parameters, session=self.session, me=SERVER, identity=identity, allow_list=allow_list
        )
        signed = self._wire.signed
        self._announcement = parameters.to_message(identity.sign if signed and identity is not None else None)
        self.phase = Phase.ANNOUNCE
        self._members = parameters.cohort  # who is expected in this phase
        self._answered: dict[Phase, set[int]] = {phase: set() for phase in _COLLECTS}
        k, kinds = parameters.neighbours, set(_COLLECTS.values()) - {MessageType.CONSISTENCY}
        sizes = {"members": k, "length": parameters.form[0], "surplus": parameters.surplus}
        self._limit = max(max_bytes(kind, signed=signed, **sizes) for kind in kinds)
        self._adverts: dict[int, KeyAdvertisement] = {}
        self._publics: set[bytes] = set()
        self._boxes: dict[int, dict[int, bytes]] = {}
        self._commitments: dict[int, tuple[bytes, ...]] = {}  # to each client's surplus secrets
        self._mask_set: tuple[int, ...] = ()
        self._views: dict[int, bytes] = {}  # digest of the part of U2 that each client was shown
        self._agreed = b""  # digest of U3
        self._published = b""  # digest of the record
        self._digests: dict[int, bytes] = {}
        self._attachments: dict[int, bytes] = {}
        self._survivors: tuple[int, ...] = ()
        # Of each M1, M5, M7 and M11 as the round needs them; empty bytes without signatures.
        self._signatures: dict[MessageType, dict[int, bytes]] = {kind: {} for kind in _COLLECTED_IN}
        length, bits = parameters.form
        self._sum = np.zeros(length, word(bits))
        self._answers: dict[int, dict[int, dict[int, bytes]]] = {}  # 0 or number of surplus secret -> holder -> dealer

    def __repr__(self) -> str:
        return f"ServerSession(round={self.parameters.round}, phase={self.phase.name})"

    def announce(self) -> Step:
        """Send M0 to every member of the cohort; once."""
        if self.phase is not Phase.ANNOUNCE:
            raise OutOfOrder("the round was announced already", where="announce")
        self.phase = Phase.ADVERTISE_KEYS
        return Step(send=tuple(Outgoing(id_, self._announcement) for id_ in self.parameters.cohort))

    @property
    def agreed(self) -> bytes:
        """Digest of the survivors that the clients signed, which M11 is bound to; empty without signatures."""
        return self._agreed

    def attachments(self) -> tuple[tuple[int, bytes], ...]:
        """(id, attachment_hash 32) of each masked input taken, by id."""
        return tuple(sorted(self._attachments.items()))

    def publish(self, record: bytes) -> Step:
        """Send the application's statement about the round (M10) to everyone who answered; once, after `SumOpened`.

        `RecordCountersigned` follows when all of them have countersigned, or at the deadline of `COUNTERSIGN`.

        Raises:     OutOfOrder: the sum is not open, a record was published, or the round has no signatures.
                    BadArgument: no bytes, or more than `records.MAX_RECORD_BYTES`.
        """
        if not self._wire.signed:
            raise OutOfOrder("a round without signatures has no record to countersign", where="publish")
        if self.phase is not Phase.DONE:
            raise OutOfOrder(f"no record can be published when {self.phase.name}", where="publish")
        framed = self._wire.frame(RoundRecord(record))
        self._published = record_digest(self.session, self._agreed, record)
        self._members = tuple(id_ for id_ in self._members if id_ in self._answered[Phase.UNMASK])
        self.phase = Phase.COUNTERSIGN
        return Step(send=tuple(Outgoing(to, framed) for to in self._members))

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
        header, payload = self._wire.unframe(message, sender=sender, max_bytes=self._limit)
        self._expect(header.type, sender)
        content = self._wire.verify(message, header, payload)
        reader = Reader(payload, sender=sender, where=header.type.where)
        match header.type:
            case MessageType.ADVERTISEMENT:
                self._take_keys(KeyAdvertisement.read(reader), sender)
            case MessageType.SHARES:
                self._take_boxes(SealedShares.read(reader, surplus=self.parameters.surplus), sender)
            case MessageType.MASKED_INPUT:
                length, bits = self.parameters.form
                masked = MaskedInput.read(reader, bits=bits, length=length, sender=sender)
                self._take_input(masked, content, sender)
            case MessageType.CONSISTENCY:
                self._take_vote(ConsistencyVote.read(reader), sender)
            case MessageType.COUNTERSIGNATURE:
                self._take_countersignature(Countersignature.read(reader), sender)
            case _:
                self._take_answers(UnmaskingShares.read(reader, surplus=self.parameters.surplus), sender)
        if self._wire.signed:
            self._signatures[header.type][sender] = signature_of(message)
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
        if tuple(boxes) != self._near(sender):
            raise BadMessage("not one box for every neighbour", sender=sender, where="shares")
        self._boxes[sender] = boxes
        self._commitments[sender] = shares.commitments

    def _take_input(self, masked: MaskedInput, digest: bytes, sender: int) -> None:
        if masked.view_digest != self._views[sender]:
            raise BadMessage("masked for another mask set", sender=sender, where="masked_input")
        self._digests[sender] = digest
        self._attachments[sender] = masked.attachment_hash
        np.add(self._sum, masked.vector, out=self._sum)

    def _take_vote(self, vote: ConsistencyVote, sender: int) -> None:
        if vote.digest != self._agreed:
            raise BadMessage("a vote for other survivors", sender=sender, where="consistency")

    def _take_countersignature(self, answer: Countersignature, sender: int) -> None:
        if answer.digest != self._published:
            raise BadMessage("a countersignature on something else", sender=sender, where="countersignature")

    def _take_answers(self, shares: UnmaskingShares, sender: int) -> None:
        alive, near = set(self._survivors), set(self._near(sender, self._mask_set))
        asked = kinds_open(self.parameters, len(alive))
        given: defaultdict[int, list[int]] = defaultdict(list)
        sorted_: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        for peer, kind, share in shares.answers:
            given[peer].append(kind)
            sorted_[max(0, kind - len(KINDS))][peer] = share
        for peer, kinds in given.items():
            if peer not in near or tuple(kinds) != asked[peer in alive]:
                raise BadMessage(f"not the answers that were asked for, on {peer}", sender=sender, where="unmasking")
        for number, of_dealer in sorted_.items():
            self._answers.setdefault(number, {})[sender] = of_dealer

    def _close(self) -> Step:
        phase, parameters = self.phase, self.parameters
        members = tuple(id_ for id_ in self._members if id_ in self._answered[phase])
        missing = tuple(id_ for id_ in self._members if id_ not in self._answered[phase])
        # To open takes t shares of each secret, and nobody holds shares of his own: t + 1 answers.
        answers = parameters.threshold + 1
        special = {
            Phase.CONSISTENCY: max(parameters.fewest_votes, answers),
            Phase.UNMASK: answers,
            Phase.COUNTERSIGN: 0,
        }
        need = special.get(phase, parameters.min_survivors)
        if len(members) < need:
            self._fail()
            raise TooFewSurvivors(need=need, have=len(members), phase=phase.name)
        closed = PhaseClosed(phase, members, missing)
        if phase is Phase.UNMASK:
            return Step(events=(closed, *self._open()))
        if phase is Phase.COUNTERSIGN:
            self.phase = Phase.RECORDED
            signatures = self._signatures[MessageType.COUNTERSIGNATURE]
            signed = tuple((id_, signatures[id_]) for id_ in members)
            return Step(events=(closed, RecordCountersigned(signed, missing, self._agreed)))
        self._members = members
        send = self._lists(phase)
        self.phase = Phase.CONSISTENCY if self._wire.signed and phase is Phase.MASK_INPUT else _NEXT[phase]
        return Step(send=send, events=(closed,))

    def _lists(self, phase: Phase) -> tuple[Outgoing, ...]:
        """The message that tells each member who is still there."""
        members = self._members
        message: Message
        match phase:
            case Phase.ADVERTISE_KEYS if self.parameters.graph is Graph.COMPLETE:
                message = self._roster(members)
            case Phase.ADVERTISE_KEYS:
                return self._each(lambda to: self._roster(_with(to, self._near(to))))
            case Phase.SHARE_KEYS:
                boxes, self._boxes = self._boxes, {}
                self._mask_set = members
                return self._each(lambda to: self._delivery(to, boxes))
            case Phase.MASK_INPUT:
                self._survivors = members
                message = self._survivor_list(members)
            case _:
                message = self._proof()
        framed = self._wire.frame(message)
        return tuple(Outgoing(to, framed) for to in members)

    def _each(self, made: Callable[[int], Message]) -> tuple[Outgoing, ...]:
        return tuple(Outgoing(to, self._wire.frame(made(to))) for to in self._members)

    def _near(self, id_: int, among: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A client's neighbours among this phase's members, or among others."""
        there, near = among or self._members, self.parameters.neighbours_of(id_, self.session)
        if len(there) == len(self.parameters.cohort):
            return near
        gone = frozenset(self.parameters.cohort).difference(there)
        return near if gone.isdisjoint(near) else tuple([peer for peer in near if peer not in gone])

    def _roster(self, ids: tuple[int, ...]) -> Roster:
        signatures = self._signatures[MessageType.ADVERTISEMENT]
        shown = tuple(signatures[id_] for id_ in ids) if self._wire.signed else ()
        return Roster(tuple((id_, self._adverts[id_]) for id_ in ids), shown)

    def _delivery(self, to: int, boxes: dict[int, dict[int, bytes]]) -> Delivery:
        shown = _with(to, self._near(to))
        self._views[to] = view_digest(self.session, shown)
        own = no_box(self.parameters.surplus)
        return Delivery(tuple([(u, own if u == to else boxes[u][to]) for u in shown]))

    def _survivor_list(self, survivors: tuple[int, ...]) -> SurvivorList:
        if not self._wire.signed:
            return SurvivorList(survivors)
        message = SurvivorList(survivors, tuple(self._digests[id_] for id_ in survivors))
        self._agreed = survivors_digest(self.session, message.entries)
        return message

    def _proof(self) -> ConsistencyProof:
        """Of each survivor its vote, or its masked input's signature if it did not vote."""
        votes, inputs = self._signatures[MessageType.CONSISTENCY], self._signatures[MessageType.MASKED_INPUT]
        return ConsistencyProof(
            tuple(
                Evidence(id_, MessageType.CONSISTENCY, self._agreed, votes[id_])
                if id_ in votes
                else Evidence(id_, MessageType.MASKED_INPUT, self._digests[id_], inputs[id_])
                for id_ in self._survivors
            )
        )

    def _open(self) -> tuple[Event, ...]:
        survivors, detached = self._survivors, self.parameters.detached
        total = np.zeros(self.parameters.length, np.uint64) if detached else self._sum
        try:
            corrected, surplus = open_sum(
                total,
                parameters=self.parameters,
                session=self.session,
                adverts=self._adverts,
                commitments=self._commitments,
                dropped=_without(self._mask_set, survivors),
                survivors=survivors,
                answers=self._answers,
            )
        except (BadShare, TooFewSurvivors):
            self._fail()
            raise
        self._answers = {}
        self.phase = Phase.DONE
        lost = _without(self.parameters.cohort, survivors)
        opened = opened_sum(total, survivors, lost, surplus, parameters=self.parameters)
        return (opened,) if corrected is None else (corrected, opened)

    def _fail(self) -> None:
        self.phase = Phase.FAILED
        self._boxes, self._answers = {}, {}
        self._sum = np.zeros(0, self._sum.dtype)


def _without(ids: tuple[int, ...], gone: tuple[int, ...]) -> tuple[int, ...]:
    excluded = set(gone)
    return tuple(id_ for id_ in ids if id_ not in excluded)


def _with(one: int, ids: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted((one, *ids)))
