# SPDX-License-Identifier: Apache-2.0
"""Encrypt one vector under a fresh secret; open a sum with the sum of the secrets.

The public polynomials a_0, a_1, ... are the AES-128-CTR expansion of SHA-256(label | session | roster digest), as
FrodoKEM's AES variant expands its public matrix. The session is the hash of the whole announcement, the roster digest
that of the message with every advertised key on a complete graph, so that a = 0, or an a chosen in any other way, is
not to be had: a server that tries 2^g announcements or rosters chooses among 2^g random ones, which costs at most g
bits of security.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.errors import DecryptionFailed
from fedmeta_crypto.homomorphic.rlwe.gaussian import sample
from fedmeta_crypto.homomorphic.rlwe.presets import RlweScheme
from fedmeta_crypto.homomorphic.rlwe.product import Coefficients, Multiplier
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.prg import KEY_BYTES, Keystream
from fedmeta_crypto.secagg.parameters import Graph, RoundParameters

_LABEL = b"sfm-rlwe/1"
_BLOCK = 2**16  # coefficients at a time: the temporary arrays stay in the cache


def coefficient_type(scheme: RlweScheme) -> np.dtype[Any]:
    """Of a ciphertext, little-endian."""
    return np.dtype(f"<u{scheme.preset.modulus_bits // 8}")


def public_blocks(scheme: RlweScheme, session: bytes, roster_digest: bytes) -> Iterator[tuple[int, Coefficients]]:
    """(first coordinate, uniform polynomials (p, N)) of consecutive blocks that cover the dimension."""
    degree, kind = scheme.preset.degree, coefficient_type(scheme)
    stream = Keystream(hashlib.sha256(_LABEL + session + roster_digest).digest()[:KEY_BYTES])
    rows = _BLOCK // degree
    for first in range(0, scheme.dimension, rows * degree):
        count = min(rows, -(-(scheme.dimension - first) // degree))
        yield first, np.frombuffer(stream.bytes(count * degree * kind.itemsize), kind).reshape(count, degree)


def encrypt(
    scheme: RlweScheme,
    vector: NDArray[np.unsignedinteger[Any]],
    *,
    session: bytes,
    roster_digest: bytes,
    secrets: Keystream,
) -> tuple[bytes, NDArray[np.int8]]:
    """A ciphertext and its secret, both drawn from `secrets`, which is used for nothing else.

    Shapes:     vector (dimension,), residues modulo 2^B.  Returns `upload_bytes` bytes, and the secret (N,).
    """
    kind, degree = coefficient_type(scheme), scheme.preset.degree
    secret = sample(secrets, degree)
    multiplier = Multiplier(secret)
    upload = np.empty(scheme.dimension, kind)
    for first, a in public_blocks(scheme, session, roster_digest):
        part = upload[first : first + a.size]
        part[:] = multiplier.times(a).reshape(-1)[: part.size]
        part += sample(secrets, part.size).astype(kind)
        part += vector[first : first + part.size].astype(kind) << kind.type(scheme.shift)
    multiplier.wipe()
    return upload.tobytes(), secret


def opened(
    scheme: RlweScheme,
    total: Coefficients,
    key: NDArray[np.int64],
    *,
    clients: int,
    session: bytes,
    roster_digest: bytes,
) -> NDArray[np.uint32]:
    """The sum of vectors modulo 2^B from the sum of ciphertexts and of secrets.

    Shapes:     total (dimension,), coefficients modulo 2^k, not changed; key (N,).  Returns (dimension,), uint32.
    Args:       clients: how many uploads are in the sum.
    Raises:     DecryptionFailed: an error is larger than so many clients' can be: some upload is not what its secret
                says.
    """
    kind = coefficient_type(scheme)
    signed, shift = np.dtype(f"i{kind.itemsize}"), kind.type(scheme.shift)
    half, allowed = kind.type(1 << (scheme.shift - 1)), scheme.largest_error(clients)
    multiplier = Multiplier(key)
    vector = np.empty(scheme.dimension, np.uint32)
    worst = 0
    for first, a in public_blocks(scheme, session, roster_digest):
        part = total[first : first + a.size]
        noisy = part - multiplier.times(a).reshape(-1)[: part.size]
        values = (noisy + half) >> shift
        residual = (noisy - (values << shift)).view(signed)
        worst = max(worst, int(residual.max()), -int(residual.min()))
        vector[first : first + part.size] = values & kind.type((1 << scheme.modulus_bits) - 1)
    multiplier.wipe()
    if worst > allowed:
        raise DecryptionFailed(f"a residual is above {allowed}, the most that {clients} clients' errors come to")
    return vector


def roster_digest(message: bytes, parameters: RoundParameters) -> bytes:
    """SHA-256 of an M2 on a complete graph, where all clients get the same one; zeros on other graphs."""
    return hashlib.sha256(message).digest() if parameters.graph is Graph.COMPLETE else bytes(DIGEST_BYTES)
