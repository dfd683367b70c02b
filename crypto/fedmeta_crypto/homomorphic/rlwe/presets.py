# SPDX-License-Identifier: Apache-2.0
"""Parameters of the threshold mode, and which cohorts, rings and dimensions they hold.

Security. Whoever opens a round learns S = sum of s_i and, exactly, every sum of errors. For discrete Gaussians of
standard deviation sigma the law of one client's secret, given its sum with another honest one's, is again a discrete
Gaussian, of sigma / sqrt 2 around a known centre; in full, two honest clients and these hints are as hard as plain
RLWE with standard deviation sigma / 2 (Kim, Lee, Seo and Song, Crypto 2023, ePrint 2023/623: 1/s^2 = 2 (1/sigma^2 +
1/sigma^2), s >= sqrt 2 times the smoothing parameter; sigma / 2 = 3.25 against 3.23 at 2^-128 for 490 blocks).
Ternary secrets have no such theorem and are not offered. Plain RLWE at 3.25, Gaussian secrets: the Homomorphic
Encryption Standard (Albrecht et al., 2018, table 1, classical, error 3.2, secrets from the error distribution) allows
log2 q <= 56 at N = 2048 and <= 111 at N = 4096 for 128 bits; these presets use 32 and 64. That the modulus is a power
of two is covered for pseudo-randomness by Peikert, Regev and Stephens-Davidowitz (STOC 2017) at larger errors than
these, a gap shared by every deployed scheme of this kind.

Room. Delta = 2^(k - B), so that encryption is linear modulo 2^B, wraps included. The sum of n errors is sub-Gaussian
with parameter sigma sqrt n (discrete Gaussians around 0 are: Micciancio and Peikert, Eurocrypt 2012, lemma 2.8), so
that over d coordinates it exceeds T = sigma sqrt(2 n ln(2 d 2^64)) with probability below 2^-64. T < Delta / 2 makes
decoding exact, and an opened residual above T is a failure, never a sum.
"""

import hashlib
import math
from dataclasses import dataclass, field
from typing import ClassVar

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.ring import MAX_BITS, MIN_BITS
from fedmeta_crypto.secagg.parameters import MAX_COHORT, MAX_LENGTH

SIGMA = 6.5  # of secrets and errors
REACH = 87  # the largest of either: 13.3 sigma
FEWEST_CLIENTS = 3  # of whom two must be honest
FAILURE_BITS = 64
_LABEL = "secure-fedmeta rlwe/1"
_WHERE = "rlwe"


