# SPDX-License-Identifier: Apache-2.0
"""Parameters of BFV: security by the standard, primes as SEAL chooses them, room for noise."""

import math
from dataclasses import replace

import pytest
import tenseal as ts
import tenseal.sealapi

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096, STANDARD_128, largest_batching_prime


def test_golden_digest():
    assert BFV_4096.digest.hex() == "ed133823bde0c5aa04686a236204327aa9e5ce55894eea36209d3e813ef22375"


def test_at_least_128_bits_and_seal_agrees_on_the_limit():
    assert sum(BFV_4096.coefficient_bits) == 90 <= STANDARD_128[4096]
    ts.context(ts.SCHEME_TYPE.BFV, 4096, BFV_4096.plain_modulus, coeff_mod_bit_sizes=[60, 49])
    with pytest.raises(ValueError, match="not set correctly"):
        ts.context(ts.SCHEME_TYPE.BFV, 4096, BFV_4096.plain_modulus, coeff_mod_bit_sizes=[60, 50])


def test_the_primes_are_those_that_seal_chooses():
    context = ts.context(ts.SCHEME_TYPE.BFV, 4096, BFV_4096.plain_modulus, coeff_mod_bit_sizes=[60, 30])
    primes = [m.value() for m in context.seal_context().data.key_context_data().parms().coeff_modulus()]
    assert primes == [BFV_4096.data_prime, BFV_4096.special_prime]


def test_the_plaintext_prime_is_the_largest():
    t = BFV_4096.plain_modulus
    assert t == largest_batching_prime(bits=44, degree=4096)
    above = range(t + 8192, 2**44, 8192)
    assert all(any(p % f == 0 for f in range(3, math.isqrt(p) + 1, 2)) for p in above)


@pytest.mark.parametrize(
    "changes",
    [
        {"degree": 2048},
        {"degree": 4095},
        {"degree": 16384},
        {"plain_modulus": BFV_4096.plain_modulus - 8192},
        {"plain_modulus": 2**44},
        {"special_prime": BFV_4096.special_prime + 2},
    ],
)
def test_unsound_parameters_are_refused(changes):
    with pytest.raises(PlanRefused):
        replace(BFV_4096, **changes)


def test_room_for_noise_by_the_stated_bound():
    """The number of clients is the largest for which the bound, computed here in logarithms, is below 2^-64."""

    def log2_failure(n):
        room = BFV_4096.data_prime / (4 * BFV_4096.plain_modulus) - 1.25 * n
        return 29 - room**2 / (n * 4096 / 6) / math.log(2)

    assert log2_failure(BFV_4096.max_clients) <= -64 < log2_failure(BFV_4096.max_clients + 1)
