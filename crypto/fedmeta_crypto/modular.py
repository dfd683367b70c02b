# SPDX-License-Identifier: Apache-2.0
"""Masks modulo a prime t, 2^16 < t < 2^60, for vectors that are encrypted after masking.

Residues are held in uint64. A mask is drawn from its key's keystream in words of eight bytes, little-endian, each cut
to its lowest b bits, where b is the bit length of t; words >= t are skipped, and the mask is the first d that are
left. So every residue is equally likely, and how many words are read at a time changes no mask. Eight bytes for b = 44
bits, where six would do: aligned words are masked about twice as fast as AES saves by the shorter stream.

Source: rejection sampling, as in NIST SP 800-90A revision 1, appendix B.5.1.1 (the simple discard method).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument, OutOfRing, WrongLength
from fedmeta_crypto.prg import CHUNK_BYTES, KEY_BYTES, Key, open_stream

MIN_MODULUS_BITS = 17
MAX_MODULUS_BITS = 60
_CHUNK = CHUNK_BYTES // 8
# Enough for every number below 3.3e24 (Sorenson and Webster, Mathematics of Computation 86, 2017).
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)

Words = NDArray[np.uint64]


@lru_cache(maxsize=64)
def is_modulus(value: int) -> bool:
    """Whether a number is a prime of 17 to 60 bits, which masks can be drawn for.

    Source:     Miller and Rabin's test, with witnesses that leave no doubt in this range.

    Example:
        >>> is_modulus(2**44 - 16383), is_modulus(2**44 - 1), is_modulus(65537)
        (True, False, True)
    """
    if not MIN_MODULUS_BITS <= value.bit_length() <= MAX_MODULUS_BITS or value % 2 == 0:
        return False
    twos = (value - 1 & 1 - value).bit_length() - 1
    for witness in _WITNESSES:
        power = pow(witness, value - 1 >> twos, value)
        if power == 1:
            continue
        for _ in range(twos):
            if power == value - 1:
                break
            power = power * power % value
        else:
            return False
    return True


def checked_words(vector: NDArray[Any], *, modulus: int, length: int) -> Words:
    """Copy a caller's vector after checking it.

    Shapes:     takes and returns (length,), uint64.
    Raises:     WrongLength: another shape.  OutOfRing: another dtype, or a value >= modulus.
    """
    where = "mask_detached"
    if not isinstance(vector, np.ndarray) or vector.dtype != np.uint64:
        raise OutOfRing("the words are not a numpy array of uint64", where=where)
    if vector.shape != (length,):
        raise WrongLength(f"words have shape {vector.shape}, the round wants ({length},)", where=where)
    copy = np.array(vector, np.uint64, order="C")  # first: the caller may share this memory with another thread
    if copy.max(initial=0) >= modulus:
        raise OutOfRing("the words hold values that are not below the modulus", where=where)
    return copy


def add_masks(accumulator: Words, modulus: int, *, plus: Sequence[Key] = (), minus: Sequence[Key] = ()) -> None:
    """Add (subtract) one expanded mask per key to a vector of residues modulo t, in place.

    Shapes:     accumulator (d,), contiguous uint64, values below t.  Memory: O(d) and a few chunks.
    Guarantee:  each mask is uniform on [0, t)^d if its keystream is uniform; the expected stream is d 2^b / t words,
                fewer than 2 d.
    Raises:     BadArgument: a modulus, key or vector of another form.
    Source:     sum of PRG expansions in Bonawitz et al., CCS 2017, section 4 (masked input), modulo t.

    Example:
        >>> v = np.arange(5, dtype=np.uint64)
        >>> add_masks(v, 65537, plus=[bytes(16)]); v.tolist()
        [34819, 10484, 38393, 35107, 19917]
        >>> add_masks(v, 65537, minus=[bytes(16)]); v.tolist()
        [0, 1, 2, 3, 4]
    """
    if not is_modulus(modulus) or accumulator.dtype != np.uint64:
        raise BadArgument("masks are added to uint64 modulo a prime of 17 to 60 bits", where="add_masks")
    if any(len(key) != KEY_BYTES for key in (*plus, *minus)):
        raise BadArgument(f"a mask key has {KEY_BYTES} bytes", where="add_masks")
    terms = [(key, np.add) for key in plus] + [(key, np.subtract) for key in minus]
    t = np.uint64(modulus)
    most = (2**64 - 1) // modulus - 1  # so many masks and one residue fit a word without being reduced
    for start in range(0, len(terms), most):
        group = terms[start : start + most]
        accumulator += t * np.uint64(sum(operation is np.subtract for _, operation in group))
        for key, operation in group:
            _add(accumulator, modulus, key, operation)
        np.remainder(accumulator, t, out=accumulator)


def _add(accumulator: Words, modulus: int, key: Key, operation: np.ufunc) -> None:
    """One mask, not reduced."""
    update_into, t = open_stream(key).update_into, np.uint64(modulus)
    low_bits = np.uint64((1 << modulus.bit_length()) - 1)
    size = min(_CHUNK, accumulator.size)
    zeros, raw = bytes(8 * size), np.empty(8 * size + KEY_BYTES, np.uint8)  # update_into asks for a block of slack
    draws = raw[: 8 * size].view("<u8")
    at = 0
    while at < accumulator.size:
        # Never more words than are missing: what is rejected is drawn again, and the last word read is the last used.
        count = min(size, accumulator.size - at)
        update_into(memoryview(zeros)[: 8 * count], raw.data)
        words = draws[:count]
        np.bitwise_and(words, low_bits, out=words)
        if words.max() >= t:
            words = words[words < t]
        part = accumulator[at : at + words.size]
        operation(part, words, out=part)
        at += words.size
        if words.base is None:  # a copy without the rejected
            words.fill(0)
    raw.fill(0)


def negated(residues: Words, modulus: int) -> Words:
    """Turn every x into t - x, but for zero.

    Example:
        >>> negated(np.array([0, 1, 65536], np.uint64), 65537).tolist()
        [0, 65536, 1]
    """
    return np.where(residues == 0, residues, np.uint64(modulus) - residues)
