# SPDX-License-Identifier: Apache-2.0
"""Textbook BFV with tiny rings and no security: the split protocol's laws and attacks at a thousandth of the cost.

Slots are coefficients. c0 = -(a s + e) u + e1 + round(q/t m), c1 = a u + e2, ternary s and u. Ciphertexts are blocks
of 2 N integers of 16 bytes. It can be asked for what no honest party does: multiply, and make chosen ciphertexts.
"""

import hashlib
import secrets

import numpy as np

from fedmeta_crypto.errors import BadMessage
from fedmeta_crypto.homomorphic.errors import KeyInReach, WrongKey
from fedmeta_crypto.wire import DECRYPTOR

T44 = 17592186028033  # the largest prime of 44 bits that is 1 modulo 8192 is not needed: slots are coefficients
WIDTH = 16


class ToySecret:
    def __init__(self, cipher, words):
        self.cipher, self.count = cipher, words
        n, q = cipher.n, cipher.q
        self.s = [secrets.randbelow(3) - 1 for _ in range(n)]
        a = [secrets.randbelow(q) for _ in range(n)]
        b = [(-x + cipher.noise()) % q for x in cipher.multiply(a, self.s)]
        self.public_key = b"toypublc" + cipher.to_bytes(b + a)
        self.total = [([0] * n, [0] * n) for _ in range(cipher.blocks(words))]
        self.wiped = False

    def add(self, ciphertext, *, sender=DECRYPTOR):
        self.cipher.check_ciphertext(ciphertext, words=self.count, sender=sender)
        q = self.cipher.q
        self.total = [
            ([(x + y) % q for x, y in zip(a0, b0, strict=True)], [(x + y) % q for x, y in zip(a1, b1, strict=True)])
            for (a0, a1), (b0, b1) in zip(self.total, self.cipher.from_bytes(ciphertext), strict=True)
        ]

    def decrypt(self, blocks):
        t, q = self.cipher.modulus, self.cipher.q
        words = []
        for c0, c1 in blocks:
            noisy = [(x + y) % q for x, y in zip(c0, self.cipher.multiply(c1, self.s), strict=True)]
            words += [(2 * x * t + q) // (2 * q) % t for x in noisy]
        return np.array(words[: self.count], np.uint64)

    def open(self):
        return self.decrypt(self.total)

    def wipe(self):
        self.wiped, self.s = True, None


class ToyCipher:
    max_clients = 1000

    def __init__(self, modulus=T44, n=8):
        self.modulus, self.n, self.q = modulus, n, (modulus << 40) + 12345
        self.digest = hashlib.sha256(f"toy bfv {modulus} {n}".encode()).digest()
        self.public_key_bytes = 8 + 2 * n * WIDTH

    def blocks(self, words):
        return -(-words // self.n)

    def ciphertext_bytes(self, words):
        return self.blocks(words) * 2 * self.n * WIDTH

    def check_public_key(self, data):
        if data[:8] == b"toysecrt":
            raise KeyInReach("a secret key", where="toy")
        if data[:8] != b"toypublc" or len(data) != self.public_key_bytes:
            raise WrongKey("not a public key", sender=DECRYPTOR, where="toy")

    def check_ciphertext(self, data, *, words, sender):
        if len(data) != self.ciphertext_bytes(words) or any(max(a + b) >= self.q for a, b in self.from_bytes(data)):
            raise BadMessage("not a ciphertext", sender=sender, where="toy")

    def encrypt(self, words, public_key):
        b, a = self.from_bytes(public_key[8:])[0]
        padded = [int(x) for x in words] + [0] * (self.blocks(len(words)) * self.n - len(words))
        blocks = [self.block(padded[at : at + self.n], b, a) for at in range(0, len(padded), self.n)]
        return self.to_bytes([x for c0, c1 in blocks for x in c0 + c1])

    def block(self, message, b, a):
        u = [secrets.randbelow(3) - 1 for _ in range(self.n)]
        scaled = [(2 * self.q * x + self.modulus) // (2 * self.modulus) for x in message]
        c0 = [(x + y + self.noise()) % self.q for x, y in zip(self.multiply(b, u), scaled, strict=True)]
        return c0, [(x + self.noise()) % self.q for x in self.multiply(a, u)]

    def new_key(self, words):
        return ToySecret(self, words)

    def noise(self):
        return sum(secrets.randbelow(3) - 1 for _ in range(6))

    def multiply(self, one, other):
        n, product = self.n, [0] * self.n
        for i, x in enumerate(one):
            for j, y in enumerate(other):
                product[(i + j) % n] += x * y if i + j < n else -x * y
        return [x % self.q for x in product]

    def to_bytes(self, values):
        return b"".join(value.to_bytes(WIDTH, "little") for value in values)

    def from_bytes(self, data):
        data, n = bytes(data), self.n
        values = [int.from_bytes(data[at : at + WIDTH], "little") for at in range(0, len(data), WIDTH)]
        return [(values[at : at + n], values[at + n : at + 2 * n]) for at in range(0, len(values), 2 * n)]

    def combine(self, *terms):
        """The ciphertext of sum_i factor_i x ciphertext_i."""
        total = None
        for factor, data in terms:
            flat = [factor * x % self.q for c0, c1 in self.from_bytes(data) for x in c0 + c1]
            total = flat if total is None else [(x + y) % self.q for x, y in zip(total, flat, strict=True)]
        return self.to_bytes(total)


class ClearKey:
    def __init__(self, cipher, words):
        self.public_key, self.total, self.modulus = b"no key", np.zeros(words, object), cipher.modulus

    def add(self, ciphertext, *, sender=DECRYPTOR):
        self.total = self.total + np.frombuffer(bytes(ciphertext), "<u8").astype(object)

    def open(self):
        return (self.total % self.modulus).astype(np.uint64)

    def wipe(self):
        self.total = None


class ClearCipher:
    """No encryption at all, the same bytes every time: for the stored bytes of the protocol around it."""

    modulus, max_clients, public_key_bytes, digest = T44, 1000, 6, hashlib.sha256(b"clear").digest()

    def ciphertext_bytes(self, words):
        return 8 * words

    def check_public_key(self, data):
        pass

    def check_ciphertext(self, data, *, words, sender):
        pass

    def encrypt(self, words, public_key):
        return words.astype("<u8").tobytes()

    def new_key(self, words):
        return ClearKey(self, words)
