# SPDX-License-Identifier: Apache-2.0
"""The public polynomial is nobody's choice, never zero and never the same in two rounds; and why it must not be."""

import numpy as np
from lattice_rounds import LatticeRehearsal
from scipy import stats

from fedmeta_crypto import Keystream
from fedmeta_crypto.homomorphic.rlwe import scheme_for
from fedmeta_crypto.homomorphic.rlwe.scheme import coefficient_type, encrypt, public_blocks

SCHEME = scheme_for("rlwe32", clients=3, modulus_bits=16, dimension=2**17)


def polynomial(session, roster=bytes(32)):
    return np.concatenate([a.reshape(-1) for _, a in public_blocks(SCHEME, session, roster)])


def test_uniform_whatever_the_announcement():
    for session in (bytes(32), b"\xff" * 32):
        counts = np.bincount(polynomial(session) >> 24, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-6


def test_another_for_every_session_and_every_roster():
    first = polynomial(bytes(32))
    for other in (polynomial(b"\x01" + bytes(31)), polynomial(bytes(32), b"\x01" + bytes(31))):
        assert np.mean(first == other) < 1e-3


def test_all_clients_of_a_round_have_the_servers():
    round_ = LatticeRehearsal().advertise().share()
    rosters = {client._roster for client in round_.clients.values()}
    assert rosters == {round_.server._roster} and rosters != {bytes(32)}


def test_what_one_polynomial_and_one_secret_twice_would_reveal():
    """Two uploads under one (a, s): their difference is Delta (m - m') and a little noise. No session makes two."""
    small = scheme_for("rlwe32", clients=3, modulus_bits=16, dimension=1000)
    kind = coefficient_type(small)
    rng = np.random.default_rng(0)
    vectors = [rng.integers(0, 2**16, 1000).astype(np.uint32) for _ in range(2)]
    names = {"session": bytes(32), "roster_digest": bytes(32)}
    uploads = [
        np.frombuffer(encrypt(small, vector, **names, secrets=Keystream(bytes(16)))[0], kind) for vector in vectors
    ]
    difference = (uploads[0] - uploads[1] + kind.type(1 << 15)) >> kind.type(16)
    assert np.array_equal(difference, (vectors[0] - vectors[1]) % 2**16)
    fresh = np.frombuffer(encrypt(small, vectors[1], **names, secrets=Keystream(b"\x01" + bytes(15)))[0], kind)
    difference = (uploads[0] - fresh + kind.type(1 << 15)) >> kind.type(16)
    assert np.mean(difference == (vectors[0] - vectors[1]) % 2**16) < 0.01
