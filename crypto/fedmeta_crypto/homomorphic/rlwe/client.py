# SPDX-License-Identifier: Apache-2.0
"""The client's side of a threshold round: `ClientSession`'s surface, with a parcel in the place of M5."""

import os

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.carried import CarriedClient
from fedmeta_crypto.homomorphic.parcel import attachment_digest
from fedmeta_crypto.homomorphic.rlwe.presets import RlweScheme
from fedmeta_crypto.homomorphic.rlwe.scheme import encrypt, roster_digest
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.prg import KEY_BYTES, Entropy, Keystream, draw
from fedmeta_crypto.ring import checked_copy, reduce_in_place, word
from fedmeta_crypto.secagg.checks import check_attachment
from fedmeta_crypto.secagg.client import ClientSession
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.step import Step
from fedmeta_crypto.wire import MessageType, claimed_type


class EncryptingClient(CarriedClient):
    """One client in one round; encrypts one vector under a secret that it masks, answers once, then holds nothing.

    Guarantee:  `ClientSession`'s for the secret; and the ciphertext, with what any opening tells of the secret, is as
                hard to read as RLWE of the preset's size (`presets`), if two clients of every sum are honest.
    Args:       announcement: M0 as received.  scheme: this client's own, from the plan.  policy, identity, entropy: as
                for `ClientSession`; the policy is about length and ring of the secret.  secrets: where this round's
                lattice secret and errors come from; `entropy` unless given.
    Raises:     PlanRefused: another scheme's round, or one that the policy forbids.  PeerProtocolError: bad bytes.

    Example:
        >>> import secrets
        >>> from fedmeta_crypto import Strength
        >>> from fedmeta_crypto.homomorphic.rlwe import AddingServer, scheme_for
        >>> scheme = scheme_for("rlwe32", clients=3, modulus_bits=20, dimension=5)
        >>> server = AddingServer(RoundParameters(round=1, cohort=(3, 5, 8), threshold=2, min_survivors=3,
        ...     modulus_bits=scheme.session_modulus_bits, length=scheme.session_length, behaviour_hash=bytes(32),
        ...     server_nonce=secrets.token_bytes(32), body=b""), scheme=scheme)
        >>> policy = ClientPolicy(min_cohort=3, max_length=4096, max_body_bytes=0, last_round=0,
        ...     allowed_strengths=frozenset({Strength.SEMI_HONEST}))
        >>> clients = {out.to: EncryptingClient(out.message, client_id=out.to, scheme=scheme, policy=policy)
        ...     for out in server.announce().send}
        >>> queue = [(id_, out) for id_, client in clients.items() for out in client.advertise_keys().send]
        >>> while queue:
        ...     sender, out = queue.pop(0)
        ...     if out.to in clients:
        ...         step = clients[out.to].receive(out.message)
        ...         if step.events and type(step.events[0]).__name__ == "InputWanted":
        ...             step = clients[out.to].mask_input(np.full(5, 100 * out.to, np.uint32))
        ...         queue += [(out.to, sent) for sent in step.send]
        ...     else:
        ...         step = server.receive(out.message, sender=sender)
        ...         queue += [(0, sent) for sent in step.send]
        >>> step.events[-1].total
        array([1600, 1600, 1600, 1600, 1600], dtype=uint32)
    """

    trust = TrustModel.THRESHOLD

    def __init__(
        self,
        announcement: bytes,
        *,
        client_id: int,
        scheme: RlweScheme,
        policy: ClientPolicy,
        identity: Identity | None = None,
        entropy: Entropy = os.urandom,
        secrets: Entropy | None = None,
    ) -> None:
        inner = ClientSession(announcement, client_id=client_id, policy=policy, identity=identity, entropy=entropy)
        check_round(inner.parameters, scheme)
        super().__init__(inner, scheme)
        self.scheme = scheme
        self._secrets = secrets or entropy
        self._roster = b""

    def receive(self, message: bytes) -> Step:
        """As `ClientSession.receive`; `InputWanted` names dimension and ring of the vector."""
        step = super().receive(message)
        if claimed_type(message) == MessageType.ROSTER:  # and it was taken, or we would not be here
            self._roster = roster_digest(message, self.parameters)
        return step

    def mask_input(self, vector: NDArray[np.uint32], *, attachment_hash: bytes = bytes(DIGEST_BYTES)) -> Step:
        """Encrypt one vector; sends a parcel. Once only.

        Shapes:     vector (scheme.dimension,), uint32, values below 2**scheme.modulus_bits; it is not changed.
        Args:       attachment_hash: the application's 32 bytes, which travel in the parcel and are signed with it.
        Raises:     as `ClientSession.mask_input`.
        """
        check_attachment(attachment_hash, where="mask_input")
        self._must_be_ready()
        scheme, inner = self.scheme, self._inner
        own = checked_copy(vector, bits=scheme.modulus_bits, length=scheme.dimension)
        ciphertext, secret = encrypt(
            scheme,
            own,
            session=inner.session,
            roster_digest=self._roster,
            secrets=Keystream(draw(self._secrets, KEY_BYTES)),
        )
        own.fill(0)
        bits = scheme.session_modulus_bits
        masked = secret.astype(word(bits))  # centred residues: a negative coefficient wraps
        reduce_in_place(masked, bits)
        secret.fill(0)
        digest = attachment_digest(scheme.digest, attachment_hash, ciphertext)
        step = inner.mask_input(masked, attachment_hash=digest)
        masked.fill(0)
        return self._carry(step, commitment=attachment_hash, ciphertext=ciphertext)


def check_round(parameters: RoundParameters, scheme: RlweScheme) -> None:
    """Raise `PlanRefused` unless a round is one of this scheme.

    The two honest clients that every sum must hold need no check: no `RoundParameters` are without them, since a
    survivor needs t others, and t leaves more than the corrupt ones.
    """
    stated = (parameters.length, parameters.modulus_bits, len(parameters.cohort))
    if stated != (scheme.session_length, scheme.session_modulus_bits, scheme.clients):
        raise PlanRefused("the round was announced for another encryption or cohort", where="announcement")