@dataclass(frozen=True, slots=True)
class RlwePreset:
    """Ring Z[x] / (x^N + 1) modulo 2^k.

    Attributes:
        name: the plan's word.
        degree: N, coefficients of the secret.
        modulus_bits: k, bits of one coefficient of a ciphertext; 32 or 64.
        security_bits: classical security by the standard's table.
        table_limit: the largest log2 q that the table allows at this N.
    """

    name: str
    degree: int
    modulus_bits: int
    table_limit: int
    security_bits: int = 128

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of all numbers that the preset fixes.

        Example:
            >>> PRESETS["rlwe32"].digest.hex()[:16]
            '0f7a93d47f8b108f'
        """
        stated = (self.degree, self.modulus_bits, SIGMA, REACH)
        return hashlib.sha256(f"{_LABEL} preset {stated}".encode()).digest()

    def largest_error(self, *, clients: int, dimension: int) -> int:
        """T: what a coordinate of the sum of all errors exceeds with probability below 2^-64 over all coordinates."""
        spread = 2 * math.log(2) * (1 + math.log2(dimension) + FAILURE_BITS)
        return min(math.ceil(SIGMA * math.sqrt(clients * spread) * (1 + 1e-9)), clients * REACH)

    def most_clients(self, *, modulus_bits: int, dimension: int) -> int:
        """The most clients whose sum modulo 2^B opens rightly; 0 if none does.

        Example:
            >>> [PRESETS["rlwe32"].most_clients(modulus_bits=b, dimension=10**6) for b in (20, 21, 22, 24)]
            [842, 210, 52, 3]
        """
        low, high = 0, MAX_COHORT
        while low < high:
            middle = (low + high + 1) // 2
            fits = 2 * self.largest_error(clients=middle, dimension=dimension) < 1 << (self.modulus_bits - modulus_bits)
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


PRESETS = {
    "rlwe32": RlwePreset("rlwe32", degree=2048, modulus_bits=32, table_limit=56),
    "rlwe64": RlwePreset("rlwe64", degree=4096, modulus_bits=64, table_limit=111),
}


@dataclass(frozen=True, slots=True)
class RlweScheme:
    """What all parties of a threshold round agree on: vectors of residues modulo 2^B in, their sum modulo 2^B out.

    Guarantee:  the sum is exact; a sum that could not be opened rightly is a named error.
    Args:       preset: ring and errors.  clients: size of the cohort.  modulus_bits: B, of the sum.  dimension: d.
    Raises:     PlanRefused: out of range, or sums of so many clients would not open.
    """

    preset: RlwePreset
    clients: int
    modulus_bits: int
    dimension: int
    digest: bytes = field(init=False, repr=False)

    trust: ClassVar = TrustModel.THRESHOLD

    def __post_init__(self) -> None:
        bounds = (
            ("clients", self.clients, FEWEST_CLIENTS, MAX_COHORT),
            ("modulus_bits", self.modulus_bits, MIN_BITS, MAX_BITS),
            ("dimension", self.dimension, 1, MAX_LENGTH),
        )
        for name, value, low, high in bounds:
            if not isinstance(value, int) or not low <= value <= high:
                raise PlanRefused(f"{name} must be an integer in {low} .. {high}, not {value!r}", where=_WHERE)
        bits, d = self.modulus_bits, self.dimension
        most = self.preset.most_clients(modulus_bits=bits, dimension=d) if bits < self.preset.modulus_bits else 0
        if self.clients > most:
            raise PlanRefused(
                f"{self.preset.name} opens sums modulo 2^{bits} of at most {most} clients at {d} coordinates, "
                f"not of {self.clients}",
                where=_WHERE,
            )
        stated = (self.preset.digest.hex(), self.clients, bits, d)
        object.__setattr__(self, "digest", hashlib.sha256(f"{_LABEL} {stated}".encode()).digest())

    @property
    def session_length(self) -> int:
        """`RoundParameters.length` of every round: coefficients of a secret."""
        return self.preset.degree

    @property
    def session_modulus_bits(self) -> int:
        """`RoundParameters.modulus_bits` of every round: the sum of all secrets does not wrap in it."""
        return max(MIN_BITS, (2 * REACH * self.clients).bit_length())

    @property
    def shift(self) -> int:
        """log2 of Delta."""
        return self.preset.modulus_bits - self.modulus_bits

    @property
    def upload_bytes(self) -> int:
        """Bytes of one client's ciphertext: a coefficient for each coordinate, and no padding."""
        return self.dimension * self.preset.modulus_bits // 8

    def largest_error(self, clients: int) -> int:
        """T for the sum of so many: what an opened residual may not exceed."""
        return self.preset.largest_error(clients=clients, dimension=self.dimension)


def scheme_for(name: str, *, clients: int, modulus_bits: int, dimension: int) -> RlweScheme:
    """The scheme of a plan.

    Raises:     PlanRefused: no preset of this name, or it does not fit.

    Example:
        >>> scheme = scheme_for("rlwe32", clients=50, modulus_bits=22, dimension=1000)
        >>> scheme.upload_bytes, scheme.session_length, scheme.session_modulus_bits
        (4000, 2048, 14)
        >>> scheme_for("rlwe32", clients=60, modulus_bits=22, dimension=1000)
        Traceback (most recent call last):
        ...
        fedmeta_crypto.errors.PlanRefused: SFM-205 PlanRefused at rlwe: rlwe32 opens sums modulo 2^22 of at most ...
    """
    if name not in PRESETS:
        raise PlanRefused(f"no preset is called {name!r}: choose one of {', '.join(PRESETS)}", where=_WHERE)
    return RlweScheme(PRESETS[name], clients, modulus_bits, dimension)
