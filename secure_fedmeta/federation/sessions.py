# SPDX-License-Identifier: Apache-2.0
"""The sessions of a round: plain masking, or an encryption around it; rounds and runs see one surface."""

from __future__ import annotations

from fedmeta_crypto import ClientPolicy, ClientSession, Entropy, PeerProtocolError, RoundParameters, ServerSession
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest, is_parcel
from fedmeta_crypto.homomorphic.rlwe import AddingServer, EncryptingClient
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.wire import FRAME_BYTES, MessageType, claimed_type, payload_of

from ..schedule import Schedule
from .identities import Credentials

ClientSide = ClientSession | EncryptingClient
ServerSide = ServerSession | AddingServer


def round_parameters(
    schedule: Schedule, cohort: tuple[int, ...], *, number: int, body: bytes, nonce: bytes, people: AllowList | None
) -> RoundParameters:
    """What the server announces for round `number`."""
    hiding = schedule.hiding
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
    )


def server_side(schedule: Schedule, parameters: RoundParameters, credentials: Credentials | None) -> ServerSide:
    """The server's session of one masked round."""
    own = credentials if schedule.hiding.signed else None
    identity, people = (None, None) if own is None else (own.identity, own.people)
    if schedule.scheme is None:
        return ServerSession(parameters, identity=identity, allow_list=people)
    return AddingServer(parameters, scheme=schedule.scheme, identity=identity, allow_list=people)


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
    if schedule.scheme is None:
        return ClientSession(announcement, client_id=client_id, policy=policy, identity=identity, entropy=entropy)
    return EncryptingClient(
        announcement,
        client_id=client_id,
        scheme=schedule.scheme,
        policy=policy,
        identity=identity,
        entropy=entropy,
        secrets=secrets,
    )


def type_of(message: bytes) -> int | None:
    """The type that a message claims; a parcel stands for the masked input in it."""
    return MessageType.MASKED_INPUT if is_parcel(message) else claimed_type(message)


def signed_part(schedule: Schedule, message: bytes) -> bytes:
    """What of a message its author's signature covers, all of it included: of a parcel M5, if that names all the rest.

    A parcel whose M5 names another ciphertext convicts nobody: whoever carried it may have changed it, and an honest
    M5 is in it. It comes back as it is, and no signature of this protocol verifies under that.
    """
    if schedule.scheme is None or not is_parcel(message):
        return message
    try:
        parcel = Parcel.read(message, sender=0, input_bytes=len(message), ciphertext_bytes=len(message))
    except PeerProtocolError:
        return message
    masked = parcel.masked_input
    if claimed_type(masked) != MessageType.MASKED_INPUT or len(masked) < FRAME_BYTES + DIGEST_BYTES:
        return message
    stated = bytes(payload_of(masked)[:DIGEST_BYTES])
    named = stated == attachment_digest(schedule.scheme.digest, parcel.commitment, parcel.ciphertext)
    return masked if named else message
