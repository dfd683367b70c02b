# SPDX-License-Identifier: Apache-2.0
"""What a client demands of the server's three lists U1 (M2), U2 (M4) and U3 (M6).

Each check raises and has no effect, so a refused list leaves the session as it was.
"""

from fedmeta_crypto.errors import BadKey, InconsistentRoster, UnsafeSurvivors
from fedmeta_crypto.keys import check_public
from fedmeta_crypto.messages import Delivery, KeyAdvertisement, Roster, SurvivorList
from fedmeta_crypto.sealed import NO_BOX
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.wire import SERVER


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


def _check_members(
    ids: tuple[int, ...], *, me: int, within: tuple[int, ...], parameters: RoundParameters, where: str
) -> None:
    if me not in ids or not set(ids) <= set(within):
        raise InconsistentRoster("members that cannot be, or not me", sender=SERVER, where=where)
    if len(ids) < parameters.min_survivors:
        what = f"{len(ids)} members, fewer than the {parameters.min_survivors} survivors announced"
        raise InconsistentRoster(what, sender=SERVER, where=where)
