# SPDX-License-Identifier: Apache-2.0
"""Opening the sum: reconstruct every secret, check it, and only then take the masks off.

    sum of y_u  =  sum of x_u + sum over survivors PRG(b_u) + sum over dropped v, surviving u of +-PRG(k_uv)

u and v being neighbours. Surplus secrets of survivors are opened beside, and used by nobody in this room.

Source: Bonawitz et al., CCS 2017, figure 4, round 4.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import modular
from fedmeta_crypto.correction import correct
from fedmeta_crypto.errors import BadShare, TooFewSurvivors
from fedmeta_crypto.keys import KeyPair, commitment, pair_mask_key, self_mask_key, surplus_commitment
from fedmeta_crypto.messages import KeyAdvertisement
from fedmeta_crypto.prg import add_masks
from fedmeta_crypto.ring import Residues, reduce_in_place
from fedmeta_crypto.sealed import SECRET_WORDS, SHARE_BYTES
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.step import ResidueOpened, SharesCorrected, SumOpened
from fedmeta_crypto.shamir import reconstruct_all, unpack

_WHERE = "unmask"


class WrongShares(NamedTuple):
    """Of one dealer's secret: who holds a share that does not fit, and how many do fit."""

    dealer: int
    holders: tuple[int, ...]
    agreeing: int


Answers = Mapping[int, Mapping[int, bytes]]  # holder -> dealer -> packed share
Surplus = tuple[tuple[bytes, ...], ...]  # of each survivor, those of its surplus secrets that are opened
Opens = Callable[[int, bytes], bool]  # whether a dealer committed to this secret


def open_sum(
    masked: Residues,
    *,
    parameters: RoundParameters,
    session: bytes,
    adverts: Mapping[int, KeyAdvertisement],
    commitments: Mapping[int, tuple[bytes, ...]],
    dropped: tuple[int, ...],
    survivors: tuple[int, ...],
    answers: Mapping[int, Answers],
) -> tuple[SharesCorrected | None, Surplus]:
    """Turn the sum of the masked vectors into the sum of the vectors in native words, in place.

    Of r shares of a secret, (r - threshold) // 2 may be wrong. Shares beyond the first `threshold` are looked at
    only when those do not open the secret.

    Args:       dropped: members of the mask set whose vector is not in the sum.  commitments: to the surplus secrets.
                answers: at 0 those that open the sum, at i those of surplus secret i.
    Returns:    who gave wrong shares, if any had to be corrected, and the surplus secrets.
    Raises:     TooFewSurvivors: a secret has fewer than threshold shares.  BadShare: too many wrong shares
                to open what was committed to. In both cases no mask was taken off.
    """

    def seed_opens(dealer: int, seed: bytes) -> bool:
        return commitment(seed, session=session) == adverts[dealer].commitment

    def key_opens(dealer: int, key: bytes) -> bool:
        return KeyPair(key).public == adverts[dealer].mask_public

    shared = _Shares(parameters, session, answers.get(0, {}))
    seeds, wrong = _recover(survivors, seed_opens, shared)
    keys, more = _recover(dropped, key_opens, shared)
    wrong += more
    surplus = []
    for number in parameters.surplus_open(len(survivors)):

        def opens(dealer: int, secret: bytes, number: int = number) -> bool:
            return surplus_commitment(number, secret, session=session) == commitments[dealer][number - 1]

        found, more = _recover(survivors, opens, _Shares(parameters, session, answers.get(number, {})))
        wrong += more
        surplus.append([found[dealer] for dealer in survivors])
    minus = [self_mask_key(seed, session=session) for seed in seeds.values()]
    plus: list[bytes] = []
    there = frozenset(survivors)
    for lost, secret in keys.items():
        pair = KeyPair(secret)
        for alive in there.intersection(parameters.neighbours_of(lost, session)):
            public = adverts[alive].mask_public
            key = pair_mask_key(
                pair.agree(public, peer=alive),
                session=session,
                behaviour_hash=parameters.behaviour_hash,
                publics=(pair.public, public),
            )
            # The survivor added this mask if its id is the smaller one.
            (minus if alive < lost else plus).append(key)
    if parameters.detached:
        modular.add_masks(masked, parameters.modulus, plus=plus, minus=minus)
    else:
        add_masks(masked, plus=plus, minus=minus)
    return judge(wrong, parameters) if wrong else None, tuple(zip(*surplus, strict=True))


def opened_sum(
    total: Residues,
    survivors: tuple[int, ...],
    dropped: tuple[int, ...],
    surplus: Surplus,
    *,
    parameters: RoundParameters,
) -> SumOpened | ResidueOpened:
    """The event that tells what `open_sum` left; in a detached round it took the masks off nothing, so their negative.

    Args:       dropped: the whole cohort but the survivors.
    """
    if parameters.detached:
        return ResidueOpened(modular.negated(total, parameters.modulus), survivors, dropped, surplus)
    reduce_in_place(total, parameters.modulus_bits)
    return SumOpened(total.astype(np.uint32, copy=False), survivors, dropped, surplus)


