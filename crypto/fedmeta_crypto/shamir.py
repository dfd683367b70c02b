# SPDX-License-Identifier: Apache-2.0
"""Shamir's secret sharing over GF(65537), many 16-bit words at a time.

    share_j  = sum_i c_i * x_j^i         c_0 = the word, c_1 .. c_{t-1} uniform in the field
    word     = sum_j L_j * share_j       L_j = prod_{m != j} x_m / (x_m - x_j)

Both are matrix products in float64, and exact: every entry is at most 2^16, so a product is at most
2^32 and a sum of t of them stays below 2^53 for t < 2^21; BLAS may add in any order. The remainder is
taken in integers: fmod would take longer, and a time that depends on the secret. 65537 is prime and 3
generates its units, so powers and quotients come from tables of logarithms.

A share of a word takes 65537 values, one too many for 16 bits. `pack` writes the low halves and then
one bit per word that says "65536".

Source: Shamir, CACM 22(11), 1979.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.prg import Entropy, draw

PRIME = 65537
MAX_POINT = PRIME - 1
_REJECT_FROM = PRIME * (2**32 // PRIME)  # the largest multiple of the prime below 2^32


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Powers of 3 and their logarithms; the table of powers doubles until it is full."""
    power = np.ones(MAX_POINT, np.int64)
    filled = 1
    while filled < MAX_POINT:
        power[filled : 2 * filled] = power[:filled] * pow(3, filled, PRIME) % PRIME
        filled *= 2
    logarithm = np.zeros(PRIME, np.int64)
    logarithm[power] = np.arange(MAX_POINT)
    return power, logarithm


_POWER, _LOG = _tables()


def power_and_log() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tables 3^i and log_3 of the field, read-only by agreement; the logarithm of zero means nothing."""
    return _POWER, _LOG


def inverse(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverses of field elements other than zero."""
    return _POWER[-_LOG[values] % MAX_POINT]


@lru_cache(maxsize=4)
def _vandermonde(points: int, threshold: int) -> NDArray[np.float64]:
    exponents = _LOG[1 : points + 1, None] * np.arange(threshold) % MAX_POINT
    matrix: NDArray[np.float64] = _POWER[exponents].astype(np.float64)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=1024)
def _lagrange_at_zero(points: tuple[int, ...]) -> NDArray[np.float64]:
    x = np.array(points, np.int64)
    difference = (x[None, :] - x[:, None]) % PRIME
    np.fill_diagonal(difference, 1)
    logs = _LOG[x]
    exponents = (logs.sum() - logs - _LOG[difference].sum(axis=1)) % MAX_POINT
    weights: NDArray[np.float64] = _POWER[exponents].astype(np.float64)
    weights.flags.writeable = False
    return weights


def _uniform(count: int, entropy: Entropy) -> NDArray[np.int64]:
    """`count` field elements without bias: 32-bit draws, those past the last multiple drawn again."""
    words = np.frombuffer(draw(entropy, 4 * count), "<u4").astype(np.int64)
    while (late := np.flatnonzero(words >= _REJECT_FROM)).size:
        words[late] = np.frombuffer(draw(entropy, 4 * late.size), "<u4")
    return words % PRIME


def _reduced(exact: NDArray[np.float64]) -> NDArray[np.uint32]:
    return (exact.astype(np.int64) % PRIME).astype(np.uint32)


def split(secret: bytes | bytearray, *, points: int, threshold: int, entropy: Entropy) -> NDArray[np.uint32]:
    """Share a secret among the points 1 .. points, any `threshold` of which reveal it.

    Shapes:     secret of 2w bytes; returns (points, w), row j - 1 for point j, values in [0, 65537).
    Guarantee:  any threshold - 1 rows are independent of the secret, if `entropy` is uniform.
    Args:       points: 1 .. 65536.  threshold: 1 .. points.
    Raises:     BadArgument: an odd secret, or counts out of range.

    Example:
        >>> import os
        >>> rows = split(b"keep", points=5, threshold=3, entropy=os.urandom)
        >>> reconstruct((2, 3, 5), rows[[1, 2, 4]])
        b'keep'
    """
    if len(secret) % 2 or not 1 <= threshold <= points <= MAX_POINT:
        raise BadArgument(f"cannot share {len(secret)} bytes {threshold} of {points}")
    words = np.frombuffer(secret, "<u2")
    coefficients = np.empty((threshold, words.size), np.float64)
    coefficients[0] = words
    coefficients[1:] = _uniform((threshold - 1) * words.size, entropy).reshape(threshold - 1, words.size)
    shares = _reduced(_vandermonde(points, threshold) @ coefficients)
    coefficients.fill(0)
    return shares


def reconstruct(points: tuple[int, ...], shares: NDArray[np.uint32]) -> bytes | None:
    """Interpolate at zero; the caller must check the result against a commitment.

    Shapes:     shares (len(points), w); returns 2w bytes.
    Guarantee:  with at least `threshold` true shares the true secret; otherwise any bytes, or None
                if a word is 65536, which no secret holds.
    Raises:     BadArgument: points repeated or out of range, or another number of rows.

    Example:
        >>> reconstruct((7,), np.array([[0x6261]], np.uint32))
        b'ab'
    """
    if shares.ndim != 2 or shares.shape[0] != len(points):
        raise BadArgument(f"{len(points)} points but shares of shape {shares.shape}")
    return reconstruct_all(points, shares[None])[0]


def reconstruct_all(points: tuple[int, ...], shares: NDArray[np.uint32]) -> list[bytes | None]:
    """`reconstruct` for several secrets whose shares are at the same points.

    Shapes:     shares (secrets, len(points), w); returns 2w bytes each.
    """
    if len(set(points)) != len(points) or not points or not 1 <= min(points) <= max(points) <= MAX_POINT:
        raise BadArgument("points of shares must be distinct and in 1 .. 65536")
    words = _reduced(_lagrange_at_zero(points) @ shares.astype(np.float64))
    return [row.astype("<u2").tobytes() if row.max() <= 0xFFFF else None for row in words]


def packed_bytes(words: int) -> int:
    """Size of a packed share of that many words: 34 bytes for a secret of 32."""
    return 2 * words + (words + 7) // 8


def pack(shares: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Pack rows of words below 65537; (n, w) to (n, packed_bytes(w)).

    Example:
        >>> pack(np.array([[1, 65536]], np.uint32)).tobytes().hex()
        '0100000002'
    """
    low = np.ascontiguousarray((shares & 0xFFFF).astype("<u2")).view(np.uint8)
    high = np.packbits((shares >> 16).astype(np.uint8), axis=1, bitorder="little")
    return np.hstack([low, high])


def unpack(packed: NDArray[np.uint8], words: int) -> NDArray[np.uint32]:
    """The inverse of `pack`, for rows that `is_packed` accepts."""
    low = np.ascontiguousarray(packed[:, : 2 * words]).view("<u2").astype(np.uint32)
    high = np.unpackbits(packed[:, 2 * words :], axis=1, count=words, bitorder="little")
    return low | (high.astype(np.uint32) << np.uint32(16))


def is_packed(share: bytes, words: int) -> bool:
    """Whether bytes are the one packed form of some share (the right size, no padding, no value > 65536)."""
    if len(share) != packed_bytes(words):
        return False
    bits = int.from_bytes(share[2 * words :], "little")
    # Nearly every share has no word 65536, so the loop hardly ever runs.
    while bits:
        word = bits.bit_length() - 1
        if word >= words or share[2 * word] or share[2 * word + 1]:
            return False
        bits ^= 1 << word
    return True
