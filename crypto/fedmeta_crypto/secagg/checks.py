# SPDX-License-Identifier: Apache-2.0
"""What a client demands of the server's lists U1 (M2), U2 (M4), U3 (M6) and, under signatures, of the proof (M8).

Each check raises and has no effect, so a refused list leaves the session as it was.
"""

from fedmeta_crypto.errors import BadKey, BadSignature, Equivocation, InconsistentRoster, UnsafeSurvivors
from fedmeta_crypto.keys import DIGEST_BYTES, check_public
from fedmeta_crypto.messages import (
    ConsistencyProof,
    ConsistencyVote,
    Delivery,
    KeyAdvertisement,
    Roster,
    SurvivorList,
    masked_input_bytes,
)
from fedmeta_crypto.sealed import NO_BOX
from fedmeta_crypto.secagg.authentication import Authenticator
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.wire import SERVER, MessageType, content_digest


def check_roster(roster: Roster, mine: KeyAdvertisement, *, me: int, parameters: RoundParameters) -> None:
    """U1 is part of the cohort, holds my advertisement unaltered, and no key weak or twice."""
    adverts = dict(roster.entries)
    _check_members(tuple(adverts), me=me, within=parameters.cohort, parameters=parameters, where="roster")
    if adverts[me] != mine:
        raise InconsistentRoster("my own advertisement was altered", sender=SERVER, where="roster")
    publics = [key for advert in adverts.values() for key in (advert.cipher_public, advert.mask_public)]
    for public in publics:
        check_public(public, sender=SERVER, where="roster")
    # A copied key would give its owner's masks or envelopes to whoever copied it.
    if len(set(publics)) != len(publics):
        raise BadKey("a public key occurs twice", sender=SERVER, where="roster")


def check_delivery(delivery: Delivery, *, me: int, within: tuple[int, ...], parameters: RoundParameters) -> None:
    """U2 is part of U1 and holds me, with no box from myself."""
    boxes = dict(delivery.boxes)
    _check_members(tuple(boxes), me=me, within=within, parameters=parameters, where="delivery")
    if boxes[me] != NO_BOX:
        raise InconsistentRoster("a box from myself", sender=SERVER, where="delivery")


def check_survivors(
    survivors: SurvivorList,
    digest: bytes,
    *,
    me: int,
    within: tuple[int, ...],
    parameters: RoundParameters,
) -> None:
    """U3 is part of U2, is large enough, and holds me with the very input I sent."""
    digests = dict(survivors.entries)
    if not set(digests) <= set(within):
        raise UnsafeSurvivors("survivors who are not in the mask set", sender=SERVER, where="survivors")
    if len(digests) < parameters.min_survivors:
        what = f"{len(digests)} survivors, at least {parameters.min_survivors} announced"
        raise UnsafeSurvivors(what, sender=SERVER, where="survivors")
    if digests.get(me) != digest:
        raise UnsafeSurvivors("my input is missing or is not what I sent", sender=SERVER, where="survivors")


def check_advert_signatures(roster: Roster, wire: Authenticator) -> None:
    """Every advertisement was signed by its owner as an M1 of this session."""
    if wire.signed:
        for (id_, advert), signature in zip(roster.entries, roster.signatures, strict=True):
            payload = advert.payload()
            _demand(wire, id_, MessageType.ADVERTISEMENT, len(payload), content_digest(payload), signature)


def check_input_signatures(survivors: SurvivorList, wire: Authenticator, *, parameters: RoundParameters) -> None:
    """Every survivor signed an M5 of this session with the listed contents."""
    if wire.signed:
        size = masked_input_bytes(parameters.length, parameters.modulus_bits)
        for (id_, digest), signature in zip(survivors.entries, survivors.signatures, strict=True):
            _demand(wire, id_, MessageType.MASKED_INPUT, size, digest, signature)


def check_proof(
    proof: ConsistencyProof, mine: bytes, wire: Authenticator, *, within: tuple[int, ...], parameters: RoundParameters
) -> None:
    """A quorum of the cohort signed my survivors, and nobody others.

    Raises:     Equivocation: a valid signature on others: no answer may ever be given.
                BadSignature, InconsistentRoster, UnsafeSurvivors: this proof proves nothing.
    """
    where = MessageType.CONSISTENCY_PROOF.where
    if strangers := [id_ for id_, _, _ in proof.votes if id_ not in parameters.cohort]:
        raise InconsistentRoster(f"votes of strangers: {strangers[:5]}", sender=SERVER, where=where)
    for id_, digest, signature in proof.votes:
        content = content_digest(ConsistencyVote(digest).payload())
        _demand(wire, id_, MessageType.CONSISTENCY, DIGEST_BYTES, content, signature)
    if others := [id_ for id_, digest, _ in proof.votes if digest != mine]:
        raise Equivocation(f"other survivors were signed by {others[:5]}", sender=SERVER, where=where)
    if outsiders := [id_ for id_, _, _ in proof.votes if id_ not in within]:
        raise InconsistentRoster(f"votes of clients who did not survive: {outsiders[:5]}", sender=SERVER, where=where)
    if len(proof.votes) < parameters.quorum:
        what = f"{len(proof.votes)} signatures on my survivors, {parameters.quorum} are a quorum"
        raise UnsafeSurvivors(what, sender=SERVER, where=where)


def _demand(wire: Authenticator, id_: int, kind: MessageType, size: int, content: bytes, signature: bytes) -> None:
    if not wire.has_signed(id_, kind, size=size, content=content, signature=signature):
        raise BadSignature(f"{id_} did not sign the {kind.where} shown as his", sender=SERVER, where=kind.where)


def _check_members(
    ids: tuple[int, ...], *, me: int, within: tuple[int, ...], parameters: RoundParameters, where: str
) -> None:
    if me not in ids or not set(ids) <= set(within):
        raise InconsistentRoster("members that cannot be, or not me", sender=SERVER, where=where)
    if len(ids) < parameters.min_survivors:
        what = f"{len(ids)} members, fewer than the {parameters.min_survivors} survivors announced"
        raise InconsistentRoster(what, sender=SERVER, where=where)