def judge(wrong: list[WrongShares], parameters: RoundParameters) -> SharesCorrected:
    """What wrong shares prove, and against whom.

    A dealer testifies only if t - 1 honest holders at least are left among those that agree: with the committed secret
    they fix the polynomial, so it is the dealer's own. With fewer, A corrupt holders could answer so that another
    polynomial of the same secret is nearest, and honest holders look wrong. However many secrets of one dealer a holder
    holds wrong shares of, the two are one pair, and each counts as one witness against the other.
    """
    proved: set[tuple[int, int]] = set()
    unproved: set[tuple[int, int]] = set()
    for item in wrong:
        sure = item.agreeing - max(parameters.corrupt, 1) >= parameters.threshold - 1
        (proved if sure else unproved).update((item.dealer, holder) for holder in item.holders)
    return replace(blame(sorted(proved), parameters), unproved=tuple(sorted(unproved - proved)))


def blame(pairs: list[tuple[int, int]], parameters: RoundParameters) -> SharesCorrected:
    """Whom pairs (dealer, holder) convict, of each of which one lied.

    More than A others that testify against one party cannot all be corrupt, so that party alone is named; nobody is
    where no A is agreed on, at the semi-honest strength. A counts as 1 at least.
    """
    by_dealer, by_holder = Counter(dealer for dealer, _ in pairs), Counter(holder for _, holder in pairs)
    enough = max(parameters.corrupt, 1) if parameters.strength.signed else len(parameters.cohort)

    def convicted(counts: Counter[int]) -> tuple[int, ...]:
        return tuple(sorted(id_ for id_, times in counts.items() if times > enough))

    return SharesCorrected(tuple(sorted(pairs)), convicted(by_dealer), convicted(by_holder))


class _Shares:
    """The answers, sorted by dealer: who holds a share, at which point, and its words."""

    def __init__(self, parameters: RoundParameters, session: bytes, answers: Answers) -> None:
        self._parameters, self._session, self._answers = parameters, session, answers
        self.threshold = parameters.threshold

    def holders(self, dealer: int) -> dict[int, int]:
        """Point (place among the dealer's neighbours, from 1) -> holder, of everyone who answered for the dealer.

        Raises:     TooFewSurvivors: they are fewer than threshold.
        """
        near = self._parameters.neighbours_of(dealer, self._session)
        held = {at: holder for at, holder in enumerate(near, start=1) if dealer in self._answers.get(holder, ())}
        if len(held) < self.threshold:
            raise TooFewSurvivors(need=self.threshold, have=len(held), phase="UNMASK")
        return held

    def words(self, dealers: Sequence[int], holders: Sequence[Collection[int]]) -> NDArray[np.uint32]:
        """Shares of several dealers, as many of each: shape (dealers, holders, words)."""
        answers = self._answers
        packed = b"".join([answers[h][dealer] for dealer, of in zip(dealers, holders, strict=True) for h in of])
        rows = unpack(np.frombuffer(packed, np.uint8).reshape(-1, SHARE_BYTES), SECRET_WORDS)
        return rows.reshape(len(dealers), -1, SECRET_WORDS)


def _recover(dealers: tuple[int, ...], opens: Opens, shared: _Shares) -> tuple[dict[int, bytes], list[WrongShares]]:
    """Each dealer's secret, and the wrong shares of each if any secret needed correction."""
    found: dict[int, bytes] = {}
    # Dealers with the same points are interpolated together.
    together: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    held = {dealer: shared.holders(dealer) for dealer in dealers}
    for dealer in dealers:
        together[tuple(held[dealer])[: shared.threshold]].append(dealer)
    for points, group in together.items():
        rows = shared.words(group, [[held[dealer][point] for point in points] for dealer in group])
        secrets = zip(group, reconstruct_all(points, rows), strict=True)
        found |= {dealer: secret for dealer, secret in secrets if secret is not None and opens(dealer, secret)}
    if len(found) == len(dealers):
        return found, []
    wrong: list[WrongShares] = []
    for dealer in dealers:  # of all, since who is to blame shows in all that a holder answered
        found[dealer], bad = _corrected(dealer, held[dealer], opens, shared)
        if bad:
            holders = tuple(held[dealer][point] for point in bad)
            wrong.append(WrongShares(dealer, holders, len(held[dealer]) - len(bad)))
    return found, wrong


def _corrected(dealer: int, held: dict[int, int], opens: Opens, shared: _Shares) -> tuple[bytes, tuple[int, ...]]:
    (rows,) = shared.words([dealer], [held.values()])
    secret, bad = correct(tuple(held), rows, threshold=shared.threshold) or (None, ())
    if secret is None or not opens(dealer, secret):
        raise _bad_share(dealer, tuple(held.values()))
    return secret, bad


def _bad_share(dealer: int, holders: tuple[int, ...]) -> BadShare:
    text = f"the secret of {dealer} does not open: bad dealer {dealer} or bad holders among {holders[:8]}"
    return BadShare(text, sender=dealer, holders=holders, where=_WHERE)
