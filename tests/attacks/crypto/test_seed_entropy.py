# SPDX-License-Identifier: Apache-2.0
"""Guessing mask keys: every bit of a key varies, none repeats, and a key of one use is none of another."""

import os

import numpy as np
import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import Phase
from fedmeta_crypto.keys import KEY_BYTES, commitment, pair_mask_key, self_mask_key

AMOUNTS = [pytest.param(2**14, id="short"), pytest.param(2**20, id="all", marks=pytest.mark.long)]
PUBLICS = (bytes([1]) * 32, bytes([2]) * 32)


def folded(keys):
    """Keys as 32-bit words added together: what a generator with a 32-bit seed would make of them."""
    return np.frombuffer(b"".join(keys), "<u4").reshape(len(keys), -1)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("make", ["pair", "self"])
def test_keys_of_many_sessions(make, amount):
    """One secret, many sessions: no key twice, and each of its 128 bits is one half of the time."""
    secret, behaviour = os.urandom(32), bytes(32)
    keys = []
    for number in range(amount):
        session = number.to_bytes(32, "little")
        if make == "pair":
            keys.append(pair_mask_key(secret, session=session, behaviour_hash=behaviour, publics=PUBLICS))
        else:
            keys.append(self_mask_key(secret, session=session))
    assert {len(key) for key in keys} == {KEY_BYTES} and len(set(keys)) == amount
    bits = np.unpackbits(np.frombuffer(b"".join(keys), np.uint8).reshape(amount, KEY_BYTES), axis=1)
    assert (np.abs(bits.mean(axis=0) - 0.5) < 6 * 0.5 / np.sqrt(amount)).all()
    words = folded(keys)
    assert all(len(np.unique(words[:, i] & 0xFF)) == 256 for i in range(4))


def test_mask_keys_of_real_rounds_never_meet():
    seen = set()
    for number in range(20):
        rehearsal = Rehearsal(n=6, threshold=3, min_survivors=4, seed=str(number)).until(Phase.MASK_INPUT)
        own = [c._secrets.mask_keys_plus[0] for c in rehearsal.clients.values()]
        plus = [key for c in rehearsal.clients.values() for key in c._secrets.mask_keys_plus[1:]]
        minus = [key for c in rehearsal.clients.values() for key in c._secrets.mask_keys_minus]
        assert sorted(map(bytes, plus)) == sorted(map(bytes, minus))  # each pair's key, at both of its ends
        fresh = {bytes(key) for key in (*own, *plus)}
        assert len(fresh) == 6 + 15 and not fresh & seen
        seen |= fresh


def test_the_published_commitment_is_not_the_mask_key():
    seed, session = os.urandom(32), os.urandom(32)
    public, key = commitment(seed, session=session), self_mask_key(seed, session=session)
    assert key not in public and public[:KEY_BYTES] != key
