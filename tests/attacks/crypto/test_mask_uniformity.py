# SPDX-License-Identifier: Apache-2.0
"""A masked vector says nothing: every residue occurs, the top one too, whatever the input."""

import crypto_rounds
import numpy as np
import pytest
from crypto_rounds import Rehearsal, plan, signed_plan, sparse_plan, sum_of

from fedmeta_crypto import Phase
from fedmeta_crypto.messages import MaskedInput
from fedmeta_crypto.prg import add_masks
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


@pytest.mark.parametrize(
    "build",
    [
        lambda: plan(6, threshold=4, min_survivors=5, bits=8, length=LENGTH),
        lambda: signed_plan(6, corrupt=1, dropped=1, bits=8, length=LENGTH),
        lambda: sparse_plan(12, corrupt=2, dropped=1, bits=8, length=LENGTH),
    ],
    ids=["semi-honest", "malicious", "malicious ring"],
)
def test_colluders_below_the_threshold_see_noise(build, monkeypatch):
    """A server and as many neighbours as are assumed take off every mask they know: what is left is uniform."""
    parameters = build()
    for name in ("policy", "Agreeable"):
        made = getattr(crypto_rounds, name)
        monkeypatch.setattr(crypto_rounds, name, lambda made=made, **c: made(**c | {"max_length": LENGTH}))
    rehearsal = Rehearsal(parameters).until(Phase.MASK_INPUT)
    victim = rehearsal.clients[parameters.cohort[0]]
    near = parameters.neighbours_of(victim.client_id, parameters.session)
    colluders = near[: parameters.corrupt or parameters.threshold - 1]
    known = [key for id_ in colluders for key in _keys(rehearsal.clients[id_])]
    # Copies: the client overwrites its own as soon as it has masked.
    all_plus = [bytes(key) for key in victim._secrets.mask_keys_plus]
    all_minus = [bytes(key) for key in victim._secrets.mask_keys_minus]
    plus, minus = [key for key in all_plus if key in known], [key for key in all_minus if key in known]
    assert len(plus) + len(minus) == len(colluders)
    message = victim.mask_input(np.full(LENGTH, 7, np.uint32)).send[0].message
    _, payload = unframe(message, sender=victim.client_id, max_bytes=len(message), signed=rehearsal.signed)
    reader = Reader(payload, sender=1, where="test")
    sent = MaskedInput.read(reader, bits=8, length=LENGTH, sender=1).vector

    def without(plus, minus):
        left = np.array(sent)
        add_masks(left, plus=minus, minus=plus)
        return left & 255

    assert _chi_square(without(plus, minus)) < 400  # 255 degrees of freedom: one unknown mask is enough
    assert (without(all_plus, all_minus) == 7).all()  # the test would see it if there were none


def _keys(client):
    return [bytes(key) for key in (*client._secrets.mask_keys_plus, *client._secrets.mask_keys_minus)]


def _chi_square(values):
    counts = np.bincount(values, minlength=256)
    return ((counts - LENGTH / 256) ** 2 / (LENGTH / 256)).sum()
