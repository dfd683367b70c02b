# SPDX-License-Identifier: Apache-2.0
"""The sessions of a round: plain masking, or an encryption around it; rounds and runs see one surface."""

from __future__ import annotations

from fedmeta_crypto import ClientPolicy, ClientSession, Entropy, PeerProtocolError, RoundParameters, ServerSession
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest, is_parcel
from fedmeta_crypto.homomorphic.rlwe import AddingServer, EncryptingClient
from fedmeta_crypto.homomorphic.split import aggregator, client, messages
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.wire import FRAME_BYTES, MessageType, claimed_type, payload_of

from ..errors import RunError
from ..schedule import Schedule
from .identities import Credentials

ClientSide = ClientSession | EncryptingClient | client.EncryptingClient
ServerSide = ServerSession | AddingServer | aggregator.AddingServer


def round_parameters(
    schedule: Schedule,
    cohort: tuple[int, ...],
    *,
    number: int,
    body: bytes,
    nonce: bytes,
    people: AllowList | None,
    proposal: bytes | None = None,
) -> RoundParameters:
    """What the server announces for round `number`; `proposal` is the decryptor's, where there is one.

    Raises:
        ProtocolError: the proposal is not acceptable.
        RunError: it is missing, or nobody asked for one.
    """
    hiding, scheme = schedule.hiding, schedule.scheme
    modulus, key_hash = 0, b""
    if schedule.decrypted != (proposal is not None):
        raise RunError("a round has a decryptor's key exactly if its plan has a decryptor", "server", "begin it so")
    if isinstance(scheme, SplitScheme) and proposal is not None and people is not None:
        key = aggregator.proposed_key(proposal, scheme=scheme, round_=number, people=people)
        modulus, key_hash = scheme.modulus, key.hash
    complete = hiding.graph.neighbours == hiding.clients - 1
    return RoundParameters(
        round=number,
        cohort=cohort,
        threshold=schedule.threshold,
        min_survivors=hiding.min_survivors,
        modulus_bits=schedule.session_modulus_bits,
        length=schedule.session_length,
        behaviour_hash=schedule.behaviour_hash(body),
        server_nonce=nonce,
        body=body,
        strength=hiding.strength,
        neighbours=hiding.graph.neighbours,
        corrupt=0 if complete and not hiding.signed else hiding.graph.corrupt,
        identities=people.digest(cohort) if hiding.signed and people is not None else b"",
        surplus=schedule.surplus_parts,
        modulus=modulus,
        key_hash=key_hash,
    )


def server_side(
    schedule: Schedule, parameters: RoundParameters, credentials: Credentials | None, proposal: bytes | None = None
) -> ServerSide:
    """The server's session of one masked round."""
    own, scheme = credentials if schedule.hiding.signed else None, schedule.scheme
    if isinstance(scheme, SplitScheme):
        if own is None or proposal is None:
            raise RunError("a round with a decryptor needs keys and its proposal", "server", "give both")
        return aggregator.AddingServer(
            parameters, scheme=scheme, proposal=proposal, identity=own.identity, allow_list=own.people
        )
    identity, people = (None, None) if own is None else (own.identity, own.people)
    if scheme is None:
        return ServerSession(parameters, identity=identity, allow_list=people)
    return AddingServer(parameters, scheme=scheme, identity=identity, allow_list=people)


def client_side(
    schedule: Schedule,
    announcement: bytes,
    *,
    client_id: int,
    policy: ClientPolicy,
    identity: Identity | None,
    entropy: Entropy,
    secrets: Entropy | None = None,
) -> ClientSide:
    """A site's session of one round; `secrets` is what an encryption draws from, `entropy` unless given.

    Raises:
        ProtocolError: the announcement is not acceptable.
    """
    scheme = schedule.scheme
    if scheme is None:
        return ClientSession(announcement, client_id=client_id, policy=policy, identity=identity, entropy=entropy)
    if isinstance(scheme, SplitScheme):
        return client.EncryptingClient(
            announcement, client_id=client_id, scheme=scheme, policy=policy, identity=identity, entropy=entropy
        )
    return EncryptingClient(
        announcement,
        client_id=client_id,
        scheme=scheme,
        policy=policy,
        identity=identity,
        entropy=entropy,
        secrets=secrets,
    )


def type_of(message: bytes) -> int | None:
    """The type that a message claims; a parcel stands for the masked input in it, as an offer for the M0 beside it."""
    if messages.is_announcement(message):
        return MessageType.PARAMETERS
    return MessageType.MASKED_INPUT if is_parcel(message) else claimed_type(message)


def signed_part(schedule: Schedule, message: bytes, key_hash: bytes = b"") -> bytes:
    """What of a message its author's signature covers, all of it included: of a parcel M5, if that names all the rest.

    A parcel whose M5 names another ciphertext convicts nobody: whoever carried it may have changed it, and an honest
    M5 is in it. It comes back as it is, and no signature of this protocol verifies under that.
    """
    scheme = schedule.scheme
    if scheme is None or not is_parcel(message):
        return message
    names = messages.round_digest(scheme.digest, key_hash) if isinstance(scheme, SplitScheme) else scheme.digest
    try:
        parcel = Parcel.read(message, sender=0, input_bytes=len(message), ciphertext_bytes=len(message))
    except PeerProtocolError:
        return message
    masked = parcel.masked_input
    if claimed_type(masked) != MessageType.MASKED_INPUT or len(masked) < FRAME_BYTES + DIGEST_BYTES:
        return message
    stated = bytes(payload_of(masked)[:DIGEST_BYTES])
    named = stated == attachment_digest(names, parcel.commitment, parcel.ciphertext)
    return masked if named else message
