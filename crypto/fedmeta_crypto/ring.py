# SPDX-License-Identifier: Apache-2.0
"""Integers modulo 2^b, 8 <= b <= 32, held as uint32.

Masks are added modulo 2^32 and reduced to b bits at the end: since 2^b divides 2^32, reduction is a
ring homomorphism and the low b bits are what addition modulo 2^b would have given.
"""

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadMessage, OutOfRing, WrongLength

MIN_BITS = 8
MAX_BITS = 32
WORD_BYTES = 4
WIRE_WORD = np.dtype("<u4")


def ring_mask(bits: int) -> np.uint32:
    """2^b - 1, the largest residue."""
    return np.uint32((1 << bits) - 1)


def reduce_in_place(vector: NDArray[np.uint32], bits: int) -> None:
    """Reduce every value modulo 2^b."""
    if bits < MAX_BITS:
        np.bitwise_and(vector, ring_mask(bits), out=vector)


def in_ring(vector: NDArray[np.uint32], bits: int) -> bool:
    """Whether every value is below 2^b."""
    return bits >= MAX_BITS or vector.size == 0 or bool(vector.max() <= ring_mask(bits))


def checked_copy(vector: NDArray[np.uint32], *, bits: int, length: int) -> NDArray[np.uint32]:
    """Copy a caller's vector into a contiguous uint32 array after checking it.

    Shapes:     takes and returns (length,)
    Raises:     WrongLength: another shape.  OutOfRing: another dtype, or a value >= 2^b.

    Example:
        >>> checked_copy(np.array([1, 255], np.uint32), bits=8, length=2).tolist()
        [1, 255]
    """
    if not isinstance(vector, np.ndarray) or vector.dtype != np.uint32:
        raise OutOfRing("the vector is not a numpy array of uint32", where="mask_input")
    if vector.shape != (length,):
        raise WrongLength(f"vector has shape {vector.shape}, the round wants ({length},)", where="mask_input")
    # Copy first, then check: the caller may share this memory with another thread.
    copy = np.array(vector, np.uint32, order="C")
    if not in_ring(copy, bits):
        raise OutOfRing(f"the vector holds values >= 2**{bits}", where="mask_input")
    return copy


def to_wire(vector: NDArray[np.uint32]) -> bytes:
    """Little-endian 32-bit words."""
    return vector.astype(WIRE_WORD, copy=False).tobytes()


def from_wire(data: bytes | memoryview, *, bits: int, sender: int) -> NDArray[np.uint32]:
    """Read little-endian words without copying; refuse values >= 2^b (the form is canonical)."""
    vector = np.frombuffer(data, WIRE_WORD).astype(np.uint32, copy=False)
    if not in_ring(vector, bits):
        raise BadMessage(f"vector holds values >= 2**{bits}", sender=sender, where="masked input")
    return vector
