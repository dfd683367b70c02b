# SPDX-License-Identifier: Apache-2.0
"""TenSEAL's BFV; this file and `native_ckks` alone call TenSEAL.

Secret keys, and sums that hold foreign uploads, meet it in the child process of `child` alone; what a client encrypts
is its own, and it may do so in its own process.

SEAL stores a ciphertext or a public key as a header of 16 bytes (magic 0xA15E, header size, version, compression,
size), then parms_id, form, number of polynomials, degree, number of primes, scale, correction factor, and, behind a
header of its own, the coefficients (SEAL 4.x, `ciphertext.cpp` and `serialization.h`). `stored` writes this form,
without compression, around coefficients that were checked; nothing here reads a stored form of a peer's.
"""

import struct
from functools import cache
from typing import Any

import numpy as np
import tenseal as ts
import tenseal.sealapi  # registers the types behind `context.data`

from fedmeta_crypto.homomorphic.seal.presets import BfvPreset, CkksPreset
from fedmeta_crypto.modular import Words

_SAVE_PUBLIC = {
    "save_public_key": True, "save_secret_key": False, "save_galois_keys": False, "save_relin_keys": False,
}  # fmt: skip
SAVE_PARAMETERS = _SAVE_PUBLIC | {"save_public_key": False}


def new_context(preset: BfvPreset) -> Any:
    """A context with a fresh key pair; its primes are the preset's."""
    context = ts.context(
        ts.SCHEME_TYPE.BFV, preset.degree, preset.plain_modulus, coeff_mod_bit_sizes=list(preset.coefficient_bits)
    )
    check_primes(context, preset)
    return context


@cache
def keyless_context(preset: BfvPreset) -> Any:
    """Parameters alone, made once: the keys that TenSEAL cannot help making with them are dropped."""
    context = ts.context_from(new_context(preset).serialize(**SAVE_PARAMETERS))
    if context.has_secret_key() or context.has_public_key():
        raise RuntimeError("this TenSEAL keeps keys that were not to be saved")
    return context


def check_primes(context: Any, preset: BfvPreset | CkksPreset) -> None:
    """Raise `RuntimeError` unless SEAL chose the preset's primes."""
    primes = [m.value() for m in context.seal_context().data.key_context_data().parms().coeff_modulus()]
    if primes != [preset.data_prime, preset.special_prime]:
        raise RuntimeError(f"this SEAL chose other primes, {primes}")


def varint(value: int) -> bytes:
    """A number as protocol buffers write it.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, data: bytes) -> bytes:
    """A protocol-buffers field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def _header(size: int) -> bytes:
    return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, size)


def stored(values: Words, *, parms_id: list[int], degree: int, primes: int, ntt: bool, scale: float = 1.0) -> bytes:
    """Two polynomials as SEAL stores them.  Shapes: (2 * primes * degree,) to bytes."""
    data = np.ascontiguousarray(values, "<u8").tobytes()
    shape = struct.pack("<4QBQQQdQ", *parms_id, ntt, 2, degree, primes, scale, 1)
    inner = _header(24 + len(data)) + struct.pack("<Q", values.size) + data
    return _header(16 + len(shape) + len(inner)) + shape + inner


def key_coefficients(context: Any, preset: BfvPreset | CkksPreset) -> Words:
    """Coefficients of a context's public key, polynomial by polynomial, prime by prime.  Shape: (4 N,)."""
    key = context.public_key().data.data()
    return np.array([key[i] for i in range(4 * preset.degree)], np.uint64)


def public_context(own: Any, values: Words, preset: BfvPreset | CkksPreset) -> Any:
    """A context without a secret key, of a public key's checked coefficients.

    Serialised without a secret and loaded afresh; `make_context_public` would leave a working decryptor behind.
    """
    seal = own.seal_context().data
    key = stored(values, parms_id=list(seal.key_parms_id()), degree=preset.degree, primes=2, ntt=True)
    plain = own.serialize(**SAVE_PARAMETERS)
    # The parameters come first, at most 127 bytes, then the public part: 0x12, its length, flags and scale.
    end = 2 + plain[1]
    if plain[0] != 0x0A or plain[1] > 127 or plain[end] != 0x12 or plain[end + 1] != len(plain) - end - 2:
        raise RuntimeError("this TenSEAL writes contexts in another form")
    context = ts.context_from(plain[:end] + field(2, field(1, key) + plain[end + 2 :]))
    if context.has_secret_key() or not context.has_public_key():
        raise RuntimeError("the context of a public key is none")
    return context


def encrypt(context: Any, words: Words, preset: BfvPreset) -> Words:
    """Fresh ciphertexts of words below t.  Shapes: (m,) to (chunks * 2 N,); the last chunk is filled up with zeros."""
    n = preset.degree
    chunks = -(-words.size // n)
    padded = np.zeros(chunks * n, np.int64)
    padded[: words.size] = words
    out = np.empty((chunks, 2 * n), np.uint64)
    for row, chunk in zip(out, padded.reshape(chunks, n), strict=True):
        # One call to a chunk: a vector of several prints a warning on standard output.
        # Made directly: `ts.bfv_vector` would first copy the list into a tensor of its own, a quarter of the time.
        vector = ts._ts_cpp.BFVVector(context.data, chunk.tolist())
        body = np.frombuffer(vector.serialize()[-16 * n :], np.uint8)
        row[:] = body.view("<u8") if body.size == 16 * n else preset.data_prime
        ciphertext = vector.ciphertext()[0]
        # The body is stored as it is, for it does not compress; if it ever does, or moves, this reads the slow way.
        probes = (0, n - 1, n, 2 * n - 1)
        if int(row.max()) >= preset.data_prime or any(int(row[i]) != ciphertext[i] for i in probes):
            row[:] = [ciphertext[i] for i in range(2 * n)]
    return out.reshape(-1)


def decrypt(context: Any, values: Words, words: int, preset: BfvPreset) -> tuple[int, Words]:
    """The smallest noise budget in bits, and the words modulo t.  Shapes: (chunks * 2 N,) to (words,)."""
    seal, n = context.seal_context().data, preset.degree
    parms_id, decryptor = list(seal.first_parms_id()), context.data.decryptor()
    budget, out = 64, np.empty(values.size // 2, np.uint64)
    for i, chunk in enumerate(values.reshape(-1, 2 * n)):
        data = stored(chunk, parms_id=parms_id, degree=n, primes=1, ntt=False)
        vector = ts.bfv_vector_from(context, field(1, varint(n)) + field(2, data))
        budget = min(budget, decryptor.invariant_noise_budget(vector.ciphertext()[0]))
        signed = np.array(vector.decrypt(), np.int64)
        out[i * n : (i + 1) * n] = (signed + (signed < 0) * np.int64(preset.plain_modulus)).view(np.uint64)
    return budget, out[:words]
