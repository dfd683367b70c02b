# SPDX-License-Identifier: Apache-2.0
"""Parameters of BFV, each with its security stated.

Source: Albrecht et al., Homomorphic Encryption Security Standard (2018), table 1: ternary secret, classical attacks.
"""

import hashlib
import math
from dataclasses import astuple, dataclass

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.modular import is_modulus

# Degree: most bits of all coefficient primes together, at 128 bits of security.
STANDARD_128 = {2048: 54, 4096: 109, 8192: 218}
SECURITY = "128 bits, classical: HE Standard 2018, table 1, ternary secret"
_LABEL = "secure-fedmeta bfv/1"
_FAILURE_BITS = 64
_COEFFICIENTS_BITS = 28


@dataclass(frozen=True, slots=True)
class BfvPreset:
    """One parameter set: degree N, data prime q, special prime p (for encryption only), plaintext prime t.

    Raises:     PlanRefused: less than 128 bits by the standard, or no prime of the form that batching needs.

    Example:
        >>> BFV_4096.plain_modulus == largest_batching_prime(bits=44, degree=4096), BFV_4096.max_clients
        (True, 3367)
    """

    degree: int
    data_prime: int
    special_prime: int
    plain_modulus: int

    def __post_init__(self) -> None:
        limit = STANDARD_128.get(self.degree)
        if limit is None or sum(self.coefficient_bits) > limit:
            bits, where = sum(self.coefficient_bits), "presets"
            raise PlanRefused(f"{bits} bits of primes at degree {self.degree} are below 128 bits", where=where)
        for prime in (self.data_prime, self.special_prime, self.plain_modulus):
            if not is_modulus(prime) or prime % (2 * self.degree) != 1:
                raise PlanRefused(f"{prime} is not a prime equal to 1 modulo 2N", where="presets")

    @property
    def coefficient_bits(self) -> tuple[int, int]:
        """Bit lengths of q and p."""
        return self.data_prime.bit_length(), self.special_prime.bit_length()

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of label and numbers as canonical JSON: keys sorted, no spaces."""
        n, q, p, t = astuple(self)
        row = f'{{"data_prime":{q},"degree":{n},"label":"{_LABEL}","plain_modulus":{t},"special_prime":{p}}}'
        return hashlib.sha256(row.encode()).digest()

    @property
    def max_clients(self) -> int:
        """The most honest ciphertexts whose sum decrypts rightly, in 2^28 coefficients, but for a chance below 2^-64.

        A fresh ciphertext's noise is v = r s + w. r is what rounding leaves of c1 when the special prime is dropped,
        uniform in [-1/2, 1/2] by the encryption's own assumption; s is ternary; so r s is sub-Gaussian with proxy at
        most N / 12. |w| < 5/4: half for rounding c0, half for rounding q m / t, the rest for encryption noise over p,
        21 (2 N + 1) / p. A sum of n keeps a bit of budget while |v| < q / (4 t); by Hoeffding's bound, and a union over
        the coefficients, it loses it with a chance below 2^29 exp(-(q / (4 t) - 5 n / 4)^2 / (n N / 6)).

        A crafted ciphertext may carry any noise: such a sum is refused at decryption, or wrong as any bad input is.
        """
        # With k = 5 n / 4: (room - k)^2 = k c, the smaller root.
        room = self.data_prime / (4 * self.plain_modulus)
        c = (_COEFFICIENTS_BITS + 1 + _FAILURE_BITS) * math.log(2) * self.degree / 6 / 1.25
        return math.floor((room + c / 2 - math.sqrt(c * room + c * c / 4) - 1e-3) / 1.25)


def largest_batching_prime(*, bits: int, degree: int) -> int:
    """The largest prime of so many bits that is 1 modulo 2N, so that every slot of a plaintext holds a word.

    Example:
        >>> largest_batching_prime(bits=44, degree=4096)
        17592186028033
    """
    step = 2 * degree
    candidate = ((1 << bits) - 2) // step * step + 1
    while not is_modulus(candidate):
        candidate -= step
    return candidate


BFV_4096 = BfvPreset(
    degree=4096, data_prime=1152921504606830593, special_prime=1073692673, plain_modulus=17592186028033
)
