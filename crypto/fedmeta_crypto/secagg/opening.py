# SPDX-License-Identifier: Apache-2.0
"""Opening the sum: reconstruct every secret, check it, and only then take the masks off.

    sum of y_u  =  sum of x_u + sum over survivors PRG(b_u) + sum over dropped v, survivors u of +-PRG(k_uv)

Source: Bonawitz et al., CCS 2017, figure 4, round 4.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadShare, TooFewSurvivors
from fedmeta_crypto.keys import KeyPair, commitment, pair_mask_key, self_mask_key
from fedmeta_crypto.messages import KeyAdvertisement
from fedmeta_crypto.prg import add_masks
from fedmeta_crypto.sealed import SECRET_WORDS, SHARE_BYTES
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.shamir import reconstruct, unpack

_WHERE = "unmask"
Answers = Mapping[int, Mapping[int, bytes]]  # holder -> dealer -> packed share


def open_sum(
    masked: NDArray[np.uint32],
    *,
    parameters: RoundParameters,
    session: bytes,
    adverts: Mapping[int, KeyAdvertisement],
    dropped: tuple[int, ...],
    survivors: tuple[int, ...],
    answers: Answers,
) -> None:
    """Turn the sum of the masked vectors into the sum of the vectors modulo 2^32, in place.

    Args:       dropped: members of the mask set whose vector is not in the sum.
    Raises:     TooFewSurvivors: a secret has fewer than threshold shares.  BadShare: shares that do not
                open what was committed to. In both cases no mask was taken off.
    """
    seeds = {dealer: _secret(dealer, parameters, answers) for dealer in survivors}
    keys = {dealer: _secret(dealer, parameters, answers) for dealer in dropped}
    pairs: dict[int, KeyPair] = {}
    for dealer, (seed, holders) in seeds.items():
        if seed is None or commitment(seed, session=session) != adverts[dealer].commitment:
            raise _bad_share(dealer, holders, "self-mask seed")
    for dealer, (key, holders) in keys.items():
        pair = None if key is None else KeyPair(key)
        if pair is None or pair.public != adverts[dealer].mask_public:
            raise _bad_share(dealer, holders, "mask key")
        pairs[dealer] = pair
    minus = [self_mask_key(seed, session=session) for seed, _ in seeds.values() if seed is not None]
    plus: list[bytes] = []
    for lost, pair in pairs.items():
        for alive in survivors:
            public = adverts[alive].mask_public
            key = pair_mask_key(
                pair.agree(public, peer=alive),
                session=session,
                behaviour_hash=parameters.behaviour_hash,
                publics=(pair.public, public),
            )
            # The survivor added this mask if its id is the smaller one.
            (minus if alive < lost else plus).append(key)
    add_masks(masked, plus=plus, minus=minus)


def _secret(dealer: int, parameters: RoundParameters, answers: Answers) -> tuple[bytes | None, tuple[int, ...]]:
    t = parameters.threshold
    holders = tuple(holder for holder in parameters.cohort if dealer in answers.get(holder, ()))
    if len(holders) < t:
        raise TooFewSurvivors(need=t, have=len(holders), phase="UNMASK")
    holders = holders[:t]
    index = {id_: i for i, id_ in enumerate(parameters.cohort, start=1)}
    packed = b"".join([answers[holder][dealer] for holder in holders])
    rows = unpack(np.frombuffer(packed, np.uint8).reshape(t, SHARE_BYTES), SECRET_WORDS)
    return reconstruct(tuple(index[holder] for holder in holders), rows), holders


def _bad_share(dealer: int, holders: tuple[int, ...], what: str) -> BadShare:
    text = f"the {what} of {dealer} does not open: bad dealer {dealer} or a bad holder among {holders[:8]}"
    return BadShare(text, sender=dealer, holders=holders, where=_WHERE)
