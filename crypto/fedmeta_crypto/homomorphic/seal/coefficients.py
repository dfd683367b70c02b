# SPDX-License-Identifier: Apache-2.0
"""Coefficients below 2^60 as bytes without spare bits, and their check.

Two coefficients a, b of 60 bits take 15 bytes, little-endian: a + b 2^60. There is one encoding of each vector, and a
length says how many there are, so that nothing else has to be parsed.
"""

import numpy as np

from fedmeta_crypto.errors import BadMessage, Oversized, Truncated
from fedmeta_crypto.modular import Words

BITS = 60


def packed_bytes(count: int) -> int:
    """Bytes of so many coefficients; `count` is even."""
    return count // 2 * 15


def pack(values: Words) -> bytes:
    """Shapes: (m,), uint64 below 2^60, m even, to 15 m / 2 bytes.

    Example:
        >>> unpack(pack(np.array([3, 2**60 - 1], np.uint64))).tolist() == [3, 2**60 - 1]
        True
    """
    even, odd = values[0::2], values[1::2]
    rows = np.empty((even.size, 15), np.uint8)
    rows[:, :8] = (even | (odd << np.uint64(60))).astype("<u8").view(np.uint8).reshape(-1, 8)
    rows[:, 8:] = (odd >> np.uint64(4)).astype("<u8").view(np.uint8).reshape(-1, 8)[:, :7]
    return rows.tobytes()


def unpack(data: bytes | memoryview) -> Words:
    """Shapes: 15 m / 2 bytes to (m,)."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, 15)
    pair = np.zeros((len(rows), 2, 8), np.uint8)
    pair[:, 0], pair[:, 1, :7] = rows[:, :8], rows[:, 8:]
    low, high = pair.view("<u8").reshape(-1, 2).T
    values = np.empty(2 * len(rows), np.uint64)
    values[0::2] = low & np.uint64((1 << BITS) - 1)
    values[1::2] = (low >> np.uint64(60)) | (high << np.uint64(4))
    return values


def checked(data: bytes | memoryview, *, count: int, modulus: int, sender: int, where: str) -> Words:
    """Exactly so many coefficients, each below the modulus.  Shapes: bytes to (count,).

    Raises:     Truncated, Oversized: another length; nothing was allocated.  BadMessage: one is not below the modulus.
    """
    size, need = memoryview(data).nbytes, packed_bytes(count)
    if size != need:
        kind = Truncated if size < need else Oversized
        raise kind(f"{size} bytes where {need} are due", sender=sender, where=where)
    values = unpack(data)
    if int(values.max()) >= modulus:
        raise BadMessage("a coefficient is not below its prime", sender=sender, where=where)
    return values
