# SPDX-License-Identifier: Apache-2.0
"""The decryptor: a key per round, its own addition of signed ciphertexts, and one opening for the proved survivors.

    IDLE --begin/proposal--> KEYED --M0/offer--> ADDING --parcel*--> ADDING --M6--> LISTED --M8/opened--> OPENED
                                                       any --abort, begin--> the key is gone

It opens masked words only: uniform modulo t to it and to whoever lacks the masks' residue. Its rules are a second line:

- the sum that it opens is its own, over ciphertexts whose M5 names them and is signed by their author in this session;
- their authors are exactly the survivors of M6, for whom M8 proves a quorum of votes;
- they are as many as M0 announced, and as its policy wants; never one alone;
- one set of survivors a round, one opening a key, and no round number twice, across restarts too.

Source: proofs of the two attacks on a split without masks in `tests/attacks/crypto/test_split_attacks.py`.
"""

import enum
from typing import Never

from fedmeta_crypto.errors import BadMessage, Equivocation, OutOfOrder, PlanRefused, Repeated, Unexpected
from fedmeta_crypto.homomorphic.errors import (
    KeySpent,
    LoneCiphertext,
    OtherSubset,
    RepeatedRound,
    SecondSubset,
    WrongKey,
)
from fedmeta_crypto.homomorphic.parcel import is_parcel
from fedmeta_crypto.homomorphic.split.cipher import RoundSecret
from fedmeta_crypto.homomorphic.split.evidence import read_upload
from fedmeta_crypto.homomorphic.split.messages import (
    NO_SESSION,
    Kind,
    RoundKey,
    frame,
    opened_payload,
)
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import Identity
from fedmeta_crypto.messages import ConsistencyProof, SurvivorList, max_bytes, survivors_digest
from fedmeta_crypto.secagg.authentication import Authenticator, verify_announcement
from fedmeta_crypto.secagg.checks import check_proof
from fedmeta_crypto.secagg.parameters import RoundParameters, session_of
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.step import Outgoing, Record, RecordKind, Step
from fedmeta_crypto.wire import DECRYPTOR, SERVER, MessageType, Reader, claimed_type

_WHERE = "decryptor"


class DecryptorPhase(enum.IntEnum):
    """Where the decryptor is in its round."""

    IDLE = 0
    KEYED = 1
    ADDING = 2
    LISTED = 3
    OPENED = 4
    ABORTED = 5


