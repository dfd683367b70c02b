# SPDX-License-Identifier: Apache-2.0
"""The suite's pseudo-random generator: AES-128 in counter mode from block 15 x 00, then 02.

The first sixteen bytes are E_K(00 .. 00 02). This start is chosen because AES-GCM with a nonce of
twelve zero bytes encrypts with the same counter blocks (NIST SP 800-38D, sections 6.5 and 7.1), and
common libraries run that path at about twice the speed of plain counter mode. Which path is used
changes speed only: both are compared when this module is first used.

Guarantee:  one key serves one purpose and one stream; a key used twice is two equal masks.
"""

import builtins
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument, BadEntropy, KeystreamExhausted
from fedmeta_crypto.ring import Residues

KEY_BYTES = 16
FIRST_BLOCK = bytes(15) + b"\x02"
MAX_STREAM_BYTES = 16 * (2**32 - 2)
TAG_BYTES = 16
# Chosen by benchmarks/mask_loop.py: three buffers of a chunk fit an L2 cache of 1 MiB.
CHUNK_BYTES = 192 * 1024
ONE_SHOT_BYTES = 512 * 1024
KEYS_AT_ONCE = 64

Entropy = Callable[[int], bytes]
Key = bytes | bytearray
Term = tuple[Key, np.ufunc]


def draw(entropy: Entropy, n: int) -> builtins.bytes:
    """Take exactly n bytes from the injected source, or raise `BadEntropy`."""
    data = entropy(n)
    if not isinstance(data, bytes) or len(data) != n:
        raise BadEntropy(f"asked the entropy source for {n} bytes and got something else")
    return data


_GALOIS = modes.GCM(bytes(12))


def _counter_mode(key: Key) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.CTR(FIRST_BLOCK)).encryptor()


def _galois_mode(key: Key) -> CipherContext:
    # The tag is never computed: only the counter half of GCM is used.
    return Cipher(algorithms.AES(key), _GALOIS).encryptor()


@lru_cache(maxsize=1)
def _galois_agrees() -> bool:
    key, zeros = bytes(range(KEY_BYTES)), bytes(1040)
    return _galois_mode(key).update(zeros) == _counter_mode(key).update(zeros)


@lru_cache(maxsize=1)
def _one_shot_agrees() -> bool:
    if not hasattr(AESGCM, "encrypt_into"):  # older releases of the library have no such method
        return False
    key, zeros = bytes(range(KEY_BYTES)), bytes(1040)
    raw = bytearray(len(zeros) + TAG_BYTES)
    AESGCM(key).encrypt_into(bytes(12), zeros, None, raw)
    return raw[: len(zeros)] == _counter_mode(key).update(zeros)


def open_stream(key: Key) -> CipherContext:
    """A context whose encryption of zeros is the keystream, on the faster path that is exact here."""
    if len(key) != KEY_BYTES:
        raise BadArgument(f"a keystream key has {KEY_BYTES} bytes, not {len(key)}")
    return _galois_mode(key) if _galois_agrees() else _counter_mode(key)


class Keystream:
    """A stream of pseudo-random bytes from one 16-byte key.

    Units:      `words` are uniform on [0, 2^64); eight stream bytes each, little-endian.
    Guarantee:  indistinguishable from random up to 2^32 - 2 blocks if AES-128 is a PRP and the key
                is secret, uniform and used nowhere else. Calls continue the stream.
    Raises:     BadArgument: key of another size.  KeystreamExhausted: beyond the last block.
    Source:     NIST SP 800-38A section 6.5 (counter mode).

    Example:
        >>> stream = Keystream(bytes(16))
        >>> stream.bytes(16).hex()  # E_0(00..02)
        '0388dace60b6a392f328c2b971b2fe78'
        >>> stream.words(2).dtype, Keystream(bytes(16)).words(3).shape
        (dtype('uint64'), (3,))
    """

    __slots__ = ("_context", "_left")

    def __init__(self, key: Key) -> None:
        self._context = open_stream(key)
        self._left = MAX_STREAM_BYTES

    def __repr__(self) -> str:
        return "Keystream(...)"

    def bytes(self, n: int) -> builtins.bytes:
        """The next n bytes."""
        if not 0 <= n <= self._left:
            raise KeystreamExhausted(f"{n} more bytes asked, {self._left} left")
        self._left -= n
        return self._context.update(builtins.bytes(n))

    def words(self, n: int) -> NDArray[np.uint64]:
        """The next n words of 64 bits, shape (n,), writable."""
        return np.frombuffer(self.bytes(8 * n), "<u8").astype(np.uint64)


