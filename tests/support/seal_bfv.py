# SPDX-License-Identifier: Apache-2.0
"""TenSEAL's BFV used without this project's own engine: for attackers, who make whatever bytes they like."""

import hashlib
import struct

import numpy as np
import tenseal as ts
from tenseal import sealapi

N = 4096
T44 = 17592186028033
BITS = [60, 30]


def fresh_context():
    return ts.context(ts.SCHEME_TYPE.BFV, N, T44, BITS)


def public_bytes(context):
    return context.serialize(save_public_key=True, save_secret_key=False, save_galois_keys=False, save_relin_keys=False)


def centred(words):
    signed = np.asarray(words, np.uint64).astype(np.int64)
    signed[signed > T44 // 2] -= T44
    return signed.tolist()


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def seal_header(size):
    """SEAL 4.3, no compression."""
    return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, size)


def crafted(context, c0, c1):
    """A vector of 4096 slots whose one ciphertext is (c0, c1), coefficients modulo q, as TenSEAL reads it."""
    parms_id = context.seal_context().data.first_parms_id()
    data = np.concatenate((c0, c1)).astype("<u8").tobytes()
    inner = seal_header(16 + 8 + len(data)) + struct.pack("<Q", 2 * N) + data
    body = struct.pack("<4Q", *parms_id) + struct.pack("<BQQQdQ", 0, 2, N, 1, 1.0, 1) + inner
    ciphertext = seal_header(16 + len(body)) + body
    return b"\x0a\x02" + varint(N) + b"\x12" + varint(len(ciphertext)) + ciphertext


def delta(context):
    """(0, Delta): decrypts to the secret key."""
    (prime,) = [m.value() for m in context.seal_context().data.first_context_data().parms().coeff_modulus()]
    zero, one = np.zeros(N, np.uint64), np.zeros(N, np.uint64)
    one[0] = prime // T44
    return crafted(context, zero, one)


def polynomial(context, slots):
    """The plaintext polynomial with these values in its slots: 4096 coefficients modulo t."""
    encoder, plain = sealapi.BatchEncoder(context.seal_context().data), sealapi.Plaintext()
    encoder.encode([int(value) for value in slots], plain)
    coefficients = np.zeros(N, object)
    for term in plain.to_string().split(" + "):
        value, _, power = term.partition("x^")
        coefficients[int(power or 0)] = int(value, 16)
    return coefficients


class SealSecret:
    def __init__(self, words):
        self.context, self.count = fresh_context(), words
        self.public_key = public_bytes(self.context)
        self.total = ts.bfv_vector(self.context, [0] * N)

    def add(self, ciphertext, *, sender):
        self.total = self.total + ts.bfv_vector_from(self.context, bytes(ciphertext))

    def open(self):
        return (np.array(self.total.decrypt(), np.int64) % T44).astype(np.uint64)[: self.count]

    def wipe(self):
        self.context = self.total = None


class SealCipher:
    """Up to 4096 words in one ciphertext; checks nothing."""

    modulus, max_clients, public_key_bytes = T44, 1000, 2**20
    digest = hashlib.sha256(b"seal for attackers").digest()

    def ciphertext_bytes(self, words):
        return 2**18

    def check_public_key(self, data):
        pass

    def check_ciphertext(self, data, *, words, sender):
        pass

    def encrypt(self, words, public_key):
        context = ts.context_from(public_key)
        padded = np.zeros(N, np.uint64)
        padded[: len(words)] = words
        return ts.bfv_vector(context, centred(padded)).serialize()

    def new_key(self, words):
        return SealSecret(words)
