# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from crypto_rounds import counter_entropy
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedmeta_crypto import Keystream, prg
from fedmeta_crypto.errors import BadArgument, BadEntropy, KeystreamExhausted
from fedmeta_crypto.ring import checked_copy, reduce_in_place, ring_mask

KEY = bytes(range(16))


def reference(key, n):
    return Cipher(algorithms.AES(key), modes.CTR(bytes(15) + b"\x02")).encryptor().update(bytes(n))


def test_calls_continue_the_stream():
    stream = Keystream(KEY)
    parts = stream.bytes(3) + stream.bytes(0) + stream.bytes(30) + stream.words(4).astype("<u8").tobytes()
    assert parts == reference(KEY, 65)


def take(path, monkeypatch):
    """Force one of the ways to expand masks; the first is what this library's release gives."""
    monkeypatch.setattr(prg, "_one_shot_agrees", lambda: path == "one shot")
    monkeypatch.setattr(prg, "_galois_agrees", lambda: path != "counter mode")


PATHS = ["one shot", "galois stream", "counter mode"]
LENGTHS = [1, 31, 4097, 32769, prg.CHUNK_BYTES // 4, prg.CHUNK_BYTES // 2 + 1, prg.ONE_SHOT_BYTES // 4 + 5]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("word", ["<u2", "<u4"])
@pytest.mark.parametrize("length", LENGTHS)
def test_every_path_adds_the_same_mask(length, word, path, monkeypatch):
    take(path, monkeypatch)
    entropy = counter_entropy("masks")
    few = length > 40_000  # more keys than one pass takes, where that is cheap
    plus, minus = [entropy(16) for _ in range(3 if few else 67)], [bytearray(entropy(16)) for _ in range(3)]
    start = np.arange(length).astype(word)
    vector, expected = start.copy(), start.copy()
    for keys, sign in ((plus, np.add), (minus, np.subtract)):
        for key in keys:
            sign(expected, np.frombuffer(reference(bytes(key), expected.nbytes), word), out=expected)
    prg.add_masks(vector, plus=plus, minus=minus)
    assert np.array_equal(vector, expected)
    prg.add_masks(vector, plus=minus, minus=plus)
    assert np.array_equal(vector, start)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bits", [*range(8, 18), 20, 24, 31, 32])
def test_masks_are_those_of_the_ring(bits, path, monkeypatch):
    """Against whole numbers: words of the native width straight from counter mode, summed without any wrapping."""
    take(path, monkeypatch)
    entropy = counter_entropy(f"ring of {bits}")
    plus, minus = [entropy(16) for _ in range(5)], [entropy(16) for _ in range(4)]
    values = np.frombuffer(entropy(4 * 700), "<u4") & ring_mask(bits)
    width = 2 if bits <= 16 else 4
    expected = values.astype(np.int64)
    for keys, sign in ((plus, 1), (minus, -1)):
        for key in keys:
            expected += sign * np.frombuffer(reference(key, width * 700), f"<u{width}").astype(np.int64)
    vector = checked_copy(values.astype(np.uint32), bits=bits, length=700)
    assert vector.itemsize == width
    prg.add_masks(vector, plus=plus, minus=minus)
    reduce_in_place(vector, bits)
    assert np.array_equal(vector, expected % 2**bits)


def test_without_the_method_of_newer_releases(monkeypatch):
    prg._one_shot_agrees.cache_clear()
    monkeypatch.setattr(prg, "AESGCM", object)
    assert not prg._one_shot_agrees()
    prg._one_shot_agrees.cache_clear()


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.uint8, ">u4"])
def test_other_words_are_refused(dtype):
    with pytest.raises(BadArgument):
        prg.add_masks(np.zeros(4, dtype), plus=[KEY])


@pytest.mark.parametrize("length", [0, 1])
def test_empty_and_shortest_vectors(length):
    prg.add_masks(np.zeros(length, np.uint16), plus=[KEY])


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
