# SPDX-License-Identifier: Apache-2.0
"""Masks modulo a prime against whole numbers, word by word from counter mode."""

import numpy as np
import pytest
from crypto_rounds import counter_entropy
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedmeta_crypto import modular
from fedmeta_crypto.errors import BadArgument, OutOfRing, WrongLength

T44 = 17592186028033  # 2^44 - 16383, 1 modulo 8192
HALF = 8796093022237  # the first prime above 2^43: every second draw is rejected
PRIMES = [65537, HALF, T44, 1152921504606846883]  # the last is the largest below 2^60


def reference(key, modulus, length):
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(15) + b"\x02")).encryptor()
    mask = []
    while len(mask) < length:
        draw = int.from_bytes(stream.update(bytes(8)), "little") % 2 ** modulus.bit_length()
        if draw < modulus:
            mask.append(draw)
    return np.array(mask, object)


@pytest.mark.parametrize("modulus", PRIMES)
@pytest.mark.parametrize("length", [1, 2, 1000])
def test_masks_are_the_first_draws_below_the_modulus(modulus, length):
    entropy = counter_entropy(f"{modulus} {length}")
    plus, minus = [entropy(16) for _ in range(3)], [bytearray(entropy(16)) for _ in range(3)]
    start = np.array([modulus - 1 - i for i in range(length)], np.uint64)
    vector = start.copy()
    modular.add_masks(vector, modulus, plus=plus, minus=minus)
    expected = start.astype(object)
    for key in plus:
        expected = expected + reference(key, modulus, length)
    for key in minus:
        expected = expected - reference(bytes(key), modulus, length)
    assert vector.tolist() == (expected % modulus).tolist()
    modular.add_masks(vector, modulus, plus=minus, minus=plus)
    assert np.array_equal(vector, start)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_words_read_at_a_time_change_no_mask(chunk, monkeypatch):
    vectors = []
    for size in (modular._CHUNK, chunk):
        monkeypatch.setattr(modular, "_CHUNK", size)
        vectors.append(np.zeros(257, np.uint64))
        modular.add_masks(vectors[-1], HALF, plus=[b"sixteen bytes ok"])
    assert np.array_equal(*vectors)


def test_a_mask_longer_than_a_chunk():
    length = modular._CHUNK + 5
    vector = np.zeros(length, np.uint64)
    modular.add_masks(vector, HALF, plus=[bytes(16)])
    assert vector.tolist() == reference(bytes(16), HALF, length).tolist()


@pytest.mark.parametrize("value", [4, 65536, 65535, 2**17 + 1, HALF * 3, T44 - 2, 65537**2, 1152921504606847009, -7])
def test_composites_and_numbers_out_of_range_are_no_modulus(value):
    assert not modular.is_modulus(value)
    with pytest.raises(BadArgument):
        modular.add_masks(np.zeros(1, np.uint64), value, plus=[bytes(16)])


def test_primes_are_those_of_a_sieve():
    top = 2**17 + 2**12
    sieve = np.ones(top, bool)
    for factor in range(2, int(top**0.5) + 1):
        sieve[factor * factor :: factor] = False
    assert all(modular.is_modulus(value) == bool(sieve[value]) for value in range(2**16, top))
    assert all(map(modular.is_modulus, PRIMES))


def test_strong_pseudoprimes_to_many_bases_are_refused():
    # Jaeschke 1993 and Sorenson and Webster 2017: composite, and strong pseudoprimes to all primes up to 7, 11, 17.
    for value in (3215031751, 2152302898747, 341550071728321):
        assert not modular.is_modulus(value)


@pytest.mark.parametrize(
    ("vector", "error"),
    [
        (np.zeros(3, np.int64), OutOfRing),
        (np.zeros(3, np.uint32), OutOfRing),
        ([1, 2, 3], OutOfRing),
        (np.array([0, 1, 65537], np.uint64), OutOfRing),
        (np.zeros(4, np.uint64), WrongLength),
        (np.zeros((3, 1), np.uint64), WrongLength),
    ],
)
def test_words_that_are_none(vector, error):
    with pytest.raises(error):
        modular.checked_words(vector, modulus=65537, length=3)


def test_checked_words_are_a_copy():
    mine = np.array([0, 65536], np.uint64)
    modular.checked_words(mine, modulus=65537, length=2)[0] = 9
    assert mine.tolist() == [0, 65536]


@pytest.mark.parametrize("key", [b"short", bytes(32)])
def test_a_key_of_another_size(key):
    with pytest.raises(BadArgument):
        modular.add_masks(np.zeros(1, np.uint64), 65537, plus=[key])


def test_a_vector_of_another_type():
    with pytest.raises(BadArgument):
        modular.add_masks(np.zeros(1, np.uint32), 65537)
