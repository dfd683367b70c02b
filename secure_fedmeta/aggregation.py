# SPDX-License-Identifier: Apache-2.0
"""The plan's word for how uploads are added: which encryption, which ring, who could decrypt what.

mask            double masks; the server opens the sum
rlwe32, rlwe64  a lattice ciphertext beside each masked input; its key is only ever the sum of all sites' keys
bfv             masked words under the key of a second server, the decryptor, which never sees the sum
ckks            under the decryptor's key without masks, and approximate; to compare and to teach
none            in the clear, to compare
"""

from __future__ import annotations

from typing import Literal, get_args

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.rlwe import PRESETS, RlweScheme, scheme_for
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.split.fields import FIELD_BITS
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel

from .errors import AggregationRefused

Aggregation = Literal["mask", "bfv", "ckks", "rlwe32", "rlwe64", "none"]
WORDS: tuple[str, ...] = get_args(Aggregation)
LATTICE = frozenset(PRESETS)
SPLIT = frozenset({"bfv"})
# Each upload can be read by somebody: nothing but a site's own noise is counted.
EXPOSED = frozenset({"ckks", "none"})
# Only the sum can be read: noise may be counted over all honest sites.
SUM_ONLY = frozenset({"mask"}) | LATTICE | SPLIT
DECRYPTED = SPLIT | {"ckks"}  # by a second server, the decryptor
VALUE_BITS = 16  # of a site's numbers, where the ring of the sum has no bits to spare
MASK_BITS = 32
CKKS_BITS = 28  # so that what CKKS adds stays below half a step for 50 sites

Scheme = RlweScheme | SplitScheme


def trust_of(word: str) -> TrustModel | None:
    """Who could decrypt what; None where nothing is encrypted.

    Example:
        >>> trust_of("rlwe32").sum_only, trust_of("mask")
        (True, None)
    """
    if word == "ckks":
        return TrustModel.SPLIT
    if word in SPLIT:
        return TrustModel.SPLIT_MASKED
    return TrustModel.THRESHOLD if word in LATTICE else None


def ring_bits(word: str, *, clients: int, dimension: int, stated: int | None = None) -> int:
    """B of the ring 2^B of the sum: as stated, else what the word's vectors have room for.

    Masks and rlwe64 have room for 32 bits. A coefficient of rlwe32 has 32 for sum and errors together: its sums of
    `clients` numbers of 16 bits get 16 + ceil(log2 clients), or as many as the preset opens. A word of bfv holds two
    sums of 22 bits where numbers of 16 bits have room in them, else one of 32.

    Args:
        word: of the plan.
        clients: n.
        dimension: coordinates of an upload.
        stated: the plan's `modulus_bits`.

    Example:
        >>> [ring_bits("rlwe32", clients=n, dimension=1000) for n in (10, 50, 64)]
        [20, 22, 21]
        >>> [ring_bits(word, clients=10, dimension=1000) for word in ("mask", "rlwe64", "bfv")]
        [32, 32, 22]
    """
    if stated is not None:
        return stated
    enough = VALUE_BITS + (clients - 1).bit_length()
    if word == "ckks":
        return CKKS_BITS
    if word in SPLIT:
        return FIELD_BITS if enough <= FIELD_BITS else MASK_BITS
    if word not in LATTICE:
        return MASK_BITS
    preset = PRESETS[word]
    wanted = MASK_BITS if preset.modulus_bits == 64 else enough
    fits = (
        bits for bits in range(wanted, 8, -1) if preset.most_clients(modulus_bits=bits, dimension=dimension) >= clients
    )
    return next(fits, wanted)  # nothing fits: `scheme_of` says so


def scheme_of(word: str, *, clients: int, bits: int, dimension: int) -> Scheme | None:
    """The encryption of a run; None where nothing is encrypted.

    Raises:
        AggregationRefused: its preset does not open sums of so many numbers, sites or bits.

    Example:
        >>> scheme_of("rlwe32", clients=10, bits=20, dimension=31).upload_bytes
        124
    """
    if word not in LATTICE | SPLIT:
        return None
    try:
        if word in SPLIT:
            return SplitScheme(clients=clients, modulus_bits=bits, dimension=dimension, cipher=TensealBfv())
        return scheme_for(word, clients=clients, modulus_bits=bits, dimension=dimension)
    except PlanRefused as error:
        raise AggregationRefused(
            f'aggregation = "{word}": {error.what}',
            "plan, aggregation",
            "use fewer modulus_bits, fewer sites, rlwe64, or mask",
        ) from None


def foundation(scheme: Scheme) -> str:
    """The problem that a scheme's secrecy rests on, with its size and the table that states its security.

    Example:
        >>> scheme = scheme_of("bfv", clients=10, bits=22, dimension=31)
        >>> foundation(scheme)
        "BFV with N = 4096 and 90 bits of primes, 128 bits by the Homomorphic Encryption Standard's table"
    """
    if isinstance(scheme, RlweScheme):
        preset = scheme.preset
        problem, bits = f"Ring-LWE with N = {preset.degree} and q = 2^{preset.modulus_bits}", preset.security_bits
    else:
        bfv = TensealBfv().preset
        problem, bits = f"BFV with N = {bfv.degree} and {sum(bfv.coefficient_bits)} bits of primes", 128
    return f"{problem}, {bits} bits by the Homomorphic Encryption Standard's table"
