"""Decoding false shares: every pattern within the bound is found, beyond it nothing is claimed."""

import itertools
import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_crypto.correction import correct
from fedmeta_crypto.shamir import PRIME, split


def shares_of(secret, points, threshold, wanted):
    return split(secret, points=points, threshold=threshold, entropy=os.urandom)[[p - 1 for p in wanted]]


def falsify(rows, which, rng):
    bad = rows.copy()
    for row in which:
        at = rng.integers(0, rows.shape[1])
        bad[row, at] = (int(bad[row, at]) + int(rng.integers(1, PRIME))) % PRIME
    return bad


@given(st.integers(1, 24), st.data())
def test_false_rows_within_the_bound_are_found_exactly(r, data):
    t = data.draw(st.integers(1, r))
    points = tuple(sorted(data.draw(st.sets(st.integers(1, 300), min_size=r, max_size=r))))
    which = data.draw(st.sets(st.integers(0, r - 1), max_size=(r - t) // 2))
    secret = os.urandom(64)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows = falsify(shares_of(secret, 300, t, points), which, rng)
    assert correct(points, rows, threshold=t) == (secret, tuple(points[i] for i in sorted(which)))


def test_every_pair_of_liars_of_seven():
    points = tuple(range(1, 8))
    rng = np.random.default_rng(0)
    for which in itertools.combinations(range(7), 2):
        secret = os.urandom(32)
        rows = falsify(shares_of(secret, 7, 3, points), which, rng)
        assert correct(points, rows, threshold=3) == (secret, tuple(points[i] for i in which))


def test_one_more_than_the_bound_is_never_passed_off_as_the_truth():
    points, rng = tuple(range(1, 8)), np.random.default_rng(1)
    for _ in range(50):
        secret = os.urandom(32)
        rows = shares_of(secret, 7, 3, points)
        rows[[0, 3, 5]] = rng.integers(0, PRIME, (3, 16))
        assert correct(points, rows, threshold=3) is None


def test_liars_who_agree_on_another_polynomial_win_only_beyond_the_bound():
    points = tuple(range(1, 10))
    truth, other = shares_of(b"truth!", 9, 3, points), shares_of(b"others", 9, 3, points)
    mixed = truth.copy()
    mixed[:3] = other[:3]  # three liars of nine, t = 3: within (9 - 3)/2
    assert correct(points, mixed, threshold=3) == (b"truth!", (1, 2, 3))


def test_exactly_threshold_shares_cannot_be_judged():
    points = (2, 5, 9)
    rows = shares_of(b"12", 9, 3, points)
    rows[0] ^= 1
    found = correct(points, rows, threshold=3)
    assert found is not None and found[1] == ()  # only a commitment can tell


def test_large_sets_decode():
    points, rng = tuple(range(1, 121)), np.random.default_rng(2)
    which = tuple(sorted(rng.choice(120, 20, replace=False).tolist()))
    secret = os.urandom(64)
    rows = falsify(shares_of(secret, 120, 80, points), which, rng)
    assert correct(points, rows, threshold=80) == (secret, tuple(points[i] for i in which))
