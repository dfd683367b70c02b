# SPDX-License-Identifier: Apache-2.0
"""Masks modulo t are uniform modulo t, and a test sees it when they are drawn below 2^44 instead.

For the t of the presets, 2^44 - 16383, the two differ by 1e-9 of the values and no sample could tell: the prime here is
three quarters of 2^44.
"""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, identity_of, signed_plan, signed_policy

from fedmeta_crypto import ClientSession, Phase, modular
from fedmeta_crypto.secagg.step import ResidueOpened

PRIME = 13194139533349
LENGTH = 60_000
BINS = 96


def masked_words(words):
    """What one client of a detached round hands out for encryption."""
    rehearsal = Rehearsal(DETACHED)
    rehearsal.until(Phase.MASK_INPUT)
    out = []
    rehearsal.clients[13].mask_detached(words, lambda masked: out.append(masked.copy()) or bytes(32))
    return out[0]


DETACHED = signed_plan(4, bits=0, modulus=PRIME, key_hash=bytes(32), length=LENGTH)


@pytest.fixture(autouse=True)
def detached_policies(monkeypatch):
    def client(self, id_, m0, *, entropy):
        own = signed_policy(self.parameters, modulus=PRIME)
        return ClientSession(m0, client_id=id_, policy=own, identity=identity_of(id_), entropy=entropy)

    monkeypatch.setattr(Rehearsal, "client", client)


def chi_square(words):
    counts = np.bincount((words.astype(object) * BINS // PRIME).astype(np.int64), minlength=BINS)
    assert counts.size == BINS  # none at or above t
    return ((counts - LENGTH / BINS) ** 2 / (LENGTH / BINS)).sum()


@pytest.mark.parametrize("value", [0, 1, PRIME - 1, PRIME // 2])
def test_masked_words_are_uniform_modulo_the_prime(value):
    assert chi_square(masked_words(np.full(LENGTH, value, np.uint64))) < 180  # 95 degrees of freedom: below 1e-6


def one_mask(monkeypatch, draw):
    """Leave the one mask that colluders do not know, made by `draw`; a sum of several hides how each was drawn."""
    monkeypatch.setattr(modular, "add_masks", lambda vector, modulus, *, plus, minus: draw(vector, modulus, plus[0]))


def test_one_mask_is_enough(monkeypatch):
    right = modular.add_masks
    one_mask(monkeypatch, lambda vector, modulus, key: right(vector, modulus, plus=[key]))
    assert chi_square(masked_words(np.zeros(LENGTH, np.uint64))) < 180


def test_masks_modulo_a_power_of_two_are_seen(monkeypatch):
    """Words of 44 bits reduced modulo t: the lowest third is twice as likely."""

    def wrong(vector, modulus, key):
        draws = np.frombuffer(modular.open_stream(key).update(bytes(8 * LENGTH)), "<u8") % 2**44
        vector[:] = (vector + draws) % np.uint64(modulus)

    one_mask(monkeypatch, wrong)
    assert chi_square(masked_words(np.zeros(LENGTH, np.uint64))) > 1000


def test_the_residue_of_survivors_is_what_their_masks_leave():
    rehearsal = Rehearsal(signed_plan(4, bits=0, modulus=PRIME, key_hash=bytes(32), length=50))
    rehearsal.advertise().share().deliver()
    rng, sums = np.random.default_rng(3), np.zeros(50, object)
    for id_ in (3, 23, 33):
        words = rng.integers(0, PRIME, 50).astype(np.uint64)

        def seal(masked, words=words):
            nonlocal sums
            sums = sums + masked.astype(object) - words.astype(object)
            return bytes([7]) * 32

        rehearsal._upload(5, id_, rehearsal.clients[id_].mask_detached(words, seal))
    rehearsal._collect(rehearsal.server.deadline(Phase.MASK_INPUT))
    rehearsal.agree()
    events = []
    for id_, message in dict(rehearsal.inbox).items():
        step = rehearsal.clients[id_].receive(message)
        events += rehearsal.server.receive(step.send[0].message, sender=id_).events
    (opened,) = [event for event in events if isinstance(event, ResidueOpened)]
    assert opened.survivors == (3, 23, 33) and opened.dropped == (13,)
    assert opened.residue.dtype == np.uint64 and opened.residue.tolist() == (sums % PRIME).tolist()
    assert rehearsal.server.attachments() == ((3, bytes([7]) * 32), (23, bytes([7]) * 32), (33, bytes([7]) * 32))
