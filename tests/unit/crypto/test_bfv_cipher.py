# SPDX-License-Identifier: Apache-2.0
"""The word cipher on TenSEAL: exact sums, what is refused, and what its processes do when things go wrong."""

import copy
import os
import pickle
import signal
import struct

import numpy as np
import pytest

from fedmeta_crypto.errors import BadMessage, OutOfRing, Oversized, Truncated
from fedmeta_crypto.homomorphic.errors import KeySpent, NativeProcessDied, NativeRefusal, NoiseSpent, WrongKey
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.seal.coefficients import pack, unpack
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096
from fedmeta_crypto.homomorphic.seal.process import NativeProcess, meaning

CIPHER = TensealBfv(seconds=60)
T, Q, N = BFV_4096.plain_modulus, BFV_4096.data_prime, BFV_4096.degree


@pytest.fixture(scope="module")
def key():
    secret = CIPHER.new_key(5)
    yield secret
    secret.wipe()


@pytest.fixture(scope="module")
def upload(key):
    return CIPHER.encrypt(np.array([1, 2, 3, T - 1, 0], np.uint64), key.public_key)


@pytest.mark.parametrize("words", [1, 4095, 4096, 4097])
def test_sums_are_exact_modulo_t(words):
    secret, rng = CIPHER.new_key(words), np.random.default_rng(words)
    total = np.zeros(words, np.uint64)
    for _ in range(3):
        vector = rng.integers(0, T, words).astype(np.uint64)
        ciphertext = CIPHER.encrypt(vector, secret.public_key)
        assert len(ciphertext) == CIPHER.ciphertext_bytes(words)
        secret.add(ciphertext)
        total = (total + vector) % np.uint64(T)
    assert np.array_equal(secret.open(), total)


def test_as_many_additions_as_clients_are_allowed_leave_budget(upload):
    """Sums of independent noise grow as the root of n; n copies of one ciphertext as n, so fewer are added here."""
    secret = CIPHER.new_key(5)
    vector = np.array([T - 1, T // 2, 1, 0, 7], np.uint64)
    fresh = [CIPHER.encrypt(vector, secret.public_key) for _ in range(4)]
    for i in range(400):
        secret.add(fresh[i % 4])
    assert secret.open().tolist() == [int(v) * 400 % T for v in vector]


def test_workers_keep_the_order():
    cipher, rng = TensealBfv(workers=2, seconds=60), np.random.default_rng(0)
    vector = rng.integers(0, T, 70 * N).astype(np.uint64)
    secret = cipher.new_key(vector.size)
    secret.add(cipher.encrypt(vector, secret.public_key))
    assert np.array_equal(secret.open(), vector)


def test_two_encryptions_of_the_same_words_differ(key, upload):
    again = CIPHER.encrypt(np.array([1, 2, 3, T - 1, 0], np.uint64), key.public_key)
    assert np.mean(unpack(again) == unpack(upload)) < 0.001


def test_words_beyond_t_are_refused(key):
    with pytest.raises(OutOfRing):
        CIPHER.encrypt(np.array([T], np.uint64), key.public_key)


def test_lengths_and_coefficients_of_uploads(upload):
    CIPHER.check_ciphertext(upload, words=5, sender=7)
    for bad, kind in ((upload[:-1], Truncated), (b"", Truncated), (upload + b"\0", Oversized), (upload * 2, Oversized)):
        with pytest.raises(kind) as caught:
            CIPHER.check_ciphertext(bad, words=5, sender=7)
        assert caught.value.sender == 7
    values = unpack(upload)
    values[11] = Q
    with pytest.raises(BadMessage, match="below its prime"):
        CIPHER.check_ciphertext(pack(values), words=5, sender=7)
    values = unpack(upload)
    values[N:] = 0
    with pytest.raises(BadMessage, match="to all"):
        CIPHER.check_ciphertext(pack(values), words=5, sender=7)


def test_keys_of_another_form_are_refused(key):
    good = key.public_key
    values = unpack(good)
    for place, value in ((0, Q), (2 * N, BFV_4096.special_prime), (3 * N - 1, BFV_4096.special_prime << 30)):
        bent = values.copy()
        bent[place] = value
        with pytest.raises(WrongKey):
            CIPHER.check_public_key(pack(bent))
    blank = values.copy()
    blank[:N] = 0
    for bad in (good[:-1], good + b"\0", b"", pack(blank)):
        with pytest.raises(WrongKey):
            CIPHER.encrypt(np.zeros(1, np.uint64), bad)


def test_an_upload_under_another_rounds_key_is_garbage_and_said_to_be(key, upload):
    secret = CIPHER.new_key(5)
    secret.add(upload)
    with pytest.raises(NoiseSpent):
        secret.open()


def test_a_secret_opens_once_and_is_shown_nowhere():
    secret = CIPHER.new_key(2)
    assert repr(secret) == "BfvSecret(words=2, open=True)"
    for steal in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            steal(secret)
    assert secret.open().tolist() == [0, 0]
    with pytest.raises(KeySpent):
        secret.open()
    with pytest.raises(KeySpent):
        secret.add(b"")


def test_a_crash_of_the_child_is_a_numbered_error():
    secret = CIPHER.new_key(2)
    os.kill(secret._native._child.pid, signal.SIGSEGV)
    with pytest.raises(NativeProcessDied, match="status -11"):
        secret.open()
    with pytest.raises(KeySpent):
        secret.open()


def test_a_child_that_is_too_slow_is_ended():
    native = NativeProcess(seconds=60)
    native.ask(b"K", answer=32 * N)
    native._seconds = 0.2
    os.kill(native._child.pid, signal.SIGSTOP)
    with pytest.raises(NativeProcessDied):
        native.ask(b"K", answer=32 * N)
    assert native._child.poll() is not None


def test_a_child_without_memory_is_a_numbered_error():
    with pytest.raises(NativeProcessDied):
        TensealBfv(memory=1 << 25, seconds=60).new_key(1)


def test_what_the_library_refuses_is_told_and_the_child_serves_on():
    """The child itself is given what this side's checks would have stopped."""
    native = NativeProcess(seconds=60)
    with pytest.raises(NativeRefusal):
        native.ask(b"P", np.full(4 * N, 2**63, np.uint64).tobytes(), answer=0)
    with pytest.raises(NativeRefusal):
        native.ask(b"P", b"123", answer=0)
    assert len(native.ask(b"K", answer=32 * N)) == 32 * N
    out_of_range = struct.pack("<Q", 1) + np.full(2 * N, Q, np.uint64).tobytes()
    with pytest.raises(NativeRefusal):
        native.ask(b"D", out_of_range, answer=16)
    native.end()


def test_messages_say_what_to_change():
    assert "special prime" in meaning("RuntimeError: keyswitching is not supported by the context")
    assert "below 128 bits" in meaning("ValueError: encryption parameters are not set correctly")
    assert meaning("x") == "the library refused [x]"
