# SPDX-License-Identifier: Apache-2.0
"""Opening the sum: reconstruct every secret, check it, and only then take the masks off.

    sum of y_u  =  sum of x_u + sum over survivors PRG(b_u) + sum over dropped v, survivors u of +-PRG(k_uv)

Source: Bonawitz et al., CCS 2017, figure 4, round 4.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.correction import false_rows
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
) -> tuple[tuple[int, int], ...]:
    """Turn the sum of the masked vectors into the sum of the vectors modulo 2^32, in place.

    Args:       dropped: members of the mask set whose vector is not in the sum.
    Returns:    (dealer, holder) of every share that was found false and done without: up to (r - t)/2 of
                the r shares of a secret. Either of the two may have lied.
    Raises:     TooFewSurvivors: a secret has fewer than threshold shares.  BadShare: shares that do not
                open what was committed to. In both cases no mask was taken off.
    """
    false: list[tuple[int, int]] = []

    def opened(dealer: int, what: str, fits: Callable[[bytes], bool]) -> bytes:
        secret, liars = _secret(dealer, what, fits, parameters, answers)
        false.extend((dealer, holder) for holder in liars)
        return secret

    def seed_fits(dealer: int) -> Callable[[bytes], bool]:
        return lambda seed: commitment(seed, session=session) == adverts[dealer].commitment

    def key_fits(dealer: int) -> Callable[[bytes], bool]:
        return lambda key: KeyPair(key).public == adverts[dealer].mask_public

    seeds = [opened(dealer, "self-mask seed", seed_fits(dealer)) for dealer in survivors]
    pairs = {dealer: KeyPair(opened(dealer, "mask key", key_fits(dealer))) for dealer in dropped}
    minus = [self_mask_key(seed, session=session) for seed in seeds]
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
    return tuple(false)


def _secret(
    dealer: int, what: str, fits: Callable[[bytes], bool], parameters: RoundParameters, answers: Answers
) -> tuple[bytes, tuple[int, ...]]:
    """The secret that fits its commitment, and the holders whose shares had to be left out."""
    t = parameters.threshold
    holders = tuple(holder for holder in parameters.cohort if dealer in answers.get(holder, ()))
    if len(holders) < t:
        raise TooFewSurvivors(need=t, have=len(holders), phase="UNMASK")
    index = {id_: i for i, id_ in enumerate(parameters.cohort, start=1)}
    points = tuple(index[holder] for holder in holders)
    packed = b"".join([answers[holder][dealer] for holder in holders])
    rows = unpack(np.frombuffer(packed, np.uint8).reshape(len(holders), SHARE_BYTES), SECRET_WORDS)
    secret = reconstruct(points[:t], rows[:t])
    if secret is not None and fits(secret):
        return secret, ()
    # Somebody lied. With more shares than the threshold, the others say who, up to the code's bound.
    bad = false_rows(points, rows, threshold=t)
    good = [row for row in range(len(holders)) if row not in (bad or ())][:t]
    secret = reconstruct(tuple(points[row] for row in good), rows[good]) if bad else None
    if bad and secret is not None and fits(secret):
        return secret, tuple(holders[row] for row in bad)
    text = f"the {what} of {dealer} does not open: bad dealer {dealer} or bad holders among {holders[:8]}"
    raise BadShare(text, sender=dealer, holders=holders, where=_WHERE)
