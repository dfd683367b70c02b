# SPDX-License-Identifier: Apache-2.0
"""A masked vector says nothing: every residue occurs, the top one too, whatever the input."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, sum_of

from fedmeta_crypto import Phase
from fedmeta_crypto.messages import MaskedInput
from fedmeta_crypto.wire import Reader, unframe

LENGTH = 40_000


def masked_vector(bits, value):
    rehearsal = Rehearsal(bits=bits, length=LENGTH, n=3)
    for client in rehearsal.clients.values():
        assert client.parameters.length == LENGTH
    rehearsal.until(Phase.MASK_INPUT)
    message = rehearsal.clients[13].mask_input(np.full(LENGTH, value, np.uint32)).send[0].message
    _, payload = unframe(message, sender=13, max_bytes=len(message))
    reader = Reader(payload, sender=13, where="test")
    return MaskedInput.read(reader, bits=bits, length=LENGTH, sender=13).vector


@pytest.fixture(autouse=True)
def long_vectors(monkeypatch):
    import crypto_rounds

    wide = crypto_rounds.policy
    monkeypatch.setattr(crypto_rounds, "policy", lambda **changes: wide(**({"max_length": LENGTH} | changes)))


@pytest.mark.parametrize("value", [0, 255])
def test_eight_bits(value):
    counts = np.bincount(masked_vector(8, value), minlength=256)
    assert counts.size == 256 and counts.all()
    chi_square = ((counts - LENGTH / 256) ** 2 / (LENGTH / 256)).sum()
    assert 150 < chi_square < 400  # 255 degrees of freedom, fixed seed: both tails below 1e-7


@pytest.mark.parametrize("bits", [13, 32])
def test_top_bits_are_used(bits):
    vector = masked_vector(bits, 0)
    top = np.bincount(vector >> np.uint32(bits - 4), minlength=16)
    assert top.size == 16 and (np.abs(top - LENGTH / 16) < 6 * np.sqrt(LENGTH / 16)).all()


@pytest.mark.parametrize("bits", [8, 31, 32])
def test_top_values_as_inputs(bits):
    rehearsal = Rehearsal(bits=bits)
    rehearsal.vectors = {id_: np.full(5, 2**bits - 1, np.uint32) for id_ in rehearsal.clients}
    rehearsal.until(Phase.UNMASK)
    rehearsal.unmask()
    assert np.array_equal(rehearsal.opened.total, sum_of(rehearsal.vectors, rehearsal.clients, bits))


def test_colluders_below_the_threshold_see_noise():
    """A server and t - 1 colluders take off every mask they know; an honest pair's mask is left."""
    rehearsal = Rehearsal(n=4, threshold=3, min_survivors=4, length=2000).until(Phase.MASK_INPUT)
    victim, friend = rehearsal.clients[3], rehearsal.clients[13]
    colluders = [rehearsal.clients[23], rehearsal.clients[33]]
    known = [key for c in colluders for key in c._secrets.mask_keys_minus]
    mine = victim._secrets.mask_keys_plus
    unknown = [key for key in mine if key not in known]
    assert len(unknown) == 2 and unknown[1] in friend._secrets.mask_keys_minus  # own mask and the friend's
