# SPDX-License-Identifier: Apache-2.0
"""Uploads and keys bent at random: with its digest none passes, without it none harms the process.

A bit of a ciphertext's body that is turned leaves a ciphertext; no format can tell. What vouches for the bytes is the
masked input, which names their digest, so the server's order is kept here: digest first, then the form.
"""

import hashlib

import numpy as np
import pytest

from fedmeta_crypto.errors import LocalProtocolError, PeerProtocolError
from fedmeta_crypto.homomorphic.errors import NoiseSpent
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096
from fedmeta_crypto.homomorphic.seal.process import NativeProcess

CIPHER = TensealBfv(seconds=60)


@pytest.fixture(scope="module")
def honest():
    secret, other = CIPHER.new_key(9), CIPHER.new_key(9)
    yield {
        "key": secret.public_key,
        "other key": other.public_key,
        "upload": CIPHER.encrypt(np.arange(9, dtype=np.uint64), secret.public_key),
        "other upload": CIPHER.encrypt(np.arange(9, dtype=np.uint64), other.public_key),
    }
    secret.wipe()
    other.wipe()


def bent(good, other, rng):
    """One mutation: bits, runs of bytes, cuts, additions, pieces of another."""
    data = bytearray(good)
    at = int(rng.integers(len(data)))
    match int(rng.integers(7)):
        case 0:
            for place in rng.integers(len(data), size=int(rng.integers(1, 9))):
                data[place] ^= 1 << int(rng.integers(8))
        case 1:
            data[at : at + 64] = b"\xff" * len(data[at : at + 64])
        case 2:
            del data[at:]
        case 3:
            data += rng.bytes(int(rng.integers(1, 99)))
        case 4:
            data[at:] = other[at:]
        case 5:
            data[at : at + 8] = int(rng.integers(2**63)).to_bytes(8, "little")[: len(data[at : at + 8])]
        case 6:
            data = bytearray(rng.bytes(len(data) if rng.integers(2) else at))
    return bytes(data)


def fuzz(honest, count, seed, opened):
    rng, passed, refused = np.random.default_rng(seed), [], 0
    digest = hashlib.sha256(honest["upload"]).digest()
    for i in range(count):
        key = i % 4 == 3
        good, other = (honest["key"], honest["other key"]) if key else (honest["upload"], honest["other upload"])
        data = bent(good, other, rng)
        if not key and data != good:
            assert hashlib.sha256(data).digest() != digest
        try:
            CIPHER.check_public_key(data) if key else CIPHER.check_ciphertext(data, words=9, sender=4)
        except PeerProtocolError as error:
            refused += 1
            assert data != good
            assert error.sender == (0xFFFFFFFE if key else 4)
        else:
            assert len(data) == len(good)
            if len(passed) < opened:
                passed.append((key, data))
    assert 0.2 * count < refused < 0.95 * count
    for key, data in passed:
        _through_the_library(honest, key, data)


def _through_the_library(honest, key, data):
    """What the form lets pass opens as words below t, or ends in a numbered error; this process lives."""
    if key:
        made = CIPHER.encrypt(np.arange(9, dtype=np.uint64), data)
        CIPHER.check_ciphertext(made, words=9, sender=4)
        return
    secret = CIPHER.new_key(9)
    secret.add(data)
    secret.add(honest["upload"])
    try:
        words = secret.open()
    except (NoiseSpent, LocalProtocolError) as error:
        assert error.code in ("SFM-212", "SFM-213")
    else:
        assert int(words.max()) < BFV_4096.plain_modulus


def test_bent_uploads_and_keys(honest):
    fuzz(honest, 5_000, seed=1, opened=4)


@pytest.mark.long
def test_a_hundred_thousand_bent_uploads_and_keys(honest):
    fuzz(honest, 100_000, seed=2, opened=12)


def test_one_child_takes_many_bent_keys(honest):
    """The library loads keys of random coefficients one after another, in one process that stays up."""
    rng, n = np.random.default_rng(3), BFV_4096.degree
    native = NativeProcess(seconds=60)
    for _ in range(50):
        values = rng.integers(0, BFV_4096.special_prime, 4 * n).astype(np.uint64)
        native.ask(b"P", values.tobytes(), answer=0)
    native.end()
