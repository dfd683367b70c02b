# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from crypto_rounds import counter_entropy
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedmeta_crypto import Keystream, prg
from fedmeta_crypto.errors import BadArgument, BadEntropy, KeystreamExhausted

KEY = bytes(range(16))


def reference(key, n):
    return Cipher(algorithms.AES(key), modes.CTR(bytes(15) + b"\x02")).encryptor().update(bytes(n))


def test_calls_continue_the_stream():
    stream = Keystream(KEY)
    parts = stream.bytes(3) + stream.bytes(0) + stream.bytes(30) + stream.words(4).astype("<u8").tobytes()
    assert parts == reference(KEY, 65)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("length", [1, 31, 4096, 4097, 32768, 32769, 70_001])
def test_every_path_adds_the_same_mask(length, fast, monkeypatch):
    monkeypatch.setattr(prg, "_galois_agrees", lambda: fast)
    entropy = counter_entropy("masks")
    plus, minus = [entropy(16) for _ in range(67)], [bytearray(entropy(16)) for _ in range(3)]
    vector = np.arange(length, dtype=np.uint32)
    expected = vector.copy()
    for keys, sign in ((plus, np.add), (minus, np.subtract)):
        for key in keys:
            sign(expected, np.frombuffer(reference(bytes(key), 4 * length), "<u4"), out=expected)
    prg.add_masks(vector, plus=plus, minus=minus)
    assert np.array_equal(vector, expected)
    prg.add_masks(vector, plus=minus, minus=plus)
    assert np.array_equal(vector, np.arange(length))


def test_no_keys_no_change():
    vector = np.arange(4, dtype=np.uint32)
    prg.add_masks(vector)
    assert vector.tolist() == [0, 1, 2, 3]


def test_the_end_of_the_stream():
    stream = Keystream(KEY)
    stream._left = 16
    with pytest.raises(KeystreamExhausted):
        stream.bytes(17)
    assert len(stream.bytes(16)) == 16
    with pytest.raises(KeystreamExhausted):
        stream.words(1)
    with pytest.raises(KeystreamExhausted):
        stream.bytes(-1)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_key_size(size):
    with pytest.raises(BadArgument):
        Keystream(bytes(size))


@pytest.mark.parametrize("source", [lambda n: bytes(n - 1), lambda n: bytes(n + 1), lambda n: "x" * n, lambda n: None])
def test_entropy_of_the_wrong_size(source):
    with pytest.raises(BadEntropy):
        prg.draw(source, 8)