class Decryptor:
    """The one holder of keys, for round after round; of each round it opens one sum of masked words.

    Guarantee:  what leaves it are masked words of one set of survivors, which a quorum of clients signed. It learns no
                vector and no sum, as long as it does not work with the aggregator, and no more than the sum if it does.
    Args:       scheme: as in the plan.  policy: as a client of the run has it: what a round may look like.  identity:
                of `wire.DECRYPTOR`, whose key the policy's allow-list holds.
    Raises:     PlanRefused: no allow-list, or without this key.
    Memory:     one ciphertext sum, whatever the number of clients.

    The shell stores `persist` before it sends, as for clients. After a restart the largest round of the stored records
    is the policy's `last_round`; a round that was begun is lost then, since its key is gone.
    """

    trust = TrustModel.SPLIT_MASKED

    def __init__(self, scheme: SplitScheme, *, policy: ClientPolicy, identity: Identity) -> None:
        people = policy.allow_list
        if people is None or people.public(DECRYPTOR) != identity.public:
            raise PlanRefused("the allow-list holds another key for the decryptor, or none", where=_WHERE)
        self.scheme = scheme
        self.phase = DecryptorPhase.IDLE
        self.round = policy.last_round
        self.session = NO_SESSION
        self._policy, self._people, self._identity = scheme.policy(policy), people, identity
        self._key: RoundSecret | None = None
        self._offered: RoundKey | None = None
        self._last: Outgoing | None = None
        self._forget()

    def __repr__(self) -> str:
        return f"Decryptor(round={self.round}, phase={self.phase.name})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: two copies could open two sums."""
        raise TypeError("a decryptor cannot be copied or pickled")

    def begin(self, round_: int) -> Step:
        """Make the key of a round, whatever became of the one before; sends the proposal to the aggregator.

        Raises:     RepeatedRound: this round or a later one was begun before.
        """
        if round_ <= self.round:
            what = f"round {round_} is to begin, {self.round} was begun already"
            raise RepeatedRound(what, sender=SERVER, where=_WHERE)
        self.abort()
        self._forget()
        self._key = self.scheme.cipher.new_key(self.scheme.session_length)
        offered = self._offered = RoundKey(self.scheme.digest, self._key.public_key)
        self.round, self.phase = round_, DecryptorPhase.KEYED
        record = Record(RecordKind.ROUND_BEGUN, round_, offered.hash).to_bytes()
        return Step(persist=(record,), send=(self._say(Kind.PROPOSAL, offered.payload(), NO_SESSION),))

    def receive(self, message: bytes) -> Step:
        """Take one message of the aggregator: M0, a parcel, M6 or M8.

        Raises:     PeerProtocolError: refused, nothing changed.  Equivocation: refused, and the key is wiped.
                    KeySpent: the one sum was opened, or the round aborted.
        """
        if is_parcel(message):
            return self._add(message)
        match claimed_type(message):
            case MessageType.PARAMETERS:
                return self._bind(message)
            case MessageType.SURVIVORS:
                return self._list(message)
            case MessageType.CONSISTENCY_PROOF:
                return self._open(message)
        raise BadMessage("not a message for a decryptor", sender=SERVER, where=_WHERE)

    def resend(self) -> Step:
        """The last message once more, the same bytes: nothing is ever opened a second time.

        Raises:     OutOfOrder: nothing was sent yet, all of it `delivered`, or the round was aborted.
        """
        if self._last is None:
            raise OutOfOrder(f"nothing to send again when {self.phase.name}", where=_WHERE)
        return Step(send=(self._last,))

    def delivered(self) -> None:
        """The transport has delivered the last message: let go of it, so that `resend` has nothing."""
        self._last = None

    def abort(self) -> None:
        """Wipe the key; harmless when already over."""
        if self._key is not None:
            self._key.wipe()
        self._key = None
        if self.phase not in (DecryptorPhase.IDLE, DecryptorPhase.OPENED):
            self.phase, self._last = DecryptorPhase.ABORTED, None

    def _forget(self) -> None:
        self._parameters: RoundParameters | None = None
        self._wire: Authenticator | None = None
        self._digests: dict[int, bytes] = {}  # of each M5 whose ciphertext was added
        self._survivors = SurvivorList(())
        self._offered = None

    def _say(self, kind: Kind, payload: bytes, session: bytes) -> Outgoing:
        framed = frame(kind, payload, session=session, round_=self.round, identity=self._identity)
        self._last = Outgoing(SERVER, framed)
        return self._last

    def _bind(self, m0: bytes) -> Step:
        """The round whose announcement names my key is the one that I offer it for."""
        if self._offered is None or self.phase is not DecryptorPhase.KEYED:
            raise self._not_now("M0")
        parameters = RoundParameters.from_message(m0, max_bytes=self._policy.max_announcement_bytes)
        verify_announcement(m0, allow_list=self._people, signed=parameters.strength.signed)
        if parameters.round != self.round:
            what = f"round {parameters.round} announced, the key is for {self.round}"
            raise RepeatedRound(what, sender=SERVER, where=_WHERE)
        self.scheme.check(parameters)
        if parameters.key_hash != self._offered.hash:
            raise WrongKey("the announcement names another key", sender=SERVER, where=_WHERE)
        session = session_of(m0, signed=True)
        self._policy.check(parameters, client_id=parameters.cohort[0], session=session)
        self._wire = Authenticator(
            parameters, session=session, me=DECRYPTOR, identity=self._identity, allow_list=self._people
        )
        self._parameters, self.session, self.phase = parameters, session, DecryptorPhase.ADDING
        return Step(send=(self._say(Kind.OFFER, self._offered.payload(), session),))

    def _add(self, message: bytes) -> Step:
        """A parcel that the aggregator took: believe nothing of it but its author's signature."""
        key, wire, parameters = self._key, self._wire, self._parameters
        if key is None or wire is None or parameters is None:
            raise self._not_now("a parcel")
        if self.phase is not DecryptorPhase.ADDING:
            raise Unexpected("a ciphertext after the list of survivors", sender=SERVER, where=_WHERE)
        upload = read_upload(message, wire=wire, parameters=parameters, scheme=self.scheme, check_form=False)
        if upload.author in self._digests:
            raise Repeated("a second ciphertext of this client", sender=upload.author, where=_WHERE)
        key.add(upload.parcel.ciphertext, sender=upload.author)
        self._digests[upload.author] = upload.digest
        return Step()

    def _list(self, message: bytes) -> Step:
        """U3 must be those whose ciphertexts I added: each of them, and nobody else."""
        survivors = SurvivorList.read(self._reader(message, MessageType.SURVIVORS), signed=True)
        parameters = self._parameters
        if self._survivors.ids and survivors != self._survivors:
            raise SecondSubset("other survivors were listed before", sender=SERVER, where=_WHERE)
        if self.phase is not DecryptorPhase.ADDING or parameters is None:
            raise self._not_now("a list of survivors")
        if len(survivors.ids) < max(2, parameters.min_survivors, parameters.threshold + 1):
            what = f"{len(survivors.ids)} survivors, at least {parameters.min_survivors} announced"
            raise LoneCiphertext(what, sender=SERVER, where=_WHERE)
        if dict(survivors.entries) != self._digests:
            added, listed = set(self._digests.items()), set(survivors.entries)
            missing, extra = [sorted(id_ for id_, _ in ids)[:5] for ids in (listed - added, added - listed)]
            what = f"listed but not added: {missing}; added but not listed: {extra}"
            raise OtherSubset(what, sender=SERVER, where=_WHERE)
        self._survivors, self.phase = survivors, DecryptorPhase.LISTED
        return Step()

    def _open(self, message: bytes) -> Step:
        """The proof is the clients' own: a quorum voted for just these survivors and their inputs."""
        proof = ConsistencyProof.read(self._reader(message, MessageType.CONSISTENCY_PROOF))
        key, wire, parameters = self._key, self._wire, self._parameters
        if self.phase is not DecryptorPhase.LISTED or key is None or wire is None or parameters is None:
            raise self._not_now("a proof")
        agreed = survivors_digest(self.session, self._survivors.entries)
        try:
            check_proof(proof, agreed, wire, me=DECRYPTOR, survivors=self._survivors, parameters=parameters)
        except Equivocation:
            self.abort()
            raise
        self.phase = DecryptorPhase.OPENED  # before the key is used, so that no path uses it twice
        try:
            words = key.open()
        finally:
            self.abort()
        record = Record(RecordKind.ANSWERED, self.round, self.session).to_bytes()
        return Step(persist=(record,), send=(self._say(Kind.OPENED, opened_payload(agreed, words), self.session),))

    def _reader(self, message: bytes, kind: MessageType) -> Reader:
        """The payload of a message that the server signed for this session."""
        wire, parameters = self._wire, self._parameters
        if wire is None or parameters is None:
            raise self._not_now(kind.where)
        limit = max_bytes(kind, members=len(parameters.cohort), length=0, signed=True)
        header, payload = wire.unframe(message, sender=SERVER, max_bytes=limit)
        wire.verify(message, header, payload)
        return Reader(payload, sender=SERVER, where=kind.where)

    def _not_now(self, what: str) -> KeySpent | Unexpected:
        if self.phase in (DecryptorPhase.OPENED, DecryptorPhase.ABORTED):
            return KeySpent(f"{what} came when {self.phase.name}", where=_WHERE)
        return Unexpected(f"{what} is not expected when {self.phase.name}", sender=SERVER, where=_WHERE)
