# SPDX-License-Identifier: Apache-2.0
"""The client's side of a masked split: `ClientSession`'s surface, with a parcel in the place of M5."""

import os

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.carried import CarriedClient
from fedmeta_crypto.homomorphic.errors import WrongKey
from fedmeta_crypto.homomorphic.parcel import attachment_digest
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
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.step import Step
from fedmeta_crypto.wire import DECRYPTOR


class EncryptingClient(CarriedClient):
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
        inner = ClientSession(m0, client_id=client_id, policy=scheme.policy(policy), identity=identity, entropy=entropy)
        scheme.check(inner.parameters)
        super().__init__(inner, scheme)
        self.scheme = scheme
        self._public_key = offered_key(
            offer, parameters=self.parameters, session=self.session, scheme=scheme, people=policy.allow_list
        )

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
        return self._carry(step, commitment=attachment_hash, ciphertext=sealed[0])


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
