# SPDX-License-Identifier: Apache-2.0
"""The law of secrets and errors, and of what the sum of two tells about each."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import stats

from fedmeta_crypto import Keystream
from fedmeta_crypto.homomorphic.rlwe import gaussian
from fedmeta_crypto.homomorphic.rlwe.gaussian import sample, weights

N = 2_000_000


@pytest.fixture(scope="module")
def drawn():
    return sample(Keystream(b"sixteen byte key"), N)


def chi_square(values):
    """p-value of the pooled histogram against the law."""
    law = np.array([float(weight) for weight in weights()])
    inner = np.abs(np.arange(-87, 88)) <= 25
    counts = np.bincount(values.astype(int) + 87, minlength=175)
    seen = [*counts[inner], counts[~inner].sum()]
    wanted = [*(values.size * law[inner]), values.size * law[~inner].sum()]
    return stats.chisquare(seen, wanted, sum_check=False).pvalue


def test_the_histogram_is_the_law(drawn):
    assert drawn.dtype == np.int8 and chi_square(drawn) > 1e-4


@pytest.mark.parametrize("other", ["ternary", "binomial", "narrower"])
def test_another_sampler_would_be_noticed(other):
    rng = np.random.default_rng(0)
    swapped = {
        "ternary": lambda: rng.integers(-1, 2, N),
        "binomial": lambda: rng.binomial(42, 0.5, N) - 21,
        "narrower": lambda: np.rint(rng.normal(0, 6.4, N)).astype(int),
    }[other]()
    assert chi_square(swapped) < 1e-12


def test_of_two_clients_each_keeps_half_the_variance_when_their_sum_is_known():
    first = sample(Keystream(bytes(16)), N).astype(int)
    second = sample(Keystream(bytes([1]) + bytes(15)), N).astype(int)
    for total in (0, 1, 7):
        given = first[first + second == total]
        assert given.size > 20_000
        left = given - total / 2
        error = 5 / given.size**0.5
        assert abs(left.mean()) < 6.5 * error and abs(left.std() / (6.5 / 2**0.5) - 1) < error


def test_thresholds_are_as_close_as_the_docstring_says():
    table, scale = gaussian._table(), Decimal(2**144)
    below, worst = Decimal(0), Decimal(0)
    with localcontext() as context:
        context.prec = 60
        for weight, threshold in zip(weights(), table.thresholds, strict=False):
            below += weight
            worst = max(worst, abs(below - Decimal(threshold) / scale))
    assert len(table.thresholds) == 174 and worst * scale <= Decimal("1.001")
    assert list(table.thresholds) == sorted(set(table.thresholds))


def test_buckets_decide_only_what_is_decided():
    table = gaussian._table()
    undecided = np.flatnonzero(table.buckets == gaussian._UNDECIDED)
    assert undecided.size / 2**16 < 0.003
    for bucket in (*undecided[:5].tolist(), *undecided[-5:].tolist()):
        low, high = bucket << 128, ((bucket + 1) << 128) - 1
        assert any(low < threshold <= high for threshold in table.thresholds)


def test_the_tail_beyond_the_reach_is_negligible():
    variance = 2 * Decimal("6.5") ** 2
    tail = 2 * sum((-Decimal(x * x) / variance).exp() for x in range(88, 400))
    assert tail / 16 < Decimal(2) ** -129


def test_one_stream_one_sample():
    key = bytes(range(16))
    whole = sample(Keystream(key), 5000)
    assert np.array_equal(whole, sample(Keystream(key), 5000))
    assert not np.array_equal(whole, sample(Keystream(bytes(16)), 5000))


@pytest.mark.parametrize("word", [0, 2**16 - 1])
def test_the_outermost_buckets(word):
    class Fixed:
        def bytes(self, n):
            return word.to_bytes(2, "little") * (n // 2) if n != 16 else bytes([word & 255]) * 16

    (only,) = sample(Fixed(), 1).tolist()
    assert only == (-87 if word == 0 else 87)
