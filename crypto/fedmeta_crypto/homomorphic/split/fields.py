# SPDX-License-Identifier: Apache-2.0
"""Residues modulo 2^B in words modulo t, so that a sum of words gives the sum of residues.

A residue r stands for the integer nearest zero, c = r or r - 2^B. A word of two fields is c_i + c_j 2^W modulo t, with
j = i + ceil(d / 2); a word of one field is c_i. Sums decode from the low field to the high one: the low W bits,
centred, then what is left, shifted.

Exact if, of the summed integers, every |low| and |high| is at most M < 2^(W-1) and M (1 + 2^W) < t / 2. Both follow
from the sizes of the inputs and the number of clients (`fields_that_fit`), never from a random choice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.modular import Words

FIELD_BITS = 22
_WHERE = "masked split"


def fields_that_fit(*, clients: int, bits: int, modulus: int) -> int:
    """2 or 1 values to a word.

    A ring 2^B for n clients holds inputs of v = B - ceil(log2 n) bits, -2^(v-1) .. 2^(v-1) - 1, so that no sum is
    larger than M = n 2^(v-1) in absolute value.

    Raises:     PlanRefused: not even one fits, or the ring is too small for so many clients.

    Example:
        >>> [fields_that_fit(clients=n, bits=b, modulus=2**44 - 16383) for n, b in ((50, 22), (64, 22), (50, 32))]
        [2, 1, 1]
    """
    value_bits = bits - (clients - 1).bit_length()
    if value_bits < 1:
        raise PlanRefused(f"{clients} clients in a ring of {bits} bits leave no bit to a value", where=_WHERE)
    most = clients * 2 ** (value_bits - 1)
    if most < 2 ** (FIELD_BITS - 1) and 2 * most * (1 + 2**FIELD_BITS) < modulus:
        return 2
    if 2 * most < modulus:
        return 1
    raise PlanRefused(f"sums of {clients} clients of {value_bits} bits could wrap in the plaintext", where=_WHERE)


@dataclass(frozen=True, slots=True)
class Fields:
    """How d residues modulo 2^B lie in words modulo t.

    Example:
        >>> form = Fields(dimension=3, bits=16, modulus=2**44 - 16383, per_word=2)
        >>> words = form.pack(np.array([1, 2**16 - 2, 3], np.uint32)); words.shape
        (2,)
        >>> form.unpack((words + words) % np.uint64(form.modulus)).tolist()
        [2, 65532, 6]
    """

    dimension: int
    bits: int
    modulus: int
    per_word: int

    @property
    def words(self) -> int:
        """How many words d values take."""
        return -(-self.dimension // self.per_word)

    def pack(self, vector: NDArray[np.uint32]) -> Words:
        """Words below t of one vector.  Shapes: (dimension,) to (words,)."""
        signed = vector.astype(np.int64)
        signed -= (signed >> (self.bits - 1)) << self.bits
        words, high = signed[: self.words], signed[self.words :]
        high <<= FIELD_BITS
        words[: high.size] += high
        words += (words >> 63) & self.modulus
        return words.view(np.uint64)

    def unpack(self, words: Words) -> NDArray[np.uint32]:
        """The sum of vectors modulo 2^B, of a sum of words modulo t.  Shapes: (words,) to (dimension,)."""
        signed = words.astype(np.int64)
        signed -= (signed > self.modulus // 2) * np.int64(self.modulus)
        values = np.empty(self.dimension, np.int64)
        low, high = values[: self.words], values[self.words :]
        np.copyto(low, signed)
        if self.per_word == 2:
            # Only the low field's own bits are kept below, and what it borrowed from the high one is given back here.
            half = 1 << (FIELD_BITS - 1)
            high[:] = (signed[: high.size] + half) >> FIELD_BITS
        np.bitwise_and(values, (1 << self.bits) - 1, out=values)
        return values.astype(np.uint32)
