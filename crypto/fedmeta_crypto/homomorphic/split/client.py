# SPDX-License-Identifier: Apache-2.0
"""The client's side of a masked split: `ClientSession`'s surface, with a parcel in the place of M5."""

import os
from dataclasses import replace
from typing import Never

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.errors import WrongKey
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest
from fedmeta_crypto.homomorphic.split.messages import (
    Kind,
    RoundKey,
    announcement_parts,
    round_digest,
    unframe,
)
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.modular import Words
from fedmeta_crypto.prg import Entropy
from fedmeta_crypto.ring import checked_copy
from fedmeta_crypto.secagg.checks import check_attachment
from fedmeta_crypto.secagg.client import ClientSession
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.step import InputWanted, Outgoing, Step
from fedmeta_crypto.wire import DECRYPTOR


class EncryptingClient:
    """One client in one round; masks and encrypts one vector, answers once, then holds nothing.

    Guarantee:  `ClientSession`'s, for the packed words: the aggregator gets them under a key that it does not hold,
                the decryptor under masks that it cannot open, and both together no more than the sum.
    Args:       announcement: M0 and the decryptor's offer, as `AddingServer` sends them.  scheme: this client's own,
                from the plan.  policy: its limits, whose allow-list holds `wire.DECRYPTOR`; `modulus` is set here.
                identity, entropy: as for `ClientSession`.
    Raises:     PlanRefused: another scheme, or the policy forbids the round.  WrongKey: the offer's key is not the one
                in M0, or no key of the scheme.  PeerProtocolError: bad bytes.
    """

    trust = TrustModel.SPLIT_MASKED

    def __init__(
        self,
        announcement: bytes,
        *,
        client_id: int,
        scheme: SplitScheme,
        policy: ClientPolicy,
        identity: Identity | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        m0, offer = announcement_parts(announcement, max_bytes=policy.max_announcement_bytes + scheme.offer_bytes)
        self._inner = ClientSession(
            m0, client_id=client_id, policy=scheme.policy(policy), identity=identity, entropy=entropy
        )
        scheme.check(self._inner.parameters)
        self.scheme = scheme
        self._public_key = offered_key(
            offer, parameters=self.parameters, session=self.session, scheme=scheme, people=policy.allow_list
        )
        self._parcel: Outgoing | None = None

    def __repr__(self) -> str:
        return repr(self._inner).replace("ClientSession", "EncryptingClient")

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: two copies could answer twice."""
        raise TypeError("a session is one-shot and cannot be copied")

    @property
    def client_id(self) -> int:
        """This client's id."""
        return self._inner.client_id

    @property
    def parameters(self) -> RoundParameters:
        """Of the masking round: its length is in words modulo t, `scheme` has dimension and ring of the vector."""
        return self._inner.parameters

    @property
    def session(self) -> bytes:
        """Session id of the masking round."""
        return self._inner.session

    @property
    def phase(self) -> ClientPhase:
        """Where the client is in its round."""
        return self._inner.phase

    def advertise_keys(self) -> Step:
        """As `ClientSession.advertise_keys`."""
        return self._inner.advertise_keys()

    def receive(self, message: bytes) -> Step:
        """As `ClientSession.receive`; `InputWanted` names dimension and ring of the vector."""
        step = self._inner.receive(message)
        if step.send:
            self._parcel = None
        length, bits = self.scheme.dimension, self.scheme.modulus_bits
        wanted = [
            replace(event, length=length, modulus_bits=bits) if isinstance(event, InputWanted) else event
            for event in step.events
        ]
        return replace(step, events=tuple(wanted))

    def mask_input(self, vector: NDArray[np.uint32], *, attachment_hash: bytes = bytes(DIGEST_BYTES)) -> Step:
        """Mask and encrypt one vector; sends a parcel. Once only.

        Shapes:     vector (scheme.dimension,), uint32, values below 2**scheme.modulus_bits; it is not changed.
        Args:       attachment_hash: the application's 32 bytes, which travel in the parcel and are signed with it.
        Raises:     as `ClientSession.mask_input`. What goes wrong after masking aborts the session.
        """
        check_attachment(attachment_hash, where="mask_input")
        scheme = self.scheme
        sealed: list[bytes] = []
        own = checked_copy(vector, bits=scheme.modulus_bits, length=scheme.dimension)
        names = round_digest(scheme.digest, self.parameters.key_hash)

        def seal(masked: Words) -> bytes:
            sealed.append(scheme.cipher.encrypt(masked, self._public_key))
            return attachment_digest(names, attachment_hash, sealed[0])

        step = self._inner.mask_detached(scheme.pack(own.astype(np.uint32, copy=False)), seal)
        parcel = Parcel(step.send[0].message, attachment_hash, sealed[0])
        self._parcel = Outgoing(step.send[0].to, parcel.to_bytes())
        return replace(step, send=(self._parcel,))

    def resend(self) -> Step:
        """The last message once more, the same bytes."""
        step = self._inner.resend()
        return step if self._parcel is None else replace(step, send=(self._parcel,))

    def delivered(self) -> None:
        """The transport has delivered the last message: let go of it."""
        self._parcel = None
        self._inner.delivered()

    def countersign(self) -> Step:
        """As `ClientSession.countersign`."""
        return self._inner.countersign()

    def abort(self) -> None:
        """Wipe every secret and take no further part."""
        self._parcel = None
        self._inner.abort()


def offered_key(
    offer: bytes, *, parameters: RoundParameters, session: bytes, scheme: SplitScheme, people: AllowList | None
) -> bytes:
    """The public key of an offer, after it was found to be the one of this very round.

    Raises:     WrongKey, WrongRound, WrongSession, BadSignature and what else bytes can be refused for.
    """
    where = Kind.OFFER.where
    if people is None or DECRYPTOR not in people:
        raise PlanRefused("the allow-list names no decryptor", where=where)
    payload = unframe(
        offer, Kind.OFFER, session=session, round_=parameters.round, people=people, max_bytes=scheme.offer_bytes
    )
    key = RoundKey.read(payload, scheme_digest=scheme.digest, where=where)
    if key.hash != parameters.key_hash:
        raise WrongKey("not the key that the announcement names", sender=DECRYPTOR, where=where)
    scheme.cipher.check_public_key(key.public_key)
    return key.public_key
