# SPDX-License-Identifier: Apache-2.0
"""A threshold round gives the integers that masking gives, bit for bit, whoever drops out and when."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, counter_entropy, signed_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_rounds import LatticeRehearsal

from fedmeta_crypto import Keystream
from fedmeta_crypto.homomorphic.rlwe import scheme_for
from fedmeta_crypto.homomorphic.rlwe.scheme import coefficient_type, encrypt, opened


@st.composite
def rounds(draw):
    """(name, n, A, D, bits, dimension, who drops out before which of the five uploads)."""
    n = draw(st.integers(4, 7))
    dropped = draw(st.integers(0, (n - 2) // 2))
    corrupt = draw(st.integers(0, max(0, (n - 1 - dropped) // 3 - 1)))
    name = draw(st.sampled_from(["rlwe32", "rlwe64"]))
    bits = draw(st.integers(8, 22 if name == "rlwe32" else 32))
    dimension = draw(st.integers(1, 5000))
    gone = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=dropped))
    when = [draw(st.integers(0, 4)) for _ in gone]
    return name, n, corrupt, dropped, bits, dimension, dict(zip(gone, when, strict=True))


def run(rehearsal, gone):
    ids = rehearsal.parameters.cohort
    left = [{ids[i] for i, when in gone.items() if when <= move} for move in range(5)]
    rehearsal.advertise(left[0]).share(left[1]).deliver(left[2]).mask(left[2]).agree(left[3]).unmask(left[4])
    return rehearsal.opened


@settings(max_examples=25, deadline=None)
@given(rounds())
def test_the_same_sum_as_masking(case):
    name, n, corrupt, dropped, bits, dimension, gone = case
    lattice = LatticeRehearsal(name=name, n=n, bits=bits, dimension=dimension, corrupt=corrupt, dropped=dropped)
    masking = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped, bits=bits, length=dimension))
    masking.vectors = lattice.vectors
    here, there = run(lattice, gone), run(masking, gone)
    assert (here.survivors, here.dropped) == (there.survivors, there.dropped)
    assert here.total.dtype == there.total.dtype and np.array_equal(here.total, there.total)


def sums_are_exact(seeds):
    scheme = scheme_for("rlwe32", clients=50, modulus_bits=22, dimension=300)
    for seed in seeds:
        rng, entropy = np.random.default_rng(seed), counter_entropy(f"sum {seed}")
        names = {"session": entropy(32), "roster_digest": entropy(32)}
        clients = int(rng.integers(2, 51))
        total, key = np.zeros(300, coefficient_type(scheme)), np.zeros(2048, np.int64)
        want = np.zeros(300, np.uint64)
        for _ in range(clients):
            vector = rng.integers(0, 2**22, 300).astype(np.uint32)
            upload, secret = encrypt(scheme, vector, **names, secrets=Keystream(entropy(16)))
            total += np.frombuffer(upload, total.dtype)
            key += secret
            want += vector
        found = opened(scheme, total, key, clients=clients, **names)
        assert np.array_equal(found, (want % 2**22).astype(np.uint32))


def test_sums_are_exact_up_to_fifty_clients():
    sums_are_exact(range(20))


@pytest.mark.long
def test_a_thousand_sums_are_exact():
    sums_are_exact(range(1000))
