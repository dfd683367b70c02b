# SPDX-License-Identifier: Apache-2.0
"""Sums of reals under CKKS: within the stated error, and what is refused."""

import pickle

import numpy as np
import pytest

from fedmeta_crypto.errors import OutOfRing, Oversized, PlanRefused, Truncated
from fedmeta_crypto.homomorphic.errors import KeySpent, WrongKey
from fedmeta_crypto.homomorphic.seal.ckks import CkksSecret, RealSums
from fedmeta_crypto.homomorphic.seal.presets import CKKS_4096
from fedmeta_crypto.homomorphic.trust import TrustModel

SUMS = RealSums(clients=3, dimension=2100, largest=4.0, seconds=60)


@pytest.fixture(scope="module")
def key():
    secret = CkksSecret(SUMS)
    yield secret
    secret.wipe()


def test_sums_are_within_the_stated_error_which_is_no_wild_guess():
    secret, rng = CkksSecret(SUMS), np.random.default_rng(0)
    total = np.zeros(2100)
    for id_ in range(3):
        vector = rng.uniform(-4, 4, 2100)
        data = SUMS.encrypt(vector, secret.public_key)
        assert len(data) == SUMS.ciphertext_bytes
        secret.add(data, sender=id_)
        total += vector
    opened = secret.open()
    off = np.abs(opened.values - total).max()
    assert 0 < off <= opened.error_bound < 100 * off
    with pytest.raises(KeySpent):
        secret.open()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 4.01, 1e30])
def test_values_that_are_no_numbers_or_too_large(bad, key):
    vector = np.zeros(2100)
    vector[7] = bad
    with pytest.raises(OutOfRing):
        SUMS.encrypt(vector, key.public_key)


def test_shapes_keys_and_uploads_of_another_form(key):
    with pytest.raises(OutOfRing):
        SUMS.encrypt(np.zeros(2099), key.public_key)
    with pytest.raises(WrongKey):
        SUMS.encrypt(np.zeros(2100), key.public_key[:-1])
    with pytest.raises(WrongKey):
        SUMS.encrypt(np.zeros(2100), b"\xff" * len(key.public_key))
    for data, kind in ((b"", Truncated), (bytes(SUMS.ciphertext_bytes + 1), Oversized)):
        with pytest.raises(kind):
            key.add(data, sender=2)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_more_uploads_than_clients_are_refused():
    sums = RealSums(clients=1, dimension=3, largest=1.0, seconds=60)
    secret = CkksSecret(sums)
    data = sums.encrypt(np.ones(3), secret.public_key)
    secret.add(data, sender=1)
    with pytest.raises(PlanRefused):
        secret.add(data, sender=2)
    assert np.allclose(secret.open().values, 1, atol=1e-4)


@pytest.mark.parametrize("trust", [TrustModel.SPLIT_MASKED, TrustModel.THRESHOLD])
def test_it_claims_no_more_than_it_keeps(trust):
    with pytest.raises(PlanRefused):
        RealSums(clients=3, dimension=5, largest=1.0, trust=trust)
    assert "2020/1533" in SUMS.statement


def test_sums_that_could_wrap_are_refused():
    RealSums(clients=32, dimension=1, largest=1000.0)
    for clients, largest in ((33, 1000.0), (1, np.nan), (1, np.inf), (0, 1.0)):
        with pytest.raises(PlanRefused):
            RealSums(clients=clients, dimension=1, largest=largest)


def test_golden_digest_and_security():
    assert CKKS_4096.data_prime.bit_length() + CKKS_4096.special_prime.bit_length() == 108 <= 109
    assert CKKS_4096.digest.hex() == "159b8306cb8eca653fa2de2ad435bf51bf73394f4dbacc4a3231878ca8b0ec9f"
