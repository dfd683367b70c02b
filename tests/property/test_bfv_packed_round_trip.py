# SPDX-License-Identifier: Apache-2.0
"""Two values to a word through the native library: exact for every number of clients, over many seeds."""

import numpy as np
import pytest

from fedmeta_crypto.homomorphic.seal import native
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096
from fedmeta_crypto.homomorphic.split.fields import Fields, fields_that_fit

T, Q = BFV_4096.plain_modulus, np.uint64(BFV_4096.data_prime)
MOST = 50  # with values of 16 bits


def check(seeds):
    own = native.new_context(BFV_4096)
    public = native.public_context(own, native.key_coefficients(own, BFV_4096), BFV_4096)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        # Every number of clients up to the most, small ones more often: a seed's cost is its number of clients.
        n = MOST if seed % 50 == 0 else int(np.exp(rng.uniform(0, np.log(MOST + 1))))
        assert fields_that_fit(bits=16 + max(1, (n - 1).bit_length()), modulus=T) == 2
        form = Fields(dimension=8192, bits=22, modulus=T, per_word=2)
        # Whole-range values, with the extremes in every client for the first slots.
        values = rng.integers(-(2**15), 2**15, (n, 8192))
        values[:, :4], values[:, 4096:4100] = -(2**15), 2**15 - 1
        total = np.zeros(2 * BFV_4096.degree, np.uint64)
        for row in values:
            total += native.encrypt(public, form.pack((row % 2**22).astype(np.uint32)), BFV_4096)
            total -= (total >= Q) * Q
        budget, words = native.decrypt(own, total, 4096, BFV_4096)
        assert budget >= 1
        assert np.array_equal(form.unpack(words), (values.sum(0) % 2**22).astype(np.uint32))


def test_exact_sums_of_packed_values():
    check(range(20))


@pytest.mark.long
def test_exact_sums_of_packed_values_over_a_thousand_seeds():
    check(range(1000))
