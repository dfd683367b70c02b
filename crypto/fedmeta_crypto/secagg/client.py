# SPDX-License-Identifier: Apache-2.0
"""The client's side of a round: a one-shot state machine without sockets, clock or threads.

    NEW --advertise_keys/M1--> ADVERTISED --M2/M3--> SHARED --M4/InputWanted--> READY
        --mask_input/M5--> MASKED --M6/M9--> ANSWERED         any --abort--> ABORTED
    under signatures:      MASKED --M6/M7--> SIGNED --M8/M9--> ANSWERED
        --M10/RecordShown--> RECORD_SHOWN --countersign/M11--> COUNTERSIGNED

A refused message raises and changes nothing, but for proof of equivocation, which aborts. Secrets live only as
long as the round needs them: the cipher key until M3, the mask key and the seed until M4, mask keys until M5,
shares until M9.

Source: Bonawitz et al., CCS 2017, figure 4, on a graph as in Bell et al., CCS 2020; its consistency round under
signatures only.
"""

import os
from collections.abc import Callable
from typing import Never

from fedmeta_crypto import modular
from fedmeta_crypto.errors import (
    Equivocation,
    MaskReuse,
    OutOfOrder,
    TooFewSurvivors,
)
from fedmeta_crypto.identities import Identity
from fedmeta_crypto.keys import DIGEST_BYTES, seal_keys
from fedmeta_crypto.messages import (
    Answer,
    ConsistencyProof,
    ConsistencyVote,
    Delivery,
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
from fedmeta_crypto.prg import Entropy, add_masks
from fedmeta_crypto.records import Countersignature, RoundRecord, record_digest
from fedmeta_crypto.ring import Residues, checked_copy, reduce_in_place, word
from fedmeta_crypto.sealed import (
    KINDS,
    SECRET_WORDS,
    SHARE_BYTES,
    associated_data,
    open_sealed,
    pack_secrets,
    seal,
    unpack_secrets,
)
from fedmeta_crypto.secagg.authentication import Authenticator, verify_announcement
from fedmeta_crypto.secagg.checks import (
    check_advert_signatures,
    check_attachment,
    check_delivery,
    check_proof,
    check_roster,
    check_survivors,
)
from fedmeta_crypto.secagg.client_phases import ClientPhase, check_expected, id_bytes
from fedmeta_crypto.secagg.parameters import RoundParameters, kinds_open, session_of
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.secrets_held import HeldSecrets, zero
from fedmeta_crypto.secagg.step import (
    InputWanted,
    Outgoing,
    Record,
    RecordKind,
    RecordShown,
    SharesMissing,
    Step,
    SurvivorsAnnounced,
)
from fedmeta_crypto.shamir import pack, split
from fedmeta_crypto.wire import SERVER, MessageType, Reader

_OF_NEIGHBOURS = (MessageType.ROSTER, MessageType.DELIVERY)
_OF_ALL = (MessageType.SURVIVORS, MessageType.CONSISTENCY_PROOF)


class ClientSession:
    """One client in one round; masks one vector, answers once, then holds nothing.

    Guarantee:  the server sees a vector that is uniform modulo 2^b to it and to any threshold - 1 clients
                that pool with it, except for its part in the sum, as long as it follows the protocol.
                Under `MALICIOUS` whatever the server does, pooling with the policy's corrupt clients.
    Args:       announcement: M0 as received.  policy: this client's own limits.  identity: signs, in
                a signed round.  entropy: returns n fresh secret bytes.
    Raises:     PlanRefused, WrongRound: the policy forbids this round.  PeerProtocolError: bad bytes.
    Source:     Bonawitz et al., CCS 2017, figure 4.

    Example:
        >>> from fedmeta_crypto import Strength
        >>> m0 = RoundParameters(round=1, cohort=(3, 5, 8), threshold=2, min_survivors=3, modulus_bits=32,
        ...     length=4, behaviour_hash=bytes(32), server_nonce=bytes(32), body=b"").to_message()
        >>> policy = ClientPolicy(min_cohort=3, max_length=100, max_body_bytes=0, last_round=0,
        ...     allowed_strengths=frozenset({Strength.SEMI_HONEST}))
        >>> session = ClientSession(m0, client_id=5, policy=policy)
        >>> len(session.advertise_keys().send), session
        (1, ClientSession(client_id=5, round=1, phase=ADVERTISED))
    """

    def __init__(
        self,
        announcement: bytes,
        *,
        client_id: int,
        policy: ClientPolicy,
        identity: Identity | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        self.parameters = RoundParameters.from_message(announcement, max_bytes=policy.max_announcement_bytes)
        signed, people = self.parameters.strength.signed, policy.allow_list
        verify_announcement(announcement, allow_list=people, signed=signed)
        self.session = session_of(announcement, signed=signed)
        policy.check(self.parameters, client_id=client_id, session=self.session)
        self._wire = Authenticator(
            self.parameters, session=self.session, me=client_id, identity=identity, allow_list=people
        )
        self.client_id = client_id
        self.phase = ClientPhase.NEW
        self._entropy = entropy
        near = self._near = self.parameters.neighbours_of(client_id, self.session)
        sizes = [(kind, len(near) + 1) for kind in _OF_NEIGHBOURS]
        sizes += [(kind, len(self.parameters.cohort)) for kind in _OF_ALL[: 2 if signed else 1]]
        surplus = self.parameters.surplus
        self._limit = max(max_bytes(kind, members=n, length=0, signed=signed, surplus=surplus) for kind, n in sizes)
        self._secrets: HeldSecrets | None = None
        self._mine: KeyAdvertisement | None = None
        self._peers: dict[int, KeyAdvertisement] = {}
        self._mask_set: tuple[int, ...] = ()
        self._survivors = SurvivorList(())
        self._digest = self._view = self._record_digest = b""
        self._last: Outgoing | None = None

    def __repr__(self) -> str:
        place = f"round={self.parameters.round}, phase={self.phase.name}"
        return f"ClientSession(client_id={self.client_id}, {place})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: two copies could answer twice."""
        raise TypeError("a session is one-shot and cannot be copied")

    def advertise_keys(self) -> Step:
        """Make this session's keys; sends M1. Store the record first: the round never begins again."""
        if self.phase is not ClientPhase.NEW:
            raise OutOfOrder(f"keys cannot be advertised when {self.phase.name}", where="advertise_keys")
        self._secrets = HeldSecrets(self._entropy, self.parameters.surplus)
        self._mine = self._secrets.advertisement(self.session)
        self.phase = ClientPhase.ADVERTISED
        return Step(persist=(self._record(RecordKind.ROUND_BEGUN),), send=(self._to_server(self._mine),))

    def receive(self, message: bytes) -> Step:
        """Take one message of the server.

        M2 sends M3. M4 gives `InputWanted` (and `SharesMissing`). M6 gives `SurvivorsAnnounced`, stores
        a record and sends M9, after which every secret is gone; under signatures M6 stores a record and
        sends M7, and M8 does the rest. M10 gives `RecordShown`.

        Raises:     PeerProtocolError: refused, nothing changed.  TooFewSurvivors: too few shares opened.
                    Equivocation: refused, and the session is ABORTED.  OutOfOrder: before `advertise_keys`
                    or after `abort`.
        """
        secrets = self._secrets
        if secrets is None and not self.phase.answered:
            raise OutOfOrder(f"no message can be taken when {self.phase.name}", where="receive")
        wire = self._wire
        header, payload = wire.unframe(message, sender=SERVER, max_bytes=self._limit)
        check_expected(header.type, self.phase)
        wire.verify(message, header, payload)
        reader = Reader(payload, sender=SERVER, where=header.type.where)
        if secrets is None:  # it has answered, and all that is expected then is a record
            return self._show(RoundRecord.read(reader))
        match header.type:
            case MessageType.ROSTER:
                return self._share_keys(Roster.read(reader, signed=wire.signed), secrets)
            case MessageType.DELIVERY:
                return self._open_shares(Delivery.read(reader, surplus=self.parameters.surplus), secrets)
            case MessageType.SURVIVORS:
                return self._take_survivors(SurvivorList.read(reader, signed=wire.signed), secrets)
            case _:
                return self._take_proof(ConsistencyProof.read(reader), secrets)

    def resend(self) -> Step:
        """The last message once more, the same bytes: nothing is ever encrypted, signed or masked a second time.

        Raises:     OutOfOrder: nothing was sent yet or all of it `delivered`, or the session was aborted.
        """
        if self._last is None:
            raise OutOfOrder(f"nothing to send again when {self.phase.name}", where="resend")
        return Step(send=(self._last,))

    def delivered(self) -> None:
        """The transport has delivered the last message: let go of it, so that `resend` has nothing."""
        self._last = None

    def mask_input(self, vector: Residues, *, attachment_hash: bytes = bytes(DIGEST_BYTES)) -> Step:
        """Mask one vector; sends M5. Once only.

        Shapes:     vector (parameters.length,), uint32 (or uint16 if modulus_bits <= 16), values below 2**modulus_bits;
                    it is not changed.
        Args:       attachment_hash: 32 bytes that bind what the application sends beside the vector.
        Raises:     MaskReuse: called before.  OutOfOrder: before `InputWanted`.  WrongLength, OutOfRing.
        """
        secrets = self._masking("mask_input", detached=False)
        bits = self.parameters.modulus_bits
        check_attachment(attachment_hash, where="mask_input")
        masked = checked_copy(vector, bits=bits, length=self.parameters.length)
        self.phase = ClientPhase.MASKED  # before the masks are used, so that no path uses them twice
        add_masks(masked, plus=secrets.mask_keys_plus, minus=secrets.mask_keys_minus)
        reduce_in_place(masked, bits)
        secrets.drop_after_masking()
        return self._send_input(attachment_hash, masked)

    def recall_input(self, message: bytes) -> Step:
        """Be where `mask_input` left a process that ended after sending this M5; nothing is masked. BadArgument."""
        secrets = self._masking("recall_input", detached=False)
        self._digest = self._wire.recalled_input(message)
        self.phase = ClientPhase.MASKED
        secrets.drop_after_masking()
        self._last = Outgoing(SERVER, message)
        return self.resend()

    def mask_detached(self, words: modular.Words, seal: Callable[[modular.Words], bytes]) -> Step:
        """Mask the words of a detached round, have them encrypted, and send M5 without them. Once only.

        Shapes:     words (parameters.length,), uint64, values below parameters.modulus; not changed.
        Args:       seal: gets the masked words, which are uniform to whoever does not hold the masks, and returns the
                    32 bytes that bind their encryption. If it raises, the session is aborted: nothing is masked twice.
        Raises:     as `mask_input`; OutOfOrder: the round is not detached, too.
        """
        secrets = self._masking("mask_detached", detached=True)
        modulus = self.parameters.modulus
        masked = modular.checked_words(words, modulus=modulus, length=self.parameters.length)
        self.phase = ClientPhase.MASKED
        modular.add_masks(masked, modulus, plus=secrets.mask_keys_plus, minus=secrets.mask_keys_minus)
        secrets.drop_after_masking()
        try:
            attachment_hash = seal(masked)
            check_attachment(attachment_hash, where="mask_detached")
        except BaseException:
            self.abort()
            raise
        return self._send_input(attachment_hash, masked[:0].astype(word(self.parameters.form[1])))

    def _masking(self, where: str, *, detached: bool) -> HeldSecrets:
        if self.phase.masked:
            raise MaskReuse("this session has masked its vector", where=where)
        if self.phase is not ClientPhase.READY or self._secrets is None:
            raise OutOfOrder(f"no input is wanted when {self.phase.name}", where=where)
        if self.parameters.detached is not detached:
            raise OutOfOrder("this round's inputs are of the other kind, detached or not", where=where)
        return self._secrets

    def _send_input(self, attachment_hash: bytes, vector: Residues) -> Step:
        bits = self.parameters.form[1]
        message = MaskedInput(attachment_hash, view_digest(self.session, self._mask_set), vector, bits)
        framed, self._digest = self._wire.frame_input(message)
        self._last = Outgoing(SERVER, framed)
        return self.resend()

    def countersign(self) -> Step:
        """Sign the record shown, which the application has found true; sends M11. Once; not to call it is to refuse.

        Raises:     OutOfOrder: no record was shown, or it was countersigned, or the session was aborted.
        """
        if self.phase is not ClientPhase.RECORD_SHOWN:
            raise OutOfOrder(f"nothing to countersign when {self.phase.name}", where="countersign")
        self.phase = ClientPhase.COUNTERSIGNED
        outgoing = self._to_server(Countersignature(self._record_digest))
        return Step(persist=(self._record(RecordKind.COUNTERSIGNED),), send=(outgoing,))

    def abort(self) -> None:
        """Wipe every secret, countersign nothing and take no further part; harmless when already over."""
        if self._secrets is not None:
            self._secrets.wipe()
        self._secrets = self._last = None
        last = ClientPhase.COUNTERSIGNED if self._wire.signed else ClientPhase.ANSWERED
        if self.phase is not last:
            self.phase = ClientPhase.ABORTED

    def _share_keys(self, roster: Roster, secrets: HeldSecrets) -> Step:
        pair, mine, me, parameters = secrets.cipher_pair, self._mine, self.client_id, self.parameters
        if pair is None or mine is None:
            raise OutOfOrder("keys are gone", where="roster")
        check_roster(roster, mine, me=me, near=self._near, parameters=parameters)
        check_advert_signatures(roster, self._wire)
        peers = {id_: advert for id_, advert in roster.entries if id_ != me}
        agreed = {id_: pair.agree(advert.cipher_public, peer=id_) for id_, advert in peers.items()}
        # Nothing below can refuse the message any more.
        k = parameters.neighbours
        count = len(KINDS) + parameters.surplus
        all_ = secrets.seed + secrets.mask_secret + b"".join(secrets.surplus)
        rows = split(all_, points=k, threshold=parameters.threshold, entropy=self._entropy)
        packed = pack(rows.reshape(count * k, SECRET_WORDS)).reshape(k, count, SHARE_BYTES)
        index = {id_: i for i, id_ in enumerate(self._near)}  # a holder's point is its place among my neighbours
        boxes = []
        for peer, secret in agreed.items():
            theirs = (peers[peer].cipher_public, id_bytes(peer))
            there, back = seal_keys(secret, session=self.session, mine=(pair.public, id_bytes(me)), theirs=theirs)
            secrets.opening_keys[peer] = bytearray(back)
            text = pack_secrets([share.tobytes() for share in packed[index[peer]]])
            boxes.append((peer, seal(there, text, associated_data(self.session, id_bytes(me), id_bytes(peer)))))
        secrets.drop_after_sharing()
        zero(all_)
        rows.fill(0)
        packed.fill(0)
        self._peers = peers
        self.phase = ClientPhase.SHARED
        return Step(send=(self._to_server(SealedShares(tuple(boxes), secrets.surplus_commitments(self.session))),))

    def _open_shares(self, delivery: Delivery, secrets: HeldSecrets) -> Step:
        me, parameters = self.client_id, self.parameters
        check_delivery(delivery, me=me, near=tuple(self._peers), parameters=parameters)
        mask_set = tuple(id_ for id_, _ in delivery.boxes)
        shares: dict[int, tuple[bytes, ...]] = {}
        for dealer, box in delivery.boxes:
            if dealer != me:
                associated = associated_data(self.session, id_bytes(dealer), id_bytes(me))
                text = open_sealed(secrets.opening_keys[dealer], box, associated)
                opened = None if text is None else unpack_secrets(text, parameters.surplus)
                if opened is not None:
                    shares[dealer] = opened
        if len(shares) < parameters.threshold:
            raise TooFewSurvivors(need=parameters.threshold, have=len(shares), phase="SHARE_KEYS")
        # The mask set is the server's whole list: a share that does not open leaves its dealer in it.
        secrets.derive_mask_keys(
            me,
            {peer: self._peers[peer].mask_public for peer in mask_set if peer != me},
            session=self.session,
            behaviour_hash=parameters.behaviour_hash,
        )
        secrets.shares = shares
        surplus = tuple([bytes(secret) for secret in secrets.surplus])
        secrets.drop_after_agreeing()
        self._mask_set = mask_set
        self.phase = ClientPhase.READY
        wanted = InputWanted(parameters.length, parameters.modulus_bits, mask_set, surplus)
        missing = tuple(id_ for id_ in mask_set if id_ != me and id_ not in shares)
        return Step(events=(SharesMissing(missing), wanted) if missing else (wanted,))

    def _take_survivors(self, survivors: SurvivorList, secrets: HeldSecrets) -> Step:
        gone = frozenset(self._near).difference(self._mask_set)
        check_survivors(survivors, self._digest, me=self.client_id, gone=gone, parameters=self.parameters)
        self._survivors = survivors
        if not self._wire.signed:
            return self._unmask(secrets, votes=0)
        self._view = survivors_digest(self.session, survivors.entries)
        self.phase = ClientPhase.SIGNED
        record = self._record(RecordKind.SURVIVORS_SIGNED)
        return Step(persist=(record,), send=(self._to_server(ConsistencyVote(self._view)),))

    def _take_proof(self, proof: ConsistencyProof, secrets: HeldSecrets) -> Step:
        me, parameters, survivors = self.client_id, self.parameters, self._survivors
        try:
            votes = check_proof(proof, self._view, self._wire, me=me, survivors=survivors, parameters=parameters)
        except Equivocation:
            self.abort()
            raise
        return self._unmask(secrets, votes=votes)

    def _unmask(self, secrets: HeldSecrets, *, votes: int) -> Step:
        alive = self._survivors.ids
        alive_set = frozenset(alive)
        # Exactly one of the first two kinds per peer: both would uncover its vector. Surplus secrets only of survivors.
        kinds = kinds_open(self.parameters, len(alive))
        answers = [
            Answer(peer, kind, shares[kind - 1])
            for peer, shares in secrets.shares.items()
            for kind in kinds[peer in alive_set]
        ]
        outgoing = self._to_server(UnmaskingShares(tuple(answers)))
        self.phase = ClientPhase.ANSWERED
        secrets.wipe()
        self._secrets = None
        if self._wire.signed:
            self._limit = max(self._limit, max_bytes(MessageType.RECORD, members=0, length=0, signed=True))
        record = self._record(RecordKind.ANSWERED)
        honest = self.parameters.honest_among(len(alive), votes)
        return Step(persist=(record,), send=(outgoing,), events=(SurvivorsAnnounced(alive, honest),))

    def _show(self, message: RoundRecord) -> Step:
        self._record_digest = record_digest(self.session, self._view, message.record)
        self.phase = ClientPhase.RECORD_SHOWN
        return Step(events=(RecordShown(message.record, self._view),))

    def _to_server(self, message: Message) -> Outgoing:
        self._last = Outgoing(SERVER, self._wire.frame(message))
        return self._last

    def _record(self, kind: RecordKind) -> bytes:
        return Record(kind, self.parameters.round, self.session).to_bytes()
