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


def wire_bytes(length: int, bits: int) -> int:
    """Size of a packed vector: b bits a value, rounded up to whole bytes once.

    Example:
        >>> wire_bytes(10, 12), wire_bytes(10, 32)
        (15, 40)
    """
    return (length * bits + 7) // 8


def to_wire(vector: NDArray[np.uint32], *, bits: int) -> bytes:
    """Pack values below 2^b without gaps, lowest bit first; for b = 32 these are little-endian words.

    Example:
        >>> to_wire(np.array([0xABC, 0x123], np.uint32), bits=12).hex()
        'bc3a12'
    """
    if bits == MAX_BITS:
        return vector.astype(WIRE_WORD, copy=False).tobytes()
    groups = _groups(vector)
    packed = np.zeros((groups.shape[1], bits), np.uint8)
    for byte, value, shift in _overlaps(bits):
        part = groups[value] << np.uint32(shift) if shift >= 0 else groups[value] >> np.uint32(-shift)
        packed[:, byte] |= part.astype(np.uint8)  # the low eight bits
    return packed.tobytes()[: wire_bytes(vector.size, bits)]


def from_wire(data: bytes | memoryview, *, bits: int, length: int, sender: int) -> NDArray[np.uint32]:
    """The inverse of `to_wire`; refuses another size and bits set beyond the last value (the form is canonical).

    Shapes:     returns (length,); for b = 32 a view of the message.
    """
    if len(data) != wire_bytes(length, bits):
        raise BadMessage(f"{len(data)} bytes for {length} values of {bits} bits", sender=sender, where=_WHERE)
    if bits == MAX_BITS:
        return np.frombuffer(data, WIRE_WORD).astype(np.uint32, copy=False)
    packed = np.zeros((-(-length // 8), bits), np.uint8)
    packed.reshape(-1)[: len(data)] = np.frombuffer(data, np.uint8)
    groups = np.zeros((8, len(packed)), np.uint32)
    for byte, value, shift in _overlaps(bits):
        part = packed[:, byte].astype(np.uint32)
        groups[value] |= part >> np.uint32(shift) if shift >= 0 else part << np.uint32(-shift)
    vector = np.bitwise_and(groups, ring_mask(bits)).T.reshape(-1)
    if vector[length:].any() or (length % 8 and _spare_bits(data, length, bits)):
        raise BadMessage("bits are set beyond the last value", sender=sender, where=_WHERE)
    return np.ascontiguousarray(vector[:length])


_WHERE = "masked input"


def _groups(vector: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(8, ceil(d/8)): row i holds every eighth value from i on; eight values of b bits fill b bytes."""
    padded = np.zeros(-(-vector.size // 8) * 8, np.uint32)
    padded[: vector.size] = vector
    return np.ascontiguousarray(padded.reshape(-1, 8).T)


def _overlaps(bits: int) -> list[tuple[int, int, int]]:
    """(byte, value, shift): value i of a group starts `shift` bits above byte j's first bit; they share a bit."""
    return [
        (byte, value, value * bits - 8 * byte)
        for byte in range(bits)
        for value in range(8)
        if value * bits < 8 * byte + 8 and (value + 1) * bits > 8 * byte
    ]


def _spare_bits(data: bytes | memoryview, length: int, bits: int) -> int:
    """What the last byte holds beyond the last value."""
    used = length * bits % 8
    return data[-1] >> used if used else 0