def add_masks(accumulator: Residues, *, plus: Sequence[Key] = (), minus: Sequence[Key] = ()) -> None:
    """Add (subtract) one expanded mask per key to a vector modulo 2^16 or 2^32, in place.

    Shapes:     accumulator (d,), contiguous, uint16 or uint32; a mask is the first d such words of its key's stream,
                little-endian.  Memory: O(d) and one chunk, whatever the number of keys.
    Source:     sum of PRG expansions in Bonawitz et al., CCS 2017, section 4 (masked input).

    Example:
        >>> v = np.arange(5, dtype=np.uint32)
        >>> add_masks(v, plus=[bytes(16)]); add_masks(v, minus=[bytes(16)]); v.tolist()
        [0, 1, 2, 3, 4]
    """
    if accumulator.dtype not in (np.uint16, np.uint32):
        raise BadArgument(f"masks are added to uint16 or uint32, not {accumulator.dtype}", where="add_masks")
    if any(len(key) != KEY_BYTES for key in (*plus, *minus)):
        raise BadArgument(f"a mask key has {KEY_BYTES} bytes", where="add_masks")
    if accumulator.nbytes > MAX_STREAM_BYTES:
        raise KeystreamExhausted(f"a mask of {accumulator.nbytes} bytes asked")
    terms = [(key, np.add) for key in plus] + [(key, np.subtract) for key in minus]
    if accumulator.nbytes <= ONE_SHOT_BYTES and _one_shot_agrees():
        _add_short(accumulator, terms)
    else:
        for start in range(0, len(terms), KEYS_AT_ONCE):
            _add_long(accumulator, terms[start : start + KEYS_AT_ONCE])


def _add_short(accumulator: Residues, terms: Sequence[Term]) -> None:
    # Setting a stream up costs more than a one-shot cipher, and vector and mask fit the L2 cache together.
    size, nonce = accumulator.nbytes, bytes(12)
    zeros, raw = bytes(size), np.empty(size + TAG_BYTES, np.uint8)
    mask = raw[:size].view(accumulator.dtype.newbyteorder("<"))
    for key, operation in terms:
        AESGCM(key).encrypt_into(nonce, zeros, None, raw.data)
        operation(accumulator, mask, out=accumulator)
    raw.fill(0)


def _add_long(accumulator: Residues, terms: Sequence[Term]) -> None:
    # Chunks outside and keys inside: the chunk being summed and the keystream stay in the L2 cache, and memory is
    # read once for KEYS_AT_ONCE keys.
    size = min(CHUNK_BYTES, accumulator.nbytes)
    zeros, raw = bytes(size), np.empty(size + KEY_BYTES, np.uint8)  # update_into asks for a block of slack
    mask = raw[:size].view(accumulator.dtype.newbyteorder("<"))
    streams = [(open_stream(key).update_into, operation) for key, operation in terms]
    for start in range(0, accumulator.size, max(mask.size, 1)):
        part = accumulator[start : start + mask.size]
        text, words = (zeros, mask) if part.size == mask.size else (zeros[: part.nbytes], mask[: part.size])
        for update_into, operation in streams:
            update_into(text, raw.data)
            operation(part, words, out=part)
    raw.fill(0)
