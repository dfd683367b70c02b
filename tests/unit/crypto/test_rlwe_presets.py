# SPDX-License-Identifier: Apache-2.0
"""Who fits a preset, and that what does not fit is refused with the number that would."""

import math
from dataclasses import replace

import pytest

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.rlwe import PRESETS, RlweScheme, scheme_for
from fedmeta_crypto.homomorphic.rlwe.presets import REACH, SIGMA
from fedmeta_crypto.homomorphic.trust import TrustModel

# Homomorphic Encryption Standard (2018), table 1, classical, 128 bits, secrets from the error distribution.
TABLE = {1024: 29, 2048: 56, 4096: 111, 8192: 220}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_every_preset_is_within_the_table(preset):
    assert preset.table_limit == TABLE[preset.degree] and preset.modulus_bits <= preset.table_limit
    assert preset.security_bits == 128


def test_digests_are_pinned_and_tell_every_number():
    assert PRESETS["rlwe32"].digest.hex().startswith("0f7a93d47f8b108f")
    assert PRESETS["rlwe64"].digest != PRESETS["rlwe32"].digest
    base = scheme_for("rlwe32", clients=5, modulus_bits=20, dimension=9)
    others = [
        replace(base, clients=6),
        replace(base, modulus_bits=19),
        replace(base, dimension=10),
        replace(base, preset=PRESETS["rlwe64"]),
    ]
    assert len({scheme.digest for scheme in (base, *others)}) == 5


@pytest.mark.parametrize(("name", "bits"), [("rlwe32", 21), ("rlwe32", 22), ("rlwe32", 24)])
def test_one_client_more_is_refused(name, bits):
    most = PRESETS[name].most_clients(modulus_bits=bits, dimension=10**6)
    assert scheme_for(name, clients=most, modulus_bits=bits, dimension=10**6)
    with pytest.raises(PlanRefused, match=f"of at most {most} clients"):
        scheme_for(name, clients=most + 1, modulus_bits=bits, dimension=10**6)


def test_sixteen_bit_values_of_fifty_clients_fit_the_small_preset():
    assert scheme_for("rlwe32", clients=50, modulus_bits=16 + 6, dimension=10**6).upload_bytes == 4 * 10**6
    assert scheme_for("rlwe64", clients=2**14, modulus_bits=32, dimension=2**28).upload_bytes == 2**31


@pytest.mark.parametrize("clients", [3, 50, 1000])
@pytest.mark.parametrize("dimension", [1, 1000, 10**6])
def test_the_largest_error_is_exceeded_with_probability_below_two_to_the_minus_64(clients, dimension):
    """Chernoff's bound for a sub-Gaussian sum, evaluated apart; or more than all errors at their largest."""
    allowed = PRESETS["rlwe32"].largest_error(clients=clients, dimension=dimension)
    log2 = 1 + math.log2(dimension) - allowed**2 / (2 * clients * SIGMA**2) / math.log(2)
    assert log2 < -64 or allowed == clients * REACH


@pytest.mark.parametrize(
    "wrong",
    [
        {"clients": 2},
        {"clients": 2**14 + 1},
        {"clients": 3.0},
        {"modulus_bits": 7},
        {"modulus_bits": 33},
        {"modulus_bits": 32},
        {"dimension": 0},
        {"dimension": 2**28 + 1},
    ],
)
def test_out_of_range(wrong):
    with pytest.raises(PlanRefused):
        RlweScheme(**({"preset": PRESETS["rlwe32"], "clients": 3, "modulus_bits": 16, "dimension": 5} | wrong))


def test_unknown_names():
    with pytest.raises(PlanRefused, match="choose one of rlwe32, rlwe64"):
        scheme_for("rlwe", clients=3, modulus_bits=16, dimension=1)


@pytest.mark.parametrize("clients", [3, 376, 377, 2**14])
def test_the_sum_of_secrets_never_wraps(clients):
    scheme = scheme_for("rlwe64", clients=clients, modulus_bits=32, dimension=1)
    assert clients * REACH < 2 ** (scheme.session_modulus_bits - 1) and scheme.session_modulus_bits <= 32
    assert scheme.trust is TrustModel.THRESHOLD and scheme.trust.sum_only
