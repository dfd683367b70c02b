# SPDX-License-Identifier: Apache-2.0
"""The indexed table against a plain search over 128-bit whole numbers: every word, ties above all."""

import bisect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_words import Queue, words

from fedmeta_privacy.inversion import ThresholdTable
from fedmeta_privacy.noise import DiscreteGaussian
from fedmeta_privacy.skellam import Skellam

TOP = 2**64 - 1
TABLES = {
    "3.2": lambda: DiscreteGaussian(3.2)._tables[0],
    "64": lambda: DiscreteGaussian(64.0)._tables[0],
    "1024": lambda: DiscreteGaussian(1024.0)._tables[0],
    "skellam 1": lambda: Skellam(1.0)._table,
    "skellam 64": lambda: Skellam(64.0)._table,
}


def whole(table):
    return [int(high) << 64 | int(low) for high, low in zip(table.high, table.low, strict=True)]


def plain(thresholds, tops, bottoms):
    """Count thresholds <= w for w = (top, bottom); bottoms are used up by ties only, in order."""
    highs = {threshold >> 64 for threshold in thresholds}
    rest = iter(bottoms)
    return [bisect.bisect_right(thresholds, int(t) << 64 | (next(rest) if int(t) in highs else 0)) for t in tops]


def same(table, tops, seed=0):
    thresholds = whole(table)
    assert thresholds == sorted(thresholds)
    bottoms = np.random.default_rng(seed).integers(0, 2**64, len(tops), dtype=np.uint64).tolist()
    queue = Queue(bottoms)
    got = table.invert(np.array(tops, np.uint64), queue)
    assert got.tolist() == plain(thresholds, tops, bottoms)
    highs = {threshold >> 64 for threshold in thresholds}
    ties = sum(int(top) in highs for top in tops)
    assert queue.taken == ties
    return ties


@pytest.mark.parametrize("name", TABLES)
def test_random_words(name):
    same(TABLES[name](), words(1)(20_000))


@pytest.mark.parametrize("name", TABLES)
def test_words_on_and_beside_every_threshold_and_every_bucket(name):
    table = TABLES[name]()
    highs = [int(high) for high in table.high]
    beside = {min(TOP, max(0, high + step)) for high in highs for step in (-1, 0, 1)}
    shift = int(table._shift)
    buckets = range(0, 1 << (64 - shift), 1 if name in {"3.2", "skellam 1"} else 17)
    edges = {bucket << shift for bucket in buckets} | {((bucket + 1) << shift) - 1 for bucket in buckets}
    assert same(table, sorted(beside | edges | {0, TOP})) >= len(set(highs))


@pytest.mark.parametrize("bottom", [0, 1, TOP - 1, TOP])
def test_ties_are_settled_to_the_last_bit(bottom):
    table = DiscreteGaussian(4.0)._tables[0]
    thresholds = whole(table)
    for k in (0, 3, 17):
        low = thresholds[k] & TOP
        for second in {low, max(0, low - 1), bottom}:
            count = table.invert(table.high[k : k + 1], Queue([second]))
            assert int(count[0]) == bisect.bisect_right(thresholds, (thresholds[k] >> 64 << 64) | second)


# Tables whose upper halves collide, stand on bucket edges, at zero and at the top.
odd = st.lists(
    st.builds(
        lambda high, low: high << 64 | low,
        st.sampled_from([0, 1, 1 << 52, (1 << 52) - 1, 5 << 52, 1 << 63, TOP]) | st.integers(0, TOP),
        st.sampled_from([0, 1, TOP]) | st.integers(0, TOP),
    ),
    min_size=1,
    max_size=40,
)


@given(odd, st.integers(0, 2**32))
def test_odd_tables(thresholds, seed):
    thresholds.sort()
    tops = [t >> 64 for t in thresholds] + [0, TOP, 1 << 63] + words(seed)(50).tolist()
    assert same(ThresholdTable.of(thresholds), tops, seed) >= len(thresholds)


def test_an_index_that_is_off_by_one_is_noticed():
    table = DiscreteGaussian(64.0)._tables[0]
    broken = ThresholdTable(table.high, table.low)
    bucket = int(np.flatnonzero(broken._guide > 3)[0])
    broken._guide[bucket] += 1
    with pytest.raises(AssertionError):
        same(broken, [bucket << int(broken._shift)])
