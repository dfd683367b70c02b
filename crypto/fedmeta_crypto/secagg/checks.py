# SPDX-License-Identifier: Apache-2.0
"""What a client demands of the server's lists U1 (M2), U2 (M4), U3 (M6) and, under signatures, of the proof (M8).

Each check raises and has no effect, so a refused list leaves the session as it was.
"""

from fedmeta_crypto.errors import BadArgument, BadKey, BadSignature, Equivocation, InconsistentRoster, UnsafeSurvivors
from fedmeta_crypto.keys import DIGEST_BYTES, check_public
from fedmeta_crypto.messages import (
    ConsistencyProof,
    Delivery,
    KeyAdvertisement,
    Roster,
    SurvivorList,
    masked_input_bytes,
)
from fedmeta_crypto.sealed import no_box
from fedmeta_crypto.secagg.authentication import Authenticator
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.wire import SERVER, MessageType, content_digest


def check_roster(
    roster: Roster, mine: KeyAdvertisement, *, me: int, near: tuple[int, ...], parameters: RoundParameters
) -> None:
    """My neighbours in U1 are enough of `near`, my own advertisement is unaltered, and no key is weak or twice."""
    adverts = dict(roster.entries)
    _check_members(tuple(adverts), me=me, within=near, parameters=parameters, where="roster")
    if adverts[me] != mine:
        raise InconsistentRoster("my own advertisement was altered", sender=SERVER, where="roster")
    publics = [key for advert in adverts.values() for key in (advert.cipher_public, advert.mask_public)]
    for public in publics:
        check_public(public, sender=SERVER, where="roster")
    # A copied key would give its owner's masks or envelopes to whoever copied it.
    if len(set(publics)) != len(publics):
        raise BadKey("a public key occurs twice", sender=SERVER, where="roster")


def check_delivery(delivery: Delivery, *, me: int, near: tuple[int, ...], parameters: RoundParameters) -> None:
    """My neighbours in U2 are enough of those in U1; no box is from myself."""
    boxes = dict(delivery.boxes)
    _check_members(tuple(boxes), me=me, within=near, parameters=parameters, where="delivery")
    if boxes[me] != no_box(parameters.surplus):
        raise InconsistentRoster("a box from myself", sender=SERVER, where="delivery")


def check_survivors(
    survivors: SurvivorList, digest: bytes, *, me: int, gone: frozenset[int], parameters: RoundParameters
) -> None:
    """U3 is large enough, none of it a stranger or `gone` before, and holds me with the very input I sent."""
    ids = set(survivors.ids)
    if not gone.isdisjoint(ids) or not ids <= set(parameters.cohort):
        raise UnsafeSurvivors("survivors who are not in the mask set", sender=SERVER, where="survivors")
    if len(ids) < parameters.min_survivors:
        what = f"{len(ids)} survivors, at least {parameters.min_survivors} announced"
        raise UnsafeSurvivors(what, sender=SERVER, where="survivors")
    if me not in ids or (survivors.digests and dict(survivors.entries)[me] != digest):
        raise UnsafeSurvivors("my input is missing or is not what I sent", sender=SERVER, where="survivors")


def check_advert_signatures(roster: Roster, wire: Authenticator) -> None:
    """Every advertisement was signed by its owner as an M1 of this session."""
    if wire.signed:
        for (id_, advert), signature in zip(roster.entries, roster.signatures, strict=True):
            payload = advert.payload()
            _demand(wire, id_, MessageType.ADVERTISEMENT, len(payload), content_digest(payload), signature)


def check_proof(
    proof: ConsistencyProof,
    mine: bytes,
    wire: Authenticator,
    *,
    me: int,
    survivors: SurvivorList,
    parameters: RoundParameters,
) -> int:
    """Every survivor signed that it is one, a quorum of them my very list, and nobody another list.

    A vote for the list proves its author's input as well as the input's own signature does: whoever is honest votes
    only for a list that holds the input it sent. So one signature of each survivor is enough.

    Returns:    how many voted.
    Raises:     Equivocation: a valid signature on others: no answer may ever be given.
                BadSignature, InconsistentRoster, UnsafeSurvivors: this proof proves nothing.
    """
    where = MessageType.CONSISTENCY_PROOF.where
    inputs, people = dict(survivors.entries), set(parameters.cohort)
    size = masked_input_bytes(*parameters.form)
    if strangers := [item.id for item in proof.evidence if item.id not in people]:
        raise InconsistentRoster(f"evidence of strangers: {strangers[:5]}", sender=SERVER, where=where)
    voted = []
    for id_, kind, digest, signature in proof.evidence:
        if kind is MessageType.CONSISTENCY:
            _demand(wire, id_, kind, DIGEST_BYTES, content_digest(digest), signature)
            voted.append((id_, digest))
        elif inputs.get(id_) != digest:
            raise UnsafeSurvivors(f"the input of {id_} is not the listed one", sender=SERVER, where=where)
        else:
            _demand(wire, id_, kind, size, digest, signature)
    if others := [id_ for id_, digest in voted if digest != mine]:
        raise Equivocation(f"other survivors were signed by {others[:5]}", sender=SERVER, where=where)
    proved = {item.id for item in proof.evidence}
    if outsiders := sorted(proved - inputs.keys()):
        raise InconsistentRoster(f"votes of clients who did not survive: {outsiders[:5]}", sender=SERVER, where=where)
    if missing := sorted(inputs.keys() - proved - {me}):
        raise UnsafeSurvivors(f"no evidence that {missing[:5]} survived", sender=SERVER, where=where)
    if len(voted) < parameters.fewest_votes:
        what = f"{len(voted)} signatures on my survivors, {parameters.fewest_votes} are a quorum here"
        raise UnsafeSurvivors(what, sender=SERVER, where=where)
    return len(voted)


def check_attachment(attachment_hash: bytes, *, where: str) -> None:
    """An application's attachment is named by 32 bytes; raises `BadArgument`."""
    if not isinstance(attachment_hash, bytes) or len(attachment_hash) != DIGEST_BYTES:
        raise BadArgument(f"attachment_hash is not {DIGEST_BYTES} bytes", where=where)


def _demand(wire: Authenticator, id_: int, kind: MessageType, size: int, content: bytes, signature: bytes) -> None:
    if not wire.has_signed(id_, kind, size=size, content=content, signature=signature):
        raise BadSignature(f"{id_} did not sign the {kind.where} shown as his", sender=SERVER, where=kind.where)


def _check_members(
    ids: tuple[int, ...], *, me: int, within: tuple[int, ...], parameters: RoundParameters, where: str
) -> None:
    if me not in ids or not set(ids) <= {me, *within}:
        raise InconsistentRoster("members that cannot be, or not me", sender=SERVER, where=where)
    if len(ids) - 1 < parameters.fewest_near:
        what = f"{len(ids) - 1} neighbours, fewer than the {parameters.fewest_near} that must be left"
        raise InconsistentRoster(what, sender=SERVER, where=where)
