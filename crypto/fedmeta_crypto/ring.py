# SPDX-License-Identifier: Apache-2.0
"""Integers modulo 2^b, 8 <= b <= 32, held in native words: uint16 for b <= 16, uint32 above.

Masks are expanded and added in native words, modulo 2^w, and reduced to b bits at the end: since 2^b divides 2^w,
reduction is a ring homomorphism and the low b bits are what addition modulo 2^b would have given. A word of 16 bits
takes half the keystream of one of 32.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadMessage, OutOfRing, WrongLength

MIN_BITS = 8
MAX_BITS = 32
# Values packed at a time: enough to make numpy's cost per call small, and the temporary copies stay small.
_BLOCK = 2**18
_WHERE = "masked input"

Residues = NDArray[np.unsignedinteger[Any]]  # in native words


def word(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The native word of the ring 2^b, in which vectors are held, masked and added.

    Example:
        >>> word(16), word(17)
        (dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint16 if bits <= 16 else np.uint32)


def ring_mask(bits: int) -> np.uint32:
    """2^b - 1, the largest residue."""
    return np.uint32((1 << bits) - 1)


def reduce_in_place(vector: Residues, bits: int) -> None:
    """Reduce every value modulo 2^b."""
    if bits < 8 * vector.itemsize:
        np.bitwise_and(vector, vector.dtype.type((1 << bits) - 1), out=vector)


def in_ring(vector: Residues, bits: int) -> bool:
    """Whether every value is below 2^b."""
    return bits >= 8 * vector.itemsize or vector.size == 0 or bool(vector.max() <= ring_mask(bits))


def checked_copy(vector: Residues, *, bits: int, length: int) -> Residues:
    """Copy a caller's vector into a contiguous array of native words after checking it.

    Shapes:     takes (length,), uint32 or, for b <= 16, uint16; returns (length,), `word(bits)`.
    Raises:     WrongLength: another shape.  OutOfRing: another dtype, or a value >= 2^b.

    Example:
        >>> checked_copy(np.array([1, 255], np.uint32), bits=8, length=2)
        array([  1, 255], dtype=uint16)
    """
    if not isinstance(vector, np.ndarray) or vector.dtype not in (np.uint32, word(bits)):
        raise OutOfRing("the vector is not a numpy array of uint32", where="mask_input")
    if vector.shape != (length,):
        raise WrongLength(f"vector has shape {vector.shape}, the round wants ({length},)", where="mask_input")
    # Copy first, then check: the caller may share this memory with another thread.
    copy = np.array(vector, vector.dtype, order="C")
    if not in_ring(copy, bits):
        raise OutOfRing(f"the vector holds values >= 2**{bits}", where="mask_input")
    return copy.astype(word(bits), copy=False)


def wire_bytes(length: int, bits: int) -> int:
    """Size of a packed vector: b bits a value, rounded up to whole bytes once.

    Example:
        >>> wire_bytes(10, 12), wire_bytes(10, 32)
        (15, 40)
    """
    return (length * bits + 7) // 8


def to_wire(vector: Residues, *, bits: int) -> memoryview:
    """Pack values below 2^b without gaps, lowest bit first; for b = 16 and 32 these are little-endian words.

    Shapes:     takes (d,); returns bytes (`wire_bytes(d, bits)`,), which for b = 16 and 32 are the vector's own memory.

    Example:
        >>> to_wire(np.array([0xABC, 0x123], np.uint32), bits=12).hex()
        'bc3a12'
    """
    native = np.ascontiguousarray(vector, word(bits))
    packed = native if bits == 8 * native.itemsize else _pack(native, bits)
    little = packed.astype(packed.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8)[: wire_bytes(vector.size, bits)].data


def from_wire(data: bytes | memoryview, *, bits: int, length: int, sender: int) -> Residues:
    """The inverse of `to_wire`; refuses another size and bits set beyond the last value (the form is canonical).

    Shapes:     returns (length,), `word(bits)`; for b = 16 and 32 a view of the message.
    """
    if len(data) != wire_bytes(length, bits):
        raise BadMessage(f"{len(data)} bytes for {length} values of {bits} bits", sender=sender, where=_WHERE)
    native = word(bits)
    little = native.newbyteorder("<")
    if bits == 8 * native.itemsize:
        return np.frombuffer(data, little).astype(native, copy=False)
    used = length * bits % 8
    if used and data[-1] >> used:
        raise BadMessage("bits are set beyond the last value", sender=sender, where=_WHERE)
    values, words, _ = _overlaps(bits)
    packed = np.zeros((-(-length // values), words), little)
    packed.reshape(-1).view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    return _unpack(packed.astype(native, copy=False), bits)[:length]


def _pack(vector: Residues, bits: int) -> Residues:
    """(groups, words) from (d,): a group is the fewest values that fill whole words."""
    values, words, overlaps = _overlaps(bits)
    groups, native = -(-vector.size // values), vector.dtype
    if groups * values > vector.size:
        vector = np.concatenate((vector, np.zeros(groups * values - vector.size, native)))
    packed = np.empty((groups, words), native)
    rows = vector.reshape(groups, values)
    for start in range(0, groups, _BLOCK // values):
        block = rows[start : start + _BLOCK // values]
        # Turned, so that every step below runs over contiguous memory.
        columns, filled = np.ascontiguousarray(block.T), np.zeros((words, len(block)), native)
        for place, value, shift in overlaps:
            filled[place] |= _shifted(columns[value], shift)
        packed[start : start + len(block)] = filled.T
    return packed


def _unpack(packed: Residues, bits: int) -> Residues:
    """The inverse of `_pack`, with the zeros that fill the last group."""
    values, _, overlaps = _overlaps(bits)
    native = packed.dtype
    rows = np.empty((len(packed), values), native)
    for start in range(0, len(packed), _BLOCK // values):
        block = packed[start : start + _BLOCK // values]
        columns, found = np.ascontiguousarray(block.T), np.zeros((values, len(block)), native)
        for place, value, shift in overlaps:
            found[value] |= _shifted(columns[place], -shift)
        reduce_in_place(found, bits)
        rows[start : start + len(block)] = found.T
    return rows.reshape(-1)


def _shifted(words: Residues, shift: int) -> Residues:
    """Upwards by `shift` bits, downwards if negative; what leaves the word is lost."""
    by = words.dtype.type(abs(shift))
    moved: Residues = words << by if shift >= 0 else words >> by
    return moved


@cache
def _overlaps(bits: int) -> tuple[int, int, tuple[tuple[int, int, int], ...]]:
    """Values and words in a group, and each (word, value, shift) that share a bit.

    Value i starts `shift` bits above the first bit of word j.

    Example:
        >>> _overlaps(12)[:2], _overlaps(24)
        ((4, 3), (4, 3, ((0, 0, 0), (0, 1, 24), (1, 1, -8), (1, 2, 16), (2, 2, -16), (2, 3, 8))))
    """
    width = 8 * word(bits).itemsize
    shared = math.gcd(bits, width)
    values, words = width // shared, bits // shared
    pairs = ((place, value, value * bits - width * place) for place in range(words) for value in range(values))
    return values, words, tuple(pair for pair in pairs if -bits < pair[2] < width)
